"""Caveats about the capture: packets that are missing from it, or none at all."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import Captured

NOT_CAPTURED = CaveatKind("not_captured")


def not_captured(case: Case) -> Iterator[Caveat]:
    captured = case.fold.event(Captured)
    if captured is not None and captured.error:
        yield Caveat(
            NOT_CAPTURED,
            f"no packets were captured: {captured.error}",
            "see that the kernel has AF_PACKET (CONFIG_PACKET) and that the run's directory can be written",
        )


CAPTURE_INCOMPLETE = CaveatKind("capture_incomplete")


def capture_incomplete(case: Case) -> Iterator[Caveat]:
    captured = case.fold.event(Captured)
    if captured is None:
        return
    if captured.dropped:
        yield Caveat(
            CAPTURE_INCOMPLETE,
            f"the capture had no room for {captured.dropped:,} packets: some of the {captured.connections}"
            " connections it shows may lack segments",
            "begin with fewer connections at once, or free the machine's cores",
        )
    if captured.full:
        yield Caveat(
            CAPTURE_INCOMPLETE,
            f"the capture ended at {captured.packets:,} packets, {captured.t_ns / 1e9:.1f} s into the load",
            "capture fewer connections (capture.connections), or let them make fewer requests",
        )


RULES: tuple[Rule, ...] = (not_captured, capture_incomplete)
