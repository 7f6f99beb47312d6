"""The spans of a load in which the client had no free port, and the attempts that failed because of it.

Pure. An errno alone is not the cause: EADDRNOTAVAIL is also the answer if there is no source address. Ports
are gone if an attempt failed for want of one while nearly all were held, or if a sample found all of them
held: then a program whose errors churn cannot see ran out of them, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.analysis.series import Point

NEARLY_ALL = 0.9
"""The share of the ports that is held, at least, when an attempt fails for want of one: between two samples
some are given back."""
ALL = 0.998
"""The share from which on all ports count as held. A port that is given back is taken again at once."""
AROUND = 5
"""So many points before and after a failure, the samples are looked at: between two of them, ports are taken
and given back."""
LASTING = 3
"""Points that a span lasts at least before it decides what the load could do."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one instant to another."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Shortage:
    """The client had no free port.

    first_ns    the instant of the first failure, or from which on all ports are known to have been held
    spans       when, apart from each other and in order
    lasting_ns  when the first one began that lasted; None if none did
    failed      attempts that failed for want of a port; 0 if that is not known
    inferred    whether only the ports held show it, and no errno
    late        starts that were late because of it: meanwhile, and after it as long as there are any
    """

    first_ns: int
    spans: tuple[Span, ...]
    lasting_ns: int | None
    failed: int
    inferred: bool
    late: int


def is_short(series: Sequence[Point], index: int, ports: int, least: float = ALL) -> bool:
    """Whether no port was free in this point. From the share `least` on, all of them count as held."""
    one = series[index]
    known = [held for held in (one.held, series[index - 1].held if index else None) if held is not None]
    if not known and not one.most_held:
        return one.no_port > 0
    most = max([*known, float(one.most_held)])
    if one.no_port:
        around = series[max(index - AROUND, 0) : index + AROUND + 1]
        most = max(most, *(max(float(near.most_held), near.held or 0.0) for near in around))
        least = min(least, NEARLY_ALL)
    return most >= least * ports


def delayed(series: Sequence[Point], ports: int, least: float = ALL) -> list[bool]:
    """Whether late starts of each point are due to a lack of ports: those that it delayed come after it."""
    found: list[bool] = []
    for index, one in enumerate(series):
        found.append(is_short(series, index, ports, least) or bool(found and found[-1] and one.late))
    return found


def shortage(series: Sequence[Point], ports: int, *, reported: bool = False) -> Shortage | None:
    """The spans without a free port; None if there was none, or if none was wanted meanwhile.

    `reported`: a program said at its end that it found no port. Then nearly all of them held are enough:
    those that it still had open are closed when a sample is taken.
    """
    least = NEARLY_ALL if reported else ALL
    short = [index for index in range(len(series)) if is_short(series, index, ports, least)]
    if not short:
        return None
    runs: list[list[int]] = []
    for index in short:
        if runs and index - runs[-1][-1] == 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    failed = sum(series[index].no_port for index in short)
    if not failed and all(series[index].attempts is not None for index in short):
        # Who counts its attempts counts one that fails: all ports were held, and no further one was wanted.
        return None
    instants = [at_ns for index in short if (at_ns := series[index].no_port_ns) is not None]
    spans = [Span(_begin(series[run[0]], least * ports), series[run[-1]].end_ns) for run in runs]
    lasting = [span for span, run in zip(spans, runs, strict=True) if len(run) >= LASTING]
    return Shortage(
        first_ns=min(instants, default=spans[0].start_ns),
        spans=tuple(spans),
        lasting_ns=lasting[0].start_ns if lasting else None,
        failed=failed,
        inferred=not failed,
        late=sum(one.late for one, yes in zip(series, delayed(series, ports, least), strict=True) if yes),
    )


def _begin(first: Point, all_held: float) -> int:
    """When the span begins whose first point this is: if nothing failed in it, when all ports were held."""
    if first.no_port:
        return first.start_ns
    return first.most_held_ns if first.most_held >= all_held else first.end_ns


def unexplained(series: Sequence[Point], ports: int) -> int:
    """Attempts that failed as if for want of a port while ports were free."""
    return sum(
        one.no_port for index, one in enumerate(series) if one.no_port and not is_short(series, index, ports)
    )
