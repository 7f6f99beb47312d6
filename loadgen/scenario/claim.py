"""A claim that a scenario puts to the test, and the comparisons over all variants that decide it."""

from collections.abc import Collection, Iterator, Mapping

from pydantic import Field, field_validator

from loadgen.scenario.catalogue import Decision, catalogue
from loadgen.scenario.comparisons import Comparisons, read_comparisons
from loadgen.scenario.expectation import Expectation
from loadgen.scenario.model import Model
from loadgen.text import nodes
from loadgen.text.nodes import Node, Scalar, describe
from loadgen.text.problem import Problem, did_you_mean, quote


class Decided(Model):
    """What decides a claim, as it is written. All comparisons of one verdict have to hold."""

    confirmed: tuple[str, ...] = ()
    """Comparisons such as client.time_wait.max@fast > 0 that confirm it."""
    refuted: tuple[str, ...] = ()
    """Comparisons that refute it."""
    depends: Mapping[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Comparisons by the condition on which it depends: each condition has its own result."""


class Claim(Model):
    """A claim by its id, and what decides it: nothing if the scenario only names it."""

    id: str
    confirmed: Comparisons = ()
    refuted: Comparisons = ()
    depends: Mapping[str, Comparisons] = Field(default_factory=dict[str, Comparisons])

    @field_validator("id")
    @classmethod
    def known_id(cls, value: str) -> str:
        """Refuse an id without a text: run.json may be another churn's."""
        if value not in catalogue():
            raise ValueError(f"there is no claim {value}")
        return value

    def comparisons(self) -> Iterator[tuple[Decision, str, Expectation]]:
        """Each comparison with the verdict that it is for, and with its condition if that is `depends`."""
        yield from ((Decision.CONFIRMED, "", one) for one in self.confirmed)
        yield from ((Decision.REFUTED, "", one) for one in self.refuted)
        for condition, those in self.depends.items():
            yield from ((Decision.DEPENDS, condition, one) for one in those)

    @property
    def variants(self) -> frozenset[str]:
        """The variants whose metrics decide it."""
        return frozenset[str]().union(*(one.variants for _, _, one in self.comparisons()))


def read_claims(
    node: Node | None,
    problems: list[Problem],
    *,
    known: Collection[str] | None,
    variants: Collection[str] | None,
) -> tuple[Claim, ...]:
    """The claims under `claims:`, a list or a mapping. What is wrong with the others is added to `problems`.

    `known` are the metrics that can be measured, `variants` the names of all variants; None takes any.
    """
    match node:
        case None:
            return ()
        case nodes.Sequence():
            named = [item for item in node.items if _is_claim(item, problems)]
            return tuple(Claim(id=item.text) for item in named if isinstance(item, Scalar))
        case nodes.Mapping():
            reader = _Reader(problems, known, variants)
            return tuple(
                reader.claim(entry.key.text, entry.value)
                for entry in node.entries.values()
                if _is_claim(entry.key, problems)
            )
        case Scalar():
            message = f"expected a list or a mapping of claims, got {describe(node)}"
            problems.append(Problem(node.mark, "claims", message, "write for example claims: [C18]"))
            return ()


def _is_claim(node: Node, problems: list[Problem]) -> bool:
    """Whether it is the id of a claim; if not, that is a problem."""
    if isinstance(node, Scalar) and node.text in catalogue():
        return True
    if isinstance(node, Scalar) and not node.empty:
        message, hint = f"there is no claim {quote(node.text)}", "churn claims lists them all"
    else:
        message, hint = f"expected the id of a claim, got {describe(node)}", "write for example C18"
    problems.append(Problem(node.mark, "claims", message, hint))
    return False


class _Reader:
    """Reads what decides a claim."""

    def __init__(
        self, problems: list[Problem], known: Collection[str] | None, variants: Collection[str] | None
    ) -> None:
        self._problems = problems
        self._known = known
        self._variants = variants

    def claim(self, name: str, node: Node) -> Claim:
        """The claim `name`, as far as it can be read."""
        path = f"claims.{name}"
        if not isinstance(node, nodes.Mapping) or not node.entries:
            message = f"expected what decides it, got {describe(node)}"
            hint = "write confirmed: or refuted: and a list of comparisons"
            self._problems.append(Problem(node.mark, path, message, hint))
            return Claim(id=name)
        found: dict[str, tuple[Expectation, ...]] = {}
        depends: dict[str, tuple[Expectation, ...]] = {}
        for key, entry in node.entries.items():
            here = f"{path}.{key}"
            if key not in Decided.model_fields:
                known = ", ".join(Decided.model_fields)
                hint = did_you_mean(key, Decided.model_fields) or f"known here: {known}"
                self._problems.append(Problem(entry.key.mark, here, "unknown key", hint))
            elif key == Decision.DEPENDS:
                depends = self._conditions(here, entry.value)
            else:
                found[key] = self._comparisons(here, entry.value)
        return Claim(id=name, depends=depends, **found)

    def _conditions(self, path: str, node: Node) -> dict[str, tuple[Expectation, ...]]:
        if not isinstance(node, nodes.Mapping) or not node.entries:
            message = f"expected comparisons by condition, got {describe(node)}"
            hint = "write each condition and a list: {small response: [server.time_wait.max@small > 0]}"
            self._problems.append(Problem(node.mark, path, message, hint))
            return {}
        return {
            condition: self._comparisons(f"{path}.{condition}", entry.value)
            for condition, entry in node.entries.items()
        }

    def _comparisons(self, path: str, node: Node) -> tuple[Expectation, ...]:
        if isinstance(node, nodes.Sequence) and not node.items:
            hint = "remove the key, or write a comparison: of none, all would hold"
            self._problems.append(Problem(node.mark, path, "the list of comparisons is empty", hint))
            return ()
        return read_comparisons(path, node, self._problems, known=self._known, variants=self._variants)
