"""Makes the entries of the ledger happen, one after the other, and reads what each kernel counted.

Run as `python -m loadgen.observe.endings` inside a lab of a client and a server, both of whose sockets this one
process has: a socket belongs to the namespace that its thread was in when it was made.

    > plan        one JSON line (`Plan`); the namespaces' descriptors are inherited
    < Happened    one for each entry
"""

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from loadgen.kernel import netstat, snmp
from loadgen.lab import namespaces
from loadgen.tcp import Side
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Message

SETTLE_S = 0.06
"""After each step: longer than the kernel's delayed ACK (40 ms), so that every FIN is acknowledged by then."""
TIMES = 3
"""How often an entry is made to happen, if that does not take long."""
_FIRST_PORT = 20_000

_TCP_USER_TIMEOUT = 18
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """The `entries`, by name; the server's address; and descriptors of the lab's namespaces."""

    entries: tuple[str, ...]
    address: str
    user: int
    networks: Mapping[Side, int]


class Happened(Message, frozen=True):
    """An entry was made to happen so many `times`; by so much the kernels' counters grew, zeros left out.

    `besides`: connections of other entries that this took.
    """

    entry: str
    times: int
    besides: Mapping[str, int]
    client: Mapping[str, int]
    server: Mapping[str, int]


class Stage:
    """Sockets of both sides, and the link between them."""

    def __init__(self, plan: Plan) -> None:
        namespaces.enter_user(plan.user)
        self._networks, self._address, self._port = plan.networks, plan.address, _FIRST_PORT
        self._sources: dict[Side, tuple[Any, ...]] = {}
        for side in Side:
            self.enter(side)
            self._sources[side] = (snmp.open(), netstat.open())

    def enter(self, side: Side) -> None:
        namespaces.enter_network(self._networks[side])

    def counters(self) -> dict[Side, dict[str, int]]:
        return {
            side: {name: value for source in sources for name, value in source.read().items()}
            for side, sources in self._sources.items()
        }

    def listen(self, backlog: int = 16) -> socket.socket:
        """A listener on a port of its own; `connect` goes to the newest."""
        self.enter(Side.SERVER)
        self._port += 1
        listener = socket.socket()
        listener.bind((self._address, self._port))
        listener.listen(backlog)
        return listener

    def connect(self, *, wait: bool = True) -> socket.socket:
        """A client's connection; without `wait`, one that is being opened."""
        self.enter(Side.CLIENT)
        client = socket.socket()
        client.settimeout(20)
        if wait:
            client.connect((self._address, self._port))
        else:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect((self._address, self._port))
        return client

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of an established connection: the client's and the server's."""
        with self.listen() as listener:
            client = self.connect()
            server, _ = listener.accept()
        return client, server

    @contextmanager
    def cut(self) -> Generator[None]:
        """Within, the link is down: no segment arrives."""
        from pyroute2 import IPRoute  # pyright: ignore[reportMissingTypeStubs]

        self.enter(Side.SERVER)
        route: Any
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname="lab0")
            route.link("set", index=index, state="down")
            yield
            route.link("set", index=index, state="up")

    def set(self, side: Side, name: str, value: int) -> None:
        """Set a sysctl of a side, for good: the lab ends with this process."""
        self.enter(side)
        Path("/proc/sys", *name.split(".")).write_text(str(value))


def settle() -> None:
    time.sleep(SETTLE_S)


def reset(sock: socket.socket, *, unread: bool = False) -> None:
    """Close a socket by RST: because bytes are `unread`, which must be so, or by SO_LINGER."""
    if not unread:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()
    settle()


def close(*socks: socket.socket) -> None:
    """Close sockets by FIN, one after the other."""
    for sock in socks:
        sock.close()
        settle()


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
    # What fills the queue is an entry, too (`_FILLS_A_QUEUE`): the server closes first, by FIN.
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
    client.send(b"the ACK that meets the full queue")
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


def _refused(stage: Stage) -> None:
    stage.listen().close()
    with contextlib.suppress(ConnectionRefusedError):
        stage.connect()


def _syn(stage: Stage, *, until_timeout: bool) -> None:
    stage.set(Side.CLIENT, "net.ipv4.tcp_syn_retries", 1)
    stage.set(Side.CLIENT, "net.ipv4.tcp_syn_linear_timeouts", 0)
    stage.listen().close()
    with stage.cut():
        client = stage.connect(wait=False)
        time.sleep(3.5 if until_timeout else 0.1)
        client.close()


def _of_pair(order: Callable[[Ends], Ends], end: Callable[[Ends], None]) -> Callable[[Stage], None]:
    return partial(_ordered, order=order, end=end)


def _resets() -> Generator[tuple[str, Callable[[Stage], None]]]:
    """FINs that are answered by RST: by either side, for either reason, before or after TIME-WAIT is counted."""
    for first, by, order in (("server", "client", _server_first), ("client", "server", _client_first)):
        for reason, unread in (("", False), ("_unread", True)):
            for when, left in (("", True), ("_early", False)):
                end = partial(_answered, unread=unread, left=left)
                yield f"{first}_fin_reset_by_{by}{reason}{when}", _of_pair(order, end)
        yield f"{first}_fin_then_data", _of_pair(order, _then_data)
        yield f"{first}_fin_then_data_early", partial(_then_data_early, order=order)


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
    "client_fin_unanswered": _fin_unanswered,
    "never_accepted_fin": partial(_never_accepted, end=close),
    "never_accepted": partial(_never_accepted, end=_reset_later),
    "never_accepted_rst": partial(_never_accepted, end=_send_and_reset),
    "never_accepted_rst_late": partial(_never_accepted, end=_reset_late),
    "refused_by_full_queue": _refused_by_full_queue,
    "server_fin_seen_late": _of_pair(_server_first, _fin),
    "still_open": _still_open,
    "refused": _refused,
    "syn_timed_out": partial(_syn, until_timeout=True),
    "syn_given_up": partial(_syn, until_timeout=False),
}
"""How each entry of the ledger is made to happen, by its name."""

SLOW = frozenset(
    {
        "both_fin",
        "both_rst",
        "client_fin_then_data_early",
        "server_fin_then_data_early",
        "client_timed_out",
        "client_fin_unanswered",
        "never_accepted_fin",
        "never_accepted",
        "never_accepted_rst",
        "never_accepted_rst_late",
        "refused_by_full_queue",
        "syn_timed_out",
    }
)
"""Those that wait for a timer of the kernel, or change a sysctl: each needs a lab of its own, and happens once."""


_FILLS_A_QUEUE = frozenset(name for name in WAYS if name.startswith("never_accepted")) | {
    "refused_by_full_queue"
}


def happen(stage: Stage, entry: str) -> Happened:
    """Make an entry happen."""
    times = 1 if entry in SLOW else TIMES
    before = stage.counters()
    for _ in range(times):
        WAYS[entry](stage)
    settle()
    after = stage.counters()
    grown = {
        side: {name: grew for name in after[side] if (grew := after[side][name] - before[side][name])}
        for side in Side
    }
    besides = {"server_fin": 1} if entry in _FILLS_A_QUEUE else {}
    return Happened(entry, times, besides, grown[Side.CLIENT], grown[Side.SERVER])


def run(entries: Sequence[str], stage: Stage, lines: Lines) -> None:
    for entry in entries:
        lines.say(happen(stage, entry))


if __name__ == "__main__":
    asked = decode(sys.stdin.readline(), Plan)
    said = Lines()
    run(asked.entries, Stage(asked), said)
    said.close()
