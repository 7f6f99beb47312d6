"""Caveats about the audit: it was not made, lacks counters, or found a difference."""

from collections.abc import Iterator

from loadgen.analysis.audit import missing
from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.caveats.script import losses

NOT_AUDITED = CaveatKind("not_audited")


def not_audited(case: Case) -> Iterator[Caveat]:
    if case.fold.samples and not case.fold.complete:
        yield Caveat(
            NOT_AUDITED,
            f"the records end at {case.fold.load_end_ns() / 1e9:.1f} s of {case.variant.load.duration}:"
            " the counts could not be compared with the kernel's",
            "use it up to that moment only, and run it again: churn was killed, or one of its processes was",
            invalidates=True,
        )


AUDIT_INCOMPLETE = CaveatKind("audit_incomplete")


def audit_incomplete(case: Case) -> Iterator[Caveat]:
    lacking = missing(case.fold.legs()) if case.fold.complete else []
    if lacking:
        yield Caveat(
            AUDIT_INCOMPLETE,
            f"this kernel does not count {', '.join(lacking)}: the counts that need it were not audited",
            "run it on a kernel that counts all of them, or accept these counts unaudited",
        )


AUDIT_DIFFERS = CaveatKind("audit_differs")


def audit_differs(case: Case) -> Iterator[Caveat]:
    differing = [line for line in case.audit if not line.exact]
    if differing:
        lost = losses(case.fold.events)
        counts = "; ".join(f"{line.what}: {line.ours:,}, {line.source} {line.theirs:,}" for line in differing)
        who = (
            "the two sides differ" if case.fold.counted is None else "churn's counts differ from the kernel's"
        )
        yield Caveat(
            AUDIT_DIFFERS,
            f"{who} ({counts})",
            f"the script's fault ({', '.join(lost)}) lost segments, and a side that does not get them counts"
            " otherwise; if the counts differ without this fault too, please report a bug"
            if lost
            else "look for refused connections, and for a server that ended, or that resets or forgets"
            " connections it has closed; if there is no such cause, please report a bug",
            # A side that segments do not reach does not learn what the other has counted; a crash forgets.
            invalidates=not lost,
        )


RULES: tuple[Rule, ...] = (not_audited, audit_incomplete, audit_differs)
