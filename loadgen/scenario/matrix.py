"""A matrix: lists of values by dotted key, whose every combination is a variant."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loadgen.scenario.merge import at_path, overlay, path_problem, split_path
from loadgen.text.nodes import Mapping, Node, Scalar, Sequence, describe
from loadgen.text.problem import Problem, ScenarioError

MAX_VARIANTS = 256
"""Variants of a scenario, cells of its matrix counted: each is a run of its own."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of a matrix: the part of a variant's name it makes, and what it sets."""

    label: str
    settings: Mapping


def matrix_cells(matrix: Mapping, roots: Iterable[str]) -> tuple[Cell, ...]:
    """Every combination of a matrix's values, the last key varying fastest. Raises ScenarioError."""
    roots = tuple(roots)
    problems = list(_matrix_problems(matrix, roots))
    if problems:
        raise ScenarioError(problems)
    axes: list[list[tuple[str, Mapping]]] = []
    for path, entry in matrix.entries.items():
        assert isinstance(entry.value, Sequence)
        name = _short_name(path, matrix.entries)
        labels = [_label(value, place) for place, value in enumerate(entry.value.items, start=1)]
        if len(set(labels)) < len(labels):
            hint = "values are distinguished by their letters, digits and . _ + -"
            raise ScenarioError(
                [Problem(entry.value.mark, f"matrix.{path}", "two values have one name", hint)]
            )
        # The marks are those of the values, so that a problem is shown at its value.
        nodes = [at_path(path, entry.key.mark, value) for value in entry.value.items]
        axes.append([(f"{name}={label}", node) for label, node in zip(labels, nodes, strict=True)])
    cells: list[Cell] = []
    for combination in itertools.product(*axes):
        settings = Mapping(matrix.mark, {})
        for _, node in combination:
            settings = overlay(settings, node)
        cells.append(Cell(",".join(label for label, _ in combination), settings))
    return tuple(cells)


def _matrix_problems(matrix: Mapping, roots: tuple[str, ...]) -> Iterator[Problem]:
    sizes: list[int] = []
    for path, entry in matrix.entries.items():
        if problem := path_problem(path, entry.key.mark, roots):
            yield problem
        value = entry.value
        if not isinstance(value, Sequence):
            message = f"expected a list of values, got {describe(value)}"
            yield Problem(value.mark, f"matrix.{path}", message, "write [a, b]")
        elif not value.items:
            yield Problem(value.mark, f"matrix.{path}", "the list of values is empty", "write [a, b]")
        else:
            sizes.append(len(value.items))
    if math.prod(sizes) > MAX_VARIANTS:
        message = f"makes {math.prod(sizes):,} variants, and {MAX_VARIANTS} is the most"
        yield Problem(matrix.mark, "matrix", message, "leave out values, or split the file")


def _short_name(path: str, paths: Iterable[str]) -> str:
    """The fewest last keys of a path that no other path of the matrix ends in."""
    keys = split_path(path)
    others = [split_path(other) for other in paths if other != path]
    for length in range(1, len(keys)):
        if all(other[-length:] != keys[-length:] for other in others):
            return ".".join(keys[-length:])
    return ".".join(keys)


def _label(value: Node, place: int) -> str:
    """A value as a variant's name shows it: its text, or its place in the list if it has none."""
    if isinstance(value, Scalar) and not value.empty:
        return re.sub(r"[^A-Za-z0-9._+-]+", "-", value.text.strip())
    return str(place)
