"""A program for the client's side of a lab: leaves TIME-WAITs there, so many and on so many paths.

    python fill.py COUNT PORT FIRST LAST ADDRESS...

Connects and closes first, COUNT times, to the addresses in turn. connect() is told its port, by a range
of one (IP_LOCAL_PORT_RANGE, K9): it has nothing to search, so the cliff (K8) does not slow this down,
and the port is as free for other paths as if connect() had picked it. The ports of one parity come
first, as the kernel takes them.
"""

import socket
import struct
import sys
from collections.abc import Iterator

IP_LOCAL_PORT_RANGE = 51
"""<linux/in.h>, Linux 6.3."""


def ports_in_order(first: int, last: int) -> Iterator[int]:
    """All of the range, those at an even distance from its start before the others."""
    yield from range(first, last + 1, 2)
    yield from range(first + 1, last + 1, 2)


def paths(count: int, first: int, last: int, addresses: list[str]) -> Iterator[tuple[str, int]]:
    """`count` pairs of address and local port, the addresses in turn."""
    made = 0
    for port in ports_in_order(first, last):
        for address in addresses:
            if made == count:
                return
            made += 1
            yield address, port


def main() -> None:
    count, port, first, last = map(int, sys.argv[1:5])
    for address, local in paths(count, first, last, sys.argv[5:]):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", local << 16 | local))
            sock.connect((address, port))
            sock.shutdown(socket.SHUT_WR)
            # Until the server's FIN: who ran ahead would fill its accept queue, which drops what has no room.
            sock.recv(1)


if __name__ == "__main__":
    main()
