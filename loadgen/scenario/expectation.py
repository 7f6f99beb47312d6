"""An expectation of a variant, a comparison of metrics: `client.time_wait.max >= 0.9 * client.ports`.

What decides a claim is a comparison of the same kind, over the metrics of all variants
(`server.time_wait.max@fast > 0`). Metrics come as a mapping of names to numbers, times in nanoseconds.
A verdict is never nan: what cannot be computed fails, and says why.
"""

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from loadgen.text.formula import Comparison, FormulaError, Metric, Number, Operation, Term, parse_comparison
from loadgen.text.problem import Mark, Problem, ScenarioError, did_you_mean, quote

ERROR_PREFIX = "errors."
ERROR_TOTAL = "errors.total"

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b,
}


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether an expectation held. `left` and `right` are None if they could not be computed.

    `text` is the expectation itself. `reason` is part of a sentence: the two values, or why they could not be
    compared.
    """

    text: str
    passed: bool
    left: float | None = None
    right: float | None = None
    reason: str


class _NotComputedError(Exception):
    """A side has no value; the message says why."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One comparison: its text, its place in the file, and its terms, ready to be evaluated."""

    text: str
    mark: Mark
    comparison: Comparison = field(repr=False)

    @classmethod
    def parse(
        cls,
        text: str,
        mark: Mark,
        *,
        key_path: str = "",
        known: Collection[str] | None = None,
        variants: Collection[str] | None = None,
        mark_of: Callable[[int], Mark] | None = None,
    ) -> "Expectation":
        """Read an expectation. `mark_of` gives the place of a character of `text`, by default `mark`.

        `known` holds the metrics that can be measured; None takes any name. Each metric names one of
        `variants` (`rate.mean@fast`), or none if they are empty; None takes any.
        Raises ScenarioError with a syntax error, or with every unknown metric and variant.
        """

        def problem(error: FormulaError) -> Problem:
            place = mark_of(error.offset) if mark_of else mark
            return Problem(place, key_path, error.message, error.hint)

        try:
            comparison = parse_comparison(text)
        except FormulaError as error:
            raise ScenarioError([problem(error)]) from None
        wrong = [error for metric in comparison.metrics for error in _wrong(metric, known, variants)]
        if wrong:
            raise ScenarioError(map(problem, wrong))
        return cls(text.strip(), mark, comparison)

    @property
    def names(self) -> frozenset[str]:
        """The metrics it needs, those of a named variant as `name@variant`."""
        return frozenset(metric.key for metric in self.comparison.metrics)

    @property
    def variants(self) -> frozenset[str]:
        """The variants it names."""
        return frozenset(metric.variant for metric in self.comparison.metrics if metric.variant)

    def evaluate(self, metrics: Mapping[str, float]) -> Verdict:
        """Compare both sides. What was not measured or has no finite value makes it fail, with the reason.

        A kind of error that is not among the metrics occurred 0 times if `errors.total` is among them.
        """
        values: list[float | None] = []
        reasons: list[str] = []
        for term in (self.comparison.left, self.comparison.right):
            try:
                values.append(_value(term, metrics))
            except _NotComputedError as error:
                values.append(None)
                reasons.append(str(error))
        left, right = values
        if left is None or right is None:
            reason = "; ".join(dict.fromkeys(reasons))
            return Verdict(text=self.text, passed=False, left=left, right=right, reason=reason)
        op = self.comparison.op
        passed = _COMPARE[op](left, right)
        reason = f"{_shown(left)} {op} {_shown(right)}{'' if passed else ' is false'}"
        return Verdict(text=self.text, passed=passed, left=left, right=right, reason=reason)


def metrics_of_all(variants: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The metrics of all variants in one mapping, by `name@variant`."""
    return {
        Metric(name, variant).key: value
        for variant, metrics in variants.items()
        for name, value in metrics.items()
    }


def _wrong(
    metric: Metric, known: Collection[str] | None, variants: Collection[str] | None
) -> Iterator[FormulaError]:
    """What is wrong with the names of a metric and its variant."""
    if known is not None and metric.name not in known:
        hint = did_you_mean(metric.name, known) or "churn metrics lists them all"
        yield FormulaError(metric.offset, f"unknown metric {quote(metric.name)}", hint)
    if variants is None:
        return
    if not variants and metric.variant:
        hint = "leave @ and the name out, or compare variants under claims"
        yield FormulaError(metric.variant_offset, "an expectation is about its own variant", hint)
    elif variants and not metric.variant:
        message = f"{quote(metric.name)} names no variant"
        yield FormulaError(metric.offset, message, f"write {metric.name}@{_quoted(next(iter(variants)))}")
    elif variants and metric.variant not in variants:
        hint = f"there are {', '.join(map(_quoted, list(variants)[:10]))}"
        message = f"there is no variant {quote(metric.variant)}"
        yield FormulaError(metric.variant_offset, message, did_you_mean(metric.variant, variants) or hint)


def _quoted(variant: str) -> str:
    """The name of a variant as it stands behind @."""
    return variant if re.fullmatch(r"[\w.]+", variant) else f'"{variant}"'


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:,.6g}"


def _value(term: Term, metrics: Mapping[str, float]) -> float:
    match term:
        case Number(value):
            return value
        case Metric(name):
            if term.key not in metrics and name.startswith(ERROR_PREFIX) and term.of(ERROR_TOTAL) in metrics:
                return 0.0
            if term.key not in metrics:
                raise _NotComputedError(f"{term.key} was not measured")
            value = float(metrics[term.key])
            if not math.isfinite(value):
                raise _NotComputedError(f"{term.key} has no finite value")
            return value
        case Operation(op, left, right):
            a, b = _value(left, metrics), _value(right, metrics)
            if op == "/" and b == 0:
                raise _NotComputedError("it divides by zero")
            value = _ARITHMETIC[op](a, b)
            if not math.isfinite(value):
                raise _NotComputedError("its numbers grow too large")
            return value
