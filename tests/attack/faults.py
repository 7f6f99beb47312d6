"""Ways in which a file of a run can be damaged; each takes the randomness and the file."""

import base64
import os
import random
import re
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

VALUES: tuple[bytes, ...] = (
    *(
        b"NaN",
        b"Infinity",
        b"-1",
        b"-0.5",
        b"1.5",
        b"1e2",
        b"1e999",
        b"true",
        b"null",
        b'"7"',
        b'""',
        b"{}",
        b"[]",
    ),
    *(
        b"9" * 19,
        b"9" * 30,
        b"9" * 5000,
        b"9007199254740993",
        b"\xff",
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b"0",
        b"",
    ),
    *(b"[" * 100_000, b"[" * 400 + b"]" * 400, b'{"a":' * 50_000, b'{"a":' * 300 + b"1" + b"}" * 300),
)
TOKEN = re.compile(rb'-?\d+(?:\.\d+)?|true|false|null|"[^"]*"')

Damage = Callable[[random.Random, Path], None]
"""What one way of damage does to a file."""


def bits(rng: random.Random, path: Path) -> None:
    """One bit is flipped."""
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def noise(rng: random.Random, path: Path) -> None:
    """A few bytes are others."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    data[at : at + 16] = rng.randbytes(16)
    path.write_bytes(data)


def cut(rng: random.Random, path: Path) -> None:
    """The end is missing."""
    os.truncate(path, rng.randrange(path.stat().st_size))


def hole(rng: random.Random, path: Path) -> None:
    """A block of the disk came back as zeros."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    data[at : at + 512] = bytes(len(data[at : at + 512]))
    path.write_bytes(data)


def _lines(change: Callable[[random.Random, list[bytes]], None]) -> Damage:
    def damage(rng: random.Random, path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        change(rng, lines)
        path.write_bytes(b"".join(lines))

    damage.__name__, damage.__doc__ = change.__name__, change.__doc__
    return damage


@_lines
def swapped(rng: random.Random, lines: list[bytes]) -> None:
    """Two lines have changed places."""
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


@_lines
def doubled(rng: random.Random, lines: list[bytes]) -> None:
    """A line is there twice."""
    at = rng.randrange(len(lines))
    lines.insert(at, lines[at])


@_lines
def lost(rng: random.Random, lines: list[bytes]) -> None:
    """Some lines in a row are missing."""
    at = rng.randrange(len(lines))
    del lines[at : at + rng.randint(1, len(lines))]


@_lines
def joined(rng: random.Random, lines: list[bytes]) -> None:
    """A newline is missing."""
    at = rng.randrange(len(lines))
    lines[at] = lines[at].rstrip(b"\n")


@_lines
def valued(rng: random.Random, lines: list[bytes]) -> None:
    """A value, or a key, is another."""
    at = rng.randrange(len(lines))
    tokens = list(TOKEN.finditer(lines[at]))
    if tokens:
        start, end = rng.choice(tokens).span()
        lines[at] = lines[at][:start] + rng.choice(VALUES) + lines[at][end:]


@_lines
def renamed(rng: random.Random, lines: list[bytes]) -> None:
    """A key is missing, or unknown."""
    at = rng.randrange(len(lines))
    keys = list(re.finditer(rb'"[^"]*":(?:[^,{}\[\]]+,)?', lines[at]))
    if keys:
        start, end = rng.choice(keys).span()
        with_other = b"" if rng.random() < 0.5 else b'"unheard_of":0,'
        lines[at] = lines[at][:start] + with_other + lines[at][end:]


@_lines
def long(rng: random.Random, lines: list[bytes]) -> None:
    """A line is very long."""
    lines.insert(rng.randrange(len(lines)), rng.choice((b"x", b" ", b"[", b"9", b'"')) * 20_000_000 + b"\n")


@_lines
def many(rng: random.Random, lines: list[bytes]) -> None:
    """Very many lines are bad."""
    lines.insert(rng.randrange(len(lines)), rng.choice((b"\n", b"{}\n", b"[]\n", b"Tag=x\n")) * 5_000_000)


@_lines
def bomb(rng: random.Random, lines: list[bytes]) -> None:
    """A histogram grows to gigabytes when it is unpacked, or claims to be another than it is."""
    header = struct.pack(
        ">IIIIQQd", 0x1C849313, 1 << 31, 0, rng.choice((3, 5)), 1, rng.choice((1, 1 << 62)), 1.0
    )
    packed = zlib.compress(header + bytes(rng.choice((0, 100, 1 << 29))), 9)
    text = base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed)
    lines.insert(rng.randrange(len(lines) + 1), b"Tag=connect,0.000,1.000,1.000," + text + b"\n")


def fifo(rng: random.Random, path: Path) -> None:  # noqa: ARG001
    path.unlink()
    os.mkfifo(path)


def folder(rng: random.Random, path: Path) -> None:  # noqa: ARG001
    path.unlink()
    path.mkdir()


def loop(rng: random.Random, path: Path) -> None:  # noqa: ARG001
    path.unlink()
    path.symlink_to(path.name)


def device(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/dev/full", "/dev/tty", "/dev/random")))


def socket_(rng: random.Random, path: Path) -> None:  # noqa: ARG001
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # The path of a socket is 107 bytes at most.
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def gone(rng: random.Random, path: Path) -> None:  # noqa: ARG001
    path.unlink()


def huge(rng: random.Random, path: Path) -> None:  # noqa: ARG001
    """The file goes on for a terabyte of nothing."""
    os.truncate(path, 1 << 40)


WAYS: tuple[tuple[Damage, int], ...] = (
    *((bits, 8), (noise, 2), (cut, 3), (hole, 1), (swapped, 2), (doubled, 1), (lost, 3), (joined, 1)),
    *((valued, 12), (renamed, 4), (long, 1), (many, 1), (fifo, 1), (folder, 1), (loop, 1)),
    *((device, 1), (socket_, 1), (gone, 1), (huge, 1)),
)
"""Each way and its weight."""
