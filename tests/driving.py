"""What tests of the load side share: a lab to drive in, the driver's words, and servers that misbehave.

`python -m tests.driving HOST` is the misbehaving server: it prints, as one JSON object, the port of each
behaviour in `BEHAVIOURS` and of `unanswered`, and serves until its stdin ends.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, TypeVar

import uvloop

from loadgen.child import Child
from loadgen.choices import Driver
from loadgen.drivers.plan import ClosedLoop, Plan, Timeouts
from loadgen.kernel import netstat, snmp
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.spec import LabSpec
from loadgen.latency import Counts
from loadgen.records import Closes, Interval
from loadgen.tcp import CloseMethod, Closer, Side
from servers.behaviour import Behaviour
from servers.plan import Kind
from servers.plan import Plan as ServerPlan

LIMIT_S = 30
"""Bounds whatever is awaited; nothing takes a tenth of it."""
MS_NS = 1_000_000
LEAD_NS = 50 * MS_NS
"""Before the load begins, as a run leaves."""
PATIENT = Timeouts(*4 * (LIMIT_S * 1000 * MS_NS,))
HASTY = Timeouts(*4 * (200 * MS_NS,))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Driven:
    """What one worker said: its lines' types in order, and its counts."""

    said: tuple[str, ...]
    intervals: tuple[Interval, ...]
    latencies: tuple[Counts, ...]

    def total(self, count: str) -> int:
        return sum(getattr(interval, count) for interval in self.intervals)

    @property
    def closes(self) -> Closes:
        """All of them."""
        names = ("client_fin", "client_rst", "server_fin", "server_rst")
        return Closes(*(sum(getattr(each.closes, name) for each in self.intervals) for name in names))

    @property
    def errors(self) -> dict[str, int]:
        errors: Counter[str] = Counter()
        for interval in self.intervals:
            errors.update({str(failure): count for failure, count in interval.errors.items()})
        return dict(errors)

    def check(self) -> None:
        """What must hold however a load went: every count is in one place."""
        assert self.total("attempts") > 0
        assert self.total("attempts") == self.total("succeeded") + sum(self.errors.values())
        assert self.total("connected") == self.closes.total
        assert self.total("attempts") >= self.total("opened") >= self.total("connected")
        assert self.total("offered") == self.total("started") + self.total("dropped")
        assert self.intervals[-1].in_flight == 0
        # The intervals leave no gap.
        edges = [(interval.start_ns, interval.end_ns) for interval in self.intervals]
        assert [start for start, _ in edges] == [0, *(end for _, end in edges[:-1])]
        # Every exchange has its latency, and every connection that was timed.
        assert self.total("connected") >= self.total("timed")
        for tag, count in (("connect", "timed"), ("service", "exchanges"), ("response", "exchanges")):
            seen = sum(sum(each.counts) for each in self.latencies if each.tag == tag)
            assert seen == self.total(count)


def nothing(_child: Child, _word: str) -> None:
    """Do nothing."""


class Bench:
    """A lab, and the event loop that its processes belong to."""

    def __init__(self, lab: Lab, runner: asyncio.Runner) -> None:
        self.lab = lab
        self._runner = runner

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(LIMIT_S):
                return await main

        return self._runner.run(bounded())

    def plan(self, port: int, closer: Closer = Closer.CLIENT, **changed: Any) -> Plan:
        """A short closed loop of few connections, but for what is `changed`."""
        fields: dict[str, Any] = {
            "driver": Driver.PROTOCOL,
            "sources": self.lab.addresses[Side.CLIENT],
            "destinations": self.lab.addresses[Side.SERVER],
            "port": port,
            "http": "1.1",
            "requests": 1,
            "closer": closer,
            "close": CloseMethod.FIN,
            "think_ns": 0,
            "loop": ClosedLoop(4),
            "duration_ns": 100 * MS_NS,
            "interval_ns": 50 * MS_NS,
            "timeouts": PATIENT,
            "seed": 1,
        }
        return Plan(**(fields | changed))

    async def drive(self, plan: Plan, heard: Callable[[Child, str], None] = nothing) -> Driven:
        """Run one worker to its end. `heard` is called with each word of it, from `ready` on."""
        child = await Child.start(self.lab, Side.CLIENT, "load worker", "loadgen.drivers", plan.to_json())
        try:
            await child.expect("ready")
            child.tell(json.dumps({"origin_ns": monotonic_ns() + LEAD_NS}))
            heard(child, "ready")
            lines: list[dict[str, Any]] = []
            async for line in child.lines():
                lines.append(line)
                heard(child, line["type"])
        except BaseException:
            child.kill()
            raise
        finally:
            await child.end()
        if not lines or lines[-1]["type"] != "over":
            raise await child.died()
        said = tuple(line.pop("type") for line in lines)
        return Driven(
            said,
            tuple(
                Interval.from_json(line) for line, kind in zip(lines, said, strict=True) if kind == "interval"
            ),
            tuple(
                Counts.from_json(line) for line, kind in zip(lines, said, strict=True) if kind == "latency"
            ),
        )

    async def drive_all(self, server: Child, *plans: Plan) -> list[Driven]:
        """Several at once. When all are quiet the server is ended, as in a run: what idles is its own."""
        still = len(plans)

        def heard(_: Child, word: str) -> None:
            nonlocal still
            still -= word == "quiet"
            if not still:
                server.terminate()

        return await asyncio.gather(*(self.drive(plan, heard) for plan in plans))

    @asynccontextmanager
    async def serving(
        self,
        closer: Closer,
        close: CloseMethod = CloseMethod.FIN,
        requests: int = 1,
        kind: Kind = Kind.PROTOCOL,
        **changed: int,
    ) -> AsyncGenerator[tuple[Child, int]]:
        """churn's own server, and its port."""
        behaviour = Behaviour(closer, requests, close, **changed)
        plan = ServerPlan(kind, behaviour, self.lab.addresses[Side.SERVER])
        child = await Child.start(self.lab, Side.SERVER, "server", "servers", plan.to_json())
        try:
            yield child, (await child.expect("listening"))["port"]
        finally:
            child.terminate()
            await child.end()

    async def counters(self, side: Side) -> dict[str, int]:
        """The kernel's counts, as of now."""
        found: dict[str, int] = {}
        for name, parse in (("snmp", snmp.parse), ("netstat", netstat.parse)):
            found |= parse((await self.output(side, "cat", f"/proc/net/{name}")).encode())
        return found

    async def output(self, side: Side, *argv: str) -> str:
        process = await self.lab.spawn(side, argv, stdout=PIPE)
        text, _ = await process.communicate()
        assert process.returncode == 0
        return text.decode()


@contextmanager
def bench(spec: LabSpec) -> Generator[Bench]:
    with open_lab(spec) as lab, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield Bench(lab, runner)


@contextmanager
def misbehaving(on: Bench) -> Generator[dict[str, int]]:
    """The server below, on the server's side; gives the ports by behaviour."""

    async def start() -> tuple[Process, dict[str, int]]:
        host = on.lab.addresses[Side.SERVER][0]
        argv = [sys.executable, "-m", "tests.driving", host]
        process = await on.lab.spawn(Side.SERVER, argv, stdin=PIPE, stdout=PIPE)
        assert process.stdout
        return process, json.loads(await process.stdout.readline())

    async def stop() -> None:
        assert process.stdin
        process.stdin.close()
        await process.wait()

    process, ports = on.run(start())
    try:
        yield ports
    finally:
        on.run(stop())


# ---- the misbehaving server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
PAUSE_S = 0.02
"""Before a close that should find the client idle."""


async def request(reader: StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def hold(reader: StreamReader) -> None:
    """Until the client gives up."""
    await reader.read()


def reset(writer: StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def write_and_end(writer: StreamWriter, data: bytes) -> None:
    """The data and the FIN in one segment: who has read the one knows of the other."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    writer.write(data)
    writer.close()


async def reset_before_response(_: StreamReader, writer: StreamWriter) -> None:
    reset(writer)


async def reset_in_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:-1])
    # The client must have it before the RST destroys what is under way.
    await asyncio.sleep(PAUSE_S)
    reset(writer)


async def end_before_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.close()


async def end_in_body(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:-1])
    writer.close()


async def end_in_head(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:20])
    writer.close()


async def stall(reader: StreamReader, _: StreamWriter) -> None:
    await hold(reader)


async def stall_in_response(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:-1])
    await hold(reader)


async def malformed(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    await hold(reader)


async def malformed_and_end(_: StreamReader, writer: StreamWriter) -> None:
    write_and_end(writer, b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


async def trailing(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"and more\r\n")
    await hold(reader)


async def unavailable(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    await hold(reader)


async def unavailable_and_end(_: StreamReader, writer: StreamWriter) -> None:
    write_and_end(
        writer, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


async def end_idle(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await asyncio.sleep(PAUSE_S)
    writer.close()


async def reset_idle(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await asyncio.sleep(PAUSE_S)
    reset(writer)


async def speak_idle(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await asyncio.sleep(PAUSE_S)
    writer.write(OK)
    await hold(reader)


async def end_at_second(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await request(reader)
    writer.close()


async def reset_at_second(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await request(reader)
    reset(writer)


async def end_with_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK_CLOSE)
    writer.close()


async def end_is_length(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    writer.close()


async def never_close(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK_CLOSE)
    await hold(reader)


BEHAVIOURS: tuple[Callable[[StreamReader, StreamWriter], Awaitable[None]], ...] = (
    reset_before_response,
    reset_in_response,
    end_before_response,
    end_in_body,
    end_in_head,
    stall,
    stall_in_response,
    malformed,
    malformed_and_end,
    trailing,
    unavailable,
    unavailable_and_end,
    end_idle,
    reset_idle,
    speak_idle,
    end_at_second,
    reset_at_second,
    end_with_response,
    end_is_length,
    never_close,
)
"""What each does once the first request has come."""


async def misbehave(host: str) -> None:
    ports: dict[str, int] = {}
    kept: list[object] = []
    for behaviour in BEHAVIOURS:

        async def serve(
            reader: StreamReader,
            writer: StreamWriter,
            behaviour: Callable[[StreamReader, StreamWriter], Awaitable[None]] = behaviour,
        ) -> None:
            # However the client takes it.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await request(reader)
                await behaviour(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, host, 0)
        kept.append(server)
        ports[getattr(behaviour, "__name__", "")] = server.sockets[0].getsockname()[1]
    # An accept queue of one, filled: further SYNs get no answer (K15).
    full = socket.create_server((host, 0), backlog=0)
    kept += [full, socket.create_connection(full.getsockname())]
    ports["unanswered"] = full.getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # The connections still held are the kernel's to end.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(misbehave(sys.argv[1]))
