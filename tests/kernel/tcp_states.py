"""Sockets in every TCP state, in a namespace of their own, and what the kernel's sources say of them.

Run as `unshare -Urn python -m tests.kernel.tcp_states`; prints one JSON object. Nothing here needs a packet
filter:
- a peer that does not read keeps a FIN behind data it has no window for, which holds FIN-WAIT-1, CLOSING
  and LAST-ACK open for as long as wanted;
- TCP_DEFER_ACCEPT keeps a connection without data in SYN-RECEIVED;
- an accept queue of one, filled, keeps the next connect() in SYN-SENT (K15).
"""

import json
import socket
import subprocess
import time
from socket import AddressFamily
from typing import Any

from loadgen.kernel import sockstat
from loadgen.kernel.sock_diag import SockDiag
from loadgen.kernel.socket_table import SocketTable
from loadgen.tcp import State

LOOPBACK = {AddressFamily.AF_INET: "127.0.0.1", AddressFamily.AF_INET6: "::1"}
BOTH = AddressFamily.AF_UNSPEC
EVERY = frozenset(State)
SMALL = 4096
PATIENCE_S = 5

# What `walk` leaves, of each family. Of the states, only CLOSED has no sockets to show.
LEFT = {
    State.LISTEN: 3,
    State.SYN_SENT: 1,
    State.SYN_RECEIVED: 2,
    State.ESTABLISHED: 7,
    State.FIN_WAIT_1: 1,
    State.FIN_WAIT_2: 4,
    State.CLOSE_WAIT: 2,
    State.CLOSING: 1,
    State.LAST_ACK: 1,
    State.TIME_WAIT: 3,
}
# The same of its first listener alone, by end.
LEFT_SERVER = {
    State.LISTEN: 1,
    State.ESTABLISHED: 2,
    State.FIN_WAIT_2: 1,
    State.CLOSE_WAIT: 2,
    State.LAST_ACK: 1,
}
LEFT_CLIENT = {
    State.ESTABLISHED: 1,
    State.FIN_WAIT_1: 1,
    State.FIN_WAIT_2: 3,
    State.CLOSING: 1,
    State.TIME_WAIT: 3,
}


class Stage:
    """One listener and the connections to it; sockets that are to stay open are kept here."""

    def __init__(self, family: AddressFamily, backlog: int = 16, defer: bool = False) -> None:
        self.kept: list[socket.socket] = []
        self.family = family
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        if defer:
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        self.listener.bind((LOOPBACK[family], 0))
        self.listener.listen(backlog)
        self.port: int = self.listener.getsockname()[1]

    def connect(self) -> socket.socket:
        client = socket.socket(self.family)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        client.settimeout(PATIENCE_S)
        client.connect((LOOPBACK[self.family], self.port))
        self.kept.append(client)
        return client

    def pair(self) -> tuple[socket.socket, socket.socket]:
        client = self.connect()
        server, _ = self.listener.accept()
        self.kept.append(server)
        return client, server


def stuff(sender: socket.socket) -> None:
    """Send more than a peer that does not read can take."""
    sender.setblocking(False)
    sender.send(bytes(1 << 20))


def walk(family: AddressFamily) -> list[Stage]:
    """The scenes, each with the states it leaves: client's end, server's end."""
    stage = Stage(family)  # LISTEN
    stage.pair()  # ESTABLISHED, ESTABLISHED

    client, _ = stage.pair()  # FIN-WAIT-2, CLOSE-WAIT
    client.shutdown(socket.SHUT_WR)

    client, _ = stage.pair()  # FIN-WAIT-2 without owner, CLOSE-WAIT
    client.close()

    for _ in range(3):  # TIME-WAIT, none
        client, server = stage.pair()
        client.close()
        server.close()

    client, _ = stage.pair()  # FIN-WAIT-1, ESTABLISHED
    stuff(client)
    client.shutdown(socket.SHUT_WR)

    client, server = stage.pair()  # CLOSING, FIN-WAIT-2
    stuff(client)
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)

    client, server = stage.pair()  # FIN-WAIT-2, LAST-ACK
    client.shutdown(socket.SHUT_WR)
    stuff(server)
    server.shutdown(socket.SHUT_WR)

    deferred = Stage(family, defer=True)  # LISTEN
    deferred.connect()  # ESTABLISHED, SYN-RECEIVED
    deferred.connect()

    full = Stage(family, backlog=0)  # LISTEN
    full.connect()  # ESTABLISHED, ESTABLISHED
    late = socket.socket(family)  # SYN-SENT, none
    late.setblocking(False)
    late.connect_ex((LOOPBACK[family], full.port))
    full.kept.append(late)
    return [stage, deferred, full]


def settle(diag: SockDiag) -> SocketTable:
    """Both families, once the last ACKs have come; if they never do, what was read last: the test judges."""
    expected = {state: count * len(LOOPBACK) for state, count in LEFT.items()}
    deadline = time.monotonic() + PATIENCE_S
    while (table := diag.dump(BOTH, EVERY)).counts() != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return table


def named(table: SocketTable) -> dict[str, int]:
    return {state.value: count for state, count in table.counts().items()}


def report() -> dict[str, Any]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    stages = {family: walk(family) for family in LOOPBACK}
    with SockDiag() as diag, sockstat.open() as stat:
        table = settle(diag)
        cheap = diag.dump(BOTH, EVERY - {State.TIME_WAIT})
        port = stages[AddressFamily.AF_INET][0].port
        return {
            "families": {family.name: named(diag.dump(family, EVERY)) for family in LOOPBACK},
            "both": named(table),
            "each": {state.value: named(diag.dump(BOTH, {state})) for state in State},
            "cheap": named(cheap),
            "minisockets": cheap.fin_wait_2_minisockets(),
            "tw": stat.read().tw,
            "time_wait": stat.read().time_wait(cheap.fin_wait_2_minisockets()),
            "server": named(table.select(local_port=port)),
            "client": named(table.select(remote_port=port)),
            "interrupted": table.interrupted,
            "ss": subprocess.run(["ss", "-tanH"], check=True, capture_output=True, text=True).stdout,
            "error": error(diag),
        }


def error(diag: SockDiag) -> int | None:
    """The errno for a family that has no TCP; the socket is good for another dump afterwards."""
    try:
        diag.dump(AddressFamily.AF_CAN, EVERY)
    except OSError as refused:
        diag.dump(AddressFamily.AF_INET, EVERY)
        return refused.errno
    return None


if __name__ == "__main__":
    print(json.dumps(report()))
