"""The client's ports: when none was free, what held them, and where connect() became slow."""

from collections import Counter
from collections.abc import Iterator, Mapping

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.records.types import ViewpointSample
from loadgen.tcp import State
from loadgen.text.numbers import count, duration, rate, seconds

PORTS_GONE = FindingKind("ports_gone")
PORTS_SCARCE = FindingKind("ports_scarce")
PORTS_HELD = FindingKind("ports_held")
CONNECT_SLOW = FindingKind("connect_slow")
STEADY = 0.1
"""The relative difference up to which a rate stays the same."""
HOLDER = 0.25
"""The share of the ports that a state holds on average, at least, to be named."""
FEW_PORTS = 0.01
"""What holds a smaller share of the ports at the most is no finding."""


def ports_gone(fold: Fold) -> Iterator[Finding]:
    shortage = fold.under_load().shortage
    if shortage is None:
        return
    attempts = fold.total("attempts") or 0
    if shortage.lasting_ns is None and 0 < shortage.failed <= FEW * attempts:
        yield Finding(
            kind=PORTS_SCARCE,
            rank=Rank.PACE,
            viewpoint=fold.scope.leg.opener,
            sentence=f"at moments, first at {seconds(shortage.first_ns / 1e9)}, the client has no free port:"
            f" {count(shortage.failed)} of {count(attempts)} attempts fail for want of one",
            start_ns=shortage.first_ns,
            numbers={"ports": fold.ports, "spans": len(shortage.spans), "failed": shortage.failed},
            evidence=(f"attempts that failed for want of a port {shortage.failed:,}",),
            observed=True,
        )
        return
    holders = holding(fold, shortage.first_ns, shortage.spans[-1].end_ns)
    held = " and ".join(f"{state} holds {count(number)}" for state, number in holders.items())
    why = f": {held} of {count(fold.ports)}" if held else f" of its {count(fold.ports)}"
    if bind_takes(fold):
        why += ", which bind() takes for all destinations"
    if next(iter(holders), None) is State.CLOSE_WAIT:
        why += ", which the client's program does not close"
    last = shortage.spans[-1]
    lasts = last.end_ns >= fold.load_end_ns() - INTERVAL_NS
    until = "" if len(shortage.spans) > 1 or not lasts else " on"
    yield Finding(
        kind=PORTS_GONE,
        rank=Rank.LIMITED,
        viewpoint=fold.scope.leg.opener,
        sentence=f"the client has no free port from {seconds(shortage.first_ns / 1e9)}{until}{why}",
        start_ns=shortage.first_ns,
        end_ns=None if lasts else last.end_ns,
        numbers={"ports": fold.ports, "spans": len(shortage.spans), "failed": shortage.failed},
        evidence=(
            *(f"{fold.scope.leg.opener}.{state.key} {number:,}" for state, number in holders.items()),
            *((f"attempts that failed for want of a port {shortage.failed:,}",) if shortage.failed else ()),
        ),
        observed=not shortage.inferred,
    )


FEW = 0.01
"""Of the attempts: if fewer fail for want of a port, and at no time for long, that did not limit the load."""
INTERVAL_NS = 200_000_000
"""A span that ends so shortly before the load does lasts to its end."""


def bind_takes(fold: Fold) -> bool:
    """Whether bind() takes the client's ports, each for all destinations (K10)."""
    return any(one.exclusive for one in fold.scope.viewpoints if one.name == fold.scope.leg.opener)


def searching_call(fold: Fold) -> str:
    """The call in which the kernel looks for a port."""
    return "bind()" if bind_takes(fold) else "connect()"


def holding(fold: Fold, start_ns: int, end_ns: int) -> Mapping[State, int]:
    """The states that held the client's ports in a span, the most of each: the longest-lasting ones first."""
    opener = fold.scope.leg.opener
    within = [one.viewpoints[opener].states for one in fold.samples if start_ns <= one.t_ns <= end_ns]
    if not within:
        within = [one.viewpoints[opener].states for one in fold.samples if one.t_ns >= start_ns][:1]
    most: dict[State, int] = {}
    total: Counter[State] = Counter()
    for states in within:
        total.update(states)
        most.update({state: max(number, most.get(state, 0)) for state, number in states.items()})
    least = max(HOLDER * fold.ports, 1)
    return {
        state: most[state]
        for state, number in total.most_common()
        if state is not State.LISTEN and number >= least * len(within)
    }


def connect_slow(fold: Fold) -> Iterator[Finding]:
    turn = fold.under_load().turn
    if turn is None:
        return
    slow = (
        f"{searching_call(fold)} slows down from {duration(turn.connect_before_ns / 1e9)} to"
        f" {duration(turn.connect_after_ns / 1e9)}"
    )
    held = f"at {count(turn.ports)} of {count(fold.ports)} ports"
    if turn.fell:
        sentence = f"throughput falls from {rate(turn.rate_before)} to {rate(turn.rate_after)} {held}"
    else:
        stays = abs(turn.rate_after - turn.rate_before) <= STEADY * turn.rate_before
        rates = "stays" if stays else f"goes from {rate(turn.rate_before)} to {rate(turn.rate_after)}"
        sentence = f"{slow} {held} and the rate {rates}"
    yield Finding(
        kind=CONNECT_SLOW,
        rank=Rank.LIMITED,
        viewpoint=fold.scope.leg.opener,
        sentence=sentence,
        start_ns=turn.time_ns,
        numbers={
            "ports": turn.ports,
            "ports_error": turn.ports_error,
            "connect_before_ns": turn.connect_before_ns,
            "connect_after_ns": turn.connect_after_ns,
            "rate_falls": int(turn.fell),
            "rate_before": turn.rate_before,
            "rate_after": turn.rate_after,
        },
        evidence=(
            slow,
            f"ports held {turn.ports:,}, give or take {turn.ports_error:,}",
            f"found by connect(){' and by the rate' if turn.fell else ' alone'}",
        ),
        observed=True,
    )


def ports_held(fold: Fold) -> Iterator[Finding]:
    """What held the client's ports, by state: while the load lasted, and what is left at the run's end."""
    opener, end_ns = fold.scope.leg.opener, fold.load_end_ns()
    held = [(one.t_ns, _by_state(one.viewpoints[opener])) for one in fold.samples if one.t_ns >= 0]
    loaded = [(t_ns, states) for t_ns, states in held if t_ns <= end_ns]
    if not loaded or not fold.ports:
        return
    most_ns, most = max(loaded, key=lambda one: one[1].total())
    if most.total() < FEW_PORTS * fold.ports:
        return
    yield _held(fold, "during", f"while the load lasts the {opener} holds up to", 0, end_ns, most_ns, most)
    last_ns, last = held[-1]
    if last_ns > end_ns:
        yield _held(fold, "after", f"at the run's end the {opener} holds", last_ns, None, last_ns, last)


def _held(
    fold: Fold,
    name: str,
    begin: str,
    start_ns: int,
    end_ns: int | None,
    seen_ns: int,
    states: Counter[State],
) -> Finding:
    by_state = ", ".join(f"{state} {count(number)}" for state, number in states.most_common())
    return Finding(
        kind=PORTS_HELD,
        rank=Rank.LEFT,
        viewpoint=fold.scope.leg.opener,
        sentence=f"{begin} {count(states.total())} of {count(fold.ports)} ports"
        + (f": {by_state}" if states else ""),
        start_ns=start_ns,
        end_ns=end_ns,
        numbers={f"{name}.{state.key}": number for state, number in states.items()},
        share=states.total() / fold.ports,
        evidence=(f"{fold.scope.leg.opener}'s sockets by state at {seconds(seen_ns / 1e9)}",),
        observed=True,
    )


def _by_state(one: ViewpointSample) -> Counter[State]:
    return Counter({state: number for state, number in one.states.items() if state is not State.LISTEN})


RULES: tuple[Rule, ...] = (connect_slow, ports_gone, ports_held)
