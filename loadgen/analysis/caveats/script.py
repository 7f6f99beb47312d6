"""Caveats about faults of the script, which are asked for: those that failed, and what they explain."""

from collections.abc import Iterable, Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import Event, FaultBegan, FaultFailed
from loadgen.scenario.choices import Act
from loadgen.tcp import Side

FAULT_FAILED = CaveatKind("fault_failed")
NOT_RESTARTED = CaveatKind("not_restarted")


def fault_failed(case: Case) -> Iterator[Caveat]:
    for event in case.fold.events:
        if not isinstance(event, FaultFailed):
            continue
        at_s = event.t_ns / 1e9
        if event.do == Act.RESTART:
            # A result: whether a server can start again is what a restart asks.
            yield Caveat(
                NOT_RESTARTED,
                f"the server was not started again after its restart, at {at_s:.1f} s: {event.how}",
                "see server.reuse_address; until the end of the load nothing accepted connections",
            )
        else:
            yield Caveat(
                FAULT_FAILED,
                f"{event.do} on the {event.on} failed at {at_s:.1f} s: {event.how}",
                "the lab was not what the script says from then on: leave this fault out",
                invalidates=True,
            )


def paused(events: Iterable[Event], side: Side) -> bool:
    """Whether the script paused the processes of a side."""
    return any(isinstance(one, FaultBegan) and one.do == Act.PAUSE and one.on is side for one in events)


def losses(events: Iterable[Event]) -> list[str]:
    """The faults of the script by which segments were lost, by their labels."""
    lossy = (Act.CUT, Act.CRASH, Act.DROP)
    return [one.label for one in events if isinstance(one, FaultBegan) and one.do in lossy]


def killed(events: Iterable[Event], side: Side) -> bool:
    """Whether the script ended the processes of a side."""
    ends = (Act.KILL, Act.RESTART)
    return any(isinstance(one, FaultBegan) and one.do in ends and one.on is side for one in events)


RULES: tuple[Rule, ...] = (fault_failed,)
