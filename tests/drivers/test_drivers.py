"""What is particular to one driver, or to the plan; what all must show alike is in `test_conformance`."""

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic_ns
from typing import TypeVar

import pytest

from loadgen.drivers.aiohttp_client import AiohttpAttempt, AiohttpClient
from loadgen.drivers.http import http
from loadgen.drivers.load import Attempt, ClosedLoad, Load
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan
from loadgen.drivers.protocol import ProtocolAttempt, ProtocolClient
from loadgen.drivers.sockets import connecting, fin_was_first, send_fin
from loadgen.drivers.tally import Tally
from loadgen.kernel.tcp_info import segments_sent, state_of
from loadgen.lab.topology import client_server_lab
from loadgen.records.latency import LOWEST_NS, Counts, Tag
from loadgen.scenario.choices import Arrivals, Driver
from loadgen.tcp import NO_PORT, Ending, Failure, Fault, Phase, Side, State
from loadgen.wire.codec import decode, encode
from tests.drivers.driving import Bench, bench


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab()) as made:
        yield made


def on_loopback(plan: Plan) -> Plan:
    """For a server inside the test's own process."""
    return replace(plan, sources=("127.0.0.1",), destinations=("127.0.0.1",))


async def over(load: Load) -> None:
    """Wait until a load that is ending has no connection left."""
    while not load.over:
        load.changed.clear()
        await load.changed.wait()


class Broken(ClosedLoad):
    """A load with a bug."""

    def idle(self, attempt: Attempt) -> None:
        raise ZeroDivisionError(attempt)


def test_a_bug_does_not_pass_for_a_success(pair: Bench) -> None:
    async def main() -> dict[str, int]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        plan = on_loopback(pair.plan(server.sockets[0].getsockname()[1], driver=Driver.AIOHTTP, requests=2))
        tally = Tally(plan.loop)
        client = AiohttpClient(plan, tally, http(plan))
        client.load = Broken(plan, ClosedLoop(1), tally, client.connect)
        client.load.begin(0)
        client.load.end()
        await over(client.load)
        await answered.wait()
        server.close()
        interval, _ = tally.take(0, 1)
        return {str(failure): count for failure, count in interval.errors.items()}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        answered.set()

    answered = asyncio.Event()
    assert pair.run(main()) == {"close:ZeroDivisionError": 1}


class Hasty(ProtocolAttempt):
    """Is taken for another exchange once the server's FIN is read, and before the load hears of the end."""

    def eof_received(self) -> None:
        super().eof_received()
        self.exchange(monotonic_ns())


class HastyClient(ProtocolClient):
    def connect(self, intended_ns: int) -> None:
        Hasty(self, intended_ns).connect()


def test_a_request_between_the_servers_fin_and_the_end_has_an_outcome(pair: Bench) -> None:
    async def main() -> Tally:
        server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
        plan = on_loopback(pair.plan(server.sockets[0].getsockname()[1], Ending.SERVER_FIN, requests=2))
        tally = Tally(plan.loop)
        client = HastyClient(plan, tally, http(plan))
        client.load = ClosedLoad(plan, ClosedLoop(1), tally, client.connect)
        client.load.begin(monotonic_ns())
        client.load.end()
        await over(client.load)
        server.close()
        return tally

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    tally = pair.run(main())
    assert (tally.started, tally.exchanges, tally.attempts, tally.succeeded) == (2, 1, 1, 0)
    assert tally.errors == {Failure(Phase.SEND, Fault.NO_RESPONSE): 1}
    assert tally.endings == {Ending.SERVER_FIN: 1}


def speak(host: "ProtocolHost | AiohttpHost", ours: socket.socket) -> None:
    """What nobody asked for, and where the test is about it an end: it arrives, and nobody reads it."""
    host.peer.send(b"and more")
    if host.ended:
        host.peer.shutdown(socket.SHUT_WR)
    events = select.POLLRDHUP if host.ended else select.POLLIN
    poll = select.poll()
    poll.register(ours, events)
    assert poll.poll(5_000)


class ProtocolSpokenTo(ProtocolAttempt):
    """Is spoken to between its last response and its close, as the one for aiohttp below."""

    def _leave(self, ending: Ending) -> None:
        speak(self._host, self._sock)
        super()._leave(ending)


class ProtocolHost(ProtocolClient):
    peer: socket.socket
    ended = False

    def connect(self, intended_ns: int) -> None:
        ProtocolSpokenTo(self, intended_ns).connect()


class AiohttpSpokenTo(AiohttpAttempt):
    def _end(self, ours: socket.socket) -> None:
        speak(self._host, ours)
        super()._end(ours)


class AiohttpHost(AiohttpClient):
    peer: socket.socket
    ended = False

    def connect(self, intended_ns: int) -> None:
        AiohttpSpokenTo(self, intended_ns).begin()


Host = TypeVar("Host", ProtocolHost, AiohttpHost, "FinishingHost")


@asynccontextmanager
async def answered_by_hand(pair: Bench, kind: type[Host]) -> AsyncGenerator[Host]:
    """A client whose one connection is over; within, the other end of that is still open."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        plan = on_loopback(pair.plan(listener.getsockname()[1]))
        tally = Tally(plan.loop)
        client = kind(plan, tally, http(plan))
        client.load = ClosedLoad(plan, ClosedLoop(1), tally, client.connect)
        client.load.begin(monotonic_ns())
        client.load.end()
        client.peer, _ = await loop.sock_accept(listener)
    with client.peer:
        await loop.sock_recv(client.peer, 1000)
        await loop.sock_sendall(client.peer, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await over(client.load)
        yield client


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("kind", [ProtocolHost, AiohttpHost])
def test_a_close_with_bytes_unread_is_a_reset_unless_the_server_has_ended(
    pair: Bench,
    kind: type[ProtocolHost] | type[AiohttpHost],
    ended: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> Tally:
        async with answered_by_hand(pair, kind) as client:
            with contextlib.nullcontext() if ended else pytest.raises(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client.peer, 1) == b""
            return client.tally

    monkeypatch.setattr(kind, "ended", ended)
    tally = pair.run(main())
    assert (tally.exchanges, tally.succeeded) == (1, 0)
    assert tally.errors == {Failure(Phase.CLOSE, Fault.MALFORMED): 1}
    first = Ending.SERVER_FIN if ended else Ending.CLIENT_RST
    assert tally.endings == {first: 1}


class ProtocolFinishing(ProtocolAttempt):
    """Looks, as soon as it has left, whether the server has heard of that."""

    def _leave(self, ending: Ending) -> None:
        super()._leave(ending)
        self._host.heard = select.select([self._host.peer], [], [], 5)[0] == [self._host.peer]


class FinishingHost(ProtocolClient):
    peer: socket.socket
    heard: bool

    def connect(self, intended_ns: int) -> None:
        ProtocolFinishing(self, intended_ns).connect()


def test_a_close_is_made_where_it_is_decided_and_not_later(pair: Bench) -> None:
    """What lies between the look who was first and the FIN is time for the server to be first after all."""

    async def main() -> bool:
        async with answered_by_hand(pair, FinishingHost) as client:
            return client.heard

    assert pair.run(main())


class ProtocolGivenUp(ProtocolAttempt):
    given_up = False

    def hold(self, sock: socket.socket) -> None:
        self._sock = sock

    def fail(self, _failure: Failure) -> None:
        self.given_up = True


class AiohttpGivenUp(AiohttpAttempt):
    given_up = False

    def hold(self, sock: socket.socket) -> None:
        self._ours = sock

    def fail(self, _failure: Failure) -> None:
        self.given_up = True


@pytest.mark.parametrize("answering", [False, True])
@pytest.mark.parametrize(
    ("client_kind", "kind"), [(ProtocolClient, ProtocolGivenUp), (AiohttpClient, AiohttpGivenUp)]
)
def test_a_handshake_that_is_done_has_not_timed_out_though_nobody_has_looked(
    pair: Bench,
    client_kind: type[ProtocolClient] | type[AiohttpClient],
    kind: type[ProtocolGivenUp] | type[AiohttpGivenUp],
    answering: bool,
) -> None:
    async def main() -> bool:
        with contextlib.ExitStack() as held:
            backlog = 100 if answering else 0
            listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
            for _ in range(8):
                # With a full backlog the last of these gets no answer (K15).
                sock = held.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(listener.getsockname())
            assert connecting(sock) is not answering
            plan = on_loopback(pair.plan(listener.getsockname()[1]))
            client = client_kind(plan, Tally(plan.loop), http(plan))
            attempt = kind(client, 0)
            attempt.hold(sock)
            attempt.phase, attempt.deadline_ns = Phase.CONNECT, 0
            client.sweep()
            return attempt.given_up

    assert pair.run(main()) is not answering


def test_a_tally_tells_how_late_starts_were_and_how_many_too_late() -> None:
    tally = Tally(OpenLoop(1, Arrivals.CONSTANT, 1, late_ns=10))
    tally.start_ns.extend((-3, 10, 10, 11))
    interval, latencies = tally.take(0, 1)
    assert interval.late == 1
    # One that was early was not late.
    assert latencies == [Counts(Tag.START, [LOWEST_NS, 10, 11], [1, 2, 1])]
    assert tally.take(1, 2)[0].late == 0


@pytest.mark.parametrize("failure", sorted(NO_PORT))
def test_a_tally_has_the_instant_of_the_first_failure_for_want_of_a_port(failure: Failure) -> None:
    tally = Tally(ClosedLoop(1))
    tally.fail(Failure(Phase.RECEIVE, Fault.TIMEOUT))
    assert tally.take(0, 1)[0].no_port_ns is None
    origin_ns = monotonic_ns()
    tally.fail(failure)
    soon_ns = monotonic_ns() - origin_ns
    tally.fail(failure)
    interval, _ = tally.take(1, 2, origin_ns)
    assert interval.no_port_ns is not None
    assert 0 <= interval.no_port_ns <= soon_ns
    assert interval.errors == {failure: 2}
    assert tally.take(2, 3)[0].no_port_ns is None


@pytest.mark.parametrize("loop", [ClosedLoop(3), OpenLoop(7.5, Arrivals.POISSON, 9, 10)])
def test_a_plan_survives_the_pipe(pair: Bench, loop: ClosedLoop | OpenLoop) -> None:
    plan = pair.plan(80, loop=loop, driver=Driver.AIOHTTP, ending=Ending.SERVER_RST)
    assert decode(encode(plan), Plan) == plan


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("first", Side)
@pytest.mark.parametrize("counts", [True, False])
def test_a_connection_that_is_over_says_who_was_first(family: int, first: Side, counts: bool) -> None:
    """Both FINs have come before anyone could ask: what stands in the socket's place decides."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listener:
        ours = socket.create_connection(listener.getsockname()[:2])
        peer, _ = listener.accept()
        with ours, peer:
            sent = segments_sent(ours) if counts else None
            if first is Side.CLIENT:
                assert send_fin(ours)
                assert peer.recv(1) == b""
                peer.shutdown(socket.SHUT_WR)
                assert ours.recv(1) == b""
            else:
                peer.shutdown(socket.SHUT_WR)
                assert ours.recv(1) == b""
                assert send_fin(ours)
            assert state_of(ours) is State.CLOSED
            assert fin_was_first(ours, sent) is (first is Side.CLIENT)
