"""The sampler: the TCP state of every viewpoint at one instant, again and again, from a process of its own.

Run as `python -m loadgen.observe.sampler`. It enters every node once, opens what it reads there, and keeps
the descriptors (K21): no reading needs a namespace any more.

    > plan                       one JSON line (`Plan`); the namespaces' descriptors are inherited
    < Ready
    > Watch                      the first sample is taken at once
    < Sample, SampleCheck        the baseline
    < Sample                     one at every multiple of the period since the origin
    < Unobserved                 no sample was taken, or none was read, between two instants
    > Stop                       or end of file: sample on until all sockets are quiet, then
    < SampleCheck, Settled
"""

import select
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from socket import AddressFamily
from time import monotonic_ns

from msgspec.structs import replace

from loadgen.kernel import meminfo, netstat, process, schedstat, snmp, sockstat, softnet
from loadgen.kernel.sock_diag import SockDiag
from loadgen.kernel.socket_table import SocketTable
from loadgen.lab import namespaces
from loadgen.observe.messages import Watch
from loadgen.observe.paced_dump import PacedDump
from loadgen.observe.sample_clock import Clock
from loadgen.observe.time_wait_check import both_ways
from loadgen.observe.tracked import TrackedConnections, tracked_at
from loadgen.records.events import BothWays, SampleCheck, Settled
from loadgen.records.types import Sample, ViewpointSample
from loadgen.records.viewpoints import Viewpoint
from loadgen.tcp import State
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import GapCause, Ready, Unobserved
from loadgen.wire.pulse import Pulse

SETTLE_NS = 2_000_000_000
"""How long, after the load, connections may take to leave the states that pass by themselves."""

SLOW = frozenset({State.TIME_WAIT})
"""Left out of a dump: there can be tens of thousands, and sockstat counts them for nothing (K17, K20)."""
ALL = frozenset(State)
MINISOCKETS_SHARE = 100
"""Orphans in FIN-WAIT-2 are told from TIME-WAIT by a dump alone (K17): where they are more than a hundredth
of both, no old dump will do."""
RESTING = frozenset({State.LISTEN, State.TIME_WAIT, State.FIN_WAIT_2})
"""States that may last after a load: FIN-WAIT-2 as an orphan does for tcp_fin_timeout (K5)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to sample, in the order of a sample's entries. `user` and `networks`, by node, are descriptors of
    namespaces.
    """

    viewpoints: tuple[Viewpoint, ...]
    every_ns: int
    user: int
    networks: Mapping[str, int]


class Namespace:
    """The kernel's sources of one network namespace, opened while this process is inside."""

    def __init__(self) -> None:
        self._diag = SockDiag()
        self._sockstat = sockstat.open()
        self._snmp = snmp.open()
        self._netstat = netstat.open()
        self._passing = PacedDump(lambda: self.dump(ALL - SLOW))

    def counters(self) -> dict[str, int]:
        return {**self._snmp.read(), **self._netstat.read()}

    def check(self) -> BothWays:
        """The shortcut beside a full dump."""
        return both_ways(lambda: self._sockstat.read().tw, lambda: self.dump(ALL))

    def dump(self, states: frozenset[State]) -> SocketTable:
        return self._diag.dump(AddressFamily.AF_UNSPEC, states)

    def read(self, *, fresh: bool) -> tuple[SocketTable, int, int]:
        """All states but TIME-WAIT; how many are in that; and how old the states are, in ns: 0 where `fresh`.

        TIME-WAIT is the count of sockstat, less the minisockets of FIN-WAIT-2 among them (K17). It is read
        before the dump: a connection that gets to FIN-WAIT-2 between the two is then in none of them, and
        would else be a TIME-WAIT that never was.
        """
        counted = self._sockstat.read()
        table, age_ns = self._passing.read(fresh=fresh)
        if age_ns and table.fin_wait_2_minisockets() * MINISOCKETS_SHARE > counted.tw:
            table, age_ns = self._passing.read(fresh=True)
        return table, counted.time_wait(table.fin_wait_2_minisockets()), age_ns


class Viewpoints:
    """All viewpoints, read at one instant."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        namespaces.enter_user(plan.user)
        self._nodes: dict[str, tuple[Namespace, list[Viewpoint]]] = {}
        self._tracked: dict[str, TrackedConnections] = {}
        for node in dict.fromkeys(viewpoint.node for viewpoint in plan.viewpoints):
            namespaces.enter_network(plan.networks[node])
            self._nodes[node] = Namespace(), [one for one in plan.viewpoints if one.node == node]
            self._tracked |= tracked_at(node, plan.viewpoints)
        self._softnet = softnet.open()
        self._meminfo = meminfo.open()
        self._clocks: Mapping[str, list[process.CpuClock | process.Ended]] = {}
        self._waits: Mapping[str, list[schedstat.WaitClock]] = {}

    def watch(self, pids: Mapping[str, Sequence[int]]) -> None:
        """Take these processes' CPU time for their viewpoint's."""
        self._clocks = {name: process.open_all(of_name) for name, of_name in pids.items()}
        self._waits = {name: schedstat.open_all(of_name) for name, of_name in pids.items()}

    def sample(self, origin_ns: int, owed_ns: int, *, fresh: bool) -> Sample:
        """One sample, owed since an instant; a `fresh` one has no states from a dump before."""
        begun_ns = monotonic_ns()
        viewpoints: dict[str, ViewpointSample] = {}
        for namespace, here in self._nodes.values():
            if len(here) == 1 and here[0].filter is None:
                viewpoints[here[0].name] = self._whole(namespace, here[0], fresh=fresh)
            else:
                viewpoints |= self._parts(namespace, here)
        for name, tracked in self._tracked.items():
            viewpoints[name] = replace(viewpoints[name], conntrack=tracked.read(fresh=fresh))
        return Sample(
            t_ns=begun_ns - origin_ns,
            cost_ns=monotonic_ns() - begun_ns,
            late=begun_ns - owed_ns > self._plan.every_ns // 2,
            viewpoints={viewpoint.name: viewpoints[viewpoint.name] for viewpoint in self._plan.viewpoints},
            softnet_dropped=self._softnet.read(),
            slab_bytes=self._meminfo.read(),
            missed=max(begun_ns - owed_ns, 0) // self._plan.every_ns,
        )

    def check(self) -> dict[str, BothWays]:
        """TIME-WAIT both ways, of each viewpoint's namespace."""
        checks = {node: namespace.check() for node, (namespace, _) in self._nodes.items()}
        return {viewpoint.name: checks[viewpoint.node] for viewpoint in self._plan.viewpoints}

    def _whole(self, namespace: Namespace, viewpoint: Viewpoint, *, fresh: bool) -> ViewpointSample:
        """All sockets of a namespace: TIME-WAIT need not be dumped."""
        table, time_wait, age_ns = namespace.read(fresh=fresh)
        counts = table.counts()
        if time_wait:
            counts[State.TIME_WAIT] = time_wait
        held = _held(table, viewpoint, time_wait)
        return self._entry(viewpoint, table, counts, held, namespace.counters(), age_ns)

    def _parts(self, namespace: Namespace, viewpoints: Sequence[Viewpoint]) -> dict[str, ViewpointSample]:
        """Several viewpoints of a namespace: every socket is dumped, because its ports show whose it is."""
        table = namespace.dump(ALL)
        counters = namespace.counters()
        parts: dict[str, ViewpointSample] = {}
        for viewpoint in viewpoints:
            chosen = viewpoint.filter
            part = (
                table.select(local_port=chosen.local_port, remote_port=chosen.remote_port, count=chosen.count)
                if chosen
                else table
            )
            held = _held(part, viewpoint, 0)
            parts[viewpoint.name] = self._entry(viewpoint, part, part.counts(), held, counters, full=True)
        return parts

    def _entry(
        self,
        viewpoint: Viewpoint,
        table: SocketTable,
        states: Mapping[State, int],
        held: int | None,
        counters: Mapping[str, int],
        age_ns: int = 0,
        *,
        full: bool = False,
    ) -> ViewpointSample:
        clocks = self._clocks.get(viewpoint.name)
        times = [clock.read() for clock in clocks or ()]
        unread_sockets, unread_bytes = table.unread()
        return ViewpointSample(
            states=states,
            ports_held=held,
            counters=counters,
            cpu_user_ns=None if clocks is None else sum(time.user_ns for time in times),
            cpu_system_ns=None if clocks is None else sum(time.system_ns for time in times),
            workers_cpu_ns=tuple(time.user_ns + time.system_ns for time in times),
            workers_wait_ns=tuple(clock.read() for clock in self._waits.get(viewpoint.name, ())),
            states_age_ns=age_ns,
            full=full,
            unread_sockets=unread_sockets,
            unread_bytes=unread_bytes,
        )


def _held(table: SocketTable, viewpoint: Viewpoint, time_wait: int) -> int | None:
    """The ephemeral ports in use: those in a dump, and those of sockets that are in TIME-WAIT beside it."""
    if viewpoint.ports is None:
        return None
    low, high = viewpoint.ports
    return int(((table.local_port >= low) & (table.local_port <= high)).sum()) + time_wait


def is_quiet(sample: Sample) -> bool:
    """Whether only states are left that last."""
    return all(state in RESTING for one in sample.viewpoints.values() for state in one.states)


class Reporter:
    """Says the samples, and the spans between two of them that are too long.

    Those for which the reader leaves no room are dropped, and count as missed.
    """

    def __init__(self, lines: Lines, plan: Plan, origin_ns: int) -> None:
        self._lines = lines
        self._origin_ns = origin_ns
        self._pulse = Pulse(plan.every_ns, origin_ns)
        self._dropped = 0

    def sample(self, sample: Sample, *, last: bool = False) -> None:
        """The next one; one of the `last` is said in any case."""
        if self._lines.full and not last:
            self._dropped += 1 + sample.missed
            return
        if (span := self._pulse.beat(self._origin_ns + sample.t_ns)) is not None:
            cause = GapCause.UNREAD if self._dropped else GapCause.HELD_UP
            self._lines.say(Unobserved(span.start_ns, span.end_ns, cause))
        self._lines.say(replace(sample, missed=sample.missed + self._dropped) if self._dropped else sample)
        self._dropped = 0

    def check(self, viewpoints: Viewpoints) -> None:
        """Compare the shortcut with a full dump: before the load and after it, while nothing moves."""
        t_ns = monotonic_ns() - self._origin_ns
        self._lines.say(SampleCheck(t_ns, viewpoints.check()))


def run() -> None:
    plan = decode(sys.stdin.readline(), Plan)
    viewpoints, lines = Viewpoints(plan), Lines()
    lines.say(Ready())
    watch = decode(sys.stdin.readline(), Watch)
    viewpoints.watch(watch.pids)
    clock = Clock(watch.origin_ns, plan.every_ns)
    # The baseline: what the counters and states are before the first packet.
    lines.say(viewpoints.sample(clock.origin_ns, monotonic_ns(), fresh=True))
    reporter = Reporter(lines, plan, clock.origin_ns)
    reporter.check(viewpoints)
    stop_ns: int | None = None
    while True:
        wait_ns = clock.due_ns - monotonic_ns()
        if wait_ns > 0 and stop_ns is None and select.select([sys.stdin], [], [], wait_ns / 1e9)[0]:
            stop_ns = monotonic_ns()
        elif wait_ns > 0 and stop_ns is not None:
            select.select([], [], [], wait_ns / 1e9)
        else:
            # What is left at the end is judged by the last sample: that one is whole.
            sample = viewpoints.sample(clock.origin_ns, clock.owed_ns, fresh=stop_ns is not None)
            reporter.sample(sample, last=stop_ns is not None)
            clock.advance(clock.origin_ns + sample.t_ns, monotonic_ns())
            if stop_ns is not None and (is_quiet(sample) or monotonic_ns() - stop_ns > SETTLE_NS):
                break
    reporter.check(viewpoints)
    lines.say(Settled(monotonic_ns() - clock.origin_ns))
    lines.close()


if __name__ == "__main__":
    run()
