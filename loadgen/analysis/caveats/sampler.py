"""Caveats about the sampler: late samples, and counts that differ from a full dump of the sockets."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import SampleCheck

LATE_SAMPLES = 0.05
"""The share of samples that may be late before the timeline has visible gaps."""

SAMPLE_DIFFERS = CaveatKind("sample_differs")


def sample_differs(case: Case) -> Iterator[Caveat]:
    for event in case.fold.events:
        if isinstance(event, SampleCheck):
            for viewpoint, found in event.viewpoints.items():
                if found.sockstat != found.dump:
                    yield Caveat(
                        SAMPLE_DIFFERS,
                        f"{viewpoint}: {found.sockstat:,} TIME-WAIT by sockstat, {found.dump:,} by a dump",
                        "another program used the namespace, or this kernel counts in another way (see"
                        " docs/facts.md#k17): please report it",
                        invalidates=True,
                    )


SAMPLER_LATE = CaveatKind("sampler_late")


def sampler_late(case: Case) -> Iterator[Caveat]:
    sampled = case.fold.sampled
    # A sample that ends a gap is reported as the gap.
    late, missed = sampled.late - sampled.late_by_gaps, sampled.missed - sampled.missed_by_gaps
    if late + missed > LATE_SAMPLES * (sampled.count + missed):
        besides = f", and {missed:,} were missed" if missed else ""
        yield Caveat(
            SAMPLER_LATE,
            f"{late:,} of {sampled.count:,} samples were late by more than half a period{besides}",
            "free the machine's cores, or sample less often (sample.every)",
        )


RULES: tuple[Rule, ...] = (sample_differs, sampler_late)
