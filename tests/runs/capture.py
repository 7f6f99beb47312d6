"""What goes over a lab's link: `python -m tests.runs.capture` prints a JSON line for each SYN, FIN or RST.

    < {"ready": true}
    < {"client": ..., "flags": ..., "sent": ..., "sequence": ...}
    > end of file on stdin       when the load is over; what still waits in the socket is printed, then
    < {"seen": ..., "dropped": ...}      the capture socket's own count

`client` is the client's port, `sent` whether this side sent the packet. IPv4 only, one server port.
"""

import ctypes
import json
import select
import socket
import struct
import sys

ETH_P_ALL = 0x0003
ETH_P_IP = 0x0800
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_ATTACH_FILTER = 26
BUFFER_BYTES = 1 << 24

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

# Classic BPF, on packets that begin with their IP header: TCP with SYN, FIN or RST, whole; else nothing.
_FILTER = [
    (0x30, 0, 0, 9),  # A = protocol
    (0x15, 0, 4, socket.IPPROTO_TCP),
    (0xB1, 0, 0, 0),  # X = length of the IP header
    (0x50, 0, 0, 13),  # A = flags
    (0x45, 0, 1, FIN | SYN | RST),
    (0x06, 0, 0, 65535),
    (0x06, 0, 0, 0),
]


def capture_socket() -> socket.socket:
    """Hears every packet of this namespace. Raises PermissionError without CAP_NET_RAW in it."""
    # Nothing is heard before the filter stands: the protocol comes with bind().
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    code = ctypes.create_string_buffer(program)
    sock.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(_FILTER), ctypes.addressof(code))
    )
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.bind(("lab0", ETH_P_ALL))
    return sock


def describe(packet: bytes, sent: bool, server: int) -> dict[str, object] | None:
    """The packet in words; None for one of another conversation."""
    header = (packet[0] & 0xF) * 4
    source, destination, sequence, _, _, flags = struct.unpack_from("!HHIIBB", packet, header)
    if server not in (source, destination):
        return None
    client = destination if source == server else source
    return {"client": client, "flags": flags, "sent": sent, "sequence": sequence}


def main(server: int) -> None:
    with capture_socket() as sock:
        print(json.dumps({"ready": True}), flush=True)
        heard: list[tuple[bytes, bool]] = []
        ended = False
        while True:
            readable, _, _ = select.select(
                [sock] if ended else [sock, sys.stdin], [], [], 0 if ended else None
            )
            if sock in readable:
                packet, (_, protocol, kind, *_) = sock.recvfrom(128)
                if protocol == ETH_P_IP:
                    heard.append((packet, kind == socket.PACKET_OUTGOING))
            elif ended:
                break
            ended = ended or sys.stdin in readable
        seen, dropped = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    for packet, sent in heard:
        line = describe(packet, sent, server)
        if line:
            print(json.dumps(line))
    print(json.dumps({"seen": seen, "dropped": dropped}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
