"""What a metric is: a name, or a pattern of names, with its unit, a sentence, and how it is taken off a fold.

Pure. The metrics themselves are declared in `metrics.py`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any, Generic, Protocol, TypeVar, cast

from loadgen.analysis.fold import Fold

_T = TypeVar("_T")


class Unit(StrEnum):
    """What the number of a metric counts."""

    COUNT = "count"
    PORTS = "ports"
    SOCKETS = "sockets"
    NS = "ns"
    PER_S = "/s"
    SHARE = "share"


UNITS: Mapping[Unit, str] = {
    Unit.COUNT: "how often it happened",
    Unit.PORTS: "ports of the client",
    Unit.SOCKETS: "sockets in a TCP state",
    Unit.NS: "nanoseconds; an instant counts from the begin of the load; an expectation can write `30ms`",
    Unit.PER_S: "events per second; an expectation can write `1000/s`",
    Unit.SHARE: "a part of the whole, which is 1; an expectation can write `5%`",
}


@dataclass(frozen=True, slots=True, eq=False)
class Placeholder(Generic[_T]):
    """A part of a name that stands for one word of several, as `{viewpoint}` does.

    sentence  what it stands for
    known     its values by the word for each, as far as they are known before a run
    word      the regular expression of a word that is in no list; None if `known` has them all
    measured  the values in a fold, given the values of the placeholders before it; None: all of `known`
    """

    name: str
    sentence: str
    known: Mapping[str, _T]
    word: str | None = None
    measured: "Callable[[Fold, Values], Mapping[str, _T]] | None" = None

    def expression(self) -> str:
        """The regular expression of its words."""
        words = sorted(map(re.escape, self.known), key=len, reverse=True)
        return "|".join([*words, *([self.word] if self.word else [])])

    def values(self, fold: Fold, before: "Values") -> Mapping[str, _T]:
        """Its values in a fold."""
        return self.known if self.measured is None else self.measured(fold, before)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a name's placeholders, in their order, and the word for each."""

    words: Mapping[str, str] = field(default_factory=dict[str, str])
    chosen: Mapping[Placeholder[Any], Any] = field(default_factory=dict[Placeholder[Any], Any])

    def __getitem__(self, placeholder: Placeholder[_T]) -> _T:
        return cast(_T, self.chosen[placeholder])

    def plus(self, placeholder: Placeholder[_T], word: str, value: _T) -> "Values":
        return Values({**self.words, placeholder.name: word}, {**self.chosen, placeholder: value})


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, or a family of metrics that have a pattern of names in common.

    name       `rate.mean`, or a pattern as `{viewpoint}.{state}.max`
    sentence   what it is, for people
    take       its value in a fold; None if it was not measured
    over       the placeholders of the pattern, in their order
    """

    name: str
    unit: Unit
    sentence: str
    take: Callable[[Fold, Values], float | None]
    over: tuple[Placeholder[Any], ...] = ()

    def __post_init__(self) -> None:
        assert re.findall(r"\{(\w+)\}", self.name) == [placeholder.name for placeholder in self.over]

    @property
    def open(self) -> bool:
        """Whether some of its names are known only once they are measured."""
        return any(placeholder.word for placeholder in self.over)

    def expression(self, words: Mapping[Placeholder[Any], str] | None = None) -> str:
        """The regular expression of its names. `words` replaces that of a placeholder."""
        replaced = words or {}
        parts = re.split(r"\{\w+\}", self.name)
        groups = [f"(?:{replaced.get(one) or one.expression()})" for one in self.over]
        return "".join(re.escape(part) + group for part, group in zip(parts, [*groups, ""], strict=True))


@dataclass(frozen=True, slots=True)
class Named:
    """One name of a metric, and the values of its placeholders."""

    name: str
    metric: Metric
    values: Values


class ValuesOf(Protocol):
    """The values of a placeholder, by the word for each, given those of the placeholders before it."""

    def __call__(self, placeholder: Placeholder[_T], before: Values, /) -> Mapping[str, _T]: ...


def named(
    metrics: Sequence[Metric],
    values_of: ValuesOf,
    before: Values | None = None,
) -> Iterator[Named]:
    """Every name of these metrics, with the values that `values_of` gives for a placeholder.

    Neighbours that begin with the same placeholder take turns: the names of one viewpoint stand together.
    """
    chosen = before or Values()
    depth = len(chosen.words)
    for placeholder, group in groupby(
        metrics, lambda one: one.over[depth] if depth < len(one.over) else None
    ):
        if placeholder is None:
            for metric in group:
                yield Named(metric.name.format(**chosen.words), metric, chosen)
            continue
        family = list(group)
        for word, value in values_of(placeholder, chosen).items():
            yield from named(family, values_of, chosen.plus(placeholder, word, value))
