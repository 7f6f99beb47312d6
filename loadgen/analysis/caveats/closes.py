"""Caveats about how connections were closed: by both ends, otherwise than asked, or before bytes arrived."""

from collections import Counter
from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.tcp import Ending, Fault, Phase

OWN_ENDS = 0.1
"""The share of connections that a command may end in another way than the scenario says, unread by it."""

CLOSED_BY_BOTH = CaveatKind("closed_by_both")


def closed_by_both(case: Case) -> Iterator[Caveat]:
    if both := case.closed_by_both:
        yield Caveat(
            CLOSED_BY_BOTH,
            f"{both:,} connections were closed by both ends at once, so that the closes could not be audited:"
            " two FINs leave TIME-WAIT at both ends, and a RST after a FIN is counted as well",
            "let the side that is not the closer read until it has received the other's FIN, then close",
        )
    races = case.races
    counts = [
        f"{count:,} {what}"
        for count, what in (
            (
                races.fins - races.behind,
                "were closed by both ends at once, which left TIME-WAIT at both (RFC 9293, 3.6)",
            ),
            (races.behind, "were closed by the server a moment before the client did"),
            (races.resets, "were reset by the client while the server's FIN was on its way"),
            (races.refused, "were reset by the server, which closed them with bytes unread"),
        )
        if count
    ]
    if counts:
        commanded = case.variant.server.command
        theirs = "the server's own timeouts" if commanded else "server.delay and server.idle_timeout"
        yield Caveat(
            CLOSED_BY_BOTH,
            f"of the connections counted as closed by the client, {', '.join(counts)}",
            f"if that matters, let {theirs} not expire when load.timeouts do, or when the load ends",
        )


DATA_AFTER_CLOSE = CaveatKind("data_after_close")


def data_after_close(case: Case) -> Iterator[Caveat]:
    if late := case.races.late:
        yield Caveat(
            DATA_AFTER_CLOSE,
            f"the client sent bytes on {late:,} connections that the server had closed by FIN: the server's"
            " kernel answered by RST, which leaves no TIME-WAIT (RFC 1122, 4.2.2.13)",
            "keep the client's pauses shorter than the server's idle timeout",
        )


CLOSER_DIFFERS = CaveatKind("closer_differs")


def closer_differs(case: Case) -> Iterator[Caveat]:
    connection, ended = case.variant.connection, Counter(case.fold.closes)
    total = ended.total() - case.closed_by_both
    # Connections cut off by the end of the run were reset by churn itself; they are among the errors.
    ended[Ending.CLIENT_RST] -= sum(
        count
        for failure, count in case.fold.errors.items()
        if failure.kind == Fault.CUT and failure.phase not in (Phase.BIND, Phase.CONNECT)
    )
    # Of a connection that both ends closed, one of the two closes is the other side's.
    other = ended.total() - ended[connection.ending] - case.closed_by_both
    # When its time is over, a command ends its open connections in its own way, and does not count them.
    tolerated = OWN_ENDS * total if case.fold.counted is None else 0
    causes: list[str] = []
    if other > tolerated:
        causes.append(
            f"{other:,} of {total:,} connections were not ended by the {connection.closer}'s"
            f" {connection.close.upper()}, as the scenario says"
        )
    if (early := _ended_early(case)) > 0:
        made = (case.fold.total("exchanges") or 0) / (case.fold.total("connected") or 1)
        causes.append(
            f"at least {early:,} successful connections ended before their {connection.requests:,} requests"
            f" were made; a connection made {made:.3g} on average"
        )
    if causes:
        yield Caveat(
            CLOSER_DIFFERS,
            "; ".join(causes),
            "look at the errors, at server.idle_timeout and at load.timeouts",
        )


def _ended_early(case: Case) -> int:
    """At least so many connections succeeded with fewer requests than asked for; none if negative.

    It is 0 if exchanges were not measured. Connections that the end of the load ended early do not count:
    those open in the last whole interval, or opened since, may be such.
    """
    exchanges, succeeded = case.fold.total("exchanges"), case.fold.total("succeeded")
    if exchanges is None or succeeded is None:
        return 0
    return succeeded - exchanges // case.variant.connection.requests - case.fold.open_at_end()


RULES: tuple[Rule, ...] = (closed_by_both, data_after_close, closer_differs)
