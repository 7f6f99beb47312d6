"""Servers that misbehave once the first request has come, for tests of the load side.

`tests.drivers.hostile` serves each on a port of its own. What a client sees of a behaviour is no matter
of luck: where two things would race, one waits.
"""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
LONG = 3_000_000
"""Bytes of a body that no driver reads in one piece."""
LONG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG
PIECE_S = 0.02
"""So long what was sent has time to be read, before more comes or a RST that would destroy it."""
IDLE_S = 0.1
"""So long a connection idles before the server does what it does to it."""


async def request(reader: StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def hold(reader: StreamReader) -> None:
    """Until the client gives up."""
    await reader.read()


async def idle(reader: StreamReader) -> bool:
    """Let the connection idle. False where the client has ended it meanwhile."""
    await asyncio.sleep(IDLE_S)
    return not (reader.at_eof() or reader.exception())


def reset(writer: StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def write_and_end(writer: StreamWriter, data: bytes) -> None:
    """The data and the FIN in one segment: who has read the one knows of the other."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    writer.write(data)
    writer.close()


async def reset_before_response(_: StreamReader, writer: StreamWriter) -> None:
    reset(writer)


async def reset_in_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:-1])
    await asyncio.sleep(PIECE_S)
    reset(writer)


async def end_before_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.close()


async def end_in_body(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:-1])
    writer.close()


async def end_in_head(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:20])
    writer.close()


async def stall(reader: StreamReader, _: StreamWriter) -> None:
    await hold(reader)


async def stall_in_response(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK[:-1])
    await hold(reader)


async def malformed(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    await hold(reader)


async def malformed_and_end(_: StreamReader, writer: StreamWriter) -> None:
    write_and_end(writer, b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


async def trailing(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"and more\r\n")
    await hold(reader)


async def unavailable(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    await hold(reader)


async def unavailable_and_end(_: StreamReader, writer: StreamWriter) -> None:
    write_and_end(
        writer, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


async def unavailable_is_length(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\nuntil the end")
    writer.close()


async def end_idle(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await idle(reader)
    writer.close()


async def reset_idle(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    if await idle(reader):
        reset(writer)


async def speak_idle(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    if await idle(reader):
        writer.write(OK)
        await hold(reader)


async def end_at_second(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await request(reader)
    writer.close()


async def reset_at_second(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await request(reader)
    reset(writer)


async def end_with_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK_CLOSE)
    writer.close()


async def end_is_length(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    writer.close()


async def never_close(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK_CLOSE)
    await hold(reader)


async def answer(reader: StreamReader, writer: StreamWriter, *pieces: bytes) -> None:
    """Answer in these pieces, every request of the connection."""
    while True:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(PIECE_S)
        await request(reader)


async def in_pieces(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, OK[:20], OK[20:-2], OK[-2:-1], OK[-1:])


async def head_then_body(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, OK[:-2], OK[-2:])


async def chunked(reader: StreamReader, writer: StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    await answer(reader, writer, head, b"2\r\nok\r\n4\r\n an", b"d\r\n0\r\n", b"\r\n")


async def informed(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK)


async def no_content(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, b"HTTP/1.1 204 No Content\r\n\r\n")


async def redirect(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")


async def long(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, LONG_HEAD + bytes(LONG))


async def long_chunked(reader: StreamReader, writer: StreamWriter) -> None:
    chunk = b"%x\r\n" % (LONG // 10) + bytes(LONG // 10) + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    await answer(reader, writer, head + 10 * chunk + b"0\r\n\r\n")


async def long_is_length(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(LONG))
    writer.close()


async def long_and_end(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(LONG_HEAD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + bytes(LONG))
    writer.close()


async def of_all_lengths(reader: StreamReader, writer: StreamWriter) -> None:
    """No response is as long as the one before; two heads of a kind are equally long, too."""
    while True:
        for length in (30_000, 10, 90_000, 0, LONG, 10_000):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + bytes(length))
            await request(reader)


async def end_in_long(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(LONG_HEAD + bytes(LONG - 1))
    writer.close()


async def reset_in_long(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(LONG_HEAD + bytes(LONG // 2))
    await writer.drain()
    await asyncio.sleep(PIECE_S)
    reset(writer)


async def stall_in_long(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(LONG_HEAD + bytes(LONG // 2))
    await hold(reader)


async def in_pieces_and_end(_: StreamReader, writer: StreamWriter) -> None:
    for piece in (OK_CLOSE[:20], OK_CLOSE[20:-2]):
        writer.write(piece)
        await asyncio.sleep(PIECE_S)
    write_and_end(writer, OK_CLOSE[-2:])


BEHAVIOURS: tuple[Callable[[StreamReader, StreamWriter], Awaitable[None]], ...] = (
    reset_before_response,
    reset_in_response,
    end_before_response,
    end_in_body,
    end_in_head,
    stall,
    stall_in_response,
    malformed,
    malformed_and_end,
    trailing,
    unavailable,
    unavailable_and_end,
    unavailable_is_length,
    end_idle,
    reset_idle,
    speak_idle,
    end_at_second,
    reset_at_second,
    end_with_response,
    end_is_length,
    never_close,
    in_pieces,
    head_then_body,
    chunked,
    informed,
    no_content,
    redirect,
    in_pieces_and_end,
    long,
    long_chunked,
    long_is_length,
    long_and_end,
    of_all_lengths,
    end_in_long,
    reset_in_long,
    stall_in_long,
)
"""What each does once the first request has come."""
