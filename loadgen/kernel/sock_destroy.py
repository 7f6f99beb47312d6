"""Ending TCP sockets without their programs, over NETLINK_SOCK_DIAG (SOCK_DESTROY, linux/sock_diag.h).

The kernel ends a socket as if by an abort: a RST is sent if the route to the peer lets it, and the program
reads ECONNABORTED (tcp_abort() in net/ipv4/tcp.c). It needs CAP_NET_ADMIN in the namespace, and
CONFIG_INET_DIAG_DESTROY.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

from loadgen.kernel.socket_table import NUMBERS
from loadgen.tcp import State

_NETLINK_SOCK_DIAG = 4
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_SOCK_DIAG_BY_FAMILY, _SOCK_DESTROY = 20, 21

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48s")  # inet_diag_req_v2: family, protocol, extensions, states, id
_ERROR = struct.Struct("=i")
_ID = slice(_HEADER.size + 4, _HEADER.size + 52)  # inet_diag_sockid, behind four bytes of inet_diag_msg
_NOBODY = bytes(48)
_ALL_BUT_LISTENERS = sum(
    1 << number for state, numbers in NUMBERS.items() if state is not State.LISTEN for number in numbers
)
_RECEIVE_BYTES = 1 << 16
_TIMEOUT_S = 5


def available() -> bool:
    """Whether this kernel can: it is asked for a socket that does not exist. Raises OSError."""
    with _netlink() as asked:
        return _destroy(asked, socket.AF_INET, _NOBODY) != errno.EOPNOTSUPP


def destroy_connections() -> None:
    """End every TCP socket of the calling thread's namespace but the listeners.

    One that has ended by itself meanwhile is passed over. Raises OSError.
    """
    with _netlink() as asked:
        for family in (socket.AF_INET, socket.AF_INET6):
            # All of them are known before the first is destroyed: a dump goes through a table that changes.
            for one in list(_ids(asked, family)):
                code = _destroy(asked, family, one)
                if code not in (0, errno.ENOENT):
                    raise OSError(code, os.strerror(code))


def _netlink() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    made.settimeout(_TIMEOUT_S)
    return made


def _send(asked: socket.socket, kind: int, flags: int, family: int, one: bytes) -> None:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ALL_BUT_LISTENERS, one)
    asked.send(_HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | flags, 0, 0) + body)


def _ids(asked: socket.socket, family: int) -> Iterator[bytes]:
    """The inet_diag_sockid of each socket, with its cookie, so that no other one can be taken for it."""
    _send(asked, _SOCK_DIAG_BY_FAMILY, _NLM_F_DUMP, family, _NOBODY)
    while True:
        buffer = asked.recv(_RECEIVE_BYTES)
        while buffer:
            length, kind, _, _, _ = _HEADER.unpack_from(buffer)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = _ERROR.unpack_from(buffer, _HEADER.size)
                raise OSError(-code, os.strerror(-code))
            yield buffer[_ID]
            buffer = buffer[(length + 3) & ~3 :]


def _destroy(asked: socket.socket, family: int, one: bytes) -> int:
    """The errno that the kernel answers by; 0 if the socket is gone."""
    _send(asked, _SOCK_DESTROY, _NLM_F_ACK, family, one)
    (code,) = _ERROR.unpack_from(asked.recv(_RECEIVE_BYTES), _HEADER.size)
    return -code
