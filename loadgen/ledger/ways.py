"""How each entry of the ledger is made to happen, by its name."""

import contextlib
import socket
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial

from loadgen.kernel import sock_destroy
from loadgen.ledger.handshake_ways import NEVER_ESTABLISHED
from loadgen.ledger.stage import Stage, close, reset, settle
from loadgen.tcp import Side
from loadgen.wire.keepalive import Keepalive

_TCP_USER_TIMEOUT = 18

Ends = tuple[socket.socket, socket.socket]


def _ordered(stage: Stage, order: Callable[[Ends], Ends], end: Callable[[Ends], None]) -> None:
    end(order(stage.pair()))


def _client_first(ends: Ends) -> Ends:
    return ends


def _server_first(ends: Ends) -> Ends:
    return ends[1], ends[0]


def _fin(ends: Ends) -> None:
    close(*ends)


def _rst(ends: Ends) -> None:
    first, other = ends
    reset(first)
    other.close()


def _rst_unread(ends: Ends) -> None:
    first, other = ends
    other.send(b"unread")
    settle()
    reset(first, unread=True)
    other.close()


def _answered(ends: Ends, *, unread: bool, left: bool) -> None:
    """A FIN, answered by RST. Without `left`, its side keeps the socket in FIN-WAIT-2."""
    first, other = ends
    if unread:
        first.send(b"unread")
    if left:
        first.close()
    else:
        first.shutdown(socket.SHUT_WR)
    settle()
    reset(other, unread=unread)
    first.close()


def _then_data(ends: Ends) -> None:
    first, other = ends
    close(first)
    other.send(b"late")
    settle()
    other.close()


def _then_data_and_fin(ends: Ends) -> None:
    """The bytes carry a FIN, and the ACK of the other FIN, which is delayed: their sender is in LAST-ACK."""
    first, other = ends
    other.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    first.close()
    other.recv(1)
    other.send(b"late")
    other.close()


def _half_closed_unread(ends: Ends) -> None:
    first, other = ends
    first.shutdown(socket.SHUT_WR)
    other.send(b"unread")
    settle()
    reset(first, unread=True)
    other.close()


def _then_data_early(stage: Stage, order: Callable[[Ends], Ends]) -> None:
    """The bytes arrive while the FIN is not acknowledged: its side is still in FIN-WAIT-1."""
    first, other = order(stage.pair())
    with stage.cut():
        other.send(b"late")
        first.close()
    time.sleep(1.2)
    other.close()


def _both(stage: Stage, end: Callable[[socket.socket], None]) -> None:
    client, server = stage.pair()
    with stage.cut():
        end(client)
        end(server)
    time.sleep(1.2)  # the FINs are sent again


def _not_accepted(stage: Stage) -> None:
    with stage.listen():
        client = stage.connect()
    settle()
    client.close()


def _timed_out(stage: Stage) -> None:
    client, server = stage.pair()
    client.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 300)
    with stage.cut():
        client.send(b"unanswered")
        with contextlib.suppress(OSError):
            client.recv(1)
        client.close()
        server.close()
        time.sleep(0.1)


def _crashed(stage: Stage, side: Side, *, probed: bool = True) -> None:
    """A host crashes: its connections are gone, and no segment arrives. The other side may probe."""
    client, server = stage.pair()
    left = server if side is Side.CLIENT else client
    if probed:
        Keepalive(idle_s=1, interval_s=1, probes=1).set(left)
    with stage.cut():
        stage.enter(side)
        sock_destroy.destroy_connections()
        if probed:
            time.sleep(2.5)
        client.close()
        server.close()


def _fin_unanswered(stage: Stage) -> None:
    stage.set(Side.CLIENT, "net.ipv4.tcp_orphan_retries", 1)
    client, _server = stage.pair()
    with stage.cut():
        client.close()
        time.sleep(2)


@contextmanager
def _filled(stage: Stage) -> Generator[socket.socket]:
    """A connection whose handshake the server has not completed yet, and cannot: the accept queue is full.

    TCP_DEFER_ACCEPT lets the server ignore the last ACK of a handshake until bytes come.
    """
    stage.set(Side.SERVER, "net.ipv4.tcp_synack_retries", 1)
    listener = stage.listen(0)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
    client, filler = stage.connect(), stage.connect()
    filler.send(b"fills the queue")
    settle()
    yield client
    # What fills the queue is an entry, too (`FILLING`): the server closes first, by FIN.
    server, _ = listener.accept()
    server.recv(64)
    close(server, filler)
    listener.close()


def _never_accepted(stage: Stage, end: Callable[[socket.socket], None]) -> None:
    with _filled(stage) as client:
        end(client)
        time.sleep(4)  # the server gives the handshake up


def _reset_later(client: socket.socket) -> None:
    time.sleep(4)
    client.send(b"to no socket of the server")
    with contextlib.suppress(OSError):
        client.recv(1)
    client.close()


def _send_and_reset(client: socket.socket) -> None:
    client.send(b"the ACK that meets the full queue")
    settle()
    reset(client)


def _reset_late(client: socket.socket) -> None:
    time.sleep(4)
    reset(client)


def _refused_by_full_queue(stage: Stage) -> None:
    stage.set(Side.SERVER, "net.ipv4.tcp_abort_on_overflow", 1)
    with _filled(stage) as client:
        client.send(b"the ACK that meets the full queue")
        settle()
        client.close()


def _still_open(stage: Stage) -> None:
    _kept.extend(stage.pair())


_kept: list[socket.socket] = []


def _of_pair(order: Callable[[Ends], Ends], end: Callable[[Ends], None]) -> Callable[[Stage], None]:
    return partial(_ordered, order=order, end=end)


def _resets() -> Generator[tuple[str, Callable[[Stage], None]]]:
    """FINs answered by RST: by either side, for either reason, before or after TIME-WAIT is counted."""
    for first, by, order in (("server", "client", _server_first), ("client", "server", _client_first)):
        for reason, unread in (("", False), ("_unread", True)):
            for when, left in (("", True), ("_early", False)):
                end = partial(_answered, unread=unread, left=left)
                yield f"{first}_fin_reset_by_{by}{reason}{when}", _of_pair(order, end)
        yield f"{first}_fin_then_data", _of_pair(order, _then_data)
        yield f"{first}_fin_then_data_early", partial(_then_data_early, order=order)
        yield f"{first}_fin_then_data_early_and_fin", _of_pair(order, _then_data_and_fin)


WAYS: Mapping[str, Callable[[Stage], None]] = {
    "client_fin": _of_pair(_client_first, _fin),
    "server_fin": _of_pair(_server_first, _fin),
    "client_rst": _of_pair(_client_first, _rst),
    "server_rst": _of_pair(_server_first, _rst),
    "both_fin": partial(_both, end=lambda sock: sock.close()),
    "both_rst": partial(_both, end=reset),
    "client_rst_unread": _of_pair(_client_first, _rst_unread),
    "server_rst_unread": _of_pair(_server_first, _rst_unread),
    "server_rst_not_accepted": _not_accepted,
    **dict(_resets()),
    "client_half_closed_then_rst_unread": _of_pair(_client_first, _half_closed_unread),
    "client_timed_out": _timed_out,
    "server_crashed": partial(_crashed, side=Side.SERVER),
    "client_crashed": partial(_crashed, side=Side.CLIENT),
    "client_crashed_unnoticed": partial(_crashed, side=Side.CLIENT, probed=False),
    "client_fin_unanswered": _fin_unanswered,
    "never_accepted_fin": partial(_never_accepted, end=close),
    "never_accepted": partial(_never_accepted, end=_reset_later),
    "never_accepted_rst": partial(_never_accepted, end=_send_and_reset),
    "never_accepted_rst_late": partial(_never_accepted, end=_reset_late),
    "client_rst_crosses_fin": _of_pair(_server_first, partial(_answered, unread=False, left=False)),
    "client_rst_unread_crosses_fin": _of_pair(_server_first, partial(_answered, unread=True, left=False)),
    "refused_by_full_queue": _refused_by_full_queue,
    "server_fin_seen_late": _of_pair(_server_first, _fin),
    "still_open": _still_open,
    **NEVER_ESTABLISHED,
    "opened_as_given_up": _of_pair(_client_first, _fin),
    "opened_as_given_up_rst": _of_pair(_client_first, _rst),
}
"""How each entry of the ledger is made to happen, by its name."""

SLOW = frozenset(
    {
        "both_fin",
        "both_rst",
        "client_fin_then_data_early",
        "server_fin_then_data_early",
        "client_timed_out",
        "server_crashed",
        "client_crashed",
        "client_crashed_unnoticed",
        "client_fin_unanswered",
        "never_accepted_fin",
        "never_accepted",
        "never_accepted_rst",
        "never_accepted_rst_late",
        "refused_by_full_queue",
        "syn_timed_out",
        "syn_ack_late",
        "syn_ack_late_rst",
    }
)
"""Those that wait for a timer of the kernel or change a sysctl: they happen once, each in its own lab."""


FILLING = frozenset(name for name in WAYS if name.startswith("never_accepted")) | {"refused_by_full_queue"}
