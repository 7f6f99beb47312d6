"""Caveats about the records themselves: missing, damaged, or cut short by the user."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import Interrupted, ProcessDied

NAMED_PLACES = 4
"""The damaged places that a caveat names."""

NO_RECORDS = CaveatKind("no_records")


def no_records(case: Case) -> Iterator[Caveat]:
    nothing = not case.fold.intervals or not case.fold.samples
    if nothing and not case.fold.event(ProcessDied) and not case.fold.damage:
        yield Caveat(
            NO_RECORDS,
            "the variant ended before anything was measured",
            "look at its events.jsonl, and run it again",
            invalidates=True,
        )


RECORDS_DAMAGED = CaveatKind("records_damaged")


def records_damaged(case: Case) -> Iterator[Caveat]:
    damage = case.fold.damage
    if damage:
        more = len(damage) - NAMED_PLACES
        places = ", ".join(
            [one.place for one in damage[:NAMED_PLACES]] + ([f"{more} more"] if more > 0 else [])
        )
        yield Caveat(
            RECORDS_DAMAGED,
            f"some records could not be read and are left out: {places}",
            "use a copy of the run directory, or run it again; `churn plot` shows what is wrong with each",
            invalidates=True,
        )


INTERRUPTED = CaveatKind("interrupted")


def interrupted(case: Case) -> Iterator[Caveat]:
    if case.fold.event(Interrupted):
        yield Caveat(
            INTERRUPTED,
            f"interrupted after {case.fold.load_end_ns() / 1e9:.1f} s of {case.variant.load.duration}",
            "run it to its end to get maxima and means that can be compared",
        )


RULES: tuple[Rule, ...] = (no_records, records_damaged, interrupted)
