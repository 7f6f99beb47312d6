"""The `uring` driver's process: one loop that starts, waits, counts and reports, in that order.

It does not run on asyncio: it waits in the ring itself, with a time limit of its own choosing.
"""

import ctypes
import resource
from pathlib import Path
from time import monotonic_ns, sleep, thread_time_ns

from loadgen.drivers.channel import Reporter, read_message, stop_requested
from loadgen.drivers.housekeeping import Housekeeping
from loadgen.drivers.lifecycle import waits
from loadgen.drivers.plan import Plan
from loadgen.drivers.protocols import application
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.client import UringClient
from loadgen.drivers.uring.load import FOREVER_NS, UringLoad
from loadgen.drivers.uring.open_load import load_of
from loadgen.drivers.uring.programs import Programs, receive_buffers
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
    """Run the plan, by the messages that loadgen/drivers/__main__.py lists. Raises OSError."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    connections = plan.loop.connections
    ring = Ring(ENTRIES, min(max(4 * connections, ENTRIES), MOST_COMPLETIONS))
    try:
        # The ring's own table of files is bounded by the limit of descriptors, as these are.
        slots = min(connections, _descriptors_left())
        ring.register_files(slots)
        tally = Tally(plan.loop)
        client, load = _client(plan, tally, ring, slots)
        lines.say(Ready())
        origin_ns = decode(read_message(), Begin).origin_ns
        sleep(max(origin_ns - monotonic_ns(), 0) / 1e9)
        _Worker(ring, client, load).run(plan, lines, origin_ns)
    finally:
        ring.close()


def _client(plan: Plan, tally: Tally, ring: Ring, slots: int) -> tuple[UringClient, UringLoad]:
    client = UringClient(plan, tally, ring, Programs(plan, application(plan), receive_buffers(slots)))
    load = load_of(plan, tally, slots)
    client.attach(load)
    return client, load


class _Worker:
    """Turns the ring until the load is over."""

    def __init__(self, ring: Ring, client: UringClient, load: UringLoad) -> None:
        self._ring = ring
        self._client = client
        self._load = load
        self._stopped = False

    def run(self, plan: Plan, lines: Lines, origin_ns: int) -> None:
        reporter = Reporter(lines, self._client.tally, origin_ns)
        housekeeping = Housekeeping(plan, self._client, reporter, origin_ns, self._look_at_stdin)
        self._load.begin(origin_ns)
        self._turn(housekeeping, 0)  # However late it woke, the load begins.
        for done, until_ns in waits(plan, self._load, lines, origin_ns, self._is_stopped, self._client.cut):
            while not done() and (left_ns := until_ns - monotonic_ns()) > 0:
                self._turn(housekeeping, left_ns)
        self._ring.enter()  # The last closes are pushed, and not yet made.
        housekeeping.report(last=True)
        lines.say(Over())

    def _turn(self, housekeeping: Housekeeping, limit_ns: int) -> None:
        """Start what is due, wait, and take what has come."""
        now_ns = monotonic_ns()
        if now_ns >= housekeeping.next_ns:
            housekeeping.do(now_ns)
        opened, used_ns = self._client.opened, thread_time_ns()
        self._load.due(now_ns)
        wait, wait_ns = self._load.wait_limit(now_ns)
        idle_ns = max(housekeeping.next_ns - now_ns, 0)
        self._ring.enter(wait, min(idle_ns, limit_ns, wait_ns, FOREVER_NS))
        self._load.started(self._client.opened - opened, thread_time_ns() - used_ns)
        self._client.absorb(self._ring.reap(), monotonic_ns())
        self._client.time_connects()

    def _is_stopped(self) -> bool:
        return self._stopped

    def _look_at_stdin(self) -> None:
        self._stopped = self._stopped or stop_requested()


def _descriptors_left() -> int:
    """How many more this process may have. The ring's table is bounded by the same limit as they are."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # One of those listed is the listing's own. At least one slot, so that there are outcomes to report.
    return max(soft - sum(1 for _ in Path("/proc/self/fd").iterdir()), 1)
