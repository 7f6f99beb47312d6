"""Servers that close by themselves, each way of it on a port of its own: some before they have read anything.

`python -m tests.drivers.closing HOST` prints, as one JSON object, the port of each of `WAYS`, and serves
until its stdin ends. Here things race on purpose: which end a connection
comes to is luck, and the kernel knows it.
"""

import json
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def unread_at_once(_: socket.socket) -> None:
    """A FIN, or a RST where the request was faster."""


def unread(connection: socket.socket) -> None:
    """A RST: the request is here, and unread (K4)."""
    select.select([connection], [], [])


def read(connection: socket.socket) -> None:
    connection.recv(4096)


def answered_unread(connection: socket.socket) -> None:
    """The response, then a FIN, or a RST where the request was faster."""
    connection.sendall(OK)


def answered(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(OK)


def answered_and_announced(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(OK_CLOSE)


def answered_and_reset(connection: socket.socket) -> None:
    answered(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


WAYS: tuple[Callable[[socket.socket], None], ...] = (
    unread_at_once,
    unread,
    read,
    answered_unread,
    answered,
    answered_and_announced,
    answered_and_reset,
)
"""What each does between accept() and close()."""


def serve(listener: socket.socket, way: Callable[[socket.socket], None]) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                way(connection)
            except ConnectionError:
                # The client was first.
                continue


def main(host: str) -> None:
    ports: dict[str, int] = {}
    for way in WAYS:
        listener = socket.create_server((host, 0), backlog=1024)
        threading.Thread(target=serve, args=(listener, way), daemon=True).start()
        ports[getattr(way, "__name__", "")] = listener.getsockname()[1]
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
