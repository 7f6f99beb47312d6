"""Drivers are of no protocol: one that is not HTTP is asked, read and counted by the same code."""

import asyncio
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic_ns
from typing import NamedTuple

import pytest

from loadgen.drivers.application import Application, MalformedResponseError, ShortResponseError
from loadgen.drivers.load import load_of as on_a_loop
from loadgen.drivers.plan import ClosedLoop, Plan, Timeouts
from loadgen.drivers.protocol import ProtocolClient
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.client import UringClient
from loadgen.drivers.uring.open_load import load_of as on_a_ring
from loadgen.drivers.uring.programs import Programs, receive_buffers
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending, Failure, Phase
from loadgen.uring.ring import Ring

SECOND_NS = 1_000_000_000
SIZE = 8
ASK, LAST = b"ask.", b"end."
GOOD, BAD = b"answered", b"refused."


class Answer(NamedTuple):
    """Eight bytes; those that refuse are an error."""

    error: str = ""
    closes: bool = False


class Announced(NamedTuple):
    response: Answer
    prefix: int = SIZE
    total: int = SIZE


class RecordReader:
    """Reads one record after the other."""

    def __init__(self) -> None:
        self._received = b""
        self.announced: Announced | None = None

    @property
    def begun(self) -> bool:
        return bool(self._received)

    def feed(self, data: bytes) -> Answer | None:
        self._received += data
        if len(self._received) > SIZE:
            raise MalformedResponseError("more bytes than the record has")
        if len(self._received) < SIZE:
            return None
        answer = Answer("REFUSED" if self._received == BAD else "")
        self._received, self.announced = b"", Announced(answer)
        return answer

    def feed_eof(self) -> Answer:
        raise ShortResponseError("a record has no other end than its own")


RECORDS = Application(ASK, LAST, RecordReader)


class Records(socketserver.StreamRequestHandler):
    """Answers each request, the last one in two pieces. A connection that idles is closed."""

    timeout = 0.5
    answer = GOOD
    closes = False

    def handle(self) -> None:
        while request := self._request():
            assert request in (ASK, LAST)
            if request == LAST:
                self.wfile.write(self.answer[:3])
                self.wfile.flush()
                threading.Event().wait(0.01)
                self.wfile.write(self.answer[3:])
                if self.closes:
                    return
            else:
                self.wfile.write(self.answer)

    def _request(self) -> bytes:
        try:
            return self.rfile.read(len(ASK))
        except TimeoutError:
            return b""


@contextmanager
def server(answer: bytes, ending: Ending) -> Iterator[int]:
    handler = type("Handler", (Records,), {"answer": answer, "closes": ending is Ending.SERVER_FIN})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as serving:
        serving.daemon_threads = True
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving.server_address[1]
        serving.shutdown()


def plan(port: int, ending: Ending) -> Plan:
    return Plan(
        driver=Driver.PROTOCOL,
        sources=("127.0.0.1",),
        destinations=("127.0.0.1",),
        port=port,
        http="1.1",
        requests=3,
        ending=ending,
        think_ns=0,
        loop=ClosedLoop(2),
        duration_ns=SECOND_NS // 5,
        interval_ns=SECOND_NS,
        timeouts=Timeouts(SECOND_NS, SECOND_NS, SECOND_NS, SECOND_NS),
        seed=1,
    )


def by_protocol(asked: Plan) -> Tally:
    """The load as the driver `protocol` makes it."""

    async def main() -> Tally:
        tally = Tally(asked.loop)
        client = ProtocolClient(asked, tally, RECORDS)
        client.load = load = on_a_loop(asked, tally, client.connect)
        load.begin(monotonic_ns())
        await asyncio.sleep(asked.duration_ns / 1e9)
        load.end()
        while not load.over:
            load.changed.clear()
            await load.changed.wait()
        return tally

    return asyncio.run(asyncio.wait_for(main(), 10))


def by_uring(asked: Plan) -> Tally:
    """The load as the driver `uring` makes it."""
    tally, slots = Tally(asked.loop), asked.loop.connections
    ring = Ring(256, 1024)
    try:
        ring.register_files(slots)
        client = UringClient(asked, tally, ring, Programs(asked, RECORDS, receive_buffers(slots)))
        load = on_a_ring(asked, tally, slots)
        client.attach(load)
        begun_ns = monotonic_ns()
        load.begin(begun_ns)
        while not load.over:
            now_ns = monotonic_ns()
            assert now_ns < begun_ns + 10 * SECOND_NS
            if now_ns >= begun_ns + asked.duration_ns and not load.ending:
                load.end()
            load.due(now_ns)
            ring.enter(1, SECOND_NS // 100)
            client.absorb(ring.reap(), monotonic_ns())
            client.time_connects()
            client.sweep()
        return tally
    finally:
        ring.close()


drivers = pytest.mark.parametrize("drive", [by_protocol, by_uring])


@drivers
@pytest.mark.parametrize("ending", [Ending.CLIENT_FIN, Ending.CLIENT_RST, Ending.SERVER_FIN])
def test_a_protocol_of_fixed_records(drive: Callable[[Plan], Tally], ending: Ending) -> None:
    with server(GOOD, ending) as port:
        tally = drive(plan(port, ending))
    assert tally.errors == {}
    assert tally.attempts == tally.succeeded == tally.endings[ending] > 0
    # Those that were kept when the load ended had some exchanges less.
    assert 3 * tally.attempts - 4 <= tally.exchanges <= 3 * tally.attempts


@drivers
def test_its_errors_are_failures_by_the_name_that_it_gives(drive: Callable[[Plan], Tally]) -> None:
    with server(BAD, Ending.CLIENT_FIN) as port:
        tally = drive(replace(plan(port, Ending.CLIENT_FIN), requests=1))
    assert set(tally.errors) == {Failure(Phase.RECEIVE, "REFUSED")}
    assert (tally.succeeded, tally.exchanges) == (0, 0)
