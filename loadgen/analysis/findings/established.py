"""Connections that neither side closes while the load lasts.

They are found in the states alone: sockets in ESTABLISHED at both sides, nearly as many as there were
connections. A slow server has connections that wait, too, and others end meanwhile: then it is none of these.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.findings.leaks import EXIT_NS, instant, of_load, rise_of
from loadgen.analysis.fold import Fold
from loadgen.analysis.rise import Form, Rise
from loadgen.tcp import State
from loadgen.text.numbers import count, rate

STAY_ESTABLISHED = FindingKind("stay_established")
MOST = 0.9
"""The share of all connections so far that the last sample finds open, from which on it is said of them."""


@dataclass(frozen=True, slots=True)
class Staying:
    """`sockets` of the client's and of the server's viewpoint in ESTABLISHED, and how they became more."""

    sockets: tuple[int, int]
    rise: Rise

    @property
    def connections(self) -> int:
        """Those that are ESTABLISHED at both sides."""
        return min(self.sockets)


def staying(fold: Fold) -> Staying | None:
    """What neither side has closed when the load ends, if it became more and more until then."""
    # As the load ends a driver closes all at once, a moment before it says so.
    samples = [one for one in of_load(fold) if one.t_ns <= fold.load_end_ns() - EXIT_NS]
    leg = fold.scope.leg
    rises = [rise_of(samples, viewpoint, State.ESTABLISHED) for viewpoint in (leg.opener, leg.accepter)]
    growing = [one for one in rises if one is not None and one.form is not Form.LEVEL]
    if len(growing) < len(rises):
        return None
    opener, accepter = (
        samples[-1].viewpoints[viewpoint].count(State.ESTABLISHED) for viewpoint in (leg.opener, leg.accepter)
    )
    found = Staying((opener, accepter), growing[0])
    connected = sum(one.connected for one in fold.intervals if one.end_ns <= samples[-1].t_ns)
    return found if found.connections >= MOST * connected else None


def stay_established(fold: Fold) -> Iterator[Finding]:
    found = staying(fold)
    if found is None:
        return
    connected, rise, leg = fold.total("connected") or 0, found.rise, fold.scope.leg
    pace = f"{rate(rise.per_s)} more" if rise.form is Form.LINE else f"in {rise.moments} bursts"
    yield Finding(
        kind=STAY_ESTABLISHED,
        rank=Rank.CLOSES,
        viewpoint=leg.opener,
        sentence=f"neither side closes {count(found.connections)} of {count(connected)} connections while the"
        f" load lasts: they stay ESTABLISHED until it ends, {pace} from {instant(rise)} on",
        start_ns=rise.start_ns,
        end_ns=fold.load_end_ns(),
        numbers={"established": found.connections, "connected": connected}
        | ({"per_s": rise.per_s} if rise.form is Form.LINE else {}),
        share=found.connections / connected if connected else None,
        evidence=tuple(
            f"{viewpoint}.established {sockets:,} in the last sample of the load"
            for viewpoint, sockets in zip((leg.opener, leg.accepter), found.sockets, strict=True)
        ),
        observed=True,
    )


RULES: tuple[Rule, ...] = (stay_established,)
