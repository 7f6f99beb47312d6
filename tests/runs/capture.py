"""What goes over a lab's link: `python -m tests.runs.capture` prints a JSON line for each SYN, FIN or RST.

    < {"ready": true}
    < {"client": ..., "flags": ..., "sent": ..., "sequence": ...}
    > end of file on stdin       when the load is over; what still waits in the ring is printed, then
    < {"seen": ..., "dropped": ...}      the ring's own count

`client` is the client's port, `sent` whether this side sent the packet. One server port.
"""

import json
import select
import sys

from loadgen.kernel.packet_filter import tcp_filter
from loadgen.kernel.packet_ring import Frame, PacketRing
from loadgen.records.segment import Flags, parse_segment

FIN, SYN, RST, ACK = Flags.FIN, Flags.SYN, Flags.RST, Flags.ACK


def describe(frame: Frame, server: int) -> dict[str, object]:
    """The packet in words."""
    segment = parse_segment(frame.data, frame.length)
    assert segment is not None
    client = segment.destination if segment.source[1] == server else segment.source
    return {
        "client": client[1],
        "flags": int(segment.flags),
        "sent": frame.sent,
        "sequence": segment.sequence,
    }


def main(server: int) -> None:
    ring = PacketRing("lab0", tcp_filter(server, flags=SYN | FIN | RST))
    print(json.dumps({"ready": True}), flush=True)
    frames: list[Frame] = []
    ended = False
    while not ended:
        readable, _, _ = select.select([ring, sys.stdin], [], [])
        ended = sys.stdin in readable
        frames += ring.read()
    seen, dropped = ring.statistics()
    ring.close()
    for frame in frames:
        print(json.dumps(describe(frame, server)))
    print(json.dumps({"seen": seen, "dropped": dropped}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
