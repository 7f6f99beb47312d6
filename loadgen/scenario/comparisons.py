"""Lists of comparisons, of expectations and of claims: as a person writes them, and as run.json has them."""

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import BeforeValidator, InstanceOf, PlainSerializer

from loadgen.scenario.expectation import Expectation
from loadgen.text import nodes
from loadgen.text.nodes import Node, Scalar, describe
from loadgen.text.problem import Mark, Problem, ScenarioError


def _to_json(expectation: Expectation) -> dict[str, str]:
    return {"text": expectation.text, "mark": str(expectation.mark)}


def _from_json(items: Sequence[Expectation | dict[str, str]]) -> list[Expectation]:
    return [
        item if isinstance(item, Expectation) else Expectation.parse(item["text"], Mark.parse(item["mark"]))
        for item in items
    ]


Comparisons = Annotated[
    tuple[Annotated[InstanceOf[Expectation], PlainSerializer(_to_json)], ...], BeforeValidator(_from_json)
]
"""Comparisons of a scenario; read also from what `scenario.schema.resolved` writes."""


def read_comparisons(
    path: str,
    node: Node,
    problems: list[Problem],
    *,
    known: Collection[str] | None,
    variants: Collection[str] | None,
) -> tuple[Expectation, ...]:
    """The comparisons of a list. What is wrong with the others is added to `problems`.

    `known` and `variants` are the names that they may use, as `Expectation.parse` takes them.
    """
    if not isinstance(node, nodes.Sequence):
        message = f"expected a list of comparisons, got {describe(node)}"
        problems.append(Problem(node.mark, path, message, "write - server.time_wait.max == 0"))
        return ()
    found: list[Expectation] = []
    for item in node.items:
        if not isinstance(item, Scalar) or item.empty:
            message = f"expected a comparison, got {describe(item)}"
            problems.append(Problem(item.mark, path, message, "write server.time_wait.max == 0"))
            continue
        try:
            found.append(
                Expectation.parse(
                    item.text,
                    item.mark,
                    key_path=path,
                    known=known,
                    variants=variants,
                    mark_of=item.mark_of,
                )
            )
        except ScenarioError as error:
            problems.extend(error.problems)
    return tuple(found)
