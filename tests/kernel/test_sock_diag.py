"""sock_diag: bytes the kernel once sent, and the present kernel against `ss` in every TCP state."""

import errno
import json
import socket
import struct
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.kernel import sock_diag, socket_table
from loadgen.kernel.procfile import ParseError
from loadgen.kernel.sock_diag import SockDiag
from loadgen.kernel.socket_table import SocketTable
from loadgen.tcp import State
from tests.kernel import tcp_states
from tests.peers import need

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "sock_diag"
MESSAGE = struct.Struct("=IHHII")
DUMP_INTERRUPTED = 0x10

SS_NAMES = {"ESTAB": State.ESTABLISHED, "SYN-RECV": State.SYN_RECEIVED}


def captured(name: str) -> bytes:
    """A receive buffer, stored as hexadecimal digits, one message a line."""
    return bytes.fromhex((FIXTURES / f"{name}.hex").read_text())


def table(*names: str) -> SocketTable:
    return sock_diag.join([sock_diag.parse(captured(name)) for name in names])


def flagged(buffer: bytes, flags: int) -> bytes:
    """`buffer` with `flags` set on its first message."""
    length, kind, before, sequence, port = MESSAGE.unpack_from(buffer)
    return MESSAGE.pack(length, kind, before | flags, sequence, port) + buffer[MESSAGE.size :]


def test_messages_of_different_lengths() -> None:
    sockets = table("mixed", "done")
    assert sockets.counts() == tcp_states.LEFT
    assert len(sockets) == sum(tcp_states.LEFT.values())
    assert sockets.fin_wait_2_minisockets() == 1
    assert not sockets.interrupted


def test_messages_of_one_length() -> None:
    sockets = table("time_wait", "done")
    assert sockets.counts() == {State.TIME_WAIT: 3}
    assert sockets.fin_wait_2_minisockets() == 0, "timer 3 alone is no FIN-WAIT-2"
    assert sockets.timer.tolist() == [3, 3, 3]


def test_the_predecessor_of_the_request_answers_alike() -> None:
    sockets = table("both", "done")
    assert sockets.counts() == {State.FIN_WAIT_2: 8}
    assert sockets.fin_wait_2_minisockets() == 2


def test_many_messages_of_one_length_read_as_each_alone() -> None:
    buffer = captured("time_wait")
    alone = [buffer[start : start + len(buffer) // 3] for start in range(0, len(buffer), len(buffer) // 3)]
    joined = sock_diag.join([sock_diag.parse(message) for message in alone])
    np.testing.assert_array_equal(joined.local_port, table("time_wait").local_port)


def test_ports_are_in_host_byte_order() -> None:
    buffer = captured("time_wait")
    ports = [
        struct.unpack_from(">HH", buffer, start + 20) for start in range(0, len(buffer), len(buffer) // 3)
    ]
    sockets = table("time_wait")
    assert list(zip(sockets.local_port.tolist(), sockets.remote_port.tolist(), strict=True)) == ports
    assert sockets.local_port.dtype == sockets.remote_port.dtype == np.uint16


def test_select_tells_the_ends_apart_by_port() -> None:
    sockets = table("mixed")
    port = int(sockets.remote_port[np.flatnonzero(sockets.timer == 3)[0]])
    assert sockets.select(local_port=port).counts() == tcp_states.LEFT_SERVER
    assert sockets.select(remote_port=port).counts() == tcp_states.LEFT_CLIENT
    assert sockets.select().counts() == sockets.counts()
    assert sockets.select(local_port=port - 1, count=2).counts() == tcp_states.LEFT_SERVER
    assert sockets.select(remote_port=port - 2, count=2).counts() == {}
    assert len(sockets.select(local_port=port, remote_port=port)) == 0


def test_bytes_unread_in_close_wait_are_counted_without_the_fin() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, SockDiag() as diag:
        port = listener.getsockname()[1]
        pairs: list[tuple[socket.socket, socket.socket]] = []
        for sent in (b"", b"read", b"unread", b"unread too"):
            client = socket.create_connection(("127.0.0.1", port))
            pairs.append((client, listener.accept()[0]))
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            if sent == b"read":
                assert pairs[-1][1].recv(4) == sent
        try:
            mine = diag.dump(socket.AF_INET, State).select(local_port=port)
            assert mine.counts()[State.CLOSE_WAIT] == 4
            assert mine.unread() == (2, len(b"unread" + b"unread too"))
        finally:
            for client, accepted in pairs:
                accepted.close()
                client.close()


def test_the_end_of_a_dump() -> None:
    part = sock_diag.parse(captured("done"))
    assert part.done
    assert len(part.heads) == 0
    assert not sock_diag.parse(captured("mixed")).done
    both = sock_diag.parse(captured("mixed") + captured("done"))
    assert both.done
    assert len(both.heads) == sum(tcp_states.LEFT.values())


@pytest.mark.parametrize("before", ["", "mixed", "time_wait"])
def test_an_error_is_the_kernels_errno(before: str) -> None:
    buffer = (captured(before) if before else b"") + captured("error")
    with pytest.raises(FileNotFoundError):
        sock_diag.parse(buffer)


def test_a_dump_that_ends_badly_is_the_kernels_errno() -> None:
    done = captured("done")[: MESSAGE.size] + struct.pack("=i", -errno.EMFILE)
    with pytest.raises(OSError, match="sock_diag") as caught:
        sock_diag.parse(done)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("name", ["mixed", "time_wait", "done"])
def test_a_change_under_the_dump_is_told(name: str) -> None:
    part = sock_diag.parse(flagged(captured(name), DUMP_INTERRUPTED))
    assert part.interrupted
    assert sock_diag.join([sock_diag.parse(captured("mixed")), part]).interrupted


@pytest.mark.parametrize("name", ["mixed", "time_wait", "error"])
def test_a_truncated_buffer_is_an_error_or_ends_between_messages(name: str) -> None:
    buffer = captured(name)
    whole = len(sock_diag.parse(buffer).heads) if name != "error" else 0
    for end in range(len(buffer)):
        with suppress(ParseError):
            assert 0 < len(sock_diag.parse(buffer[:end]).heads) < whole


def test_another_kind_of_message_is_an_error() -> None:
    for name in ("time_wait", "done"):
        length, _, *rest = MESSAGE.unpack_from(captured(name))
        buffer = MESSAGE.pack(length, 99, *rest) + captured(name)[MESSAGE.size :]
        with pytest.raises(ParseError, match="type 99"):
            sock_diag.parse(buffer)


def test_every_number_is_of_a_state() -> None:
    states = [socket_table.state_numbered(number) for number in range(1, 13)]
    assert set(states) == set(State)
    assert states[3 - 1] is states[12 - 1] is State.SYN_RECEIVED
    with pytest.raises(ValueError, match="13"):
        socket_table.state_numbered(13)


def test_an_empty_message_does_not_hold_the_parser_up() -> None:
    with pytest.raises(ParseError):
        sock_diag.parse(bytes(64))


@pytest.fixture(scope="module")
def kernel() -> dict[str, Any]:
    """What `tests.kernel.tcp_states` found in a namespace of its own."""
    need("ip", "ss", "unshare")
    command = ["unshare", "-Urn", sys.executable, "-m", "tests.kernel.tcp_states"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout)


def twice(counts: dict[State, int]) -> dict[str, int]:
    return {state.value: 2 * count for state, count in counts.items()}


def test_every_state_is_seen_in_both_families(kernel: dict[str, Any]) -> None:
    assert kernel["families"] == {"AF_INET": tcp_states.LEFT, "AF_INET6": tcp_states.LEFT}
    assert kernel["both"] == twice(tcp_states.LEFT)
    assert not kernel["interrupted"]


def test_counts_agree_with_ss(kernel: dict[str, Any]) -> None:
    names = [line.split()[0] for line in kernel["ss"].splitlines()]
    assert kernel["both"] == Counter(SS_NAMES.get(name, name) for name in names)


def test_a_mask_brings_its_state_and_no_other(kernel: dict[str, Any]) -> None:
    for state in State:
        expected = 2 * tcp_states.LEFT.get(state, 0)
        assert kernel["each"][state.value] == ({state.value: expected} if expected else {})


def test_time_wait_is_had_without_walking_it(kernel: dict[str, Any]) -> None:
    assert State.TIME_WAIT.value not in kernel["cheap"]
    assert kernel["minisockets"] == 2
    assert kernel["tw"] == kernel["both"]["TIME-WAIT"] + 2
    assert kernel["time_wait"] == kernel["both"]["TIME-WAIT"]


def test_ports_tell_the_ends_apart(kernel: dict[str, Any]) -> None:
    assert kernel["server"] == tcp_states.LEFT_SERVER
    assert kernel["client"] == tcp_states.LEFT_CLIENT


def test_an_error_leaves_the_socket_usable(kernel: dict[str, Any]) -> None:
    assert kernel["error"] == errno.ENOENT
