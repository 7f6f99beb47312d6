"""Hostile servers, by name: what a client may meet that no well-meant server does.

`SERVERS` has all of them, those of `tests.drivers.misbehaving` among them. Each is an asyncio handler and has
the connection from its accept on; it returns once the client has left, or after it has ended the connection.
`AT_ACCEPT` are functions that end a connection in the moment of its accept, before any loop turns.

`python -m tests.drivers.hostile HOST` prints, as one JSON object, the port of each of them and of
`unanswered`, and serves until its stdin ends. `serve` does the same inside another program.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.drivers.misbehaving import BEHAVIOURS, OK, PIECE_S, answer, hold, request, reset, write_and_end

Handler = Callable[[StreamReader, StreamWriter], Awaitable[None]]

BLOCK = 64 * 1024
"""What is written at once of something endless."""


def head(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body


CHUNKED = head("Transfer-Encoding: chunked")
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
BODY = b"Content-Length: 2\r\n\r\nok"

ANSWERS = {
    # Other protocols, and other versions of this one.
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "http_0_9": b"<html>ok</html>\r\n",
    "http_1_2": b"HTTP/1.2 200 OK\r\n" + BODY,
    "http_2_0": b"HTTP/2.0 200 OK\r\n" + BODY,
    "http_2_frames": b"\0\0\x06\4\0\0\0\0\0\0\3\0\0\0\x64" + b"\0\0\0\4\1\0\0\0\0",
    "tls": b"\x15\x03\x01\x00\x02\x02\x16",
    "nul_bytes": bytes(64),
    # Before the response.
    "continued_only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "continued": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "informed_often": HINTS * 100 + OK,
    # The status.
    "status_of_two_digits": b"HTTP/1.1 20 OK\r\n" + BODY,
    "status_of_four_digits": b"HTTP/1.1 2000 OK\r\n" + BODY,
    "status_999": b"HTTP/1.1 999 Unknown\r\n" + BODY,
    # More than was asked for.
    "twice": OK + OK,
    "once_and_a_half": OK + OK[:20],
    "byte_behind": OK + b"\0",
    "line_behind": OK + b"\r\n",
    "behind_chunks": CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + OK,
    "no_content_with_body": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "not_modified_with_body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
    # The body's length.
    "lengths_that_differ": head("Content-Length: 2", "Content-Length: 3", body=b"ok"),
    "length_twice": head("Content-Length: 2", "Content-Length: 2", body=b"ok"),
    "length_listed": head("Content-Length: 2, 2", body=b"ok"),
    "length_negative": head("Content-Length: -2", body=b"ok"),
    "length_signed": head("Content-Length: +2", body=b"ok"),
    "length_in_hex": head("Content-Length: 0x2", body=b"ok"),
    "length_empty": head("Content-Length: ", body=b"ok"),
    "length_of_20_digits": head("Content-Length: " + "9" * 20, body=b"ok"),
    "length_of_30_digits": head("Content-Length: " + "9" * 30, body=b"ok"),
    "length_never_met": head("Content-Length: 1000000000000", body=b"ok"),
    "length_and_chunks": head(
        "Content-Length: 2", "Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"
    ),
    "unknown_coding": head("Transfer-Encoding: gzip", body=b"ok"),
    # Chunks.
    "chunk_size_is_no_number": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "chunk_size_negative": CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
    "chunk_size_huge": CHUNKED + b"f" * 40 + b"\r\nok\r\n",
    "chunk_longer_than_its_size": CHUNKED + b"1\r\nok\r\n0\r\n\r\n",
    # Fields.
    "field_without_colon": head("Content-Length 2", body=b"ok"),
    "field_with_space_before_colon": head("Content-Length : 2", body=b"ok"),
    "field_with_nul": head("X: a\0b", "Content-Length: 2", body=b"ok"),
    "field_folded": head("X: a", " b", "Content-Length: 2", body=b"ok"),
    "long_head": head("X: " + "y" * 100_000, "Content-Length: 2", body=b"ok"),
    "bare_line_feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "not_in_the_coding_it_names": head("Content-Encoding: gzip", "Content-Length: 2", body=b"ok"),
    # Errors, each of them whole.
    "status_500": b"HTTP/1.1 500 Internal Server Error\r\n" + BODY,
    "status_429": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n" + BODY,
}
"""The bytes that answer each request, in one piece; the connection is held."""

ENDED = {
    "http_0_9_and_end": b"<html>ok</html>\r\n",
    "end_in_informed": b"HTTP/1.1 103 Early",
    "end_behind_informed": HINTS,
    "end_in_chunk_size": CHUNKED + b"2",
    "end_in_chunk": CHUNKED + b"9\r\nok",
    "end_between_chunks": CHUNKED + b"2\r\nok\r\n",
    "end_in_trailer": CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n",
}
"""The bytes that answer the first request, with the FIN in the same segment."""

ENDLESS = {
    "endless_status_line": (b"HTTP/1.1 200 ", b"O" * BLOCK),
    "endless_field": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * BLOCK),
    "endless_head": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * (BLOCK // 6)),
    "endless_informed": (b"", HINTS * (BLOCK // len(HINTS))),
    "endless_body": (head(), b"z" * BLOCK),
    "endless_length": (head("Content-Length: 1000000000000000"), b"z" * BLOCK),
    "endless_chunks": (CHUNKED, b"%x\r\n%b\r\n" % (BLOCK, b"z" * BLOCK)),
    "endless_small_chunks": (CHUNKED, b"400\r\n%b\r\n" % (b"z" * 1024) * (BLOCK // 1024)),
    "endless_chunk_size": (CHUNKED, b"0" * BLOCK),
    "endless_chunk_extension": (CHUNKED + b"2;", b"x" * BLOCK),
    "endless_trailer": (CHUNKED + b"0\r\n", b"X: y\r\n" * (BLOCK // 6)),
    "endless_responses": (b"", OK * (BLOCK // len(OK))),
    "endless_error": (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"z" * BLOCK),
}
"""What begins the answer, and what follows for ever, as fast as the client reads."""


def answering(data: bytes) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter) -> None:
        await request(reader)
        await answer(reader, writer, data)

    return handler


def going_on(first: bytes, block: bytes) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter) -> None:
        await request(reader)
        writer.write(first)
        while True:
            writer.write(block)
            await writer.drain()

    return handler


def ending(data: bytes) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter) -> None:
        await request(reader)
        write_and_end(writer, data)

    return handler


def once_asked(behaviour: Handler) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter) -> None:
        await request(reader)
        await behaviour(reader, writer)

    return handler


async def reset_is_length(reader: StreamReader, writer: StreamWriter) -> None:
    """A body that the end of the connection is to end, and a RST in its place."""
    await request(reader)
    writer.write(head(body=b"until the end"))
    await asyncio.sleep(PIECE_S)
    reset(writer)


async def drip(reader: StreamReader, writer: StreamWriter) -> None:
    """A head that never ends, byte by byte."""
    await request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(PIECE_S)


async def never_reads(reader: StreamReader, _: StreamWriter) -> None:
    """It reads nothing, so that it does not see the client leave by FIN."""
    await asyncio.sleep(10)
    await hold(reader)


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(BLOCK):
        writer.write(data)
        await writer.drain()


def named(*behaviours: Handler) -> dict[str, Handler]:
    return {getattr(behaviour, "__name__", ""): behaviour for behaviour in behaviours}


SERVERS: dict[str, Handler] = {
    **{name: once_asked(behaviour) for name, behaviour in named(*BEHAVIOURS).items()},
    **{name: answering(data) for name, data in ANSWERS.items()},
    **{name: going_on(*pieces) for name, pieces in ENDLESS.items()},
    **{name: ending(data) for name, data in ENDED.items()},
    **named(reset_is_length, drip, never_reads, echo),
}


def reset_at_accept(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end_at_accept(sock: socket.socket) -> None:
    """By FIN, or by RST where the request has come (K4); the request that comes later gets a RST too."""
    sock.close()


AT_ACCEPT = {"reset_at_accept": reset_at_accept, "end_at_accept": end_at_accept}


async def serve(host: str, held: AsyncExitStack) -> dict[str, int]:
    """Serve all of them until `held` is closed; gives the port of each."""
    loop = asyncio.get_running_loop()
    ports: dict[str, int] = {}
    for name, handler in SERVERS.items():

        async def connected(reader: StreamReader, writer: StreamWriter, handler: Handler = handler) -> None:
            # However the client takes it.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
            writer.close()

        server = await held.enter_async_context(await asyncio.start_server(connected, host, 0))
        ports[name] = server.sockets[0].getsockname()[1]
    for name, end in AT_ACCEPT.items():
        listener = held.enter_context(socket.create_server((host, 0), backlog=1000))
        listener.setblocking(False)

        def accept(listener: socket.socket = listener, end: Callable[[socket.socket], None] = end) -> None:
            with contextlib.suppress(OSError):
                end(listener.accept()[0])

        loop.add_reader(listener, accept)
        held.callback(loop.remove_reader, listener)
        ports[name] = listener.getsockname()[1]
    # An accept queue of one, filled: further SYNs get no answer (K15).
    full = held.enter_context(socket.create_server((host, 0), backlog=0))
    held.enter_context(socket.create_connection(full.getsockname()))
    ports["unanswered"] = full.getsockname()[1]
    return ports


async def main(host: str) -> None:
    async with AsyncExitStack() as held:
        print(json.dumps(await serve(host, held)), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        # The connections still held are the kernel's to end.
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
