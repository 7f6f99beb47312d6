"""The language of expectations: numbers, metrics, + - * / ( ), and one comparison.

Numbers may carry a unit: `5%` is 0.05, `30s` is 30e9 (nanoseconds, as every time in a record), `1000/s`
is 1000. A metric may name its variant: `rate.mean@fast`, and `rate.mean@"not-so-fast"` if the name has other
characters than letters, digits, `.` and `_`. Python never evaluates the text: a tokenizer and a recursive
descent of three levels read it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from loadgen.text.problem import quote
from loadgen.text.units import Duration, UnitError

MAX_LENGTH = 500
"""Characters of a comparison: it should be read at a glance."""
MAX_NESTING = 16
"""Parentheses and signs within each other; it bounds the recursion."""
MAX_NUMBER = 1e18
"""Larger than any count or time (30 years in nanoseconds) that can be measured."""

_TOKEN = re.compile(
    r"""(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
        (?P<unit>%|/s(?![\w.])|(?:ns|us|µs|ms|s|min|m|h)(?![\w.]))?
      | (?P<name>[A-Za-z_][\w]*(?:\.\w+)*)(?:@(?P<variant>"[^"]*"|'[^']*'|[A-Za-z0-9][\w.]*))?
      | (?P<compare>[=!<>]=|<|>)
      | (?P<sign>[-+*/()])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by name; `variant` is "" if the text names none. Offsets are those of both names."""

    name: str
    variant: str = ""
    offset: int = field(default=0, compare=False)
    variant_offset: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """Its name among the metrics of one variant, or of all (`metrics_of_all`)."""
        return self.of(self.name)

    def of(self, name: str) -> str:
        """The key of another metric of the same variant."""
        return f"{name}@{self.variant}" if self.variant else name


@dataclass(frozen=True, slots=True)
class Operation:
    op: str
    left: "Term"
    right: "Term"


Term = Number | Metric | Operation


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`; `metrics` are all that occur."""

    left: Term
    op: str
    right: Term
    metrics: tuple[Metric, ...]


def parse_comparison(text: str) -> Comparison:
    """Read a comparison. Raises FormulaError."""
    return _Parser(text).comparison()


class FormulaError(Exception):
    """What is wrong at a character of the text."""

    def __init__(self, offset: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, compare, sign, end
    text: str
    offset: int
    value: float = 0.0
    metric: Metric | None = None


def _tokens(text: str) -> Iterator[_Token]:
    if len(text) > MAX_LENGTH:
        raise FormulaError(0, f"is longer than {MAX_LENGTH} characters", "write several expectations")
    offset = 0
    while offset < len(text):
        if text[offset].isspace():
            offset += 1
            continue
        match = _TOKEN.match(text, offset)
        if match is None:
            raise FormulaError(offset, f"cannot read {quote(text[offset:])}", _remedy(text[offset:]))
        if match["number"]:
            yield _Token("number", match[0], offset, value=_number(match, offset))
        elif match["name"]:
            yield _Token("name", match[0], offset, metric=_metric(match))
        else:
            yield _Token(match.lastgroup or "", match[0], offset)
        offset = match.end()
    yield _Token("end", "", len(text))


def _remedy(rest: str) -> str:
    if rest.startswith("="):
        return "equality is =="
    if rest.startswith("@"):
        return "the name of a variant follows @, right behind a metric"
    return "it takes numbers, metrics, + - * / ( ) and one of == != < <= > >="


def _metric(match: re.Match[str]) -> Metric:
    variant = match["variant"] or ""
    return Metric(match["name"], variant.strip("\"'"), match.start("name"), max(match.start("variant"), 0))


def _number(match: re.Match[str], offset: int) -> float:
    number, unit = match["number"], match["unit"]
    value = float(number)
    if unit == "%":
        value /= 100
    elif unit and unit != "/s":
        try:
            value = float(Duration.parse(f"{number}{unit}"))
        except UnitError as error:
            raise FormulaError(offset, error.message, error.hint) from None
    if value > MAX_NUMBER:
        hint = f"the bound is {MAX_NUMBER:g}"
        raise FormulaError(offset, f"the number {quote(match[0])} is too large", hint)
    return value


class _Parser:
    """comparison: sum op sum; sum: product {+- product}; product: factor {*/ factor}; factor: the rest."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0
        self._metrics: list[Metric] = []

    def comparison(self) -> Comparison:
        left = self._sum()
        op = self._next
        if op.kind != "compare":
            raise self._unexpected("expected one of == != < <= > >=")
        self._advance()
        right = self._sum()
        if self._next.kind == "compare":
            raise self._unexpected("compares more than once", "write one expectation for each comparison")
        if self._next.kind != "end":
            raise self._unexpected("expected + - * / or the end")
        if not self._metrics:
            raise FormulaError(0, "names no metric", "write for example server.time_wait.max == 0")
        return Comparison(left, op.text, right, tuple(self._metrics))

    def _sum(self) -> Term:
        return self._chain("+-", lambda: self._chain("*/", self._factor))

    def _chain(self, ops: str, operand: Callable[[], Term]) -> Term:
        left = operand()
        while self._next.kind == "sign" and self._next.text in ops:
            op = self._advance().text
            left = Operation(op, left, operand())
        return left

    def _factor(self) -> Term:
        token = self._next
        if token.kind == "number":
            self._advance()
            if self._next.kind in ("name", "number") and self._next.offset == token.offset + len(token.text):
                raise self._unexpected("unknown unit", "numbers take %, /s, ns, us, ms, s, min or h")
            return Number(token.value)
        if token.metric is not None:
            self._advance()
            if self._next.text == "(":
                raise FormulaError(token.offset, f"{quote(token.text)} is no function", "there are none")
            self._metrics.append(token.metric)
            return token.metric
        if token.text not in ("(", "-"):
            raise self._unexpected("expected a number or a metric")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise FormulaError(token.offset, f"is nested more than {MAX_NESTING} deep", "write it flatter")
        self._advance()
        if token.text == "-":
            term: Term = Operation("-", Number(0.0), self._factor())
        else:
            term = self._sum()
            if self._next.text != ")":
                raise self._unexpected("expected a closing parenthesis")
            self._advance()
        self._depth -= 1
        return term

    def _advance(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        return token

    def _unexpected(self, expected: str, hint: str = "") -> FormulaError:
        got = quote(self._next.text) if self._next.text else "the end"
        if not hint and self._next.text in ("and", "or"):
            hint = "write one expectation for each comparison"
        return FormulaError(self._next.offset, f"{expected}, got {got}", hint)
