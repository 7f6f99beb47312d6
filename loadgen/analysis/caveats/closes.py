"""Caveats about how connections were closed: by both ends, otherwise than asked, or before bytes arrived."""

from collections import Counter
from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.explanation import stories
from loadgen.ledger.entry import Kind
from loadgen.model.course import Decides, course
from loadgen.tcp import Closer, Ending, Fault, Phase, Side

MOST_NAMED = 3
"""Explanations that a caveat names."""
OWN_ENDS = 0.1
"""The share of connections that a command may end in another way than the scenario says, unread by it."""

CLOSED_BY_BOTH = CaveatKind("closed_by_both")


def closed_by_both(case: Case) -> Iterator[Caveat]:
    asked = case.variant.connection.ending
    both = [one for one in case.explained_as(Kind.BOTH) if one.entry.first is not asked]
    if both:
        theirs = (
            "the server's own timeouts"
            if case.variant.server.command
            else "server.delay and server.idle_timeout"
        )
        yield Caveat(
            CLOSED_BY_BOTH,
            stories(both),
            "let the side that is not the closer read until it has received the other's FIN, then close"
            if case.fold.counted is None
            else f"if that matters, let {theirs} not expire when load.timeouts do, or when the load ends",
        )


DATA_AFTER_CLOSE = CaveatKind("data_after_close")


def data_after_close(case: Case) -> Iterator[Caveat]:
    late = case.explained_as(Kind.LATE_DATA)
    if late:
        servers = any(one.entry.late_data for one in late)
        yield Caveat(
            DATA_AFTER_CLOSE,
            stories(late),
            f"keep the client's pauses shorter than the server's idle timeout{_or_its_limits(case)}"
            if servers
            else "let the client read its response before it closes",
        )


def _or_its_limits(case: Case) -> str:
    """What else makes a server close first, if it is not churn's."""
    return ", and its connections below its limits" if case.variant.server.command else ""


ENDED_BY_RESET = CaveatKind("ended_by_reset")


def ended_by_reset(case: Case) -> Iterator[Caveat]:
    connection = case.variant.connection
    asked = f"{connection.ending}_unread" if connection.leaves_unread else ""
    resets = [one for one in case.explained_as(Kind.RESET) if one.entry.name != asked]
    if resets:
        unread = any(one.entry.unread for one in resets)
        yield Caveat(
            ENDED_BY_RESET,
            stories(resets),
            "a close with bytes unread resets the connection: read them first"
            if unread
            else "see docs/endings.md for what each of these moves in the kernels",
        )


ENDINGS_AMBIGUOUS = CaveatKind("endings_ambiguous")


def endings_ambiguous(case: Case) -> Iterator[Caveat]:
    possible = case.fold.explanation.possible if case.fold.complete else ()
    if len(possible) > 1:
        agreed = [one for one in possible[0] if all(one in other for other in possible)]
        either = "; or ".join(
            stories([one for one in explained if one not in agreed]) for explained in possible[:MOST_NAMED]
        )
        more = f"; or one of {len(possible) - MOST_NAMED} more" if len(possible) > MOST_NAMED else ""
        yield Caveat(
            ENDINGS_AMBIGUOUS,
            f"the kernels' counters have several explanations: {either}{more}",
            "a capture of the packets would show which (capture: {connections: 100})",
        )


CLOSER_DIFFERS = CaveatKind("closer_differs")


def closer_differs(case: Case) -> Iterator[Caveat]:
    connection, ended = case.variant.connection, Counter(case.fold.ended() or {})
    total = ended.total()
    # Connections cut off by the end of the run were reset by churn itself; they are among the errors.
    ended[Ending.CLIENT_RST] -= sum(
        count
        for failure, count in case.fold.errors.items()
        if failure.kind == Fault.CUT and failure.phase not in (Phase.BIND, Phase.CONNECT)
    )
    other = ended.total() - ended[connection.ending] - _seen_late(case)
    if connection.closer is Closer.SERVER:
        other -= min(_pooled(case), ended[Ending.of(Side.CLIENT, connection.ending.how)])
    # When its time is over, a command ends its open connections in its own way, and does not count them.
    tolerated = OWN_ENDS * total if case.fold.counted is None else 0
    causes: list[str] = []
    if other > tolerated:
        by = f"the {connection.ending.closer}'s {connection.ending.how.upper()}"
        if connection.closer is Closer.BOTH:
            by = "FINs that cross"
        causes.append(f"{other:,} of {total:,} connections were not ended by {by}, as the scenario says")
    if (early := _ended_early(case)) > 0:
        made = (case.fold.total("exchanges") or 0) / (case.fold.total("connected") or 1)
        causes.append(
            f"at least {early:,} successful connections ended before their {connection.requests:,} requests"
            f" were made; a connection made {made:.3g} on average"
        )
    if causes:
        yield Caveat(CLOSER_DIFFERS, "; ".join(causes), _remedy(case))


def _pooled(case: Case) -> int:
    """Connections for which the client's pool had no place: it is asked to close them, before their time."""
    return case.fold.total("pool_closed") or 0


def _seen_late(case: Case) -> int:
    """Connections whose FINs crossed, as asked for, and which the driver counted as closed by the client: it
    looked after the last ACK."""
    if case.variant.connection.closer is not Closer.BOTH:
        return 0
    crossed = [one for one in case.explained_as(Kind.BOTH) if one.entry.first is Ending.BOTH_FIN]
    return sum(one.count for one in crossed if one.seen is not Ending.BOTH_FIN)


def _remedy(case: Case) -> str:
    """What to change, so that the scenario's closer closes: what its settings show, or how most failed."""
    if case.fold.counted is None:
        return "the program ends its connections in its own way: connection.closer says what to expect of it"
    match course(case.variant).decides:
        case Decides.RESPONSE_TIMEOUT:
            return "make load.timeouts.response longer than server.delay"
        case Decides.IDLE_TIMEOUT:
            return "make server.idle_timeout longer than the client's pauses"
        case Decides.CONNECTION | Decides.POOL if case.fold.errors:
            failure, number = case.fold.errors.most_common(1)[0]
            return f"look at the errors: {number:,} attempts failed with {failure}"
        case Decides.CONNECTION | Decides.POOL:
            return "look at server.idle_timeout and at the server's own limits on a connection"


def _ended_early(case: Case) -> int:
    """At least so many connections succeeded with fewer requests than asked for; none if negative.

    It is 0 if exchanges were not measured. Connections that the end of the load ended early do not count:
    those open in the last whole interval, or opened since, may be such.
    """
    exchanges, succeeded = case.fold.total("exchanges"), case.fold.total("succeeded")
    if exchanges is None or succeeded is None:
        return 0
    if case.variant.connection.last_unanswered:
        exchanges += succeeded  # the last response of each is not read
    asked = exchanges // case.variant.connection.requests
    return succeeded - asked - _pooled(case) - case.fold.under_load().open_at_end


RULES: tuple[Rule, ...] = (
    closed_by_both,
    data_after_close,
    ended_by_reset,
    endings_ambiguous,
    closer_differs,
)
