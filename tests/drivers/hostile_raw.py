"""Servers of raw TCP that misbehave once the first request has come.

Requests are of `ASK` bytes, responses of `SIZE`.

`python -m tests.drivers.hostile_raw HOST` prints, as one JSON object, the port of each, and serves until its
stdin ends.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.drivers.misbehaving import (
    LONG,
    PIECE_S,
    end_before_response,
    hold,
    idle,
    reset,
    reset_before_response,
    stall,
    write_and_end,
)

ASK, SIZE = 16, 8
GOOD = b"answered"


async def request(reader: StreamReader) -> None:
    await reader.readexactly(ASK)


async def reset_in_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD[:-1])
    await asyncio.sleep(PIECE_S)
    reset(writer)


async def end_in_response(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD[:-1])
    writer.close()


async def end_in_long(_: StreamReader, writer: StreamWriter) -> None:
    writer.write(bytes(LONG - 1))
    writer.close()


async def stall_in_response(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD[:-1])
    await hold(reader)


async def trailing(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD + b"!")
    await hold(reader)


async def trailing_later(reader: StreamReader, writer: StreamWriter) -> None:
    """The byte comes while the close is waited for, or the next request."""
    writer.write(GOOD)
    if await idle(reader):
        writer.write(b"!")
        await hold(reader)


async def end_idle(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD)
    await idle(reader)
    writer.close()


async def reset_idle(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD)
    if await idle(reader):
        reset(writer)


async def end_at_second(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(GOOD)
    await request(reader)
    writer.close()


async def end_with_response(_: StreamReader, writer: StreamWriter) -> None:
    write_and_end(writer, GOOD)


async def never_close(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        await answer(reader, writer, GOOD)


async def in_pieces(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, GOOD[:3], GOOD[3:-1], GOOD[-1:])


async def each_differs(reader: StreamReader, writer: StreamWriter) -> None:
    """No two responses have a byte in common."""
    for byte in range(256):
        writer.write(bytes([byte]) * SIZE)
        await request(reader)


async def long(reader: StreamReader, writer: StreamWriter) -> None:
    await answer(reader, writer, bytes(LONG))


async def answer(reader: StreamReader, writer: StreamWriter, *pieces: bytes) -> None:
    """Answer in these pieces, every request of the connection."""
    while True:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(PIECE_S)
        await request(reader)


BEHAVIOURS: dict[str, Callable[[StreamReader, StreamWriter], Awaitable[None]]] = {
    behaviour.__name__: behaviour
    for behaviour in (
        reset_before_response,
        reset_in_response,
        end_before_response,
        end_in_response,
        end_in_long,
        stall,
        stall_in_response,
        trailing,
        trailing_later,
        end_idle,
        reset_idle,
        end_at_second,
        end_with_response,
        never_close,
        in_pieces,
        each_differs,
        long,
    )
}


async def main(host: str) -> None:
    ports: dict[str, int] = {}
    async with AsyncExitStack() as held:
        for name, behaviour in BEHAVIOURS.items():

            async def connected(
                reader: StreamReader,
                writer: StreamWriter,
                behaviour: Callable[..., Awaitable[None]] = behaviour,
            ) -> None:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    await request(reader)
                    await behaviour(reader, writer)
                writer.close()

            server = await held.enter_async_context(await asyncio.start_server(connected, host, 0))
            ports[name] = server.sockets[0].getsockname()[1]
        print(json.dumps(ports), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
