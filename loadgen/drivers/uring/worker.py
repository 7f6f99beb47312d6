"""The `uring` driver's process: one loop that starts, waits, counts and reports, in that order.

It is no asyncio program: the ring itself is what it waits on, with a time limit of its own choosing.
"""

import ctypes
import resource
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, sleep, thread_time_ns

from loadgen.drivers.messages import Quiet
from loadgen.drivers.plan import Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.client import UringClient
from loadgen.drivers.uring.load import FOREVER_NS, load_of
from loadgen.drivers.uring.programs import Programs, receive_buffers
from loadgen.drivers.words import SWEEP_NS, Reporter, hear, told
from loadgen.records.events import LoadEnds
from loadgen.uring.ring import Ring
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Begin, Over, Ready

ENTRIES = 4096
"""Submission entries: a whole turn's chains, and small enough to stay in the core's cache."""
MOST_COMPLETIONS = 65_536
"""The kernel's own limit; what finds no room waits in the kernel."""
PR_SET_TIMERSLACK = 29
"""By default the kernel lets timers be 50 us late, to save wake-ups: as long as two connections take."""


def work(plan: Plan, lines: Lines) -> None:
    """Run the plan: what a worker says and hears is told in loadgen/drivers/__main__.py. Raises OSError."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    connections = plan.loop.connections
    ring = Ring(ENTRIES, min(max(4 * connections, ENTRIES), MOST_COMPLETIONS))
    try:
        # The ring's own table of files is bounded by the limit of descriptors, as these are.
        slots = min(connections, _descriptors_left())
        ring.register_files(slots)
        tally = Tally(plan.loop)
        client = _client(plan, tally, ring, slots)
        lines.say(Ready())
        origin_ns = decode(hear(), Begin).origin_ns
        sleep(max(origin_ns - monotonic_ns(), 0) / 1e9)
        _Worker(plan, tally, ring, client, lines, origin_ns).run()
    finally:
        ring.close()


def _client(plan: Plan, tally: Tally, ring: Ring, slots: int) -> UringClient:
    programs = Programs(plan, receive_buffers(slots))
    client = UringClient(plan, tally, ring, programs)
    client.attach(load_of(plan, tally, slots))
    return client


class _Worker:
    def __init__(
        self, plan: Plan, tally: Tally, ring: Ring, client: UringClient, lines: Lines, origin_ns: int
    ) -> None:
        self._plan = plan
        self._reporter = Reporter(lines, tally, origin_ns)
        self._lines = lines
        self._ring = ring
        self._client = client
        self._flow = client.flow
        self._origin_ns = origin_ns
        self._taken_ns = origin_ns
        self._report_ns = origin_ns + plan.interval_ns
        self._sweep_ns = 0
        self._stop = False

    def run(self) -> None:
        self._flow.begin(self._origin_ns)
        self._conduct()
        self._ring.enter()  # The last closes are pushed, and not yet made.
        self._take(last=True)
        self._lines.say(Over())

    def _conduct(self) -> None:
        """From the load's begin to its last connection, each step bounded by the phases' timeouts."""
        timeouts = self._plan.timeouts
        self._turn(0)  # However late it woke, the load begins.
        self._until(lambda: self._stop, self._origin_ns + self._plan.duration_ns - monotonic_ns())
        self._lines.say(LoadEnds(monotonic_ns() - self._origin_ns))
        self._flow.end()
        self._until(lambda: self._flow.quiet, timeouts.connect_ns + timeouts.send_ns + timeouts.response_ns)
        self._lines.say(Quiet())
        self._until(lambda: self._flow.over, timeouts.close_ns)
        self._client.cut()
        self._until(lambda: self._flow.over, timeouts.close_ns)

    def _until(self, done: Callable[[], bool], limit_ns: int) -> None:
        end_ns = monotonic_ns() + limit_ns
        while not done() and (left_ns := end_ns - monotonic_ns()) > 0:
            self._turn(left_ns)

    def _turn(self, limit_ns: int) -> None:
        """Start what is due, wait, and take what has come."""
        now_ns = monotonic_ns()
        if now_ns >= self._report_ns:
            self._report(now_ns)
        if now_ns >= self._sweep_ns:
            self._sweep_ns = now_ns + SWEEP_NS
            self._reporter.beat(now_ns)
            self._client.sweep()
            # The end of stdin, or the word to stop: either ends the load.
            self._stop = self._stop or told()
        opened, used_ns = self._client.opened, thread_time_ns()
        self._flow.due(now_ns)
        wait, patience_ns = self._flow.patience(now_ns)
        house_ns = min(self._report_ns, self._sweep_ns) - now_ns
        self._ring.enter(wait, min(max(house_ns, 0), limit_ns, patience_ns, FOREVER_NS))
        self._flow.started(self._client.opened - opened, thread_time_ns() - used_ns)
        self._client.absorb(self._ring.reap(), monotonic_ns())
        self._client.time_connects()

    def _report(self, now_ns: int) -> None:
        """Take an interval at every multiple of its length; one that comes late is longer, and says so."""
        length_ns = self._plan.interval_ns
        self._report_ns = now_ns + length_ns - (now_ns - self._origin_ns) % length_ns
        self._take()

    def _take(self, *, last: bool = False) -> None:
        start_ns, self._taken_ns = self._taken_ns, monotonic_ns()
        self._client.estimate_connecting(self._taken_ns - start_ns)
        self._reporter.take(self._taken_ns, last=last)


def _descriptors_left() -> int:
    """How many more this process may have. The ring's table is bounded by the same limit as they are."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # One of those listed is the listing's own. Without any slot nothing could be told.
    return max(soft - sum(1 for _ in Path("/proc/self/fd").iterdir()), 1)
