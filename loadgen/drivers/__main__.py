"""A load worker: its plan on stdin, records as JSON lines on stdout.

    > plan                        one JSON line (`Plan`)
    < Ready
    > Begin
    < Interval, Counts ...        ten intervals a second, each followed by its latencies
    > Stop                        optional: end the load now
    < Unobserved                  the worker was held up, or was not read, between two instants
    < LoadEnds, Quiet
    < Over                        no connection is left, all is counted

End of file on stdin means stop.
"""

import asyncio
import contextlib
import gc
import os
import sys
from time import monotonic_ns

import uvloop

from loadgen.drivers.attempt import Client
from loadgen.drivers.channel import Reporter, read_message
from loadgen.drivers.housekeeping import Housekeeping
from loadgen.drivers.lifecycle import Wait, waits
from loadgen.drivers.load import load_of
from loadgen.drivers.plan import Plan
from loadgen.drivers.protocols import application
from loadgen.drivers.tally import Tally
from loadgen.scenario.choices import Driver, Read
from loadgen.tcp import Close, Side
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Begin, Over, Ready

COLLECT_AFTER = 100_000
"""Allocations between two passes of the garbage collector. Attempts are freed by reference counting; a pass
finds nothing, costs 5 % of the core at the default of 700, and makes starts late."""
TIMER_MARGIN_NS = 1_000_000


def client_of(plan: Plan, tally: Tally) -> Client:
    match plan.driver:
        case Driver.PROTOCOL:
            from loadgen.drivers.closing import ClosingClient
            from loadgen.drivers.protocol import ProtocolClient

            if plan.crosses:
                from loadgen.drivers.crossing import CrossingClient

                return CrossingClient(plan, tally, application(plan))
            if plan.stays:
                from loadgen.drivers.staying import StayingClient

                return StayingClient(plan, tally, application(plan))
            if plan.read is Read.HEADERS:
                from loadgen.drivers.reading import ReadingClient

                return ReadingClient(plan, tally, application(plan))
            if plan.close is Close.UNSENT and plan.ending.side is Side.CLIENT:
                from loadgen.drivers.unsent import UnsentClient

                return UnsentClient(plan, tally, application(plan))
            if plan.close in (Close.HALF, Close.UNREAD) or plan.read is Read.NONE:
                return ClosingClient(plan, tally, application(plan))
            return ProtocolClient(plan, tally, application(plan))
        case Driver.AIOHTTP:
            from loadgen.drivers.aiohttp_client import AiohttpClient

            return AiohttpClient(plan, tally, application(plan))
        case Driver.URING | Driver.AUTO | Driver.COMMAND:
            raise ValueError(f"{plan.driver} does not run on an event loop")


class Worker:
    """Runs one plan to its end."""

    def __init__(self, plan: Plan, words: asyncio.StreamReader, lines: Lines) -> None:
        self._plan = plan
        self._words = words
        self._lines = lines
        driver = plan.driver
        self._tally = Tally(
            plan.loop,
            counts_reads=driver is not Driver.AIOHTTP,
            counts_bytes=driver is Driver.PROTOCOL,
        )
        self._client = client_of(plan, self._tally)
        self._client.load = self._load = load_of(plan, self._tally, self._client.connect)
        self._stopped = False

    async def run(self) -> None:
        self._lines.say(Ready())
        origin_ns = decode(await self._words.readline(), Begin).origin_ns
        await asyncio.sleep(max(origin_ns - monotonic_ns(), 0) / 1e9)
        reporter = Reporter(self._lines, self._tally, origin_ns)
        housekeeping = Housekeeping(self._plan, self._client, reporter, origin_ns)
        self._load.begin(origin_ns)
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._listen()), group.create_task(_keep_house(housekeeping))]
            for wait in waits(
                self._plan, self._load, self._lines, origin_ns, lambda: self._stopped, self._client.cut
            ):
                await self._until(wait)
            for helper in helpers:
                helper.cancel()
        housekeeping.report(last=True)
        self._lines.say(Over())

    async def _until(self, wait: Wait) -> None:
        # Again if the loop's timer fires early, by up to a millisecond: arrivals are due till the end.
        while not wait.done() and (left_ns := wait.until_ns - monotonic_ns()) > 0:
            self._load.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_ns / 1e9):
                    await self._load.changed.wait()

    async def _listen(self) -> None:
        await self._words.readline()
        self._stopped = True
        self._load.changed.set()


async def _keep_house(housekeeping: Housekeeping) -> None:
    while True:
        # The loop's timers fire up to a millisecond early: without the margin they would fire twice.
        await asyncio.sleep((housekeeping.next_ns - monotonic_ns() + TIMER_MARGIN_NS) / 1e9)
        housekeeping.do(monotonic_ns())


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


async def _work(plan: Plan, lines: Lines) -> None:
    await Worker(plan, await _stdin(), lines).run()


def main() -> None:
    plan = decode(read_message(), Plan)
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    lines = Lines()
    if plan.driver is Driver.URING:
        from loadgen.drivers.uring.worker import work

        work(plan, lines)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(plan, lines))
    lines.close()


if __name__ == "__main__":
    main()
