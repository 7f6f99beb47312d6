"""The capture: the packets of the first connections at both sides, into a pcapng, from a process of its own.

Run as `python -m loadgen.observe.capture`. All times are of one clock, the kernel's.

    > plan              one JSON line (`Plan`); the namespaces' descriptors are inherited
    < Ready             from now on packets are taken
    > Stop              or end of file: what waits is written, then
    < CaptureEnded      also before Stop, as soon as all of the connections are over

A tap costs the kernel something for every packet of the interface. So once the connections have begun, the
filter accepts their ports alone, and `AFTER_NS` after they are over the taps are closed.
"""

import select
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadgen.kernel.packet_filter import SNAP_BYTES, tcp_filter
from loadgen.kernel.packet_ring import PacketRing
from loadgen.lab import namespaces
from loadgen.observe.first_connections import FirstConnections
from loadgen.observe.messages import CaptureEnded
from loadgen.records.pcapng import CaptureWriter, Packet
from loadgen.records.segment import parse_segment
from loadgen.tcp import Side
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Ready

MOST_PACKETS = 50_000
"""Packets that are written at most, 15 MB, then the capture ends: connections can last the whole load."""
AFTER_NS = 1_000_000_000
"""How long packets are still taken after the last connection is over: a FIN may be sent again."""
PAUSE_S = 0.005
"""From one reading to the next: packets wait in the ring, so that they are read many at a time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to capture: `interfaces` by node, `port` the server's. `user` and `networks` are descriptors."""

    connections: int
    port: int
    path: str
    user: int
    networks: Mapping[str, int]
    interfaces: Mapping[str, tuple[str, ...]]


class Capture:
    """The taps of all interfaces, and the file that they go to."""

    def __init__(self, plan: Plan) -> None:
        """Raises OSError for a tap that cannot be opened, or a file that cannot be written."""
        self._first = FirstConnections(plan.connections, plan.port)
        self._port = plan.port
        self._narrow = self._full = False
        self._over_ns: int | None = None
        self._written = 0
        namespaces.enter_user(plan.user)
        self._rings: list[tuple[str, PacketRing]] = []
        # The client's last: what the server's side has seen follows a SYN that the client's has by then.
        for node, names in sorted(plan.interfaces.items(), key=lambda item: item[0] == Side.CLIENT):
            namespaces.enter_network(plan.networks[node])
            self._rings += [(node, PacketRing(name, tcp_filter(plan.port))) for name in names]
        self._writer = CaptureWriter(Path(plan.path), list(Side), SNAP_BYTES)
        self._writer.flush()

    @property
    def rings(self) -> Sequence[PacketRing]:
        return [ring for _, ring in self._rings]

    def read(self) -> None:
        """Take what waits, in the order of time."""
        frames = [frame for ring in self.rings for frame in ring.read()]
        before = self._written
        for frame in sorted(frames, key=lambda frame: frame.t_ns):
            segment = parse_segment(frame.data, frame.length)
            if segment is None or not self._first.takes(segment, sent=frame.sent):
                continue
            if self._over_ns is not None:
                self._over_ns = time.monotonic_ns()
            if self._written == MOST_PACKETS:
                self._full = True
                break
            side = self._first.side(segment, sent=frame.sent)
            self._writer.packet(Packet(side, frame.t_ns, frame.sent, frame.length, frame.data))
            self._written += 1
        if self._written > before:
            self._writer.flush()
        if self._first.complete and not self._narrow:
            self._narrow = True
            for ring in self.rings:
                ring.accept(tcp_filter(self._port, self._first.ports))
        if self._first.over and self._over_ns is None:
            self._over_ns = time.monotonic_ns()

    @property
    def finished(self) -> bool:
        """Whether no more packets are to be expected."""
        return self._full or (self._over_ns is not None and time.monotonic_ns() - self._over_ns >= AFTER_NS)

    def close(self) -> CaptureEnded:
        """Close all taps, and the file."""
        total = 0
        for node, ring in self._rings:
            seen, dropped = ring.statistics()
            total += dropped
            ring.close()
            # Both sides are on one node on loopback.
            self._writer.statistics(node if node in set(Side) else Side.CLIENT, time.time_ns(), seen, dropped)
        self._writer.close()
        return CaptureEnded(time.monotonic_ns(), self._first.count, self._written, total, self._full)


def run() -> None:
    plan, lines = decode(sys.stdin.readline(), Plan), Lines()
    try:
        capture = Capture(plan)
    except OSError as error:
        # The load goes on without: the record says why there are no packets.
        lines.say(Ready())
        lines.say(CaptureEnded(time.monotonic_ns(), 0, 0, 0, False, f"{error.strerror or error}"))
        lines.close()
        return
    lines.say(Ready())
    ready_ns = time.process_time_ns()
    stopped = False
    while not stopped and not capture.finished:
        # Time passes here only while nothing waits.
        readable, _, _ = select.select([*capture.rings, sys.stdin], [], [], AFTER_NS / 1e9)
        stopped = sys.stdin in readable
        capture.read()
        time.sleep(PAUSE_S)
    capture.read()
    ended = capture.close()
    lines.say(msgspec.structs.replace(ended, cost_ns=time.process_time_ns() - ready_ns))
    lines.close()


if __name__ == "__main__":
    run()
