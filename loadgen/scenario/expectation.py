"""An expectation of a variant, a comparison of metrics: `client.time_wait.max >= 0.9 * client.ports`.

Metrics come as a mapping of names to numbers, times in nanoseconds. A verdict is never nan: what cannot
be computed fails, and says why.
"""

import math
import operator
from collections.abc import Callable, Collection, Mapping
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
        mark_of: Callable[[int], Mark] | None = None,
    ) -> "Expectation":
        """Read an expectation. `mark_of` gives the place of a character of `text`, by default `mark`.

        `known` holds the metrics that can be measured; None takes any name.
        Raises ScenarioError with a syntax error, or with every unknown metric.
        """

        def problem(error: FormulaError) -> Problem:
            place = mark_of(error.offset) if mark_of else mark
            return Problem(place, key_path, error.message, error.hint)

        try:
            comparison = parse_comparison(text)
        except FormulaError as error:
            raise ScenarioError([problem(error)]) from None
        if known is not None:
            unknown = [_unknown(name, at, known) for name, at in comparison.metrics if name not in known]
            if unknown:
                raise ScenarioError(map(problem, unknown))
        return cls(text.strip(), mark, comparison)

    @property
    def names(self) -> frozenset[str]:
        """The metrics it needs."""
        return frozenset(name for name, _ in self.comparison.metrics)

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


def _unknown(name: str, offset: int, known: Collection[str]) -> FormulaError:
    hint = did_you_mean(name, known) or "churn metrics lists them all"
    return FormulaError(offset, f"unknown metric {quote(name)}", hint)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:,.6g}"


def _value(term: Term, metrics: Mapping[str, float]) -> float:
    match term:
        case Number(value):
            return value
        case Metric(name):
            if name not in metrics and name.startswith(ERROR_PREFIX) and ERROR_TOTAL in metrics:
                return 0.0
            if name not in metrics:
                raise _NotComputedError(f"{name} was not measured")
            value = float(metrics[name])
            if not math.isfinite(value):
                raise _NotComputedError(f"{name} has no finite value")
            return value
        case Operation(op, left, right):
            a, b = _value(left, metrics), _value(right, metrics)
            if op == "/" and b == 0:
                raise _NotComputedError("it divides by zero")
            value = _ARITHMETIC[op](a, b)
            if not math.isfinite(value):
                raise _NotComputedError("its numbers grow too large")
            return value
