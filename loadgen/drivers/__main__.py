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
from loadgen.drivers.load import load_of
from loadgen.drivers.messages import Quiet
from loadgen.drivers.plan import Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.words import SWEEP_NS, Reporter, hear
from loadgen.records.events import LoadEnds
from loadgen.scenario.choices import Driver
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Begin, Over, Ready

COLLECT_AFTER = 100_000
"""Allocations between two passes of the garbage collector. Attempts are freed by reference counting; a pass
finds nothing, costs 5 % of the core at the default of 700, and makes starts late."""


def client_of(plan: Plan, tally: Tally) -> Client:
    match plan.driver:
        case Driver.PROTOCOL:
            from loadgen.drivers.protocol import ProtocolClient

            return ProtocolClient(plan, tally)
        case Driver.AIOHTTP:
            from loadgen.drivers.aiohttp_client import AiohttpClient

            return AiohttpClient(plan, tally)
        case Driver.URING | Driver.AUTO | Driver.COMMAND:
            raise ValueError(f"{plan.driver} is no driver on an event loop")


class Worker:
    """Runs one plan to its end."""

    def __init__(self, plan: Plan, words: asyncio.StreamReader, lines: Lines) -> None:
        self._plan = plan
        self._words = words
        self._lines = lines
        self._tally = Tally(plan.loop)
        self._client = client_of(plan, self._tally)
        self._client.load = self._load = load_of(plan, self._tally, self._client.connect)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        self._lines.say(Ready())
        origin_ns = decode(await self._words.readline(), Begin).origin_ns
        await asyncio.sleep(max(origin_ns - monotonic_ns(), 0) / 1e9)
        reporter = Reporter(self._lines, self._tally, origin_ns)
        self._load.begin(origin_ns)
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._listen()),
                group.create_task(self._sweep(reporter)),
                group.create_task(self._report(reporter, origin_ns)),
            ]
            await self._conduct(origin_ns)
            for helper in helpers:
                helper.cancel()
        reporter.take(monotonic_ns(), last=True)
        self._lines.say(Over())

    async def _conduct(self, origin_ns: int) -> None:
        """From the load's begin to its last connection, each step bounded by the phases' timeouts."""
        timeouts = self._plan.timeouts
        await _within(self._stop, origin_ns + self._plan.duration_ns - monotonic_ns())
        self._lines.say(LoadEnds(monotonic_ns() - origin_ns))
        self._load.end()
        await _within(self._load.quiet, timeouts.connect_ns + timeouts.send_ns + timeouts.response_ns)
        self._lines.say(Quiet())
        await _within(self._load.over, timeouts.close_ns)
        self._client.cut()
        await _within(self._load.over, timeouts.close_ns)

    async def _listen(self) -> None:
        await self._words.readline()
        self._stop.set()

    async def _sweep(self, reporter: Reporter) -> None:
        """One sweep over all attempts costs less than a timer for each."""
        while True:
            await asyncio.sleep(SWEEP_NS / 1e9)
            reporter.beat(monotonic_ns())
            self._client.sweep()

    async def _report(self, reporter: Reporter, origin_ns: int) -> None:
        """Take an interval at every multiple of its length; one that comes late is longer, and says so."""
        length_ns = self._plan.interval_ns
        while True:
            left_ns = length_ns - (monotonic_ns() - origin_ns) % length_ns
            # The loop's timers ring up to a millisecond early: the rest of that is no interval.
            await asyncio.sleep((left_ns if left_ns > length_ns // 2 else left_ns + length_ns) / 1e9)
            reporter.take(monotonic_ns())


async def _within(event: asyncio.Event, limit_ns: int) -> None:
    """Wait for the event, but no longer than the limit."""
    until_ns = monotonic_ns() + limit_ns
    # Again where the loop's timer rang early, by up to a millisecond: arrivals are due till the end.
    while not event.is_set() and (left_ns := until_ns - monotonic_ns()) > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_ns / 1e9):
                await event.wait()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


async def _work(plan: Plan, lines: Lines) -> None:
    await Worker(plan, await _stdin(), lines).run()


def main() -> None:
    plan = decode(hear(), Plan)
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
