"""Classic BPF for packets that begin with their IP header: which segments of TCP a socket receives."""

import socket
import struct
from collections.abc import Collection, Sequence

SNAP_BYTES = 256
"""What is kept of a packet: its headers, with all options at most 120 bytes, and the begin of its data."""

# linux/bpf_common.h
_LOAD_BYTE, _LOAD_BYTE_AT_X, _LOAD_HALF_AT_X = 0x30, 0x50, 0x48
_SHIFT_RIGHT, _X_IS, _X_IS_IP_HEADER = 0x74, 0x01, 0xB1
_JUMP, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x05, 0x15, 0x45, 0x06

_HERE, _ACCEPT, _DROP = "", "accept", "drop"
_Line = tuple[int, str, str, int, str]
"""An instruction, where it leads if its test holds and if not, its operand, and its own label."""


def tcp_filter(server: int | None = None, clients: Collection[int] = (), flags: int = 0) -> bytes:
    """Segments of TCP over IPv4 or IPv6: those from or to the `server` port, of these `clients` ports (none:
    of any), with one of these `flags` (0: with any or none). Compiled, as SO_ATTACH_FILTER takes it.
    """
    lines: list[_Line] = [
        _line(_LOAD_BYTE, operand=0),
        _line(_SHIFT_RIGHT, operand=4),
        _line(_IF_EQUAL, "v4", _HERE, 4),
        _line(_IF_EQUAL, _HERE, _DROP, 6),
        _line(_LOAD_BYTE, operand=6),
        _line(_IF_EQUAL, _HERE, _DROP, socket.IPPROTO_TCP),
        _line(_X_IS, operand=40),
        (_JUMP, "tcp", "", 0, ""),
        _line(_LOAD_BYTE, operand=9, label="v4"),
        _line(_IF_EQUAL, _HERE, _DROP, socket.IPPROTO_TCP),
        _line(_X_IS_IP_HEADER, operand=0),
        _line(_LOAD_BYTE_AT_X, operand=13, label="tcp"),
    ]
    if flags:
        lines.append(_line(_IF_ANY_BIT, _HERE, _DROP, flags))
    if server is not None:
        lines += [
            _line(_LOAD_HALF_AT_X, operand=0),
            _line(_IF_EQUAL, "from server", _HERE, server),
            _line(_LOAD_HALF_AT_X, operand=2),
            _line(_IF_EQUAL, _HERE, _DROP, server),
            _line(_LOAD_HALF_AT_X, operand=0),
            (_JUMP, "client", "", 0, ""),
            _line(_LOAD_HALF_AT_X, operand=2, label="from server"),
        ]
        checks = [_line(_IF_EQUAL, _ACCEPT, _HERE, port) for port in sorted(clients)]
        if checks:
            checks[-1] = _line(_IF_EQUAL, _ACCEPT, _DROP, sorted(clients)[-1])
        checks = checks or [(_JUMP, _ACCEPT, "", 0, "")]
        lines += [(*checks[0][:4], "client"), *checks[1:]]
    lines += [_line(_RETURN, operand=SNAP_BYTES, label=_ACCEPT), _line(_RETURN, operand=0, label=_DROP)]
    return _assembled(lines)


def _line(code: int, then: str = "", other: str = "", operand: int = 0, label: str = "") -> _Line:
    return code, then, other, operand, label


def _assembled(lines: Sequence[_Line]) -> bytes:
    """The instructions with their jumps counted: each is relative to the next one, and forward."""
    places = {label: place for place, (*_, label) in enumerate(lines) if label}
    program = b""
    for place, (code, then, other, operand, _) in enumerate(lines):
        true, false = (places[name] - place - 1 if name else 0 for name in (then, other))
        if code == _JUMP:
            true, operand = 0, true
        program += struct.pack("=HBBI", code, true, false, operand)
    return program
