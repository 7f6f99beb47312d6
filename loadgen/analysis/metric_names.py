"""The names of all metrics: what an expectation may use. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar, cast

from loadgen.analysis import metrics
from loadgen.analysis.metric import Placeholder, Values, named

_T = TypeVar("_T")


class MetricNames(Collection[str]):
    """The names that an expectation may use: `in` accepts each, and iterating gives those that can be listed.

    `counters` are the kernel's counters that a sample records. Without them any word in CamelCase is one.
    """

    def __init__(self, counters: Collection[str] = ()) -> None:
        self._counters = {name: name for name in counters}
        words: Mapping[Placeholder[Any], str] = {metrics.COUNTER: "|".join(counters)} if counters else {}
        self._expression = re.compile("|".join(metric.expression(words) for metric in metrics.METRICS))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._expression.fullmatch(name) is not None

    def __iter__(self) -> Iterator[str]:
        for one in named(metrics.METRICS, self._known):
            yield one.name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _known(self, placeholder: Placeholder[_T], _: Values) -> Mapping[str, _T]:
        # Only the counters are known better here: their values are their names.
        known = self._counters if placeholder is metrics.COUNTER else placeholder.known
        return cast(Mapping[str, _T], known)
