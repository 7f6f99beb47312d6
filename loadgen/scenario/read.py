"""From a file to a `Scenario`: compose, merge, validate, and keep every problem met on the way."""

import re
from collections.abc import Callable, Collection
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from loadgen.scenario import merge
from loadgen.scenario.baseline import Remedies
from loadgen.scenario.checks import check
from loadgen.scenario.claim import read_claims
from loadgen.scenario.comparisons import read_comparisons
from loadgen.scenario.document import VARIANT_NAME, Document, Header, Scenario, Settings, Variant
from loadgen.scenario.expectation import Expectation
from loadgen.scenario.matrix import MAX_VARIANTS, Cell, matrix_cells
from loadgen.scenario.wording import unknown_key_hint, validate, validate_layer
from loadgen.text.nodes import Mapping, describe, find
from loadgen.text.problem import Mark, Problem, ScenarioError, did_you_mean, quote
from loadgen.text.yaml import compose, read_text

ONLY_VARIANT = "main"
"""The name of the variant of a scenario that names none."""
ALL_VARIANTS = "all"
"""What `expect` calls every variant, so that none can be called it."""
RUN_FILES = frozenset({"run.json", "summary.json", "figures", "report.html"})
"""What a run directory holds beside the variants' directories. Some file systems ignore case."""

_NAME_HINT = "a name begins with a letter or digit, goes on with these and . _ = , + - and has 80 at most"

_T = TypeVar("_T")


def load_scenario(
    path: Path,
    *,
    overrides: SequenceOf[str] = (),
    variants: SequenceOf[str] = (),
    quick: bool = False,
    metrics: Collection[str] | None = None,
) -> Scenario:
    """Read a scenario file.

    overrides   `a.b=value`, merged over every variant last, as `--set` gives them
    variants    names of the variants to keep, with the claims that these decide; all if none is given
    quick       merge the file's `quick`, or narrow ports and duration if it has none
    metrics     names that expectations and claims may use; None takes any
    Raises ScenarioError with every problem of the file and of the options.
    """
    document = compose(read_text(path), str(path))
    if not isinstance(document, Mapping):
        message = f"a scenario is a mapping, got {describe(document)}"
        raise ScenarioError([Problem(document.mark, "", message, "begin with title: ...")])
    reader = _Reader(document, metrics)
    scenario = reader.scenario(overrides, quick)
    if scenario is None:
        raise ScenarioError(reader.problems)
    return _select(scenario, variants)


def _select(scenario: Scenario, names: SequenceOf[str]) -> Scenario:
    known = [variant.name for variant in scenario.variants]
    unknown = [name for name in names if name not in known]
    if unknown:
        message, known_here = "there is no such variant", f"there are {', '.join(known[:10])}"
        raise ScenarioError(
            Problem(Mark(f"--variant {name}"), "", message, did_you_mean(name, known) or known_here)
            for name in unknown
        )
    kept = tuple(variant for variant in scenario.variants if not names or variant.name in names)
    left = frozenset(variant.name for variant in kept)
    claims = tuple(claim for claim in scenario.claims if claim.variants <= left)
    remedies = scenario.remedies and scenario.remedies.among(left)
    return scenario.model_copy(update={"variants": kept, "claims": claims, "remedies": remedies})


@dataclass(frozen=True, slots=True)
class _Draft:
    """A variant before validation; `base` is the part of its name that is not the matrix's."""

    base: str
    name: str
    settings: Mapping


class _Reader:
    """Reads one document. Each step keeps its problems and leaves the next something to go on with."""

    def __init__(self, document: Mapping, metrics: Collection[str] | None) -> None:
        self._document = document
        self._metrics = metrics
        self.problems: list[Problem] = []

    def scenario(self, overrides: SequenceOf[str], quick: bool) -> Scenario | None:
        """The scenario, or None if there are problems."""
        for key, entry in self._document.entries.items():
            if key not in Document.model_fields:
                self._problem(entry.key.mark, key, "unknown key", unknown_key_hint(Document, key))
        header = self._attempt(lambda: validate(Header, merge.part(self._document, Header.model_fields)))
        defaults = merge.part(self._document, Settings.model_fields)
        # The defaults are validated first, so that their problems are reported once, not for each variant.
        self._attempt(lambda: validate_layer(Settings, defaults))
        cells = self._attempt(lambda: matrix_cells(self._mapping("matrix"), Settings.model_fields))
        drafts = self._drafts(defaults, cells or (Cell("", Mapping(self._document.mark, {})),))
        expect = self._expect(drafts, check_names=cells is not None)
        names = None if cells is None or not drafts else [draft.name for draft in drafts]
        if header is not None and header.remedies is not None and names is not None:
            self._remedies(header.remedies, names)
        node = self._document.get("claims")
        claims = read_claims(node, self.problems, known=self._metrics, variants=names)
        over = self._overrides(overrides)
        own_quick = self._mapping("quick") if "quick" in self._document.entries else None

        def settings(quickly: bool) -> dict[str, Settings]:
            trees: dict[str, Mapping] = {}
            for draft in drafts:
                tree = draft.settings
                if quickly:
                    tree = merge.overlay(tree, own_quick or merge.quick_defaults(tree))
                trees[draft.name] = merge.overlay(tree, over)
            return self._settings(trees)

        chosen = settings(quick)
        if own_quick:
            settings(not quick)  # so that problems are reported with --quick and without
        if self.problems or header is None:
            return None
        variants = (Variant(name=name, expect=expect[name], **dict(part)) for name, part in chosen.items())
        return Scenario(**dict(header), claims=claims, variants=tuple(variants))

    def _remedies(self, remedies: Remedies, names: SequenceOf[str]) -> None:
        for path, message, hint in remedies.unknown(names):
            node = find(self._document, path.split("."))
            assert node is not None  # what names a variant was written
            self._problem(node.mark, path, message, hint)

    def _attempt(self, step: Callable[[], _T]) -> _T | None:
        try:
            return step()
        except ScenarioError as error:
            self.problems.extend(error.problems)
            return None

    def _problem(self, mark: Mark, key_path: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(mark, key_path, message, hint))

    def _mapping(self, key: str) -> Mapping:
        """The mapping under a key of the document; an empty one if there is none or it is not a mapping."""
        node = self._document.get(key)
        if isinstance(node, Mapping):
            return node
        if node is not None:
            self._problem(node.mark, key, f"expected a mapping, got {describe(node)}", "or remove the key")
        return Mapping(self._document.mark, {})

    def _drafts(self, defaults: Mapping, cells: SequenceOf[Cell]) -> list[_Draft]:
        """Every variant with every cell of the matrix, in the order they are written."""
        bases = self._bases()
        if len(bases) * len(cells) > MAX_VARIANTS:
            message = f"makes {len(bases) * len(cells):,} variants, and {MAX_VARIANTS} is the most"
            self._problem(self._document.mark, "", message, "leave some out, or split the file")
            return []
        drafts: dict[str, _Draft] = {}
        for base, own in bases.items():
            for cell in cells:
                name = ",".join(filter(None, (base, cell.label))) or ONLY_VARIANT
                if name in drafts or (cell.label and not re.fullmatch(VARIANT_NAME, name)):
                    wrong = "names two variants" if name in drafts else "is too long a name"
                    hint = "choose other values, or rename the variants"
                    self._problem(cell.settings.mark, "matrix", f"{quote(name)} {wrong}", hint)
                drafts[name] = _Draft(base, name, merge.overlay(merge.overlay(defaults, own), cell.settings))
        return list(drafts.values())

    def _bases(self) -> dict[str, Mapping]:
        """What each variant of the file sets, by name; nothing by the name "" if the file has none."""
        variants = self._mapping("variants")
        if self._document.get("variants") is variants and not variants.entries:
            self._problem(
                variants.mark, "variants", "names no variant", "remove the key: there is one then, main"
            )
        bases: dict[str, Mapping] = {}
        for name, entry in variants.entries.items():
            path = f"variants.{name}"
            if not re.fullmatch(VARIANT_NAME, name):
                self._problem(entry.key.mark, path, f"{quote(name)} cannot name a variant", _NAME_HINT)
            elif name == ALL_VARIANTS:
                self._problem(
                    entry.key.mark, path, '"all" means every variant in expect', "choose another name"
                )
            elif name.lower() in RUN_FILES:
                message = f"{quote(name)} is a file of every run, beside the variants"
                self._problem(entry.key.mark, path, message, "choose another name")
            if isinstance(entry.value, Mapping):
                bases[name] = entry.value
            else:
                message = f"expected a mapping, got {describe(entry.value)}"
                self._problem(entry.value.mark, path, message, "write {} for the defaults alone")
                bases[name] = Mapping(entry.value.mark, {})
        return bases or {"": Mapping(self._document.mark, {})}

    def _overrides(self, arguments: SequenceOf[str]) -> Mapping:
        over = Mapping(Mark("--set"), {})
        for argument in arguments:
            try:
                over = merge.overlay(over, merge.read_override(argument, Settings.model_fields))
            except ScenarioError as error:
                self.problems.extend(error.problems)
        return over

    def _settings(self, trees: dict[str, Mapping]) -> dict[str, Settings]:
        """The settings of each variant that has none wrong. A problem that several share is kept once."""
        settings: dict[str, Settings] = {}
        found: dict[Problem, list[str]] = {}
        for name, tree in trees.items():
            try:
                settings[name] = check(tree)
            except ScenarioError as error:
                for problem in error.problems:
                    found.setdefault(problem, []).append(name)
        known = frozenset(self.problems)
        for problem, names in found.items():
            if problem not in known:
                self.problems.append(problem if len(names) == len(trees) else _in_variants(problem, names))
        return settings

    def _expect(self, drafts: SequenceOf[_Draft], check_names: bool) -> dict[str, tuple[Expectation, ...]]:
        """The expectations of each variant: those for all, for its name in the file, for its whole name."""
        expect: dict[str, tuple[Expectation, ...]] = {draft.name: () for draft in drafts}
        for key, entry in self._mapping("expect").entries.items():
            names = [draft.name for draft in drafts if key in (ALL_VARIANTS, draft.base, draft.name)]
            if check_names and drafts and not names:
                known = [
                    ALL_VARIANTS,
                    *dict.fromkeys(name for draft in drafts for name in (draft.base, draft.name)),
                ]
                hint = did_you_mean(key, known) or f"there are {', '.join(filter(None, known[:10]))}"
                self._problem(entry.key.mark, f"expect.{key}", "there is no such variant", hint)
            expectations = read_comparisons(
                f"expect.{key}", entry.value, self.problems, known=self._metrics, variants=()
            )
            for name in names:
                expect[name] += expectations
        return expect


def _in_variants(problem: Problem, names: SequenceOf[str]) -> Problem:
    """The problem, with the variants that have it: others with the same settings do not."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return replace(problem, message=f"{problem.message}, in variant{'s' * (len(names) > 1)} {shown}")
