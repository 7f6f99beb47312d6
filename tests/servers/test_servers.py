"""A server worker as clients see it: a real process, plain blocking sockets, and the kernel's own tables."""

import asyncio
import contextlib
import errno
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from typing import IO, cast

import pytest
from msgspec.structs import replace

from loadgen.tcp import Ending, How, Side
from loadgen.wire.codec import CodecError, decode, encode
from loadgen.wire.messages import GapCause, Listening, Unobserved
from loadgen.wire.served import Served
from servers.behaviour import Behaviour
from servers.lines import AcceptError, Bound, Line
from servers.listener import BATCH, Listener, bound_sockets, listen
from servers.plan import Kind, Plan

LIMIT_S = 10.0
"""Longer than anything here takes; a test that reaches it fails."""

QUIET_S = 0.08
"""How long nothing must happen for a connection to count as left open."""

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_CLOSE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET_10 = "GET / HTTP/1.0\r\n\r\n"
GET_10_KEEP = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
PUT = "PUT / HTTP/1.1\r\nHost: a\r\n\r\n"
REQUESTS = {GET: True, GET_CLOSE: False, GET_10: False, GET_10_KEEP: True}
"""Each with whether HTTP lets the connection live on."""

SERVER_FIN = Behaviour(Ending.SERVER_FIN, 1)
CLIENT_FIN = Behaviour(Ending.CLIENT_FIN, 1)

both_kinds = pytest.mark.parametrize("kind", [Kind.PROTOCOL, Kind.AIOHTTP])
"""Those that speak HTTP; `test_raw` has the other."""


# ---- the server under test, and a client


@dataclass(slots=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def line(self) -> Line:
        """The next one; where the machine is busy, a worker that it held up says so in between."""
        while isinstance(line := decode(self._stdout.readline(), Line), Unobserved):
            pass
        return line

    def stop(self, *, asked: bool = False) -> Served:
        """SIGTERM, unless it was asked to stop before; the totals. Everything that happened must add up."""
        if not asked:
            self.process.send_signal(signal.SIGTERM)
        lines = [one for line in self._stdout if not isinstance(one := decode(line, Line), Unobserved)]
        assert self.process.wait(LIMIT_S) == 0
        served = lines.pop()
        assert isinstance(served, Served)
        assert lines == []
        assert served.accepted == served.ended
        assert served.lost == 0
        return without_bytes(served)


def without_bytes(served: Served) -> Served:
    """Its connections and requests alone: how many bytes they have is the protocol's."""
    return replace(served, sent_bytes=0, received_bytes=0)


@contextmanager
def serving(
    kind: Kind,
    behaviour: Behaviour,
    descriptors: int | None = None,
    core: int | None = None,
) -> Iterator[Server]:
    plan = Plan(kind, behaviour, ("127.0.0.1",), core=core)
    with launched(encode(plan).decode(), descriptors) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line
        listening = decode(line, Line)
        assert isinstance(listening, Listening)
        yield Server(process, listening.port)


@contextmanager
def launched(plan: str, descriptors: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "servers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        try:
            if descriptors is not None:
                _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors, hard))
            assert process.stdin is not None
            process.stdin.write(f"{plan}\n".encode())
            process.stdin.close()
            yield process
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    version: str
    headers: dict[str, str]
    body: bytes


class Client:
    """A blocking socket that reads responses by their Content-Length and closes only when told."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(("127.0.0.1", port))
        self._rest = b""

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode())

    def response(self, *, head: bool = False) -> Response:
        while b"\r\n\r\n" not in self._rest:
            self._read()
        raw, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = raw.decode().split("\r\n")
        version, status, _ = first.split(" ", 2)
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert len(headers) == len(lines)
        length = 0 if head else int(headers["content-length"])
        while len(self._rest) < length:
            self._read()
        body, self._rest = self._rest[:length], self._rest[length:]
        return Response(int(status), version, headers, body)

    def ask(self, text: str) -> Response:
        self.send(text)
        return self.response()

    def end(self) -> str:
        """How the server ends the connection, after which nothing is left unread."""
        assert self._rest == b""
        try:
            assert self.sock.recv(1) == b""
        except ConnectionResetError:
            return "rst"
        return "fin"

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _read(self) -> None:
        data = self.sock.recv(1 << 20)
        assert data, "the server closed inside a response"
        self._rest += data


def is_quiet(*clients: Client) -> bool:
    """Nothing comes on any of the connections: no byte, no FIN, no RST."""
    return select.select([client.sock for client in clients], [], [], QUIET_S)[0] == []


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def time_waits(port: int) -> tuple[int, int]:
    """TIME-WAITs held by the server on `port`, and by its clients: the side that closed first (K1)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = [(int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16)) for row in rows if row[3] == "06"]
    return sum(local == port for local, _ in ends), sum(remote == port for _, remote in ends)


# ---- who closes


@both_kinds
@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("how", How)
def test_the_server_closes_first(kind: Kind, how: How, requests: int) -> None:
    exchanges = 0
    with serving(kind, Behaviour(Ending.of(Side.SERVER, how), requests)) as server:
        for request, persistent in REQUESTS.items():
            client = Client(server.port)
            count = requests if persistent else 1
            for left in reversed(range(count)):
                response = client.ask(request)
                assert (response.status, len(response.body)) == (200, 64)
                assert response.version in request
                last = response.headers.get("connection") == "close"
                assert last == (left == 0)
            assert client.end() == how
            client.close()
            exchanges += count
        by_fin = len(REQUESTS) if how is How.FIN else 0
        until(lambda: time_waits(server.port) == (by_fin, 0))
        served = server.stop()
    assert served == Served(accepted=4, exchanges=exchanges, fin=by_fin, rst=4 - by_fin)


@both_kinds
@pytest.mark.parametrize("how", How)
def test_the_server_never_closes_where_the_client_is_to(kind: Kind, how: How) -> None:
    with serving(kind, Behaviour(Ending.of(Side.CLIENT, how), 1)) as server:
        clients = {request: Client(server.port) for request in REQUESTS}
        for request, client in clients.items():
            for _ in range(2 if REQUESTS[request] else 1):
                response = client.ask(request)
                assert (response.status, len(response.body)) == (200, 64)
                # Said truly: the connection ends after this, by the client's FIN.
                assert (response.headers.get("connection") == "close") == (not REQUESTS[request])
        assert is_quiet(*clients.values())
        for client in list(clients.values())[:3]:
            client.close()
        list(clients.values())[3].reset()
        until(lambda: time_waits(server.port) == (0, 3))
        served = server.stop()
    assert served == Served(accepted=4, exchanges=6, peer_fin=3, peer_rst=1)


@both_kinds
def test_a_client_that_is_faster_is_first(kind: Kind) -> None:
    # Its FIN stands right behind the request, unread by the server when that would close.
    with serving(kind, SERVER_FIN) as server:
        for _ in range(20):
            client = Client(server.port)
            client.sock.send(GET_CLOSE.encode(), socket.MSG_MORE)  # It leaves with the FIN.
            client.sock.shutdown(socket.SHUT_WR)
            assert client.response().status == 200
            assert client.end() == "fin"
            client.close()
        until(lambda: sum(time_waits(server.port)) == 20)
        by_server, by_client = time_waits(server.port)
        served = server.stop()
    # Only the last moments are a race; whoever won it, the counts are the kernel's.
    assert (served.fin, served.peer_fin) == (by_server, by_client)
    assert by_client > by_server


@both_kinds
def test_a_late_byte_does_not_turn_the_fin_into_a_reset(kind: Kind) -> None:
    with serving(kind, SERVER_FIN) as server:
        client = Client(server.port)
        assert client.ask(GET).headers["connection"] == "close"
        client.send(GET)
        assert client.end() == "fin"
        client.send(GET)
        client.sock.shutdown(socket.SHUT_WR)
        until(lambda: time_waits(server.port) == (1, 0))
        assert client.end() == "fin"
        client.close()
        assert server.stop() == Served(accepted=1, exchanges=1, fin=1)


def test_a_client_that_never_closes_is_let_go() -> None:
    with serving(Kind.PROTOCOL, SERVER_FIN) as server:
        pid = server.pid
        at_rest = open_sockets(pid)
        client = Client(server.port)
        assert client.ask(GET).status == 200
        assert client.end() == "fin"
        until(lambda: open_sockets(pid) == at_rest)
        client.close()
        assert server.stop() == Served(accepted=1, exchanges=1, fin=1)


@both_kinds
@pytest.mark.parametrize("how", How)
def test_a_client_that_closes_at_the_last_byte_is_second(kind: Kind, how: How) -> None:
    # The FIN travels with the last byte. A RST cannot: there a fast client may be first.
    with serving(kind, replace(SERVER_FIN, ending=Ending.of(Side.SERVER, how))) as server:
        for _ in range(50):
            client = Client(server.port)
            assert client.ask(GET_CLOSE).status == 200
            client.close()
        if how is How.FIN:
            until(lambda: sum(time_waits(server.port)) == 50)
        served = server.stop()
    if how is How.FIN:
        # Where the server is held up between the two for 0.2 s, the kernel sends the byte without the FIN.
        assert served.fin >= 45
    assert served.fin + served.rst + served.peer_fin == 50


@both_kinds
@pytest.mark.parametrize("closer", Side)
def test_half_closed_clients_get_their_responses(kind: Kind, closer: Side) -> None:
    behaviour = Behaviour(Ending.of(closer, How.RST), 2, delay_ns=30_000_000)
    with serving(kind, behaviour) as server:
        client = Client(server.port)
        client.send(GET + GET_CLOSE)
        client.sock.shutdown(socket.SHUT_WR)
        assert [client.response().status for _ in range(2)] == [200, 200]
        assert client.end() == "fin"
        client.close()
        assert server.stop() == Served(accepted=1, exchanges=2, peer_fin=1)


def test_a_half_closed_client_that_resets_is_let_go() -> None:
    with serving(Kind.PROTOCOL, replace(CLIENT_FIN, delay_ns=60_000_000_000)) as server:
        pid = server.pid
        at_rest = open_sockets(pid)
        client = Client(server.port)
        client.send(GET)
        client.sock.shutdown(socket.SHUT_WR)
        until(lambda: open_sockets(pid) > at_rest)
        client.reset()
        until(lambda: open_sockets(pid) == at_rest)
        assert server.stop() == Served(accepted=1, peer_fin=1)


@both_kinds
@pytest.mark.parametrize("closer", Side)
def test_a_half_closed_client_that_reads_late_gets_everything(kind: Kind, closer: Side) -> None:
    size = 1 << 20
    with serving(kind, Behaviour(Ending.of(closer, How.RST), 2, response_size=size)) as server:
        client = Client(server.port, receive_buffer=16_384)
        client.send(GET * 2)
        client.sock.shutdown(socket.SHUT_WR)
        assert select.select([client.sock], [], [], LIMIT_S)[0]
        assert [len(client.response().body) for _ in range(2)] == [size] * 2
        # Bytes that a server holds back stand before a FIN: it may not have read that yet.
        assert client.end() in ("fin", "rst")
        client.close()
        served = server.stop()
        assert (served.exchanges, served.peer_fin + served.rst) == (2, 1)


@both_kinds
def test_clients_that_go_with_the_response_on_its_way(kind: Kind) -> None:
    with serving(kind, replace(CLIENT_FIN, response_size=8 << 20)) as server:
        pid = server.pid
        at_rest = open_sockets(pid)
        clients = [Client(server.port, receive_buffer=16_384) for _ in range(3)]
        for client in clients:
            client.send(GET)
            assert select.select([client.sock], [], [], LIMIT_S)[0]
        clients[0].reset()
        clients[1].close()  # with bytes unread: a reset too (K4)
        assert len(clients[2].response().body) == 8 << 20
        clients[2].close()
        until(lambda: open_sockets(pid) == at_rest)
        served = server.stop()
        assert (served.accepted, served.peer_fin, served.peer_rst) == (3, 1, 2)


@both_kinds
def test_clients_that_leave_during_the_delay(kind: Kind) -> None:
    behaviour = replace(SERVER_FIN, delay_ns=150_000_000)
    with serving(kind, behaviour) as server:
        leaving, resetting, staying = (Client(server.port) for _ in range(3))
        for client in (leaving, resetting, staying):
            client.send(GET)
        # Sent later on another connection of the same worker: those before are read.
        leaving.close()
        resetting.reset()
        assert staying.response().status == 200
        assert staying.end() == "fin"
        staying.close()
        served = server.stop()
    assert (served.fin, served.peer_fin, served.peer_rst) == (1, 1, 1)


@both_kinds
@pytest.mark.parametrize("behaviour", [SERVER_FIN, replace(CLIENT_FIN, ending=Ending.CLIENT_RST)])
def test_idle_connections_are_closed_by_the_server(kind: Kind, behaviour: Behaviour) -> None:
    behaviour = replace(behaviour, requests=2, idle_timeout_ns=100_000_000, delay_ns=200_000_000)
    with serving(kind, behaviour) as server:
        silent, started, kept = (Client(server.port) for _ in range(3))
        started.send(GET[:-2])
        # A request that waits for its response is not idle, however long the delay.
        assert kept.ask(GET).status == 200
        assert {client.end() for client in (silent, started, kept)} == {behaviour.ending.how}
        for client in (silent, started, kept):
            client.close()
        served = server.stop()
    assert (served.accepted, served.exchanges, served.idle_timeouts) == (3, 1, 3)
    assert served.peer_fin == served.peer_rst == 0


@both_kinds
@pytest.mark.parametrize("ending", [Ending.CLIENT_FIN, Ending.CLIENT_RST])
def test_a_client_has_so_many_connections_and_no_more(kind: Kind, ending: Ending) -> None:
    with serving(kind, Behaviour(ending, 10, per_client=2)) as server:
        first, second = (Client(server.port) for _ in range(2))
        assert [first.ask(GET).status, second.ask(GET).status] == [200, 200]
        beyond = Client(server.port)
        assert beyond.end() == ending.how
        beyond.close()
        # Those that stay are served on, and one that leaves makes room.
        assert second.ask(GET).status == 200
        first.close()
        until(lambda: is_served(server.port))
        second.close()
        served = server.stop()
    assert (served.capped, served.exchanges) == (served.fin + served.rst, 4)
    assert served.capped >= 1


def is_served(port: int) -> bool:
    """Whether a new client gets its response, and is not closed instead."""
    client = Client(port)
    try:
        return client.ask(GET).status == 200
    except (OSError, AssertionError):
        return False
    finally:
        client.close()


# ---- what HTTP asks for


@both_kinds
def test_a_keep_alive_client_of_http_1_0_is_told_the_truth(kind: Kind) -> None:
    behaviour = Behaviour(Ending.SERVER_FIN, 3, idle_timeout_ns=5_500_000_000)
    with serving(kind, behaviour) as server:
        client = Client(server.port)
        told = [client.ask(GET_10_KEEP).headers for _ in range(3)]
        assert [headers["connection"] for headers in told] == ["keep-alive", "keep-alive", "close"]
        assert [headers.get("keep-alive") for headers in told] == [
            "timeout=5, max=2",
            "timeout=5, max=1",
            None,
        ]
        assert client.end() == "fin"
        client.close()
        assert server.stop().fin == 1


@both_kinds
def test_nothing_is_promised_where_nothing_is_meant(kind: Kind) -> None:
    with serving(kind, CLIENT_FIN) as server:
        client = Client(server.port)
        headers = client.ask(GET_10_KEEP).headers
        assert headers["connection"] == "keep-alive"
        assert "keep-alive" not in headers
        assert not {"connection", "keep-alive"} & set(client.ask(GET).headers)
        client.close()
        assert server.stop().peer_fin == 1


@both_kinds
def test_the_standard_library_client_keeps_and_leaves(kind: Kind) -> None:
    with serving(kind, replace(SERVER_FIN, requests=2)) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
        kept: list[bool] = []
        for _ in range(4):
            connection.request("GET", "/any/path?a=b")
            response = connection.getresponse()
            assert response.getheader("Server") == "churn"
            assert response.getheader("Date")
            assert len(response.read()) == 64
            kept.append(not response.will_close)
        connection.close()
        assert kept == [True, False, True, False]
        served = server.stop()
        assert (served.accepted, served.exchanges) == (2, 4)


@both_kinds
def test_methods_bodies_and_order(kind: Kind) -> None:
    with serving(kind, replace(CLIENT_FIN, delay_ns=2_000_000)) as server:
        client = Client(server.port)
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + "b" * 70000)
        client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + GET)
        head, refused, *found = (client.response(head=number == 0) for number in range(4))
        assert (head.status, head.headers["content-length"], head.body) == (200, "64", b"")
        assert (refused.status, refused.headers["allow"], refused.body) == (405, "get, head", b"")
        assert [(response.status, len(response.body)) for response in found] == [(200, 64), (200, 64)]
        client.close()
        assert server.stop() == Served(accepted=1, exchanges=4, peer_fin=1)


@both_kinds
@pytest.mark.parametrize("closer", Side)
def test_a_malformed_request_is_answered_400_and_ends_the_connection(kind: Kind, closer: Side) -> None:
    with serving(kind, Behaviour(Ending.of(closer, How.FIN), 5)) as server:
        client = Client(server.port)
        assert client.ask(GET).status == 200
        response = client.ask("so much for HTTP\r\n\r\n")
        assert response.status == 400
        assert response.version == "HTTP/1.0" or response.headers["connection"] == "close"
        assert client.end() == "fin"
        client.close()
        assert server.stop() == Served(accepted=1, exchanges=1, fin=1, malformed=1)


@both_kinds
@pytest.mark.parametrize("how", How)
def test_a_large_body_arrives_whole_before_the_close(kind: Kind, how: How) -> None:
    size = 1 << 20
    with serving(kind, Behaviour(Ending.of(Side.SERVER, how), 3, response_size=size)) as server:
        client = Client(server.port, receive_buffer=16_384)
        # Three at once to a client that reads late: the server must wait with all that it cannot send.
        client.send(GET * 3)
        assert select.select([client.sock], [], [], LIMIT_S)[0]
        assert [len(client.response().body) for _ in range(3)] == [size] * 3
        assert client.end() == how
        client.close()
        assert server.stop().exchanges == 3


@both_kinds
def test_an_empty_body(kind: Kind) -> None:
    with serving(kind, replace(SERVER_FIN, response_size=0)) as server:
        client = Client(server.port)
        assert client.ask(GET).headers["content-length"] == "0"
        assert client.end() == "fin"
        client.close()
        server.stop()


# ---- the processes


@both_kinds
@pytest.mark.parametrize("how", How)
def test_asked_to_stop_it_finishes_what_it_has_in_hand(kind: Kind, how: How) -> None:
    behaviour = Behaviour(Ending.of(Side.CLIENT, how), 1, delay_ns=500_000_000)
    with serving(kind, behaviour) as server:
        idle, busy = Client(server.port), Client(server.port)
        assert idle.ask(GET).status == 200
        busy.send(GET)
        # The worker reads this later than the request before it.
        probe = Client(server.port)
        assert probe.ask(PUT).status == 405
        assert busy.response().status == 200
        busy.send(GET)
        assert is_quiet(idle)
        until(lambda: not unread_by_server(server.port))
        probe.close()
        os.kill(server.pid, signal.SIGTERM)
        assert idle.end() == how
        idle.close()
        response = busy.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert busy.end() == how
        busy.close()
        served = server.line()
        assert isinstance(served, Served)
        assert (served.accepted, served.exchanges, served.peer_fin) == (3, 4, 1)
        assert getattr(served, how) == 2


def test_a_client_that_keeps_it_waiting_is_reset() -> None:
    with serving(Kind.PROTOCOL, replace(CLIENT_FIN, delay_ns=60_000_000_000)) as server:
        client = Client(server.port)
        client.send(GET)
        until(lambda: not unread_by_server(server.port))
        served = server.stop()
        assert client.end() == "rst"
        client.close()
    assert served == Served(accepted=1, rst=1)


def unread_by_server(port: int) -> bool:
    """Whether bytes wait in a receive queue of the server, or a connection to be accepted."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(int(row[4].split(":")[1], 16) for row in rows if int(row[1].split(":")[1], 16) == port)


def test_a_pinned_worker_keeps_to_its_core() -> None:
    core = max(os.sched_getaffinity(0))
    with serving(Kind.PROTOCOL, CLIENT_FIN, core=core) as server:
        assert os.sched_getaffinity(server.pid) == {core}
        client = Client(server.port)
        assert client.ask(GET).status == 200
        client.close()
        server.stop()


def open_sockets(pid: int) -> int:
    links: list[Path] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Closed meanwhile.
            links.append(entry.readlink())
    return sum(link.name.startswith("socket:") for link in links)


@both_kinds
def test_out_of_descriptors_it_says_so_and_turns_nobody_away(kind: Kind) -> None:
    with serving(kind, CLIENT_FIN, descriptors=64) as server:
        pid = server.pid
        # All of them wait to be accepted when it goes on: it must stop in their midst.
        os.kill(pid, signal.SIGSTOP)
        clients = [Client(server.port) for _ in range(100)]
        os.kill(pid, signal.SIGCONT)
        assert server.line() == AcceptError("EMFILE")
        assert is_quiet(*clients)
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft == 64
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        for client in clients:
            assert client.ask(GET).status == 200
            client.close()
        server.process.send_signal(signal.SIGTERM)
        served = server.line()
        assert isinstance(served, Served)
        assert (served.accepted, served.peer_fin, served.accept_errors) == (100, 100, {"EMFILE": 1})


def test_a_listener_closes_only_when_nobody_waits() -> None:
    async def main() -> int:
        accepted: list[socket.SocketType] = []
        (sock,) = bound_sockets(Plan(Kind.PROTOCOL, CLIENT_FIN, ("127.0.0.1",)))
        listen(sock, 4 * BATCH)
        clients = [socket.create_connection(sock.getsockname()) for _ in range(2 * BATCH)]
        listener = Listener(sock, asyncio.get_running_loop(), accepted.append, raise_it)
        listener.start()
        listener.close()
        # A response must not wait for the acknowledgement of the one before.
        assert all(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for end in accepted)
        for end in (*accepted, *clients):
            end.close()
        return len(accepted)

    def raise_it(error: OSError) -> None:
        raise error

    assert asyncio.run(main()) == 2 * BATCH


def test_a_port_that_another_serves_is_an_error() -> None:
    with serving(Kind.PROTOCOL, SERVER_FIN) as server:
        plan = Plan(Kind.PROTOCOL, SERVER_FIN, ("127.0.0.1",), port=server.port)
        with launched(encode(plan).decode()) as second:
            assert second.wait(LIMIT_S) == 2
            assert second.stderr is not None
            taken = f"{os.strerror(errno.EADDRINUSE)}: '127.0.0.1 port {server.port}'"
            assert taken in second.stderr.read().decode()


@both_kinds
def test_several_addresses_share_a_port(kind: Kind) -> None:
    plan = Plan(kind, SERVER_FIN, ("127.0.0.1", "127.0.0.2", "::1"))
    with launched(encode(plan).decode()) as process:
        assert process.stdout is not None
        listening = cast(Listening, decode(process.stdout.readline(), Line))
        for host in plan.hosts:
            with socket.create_connection((host, listening.port), timeout=LIMIT_S) as sock:
                sock.sendall(GET.encode())
                assert sock.recv(15) == b"HTTP/1.1 200 OK"
        process.terminate()
        assert process.wait(LIMIT_S) == 0


@both_kinds
def test_every_address_has_every_port(kind: Kind) -> None:
    first = 12_000 + 3 * (os.getpid() % 5_000)  # below the ports that other tests' sockets get
    plan = Plan(kind, SERVER_FIN, ("127.0.0.1", "::1"), first, ports=3)
    with launched(encode(plan).decode()) as process:
        assert process.stdout is not None
        assert cast(Listening, decode(process.stdout.readline(), Line)).port == first
        for host, number in product(plan.hosts, range(3)):
            with socket.create_connection((host, first + number), timeout=LIMIT_S) as sock:
                sock.sendall(GET.encode())
                assert sock.recv(15) == b"HTTP/1.1 200 OK"
        process.terminate()
        assert process.wait(LIMIT_S) == 0


# ---- the plan and the lines

PLAN = Plan(
    Kind.AIOHTTP,
    Behaviour(Ending.CLIENT_RST, 7, 1, 2, 3),
    ("10.0.0.1", "::1"),
    80,
    5,
    worker=1,
    workers=2,
    core=3,
)


def test_a_plan_survives_its_json() -> None:
    assert decode(encode(PLAN), Plan) == PLAN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "nginx"}, "Invalid enum value 'nginx' - at `$.kind`"),
        ({"hosts": []}, "hosts: at least one address is needed"),
        ({"hosts": "10.0.0.1"}, "Expected `array`, got `str` - at `$.hosts`"),
        ({"hosts": ["example.org"]}, "hosts: 'example.org' is not an IP address"),
        ({"hosts": ["::1", "::1"]}, "hosts: an address is given twice"),
        ({"port": 65536}, "port: 65536 is more than 65535"),
        ({"ports": 0}, "ports: 0 is less than 1"),
        ({"port": 0, "ports": 2}, "port: several ports in a row begin at one that is given"),
        ({"port": 65535, "ports": 2}, "the last port: 65536 is more than 65535"),
        ({"workers": 0}, "workers: 0 is less than 1"),
        ({"backlog": "many"}, "Expected `int`, got `str` - at `$.backlog`"),
        ({"worker": 2}, "worker: 2 is more than 1"),
        ({"core": "one"}, "Expected `int | null`, got `str` - at `$.core`"),
        ({"core": -1}, "core: -1 is less than 0"),
        ({"colour": "red"}, "Object contains unknown field `colour`"),
        ({"behaviour": 1}, "Expected `object`, got `int` - at `$.behaviour`"),
        (
            {"behaviour": {"ending": "client_fin"}},
            "Object missing required field `requests` - at `$.behaviour`",
        ),
        (
            {"behaviour": {"ending": "nobody_fin", "requests": 1}},
            "Invalid enum value 'nobody_fin' - at `$.behaviour.ending`",
        ),
        (
            {"behaviour": {"ending": "client_fin", "requests": 0}},
            "requests: 0 is less than 1 - at `$.behaviour`",
        ),
        (
            {"kind": "raw", "behaviour": {"ending": "client_fin", "requests": 1, "response_size": 0}},
            "response_size: 0 is less than 1",
        ),
        (
            {"behaviour": {"ending": "client_fin", "requests": True}},
            "Expected `int`, got `bool` - at `$.behaviour.requests`",
        ),
    ],
)
def test_a_plan_at_fault_names_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(CodecError, match=f"^{re.escape(message)}$"):
        decode(json.dumps({**json.loads(encode(PLAN)), **change}), Plan)


@pytest.mark.parametrize("text", ["", "not json", '{"kind": "protocol"}'])
def test_a_plan_that_is_none_ends_with_2(text: str) -> None:
    with launched(text) as process:
        assert process.wait(LIMIT_S) == 2
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b""
        assert process.stderr.read().startswith(b"servers: plan: ")


@pytest.mark.parametrize(
    "line",
    [
        Bound(80),
        Listening(80),
        AcceptError("EMFILE"),
        Unobserved(1, 2, GapCause.HELD_UP),
        Served(5, accept_errors={"EMFILE": 1}),
    ],
)
def test_lines_survive_their_json(line: Line) -> None:
    assert decode(encode(line), Line) == line


def test_counts_add_up() -> None:
    total = Served(1, 2, 3, accept_errors={"EMFILE": 1})
    total.add(Served(10, 20, 30, accept_errors={"EMFILE": 1, "ENFILE": 4}))
    assert total == Served(11, 22, 33, accept_errors={"EMFILE": 2, "ENFILE": 4})
