"""Connections are of no protocol: one that is not HTTP is answered, closed and counted by the same code."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from loadgen.tcp import Ending, How
from loadgen.wire.served import Served
from servers.application import Application
from servers.behaviour import Behaviour
from servers.connection import Service
from servers.listener import Listener, bound_sockets, listen
from servers.plan import Kind, Plan
from servers.protocol import connection_factory

SIZE = 4


class Record(NamedTuple):
    """What is answered: the record itself, four bytes."""

    data: bytes
    closes: bool
    malformed: bool


class RecordReader:
    """Reads records of four bytes, however they come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Sequence[bytes]:
        self._rest += data
        whole = len(self._rest) // SIZE * SIZE
        records, self._rest = self._rest[:whole], self._rest[whole:]
        return [records[start : start + SIZE] for start in range(0, whole, SIZE)]


def echo(behaviour: Behaviour) -> Application:
    def reply(request: bytes, exchange: int, stopping: bool) -> Record:
        malformed = request == b"evil"
        return Record(request, malformed or stopping or exchange == behaviour.requests, malformed)

    def bytes_of(record: Record) -> bytes:
        return record.data

    return Application({}, RecordReader, reply, bytes_of)


@pytest.mark.parametrize("how", How)
def test_a_protocol_of_fixed_records(how: How) -> None:
    behaviour = Behaviour(Ending.of(Ending.SERVER_FIN.side, how), requests=3)

    async def main() -> tuple[list[bytes], Served]:
        loop = asyncio.get_running_loop()
        (sock,) = bound_sockets(Plan(Kind.PROTOCOL, behaviour, ("127.0.0.1",)))
        listen(sock, 8)
        service = Service(behaviour, echo(behaviour), loop)
        listener = Listener(sock, loop, connection_factory(service), lambda _: None)
        listener.start()
        answers = [
            await asyncio.to_thread(exchange, sock.getsockname(), pieces)
            for pieces in ([b"on", b"e.two.", b"end."], [b"evil"], [b"one."])
        ]
        listener.close()
        service.stop()
        await service.emptied.wait()
        return answers, service.served

    answers, served = asyncio.run(asyncio.wait_for(main(), 10))
    assert answers == [b"one.two.end.", b"evil", b"one."]
    by_fin = how is How.FIN
    assert replace(served, sent_bytes=0, received_bytes=0) == Served(
        3, 4, fin=2 * by_fin, rst=2 * (not by_fin), peer_fin=1, malformed=1
    )


def exchange(address: tuple[str, int], pieces: Sequence[bytes]) -> bytes:
    """Send these one by one; what came back until the server's end, or all of it."""
    received = b""
    with socket.create_connection(address, timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        while len(received) < sum(map(len, pieces)):
            received += sock.recv(64)
        if received != b"one.":
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
    return received
