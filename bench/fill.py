"""A program for the client's side of a lab: leaves TIME-WAITs there.

    python fill.py COUNT PORT FIRST LAST ADDRESS...

Connects and closes first, COUNT times, to the addresses in turn. Each socket has a port range of one
(IP_LOCAL_PORT_RANGE, K9): connect() has nothing to search, so the cliff (K8) does not slow this down,
and the port is as free for other paths as if connect() had picked it. The ports of one parity come
first, as the kernel takes them.
"""

import socket
import struct
import sys
from collections.abc import Iterator
from itertools import chain, islice

IP_LOCAL_PORT_RANGE = 51
"""<linux/in.h>, Linux 6.3."""


def paths(count: int, first: int, last: int, addresses: list[str]) -> Iterator[tuple[str, int]]:
    """`count` pairs of address and local port, the addresses in turn; fewer if there are no more."""
    ports = chain(range(first, last + 1, 2), range(first + 1, last + 1, 2))
    return islice(((address, port) for port in ports for address in addresses), count)


def main() -> None:
    count, port, first, last = map(int, sys.argv[1:5])
    for address, local in paths(count, first, last, sys.argv[5:]):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", local << 16 | local))
            sock.connect((address, port))
            sock.shutdown(socket.SHUT_WR)
            # Wait for the server's FIN: without that its accept queue would overflow, and drop connections.
            sock.recv(1)


if __name__ == "__main__":
    main()
