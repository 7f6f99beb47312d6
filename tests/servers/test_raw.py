"""The server of raw TCP, as a client sees it that counts bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection, socket

import pytest

from loadgen.tcp import Ending, How, Side
from loadgen.wire.served import Served
from servers.behaviour import Behaviour
from servers.plan import Kind
from servers.raw import RequestReader
from tests.servers.test_servers import LIMIT_S, Server, serving, time_waits, until

ASK, ANSWER = 10, 7


def behaviour(ending: Ending, requests: int = 1, **changes: int) -> Behaviour:
    return Behaviour(ending, requests, response_size=ANSWER, request_size=ASK, **changes)


@contextmanager
def connected(server: Server) -> Iterator[socket]:
    with create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as sock:
        yield sock


def receive(sock: socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        data = sock.recv(count - len(received))
        assert data, "the server closed inside a response"
        received += data
    return received


def ends(sock: socket) -> How:
    try:
        assert sock.recv(1) == b""
    except ConnectionResetError:
        return How.RST
    return How.FIN


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([b"0123456789"], [1]),
        ([b"01234", b"56789"], [0, 1]),
        ([b"0123456789" * 3 + b"01", b"234567890", b"123456789"], [3, 1, 1]),
        ([b"0"] * 20, ([0] * 9 + [1]) * 2),
    ],
)
def test_a_request_ends_with_its_last_byte(pieces: list[bytes], whole: list[int]) -> None:
    reader = RequestReader(ASK)
    assert [len(reader.feed(piece)) for piece in pieces] == whole


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("requests", [1, 3])
def test_the_server_closes_after_the_last_response(how: How, requests: int) -> None:
    with serving(Kind.RAW, behaviour(Ending.of(Side.SERVER, how), requests)) as server:
        with connected(server) as sock:
            for _ in range(requests):
                sock.sendall(b"\0" * ASK)
                assert receive(sock, ANSWER) == b"x" * ANSWER
            assert ends(sock) is how
        by_fin = int(how is How.FIN)
        until(lambda: time_waits(server.port) == (by_fin, 0))
        served = server.stop()
    assert served == Served(accepted=1, exchanges=requests, fin=by_fin, rst=1 - by_fin)


def test_the_server_never_closes_where_the_client_is_to_and_answers_every_whole_request() -> None:
    with serving(Kind.RAW, behaviour(Ending.CLIENT_FIN)) as server:
        with connected(server) as sock:
            # Three requests and a half, in one segment; the other half comes later.
            sock.sendall(b"q" * (3 * ASK + ASK // 2))
            assert len(receive(sock, 3 * ANSWER)) == 3 * ANSWER
            sock.sendall(b"q" * (ASK // 2))
            assert len(receive(sock, ANSWER)) == ANSWER
        until(lambda: time_waits(server.port) == (0, 1))
        served = server.stop()
    assert served == Served(accepted=1, exchanges=4, peer_fin=1)


def test_what_idles_in_mid_request_is_closed_by_the_server() -> None:
    idle = behaviour(Ending.CLIENT_FIN, idle_timeout_ns=50_000_000)
    with serving(Kind.RAW, idle) as server:
        with connected(server) as sock:
            sock.sendall(b"q" * (ASK - 1))
            assert ends(sock) is How.FIN
        served = server.stop()
    assert served == Served(accepted=1, fin=1, idle_timeouts=1)


def test_asked_to_stop_it_closes_what_is_kept() -> None:
    with serving(Kind.RAW, behaviour(Ending.SERVER_FIN, 100)) as server:
        with connected(server) as sock:
            sock.sendall(b"q" * ASK)
            receive(sock, ANSWER)
            server.process.terminate()
            assert ends(sock) is How.FIN
        served = server.stop(asked=True)
    assert served == Served(accepted=1, exchanges=1, fin=1)
