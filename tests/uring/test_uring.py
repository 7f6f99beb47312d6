"""The ring alone, on the running kernel; and the programs that the driver writes into it."""

import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.drivers.http import http
from loadgen.drivers.plan import ClosedLoop, Plan, Timeouts
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring import able
from loadgen.drivers.uring.client import UringClient
from loadgen.drivers.uring.connections import SlotAttempt
from loadgen.drivers.uring.judge import BAD, Judge
from loadgen.drivers.uring.load import (
    BATCH_NS,
    MOST_STARTS,
    MOST_WAITED,
    START_BUDGET_NS,
    ClosedUringLoad,
    UringLoad,
)
from loadgen.drivers.uring.program import STEP_BITS, Program, Step
from loadgen.drivers.uring.programs import Programs, receive_buffers
from loadgen.drivers.uring.slots import Table
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending, Failure, Fault, How, Phase, Side
from loadgen.uring import abi, offer
from loadgen.uring.offer import Offer
from loadgen.uring.ring import Ring

SECOND_NS = 1_000_000_000


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(8, 16)
    yield made
    made.close()


def words(entries: NDArray[Any]) -> NDArray[np.uint64]:
    return entries.view(np.uint64).reshape(-1, abi.WORDS)


def polls(*descriptors: int) -> NDArray[Any]:
    """An entry each that completes once the descriptor is readable; its user data is the descriptor."""
    entries = np.zeros(len(descriptors), abi.SQE)
    entries["opcode"] = abi.Op.POLL_ADD
    entries["fd"] = entries["user_data"] = descriptors
    entries["op_flags"] = select.POLLIN
    return entries


def test_what_is_ready_completes_and_what_is_not_waits(ring: Ring) -> None:
    (ready, written), (waiting, later) = os.pipe(), os.pipe()
    os.write(written, b"x")
    ring.push(words(polls(ready, waiting)))
    assert ring.room == 6
    ring.enter(1, SECOND_NS)
    assert ring.room == 8
    (first,) = ring.reap()
    assert (first["user_data"], first["res"] & select.POLLIN) == (ready, select.POLLIN)
    # Nothing comes: the time limit ends the wait, and is no error.
    ring.enter(1, 1_000_000)
    assert len(ring.reap()) == 0
    os.write(later, b"x")
    ring.enter(1, SECOND_NS)
    assert ring.reap()["user_data"].tolist() == [waiting]
    for descriptor in (ready, written, waiting, later):
        os.close(descriptor)


def test_both_rings_wrap_round(ring: Ring) -> None:
    """Batches of 5 through rings of 8 and 16 entries, each answered whole and in its turn."""
    read, write = os.pipe()
    os.write(write, b"x")
    for turn in range(20):
        entries = polls(*[read] * 5)
        entries["user_data"] = np.arange(5) + 5 * turn
        ring.push(words(entries))
        ring.enter(5, SECOND_NS)
        assert sorted(ring.reap()["user_data"].tolist()) == list(range(5 * turn, 5 * turn + 5))
    os.close(read)
    os.close(write)


def test_a_failed_link_answers_alone_where_success_is_skipped(ring: Ring) -> None:
    """What the driver builds on: one answer a chain, by the entry that failed."""
    entries = polls(9999, 9999, 9999)
    entries["user_data"] = [1, 2, 3]
    entries["flags"][:2] = abi.Flag.LINK | abi.Flag.CQE_SKIP_SUCCESS
    ring.push(words(entries))
    ring.enter(1, SECOND_NS)
    ring.enter()
    assert [(int(each["user_data"]), int(each["res"])) for each in ring.reap()] == [(1, -errno.EBADF)]


def test_the_table_of_files_is_bounded_by_the_limit_of_descriptors(ring: Ring) -> None:
    with pytest.raises(OSError, match="Too many open files"):
        ring.register_files(1 << 30)
    ring.register_files(4)


def test_a_close_sends_its_fin_at_once_where_the_offer_says_so(ring: Ring) -> None:
    """Whatever this kernel does: while a request is pending on another file of the table, and after it."""
    closes_at_once = offer.offer().closes_at_once
    read, write = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    ring.register_open((read, client.fileno()))
    client.close()
    pending, close = polls(0), np.zeros(1, abi.SQE)
    pending["flags"] = abi.Flag.FIXED_FILE
    close["opcode"], close["file_index"] = abi.Op.CLOSE, 2
    pending["user_data"], close["user_data"] = 1, 2
    ring.push(words(np.concatenate((pending, close))))
    ring.enter(1, SECOND_NS)
    assert [(int(each["user_data"]), int(each["res"])) for each in ring.reap()] == [(2, 0)]
    seen, _, _ = select.select([peer], [], [], 5 if closes_at_once else 0.05)
    assert bool(seen) == closes_at_once
    os.write(write, b"x")
    ring.enter(1, SECOND_NS)
    assert ring.reap()["user_data"].tolist() == [1]
    peer.settimeout(5)
    assert peer.recv(1) == b""
    peer.close()
    os.close(read)
    os.close(write)


def test_nothing_is_left_of_what_the_kernel_was_asked() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    assert offer.offer().refusal == ""
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_ring_that_the_kernel_refuses_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        Ring(1 << 30, 1 << 30)


@pytest.mark.parametrize(
    ("code", "level", "told"),
    [
        (errno.ENOSYS, None, "has no io_uring, or a seccomp filter"),
        (errno.EINVAL, None, "older than Linux 6.1"),
        (errno.EPERM, "2", "kernel.io_uring_disabled is 2"),
        (errno.EPERM, "0", "seccomp"),
        (errno.EPERM, None, "seccomp"),
        (errno.ENOMEM, None, "Cannot allocate memory"),
    ],
)
def test_a_refusal_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, level: str | None, told: str
) -> None:
    def refuse(*_: object) -> Ring:
        raise OSError(code, os.strerror(code))

    if level is not None:
        (tmp_path / "disabled").write_text(level + "\n")
    monkeypatch.setattr(offer, "Ring", refuse)
    monkeypatch.setattr(offer, "DISABLED", tmp_path / "disabled")
    assert told in offer.offer().refusal


@pytest.mark.parametrize(
    ("offered", "sources", "told"),
    [
        (Offer("no"), 1, "no"),
        (Offer("", able.NEEDED, True, True), 1, ""),
        (Offer("", able.NEEDED, False, True), 1, "Linux 6.7"),
        (Offer("", able.NEEDED, True, False), 1, "puts off closes"),
        (Offer("", able.NEEDED - {abi.Op.SOCKET}, True, True), 1, "lacks SOCKET"),
        (Offer("", able.NEEDED, True, True), 2, "Linux 6.11"),
        (Offer("", able.NEEDED | {abi.Op.BIND}, True, True), 2, ""),
    ],
)
def test_an_obstacle_is_named(
    monkeypatch: pytest.MonkeyPatch, offered: Offer, sources: int, told: str
) -> None:
    monkeypatch.setattr(able, "offer", lambda: offered)
    found = able.obstacle(sources > 1)
    assert told in found
    assert bool(found) == bool(told)


# ---- an attempt alone in its slot


class NoLoad(UringLoad):
    """Nothing is to follow."""

    def __init__(self) -> None:
        pass

    def leaving(self, slot: int) -> None:
        pass

    def ended(self, attempt: SlotAttempt) -> None:
        pass


def nothing(_: socket.socket) -> None:
    pass


def end(peer: socket.socket) -> None:
    peer.close()


def speak(peer: socket.socket) -> None:
    peer.send(b"and more")


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize(
    ("act", "ending", "failures"),
    [
        (nothing, Ending.CLIENT_FIN, {}),
        (end, Ending.SERVER_FIN, {}),
        (speak, Ending.CLIENT_RST, {Failure(Phase.CLOSE, Fault.MALFORMED): 1}),
        (reset, Ending.SERVER_RST, {Failure(Phase.CLOSE, "ECONNRESET"): 1}),
    ],
)
def test_what_the_kernel_says_at_a_close_decides_what_it_is(
    ring: Ring, act: Callable[[socket.socket], None], ending: Ending, failures: dict[Failure, int]
) -> None:
    asked = plan(Ending.CLIENT_FIN)
    tally = Tally(asked.loop)
    client = UringClient(asked, tally, ring, Programs(asked, http(asked), receive_buffers(3)))
    client.attach(NoLoad())
    client.table.known[0] = True
    attempt = client.slow.adopt(0, Phase.CLOSE, set())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            act(peer)
            attempt.finish()
            attempt.completed(Step.OPEN, sock.detach())
    attempt.completed(Step.CLOSE, 0)
    assert tally.endings == {ending: 1}
    assert tally.errors == failures
    assert tally.succeeded == (not failures)


def test_the_time_estimated_in_connect_is_no_more_than_there_was(ring: Ring) -> None:
    """Of a few timed calls one that was held up counts for many."""
    asked = plan(Ending.CLIENT_FIN)
    tally = Tally(asked.loop)
    client = UringClient(asked, tally, ring, Programs(asked, http(asked), receive_buffers(3)))
    tally.attempts = 1_000_000
    client._connects.enter()
    for most_ns in (1_000, 1):
        client.estimate_connecting(most_ns)
        assert tally.connecting_ns == most_ns


# ---- what is read of a response


def test_a_head_says_what_is_missing_and_no_other_bytes_are_compared() -> None:
    buffers = receive_buffers(4)
    judge = Judge(buffers, http(plan(Ending.SERVER_FIN)), Side.SERVER)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    another = head.replace(b"100", b"900")
    for slot, response in enumerate((head + bytes(100), head + b"x", another, b"HTTP/1.1 503 No\r\n\r\n")):
        buffers[slot, : len(response)] = np.frombuffer(response, np.uint8)
    lengths = np.array([len(head) + 100, len(head) + 1, len(another), 23], np.int32)
    last = np.zeros(4, np.bool_)
    for _ in range(2):
        assert judge.missing(np.arange(4), lengths, last).tolist() == [0, 99, 900, BAD]
    # More than the kernel's answer, an int of 32 bits, could count.
    endless = head.replace(b"100", b"1000000000000000")
    buffers[:2, : len(endless)] = np.frombuffer(endless, np.uint8)
    lengths[:2] = len(endless)
    for _ in range(2):
        assert judge.missing(np.arange(2), lengths[:2], last[:2]).tolist() == [10**15, 10**15]
    for slot in range(2):
        buffers[slot, : len(head)] = np.frombuffer(head, np.uint8)
    lengths[:2] = len(head) + 100, len(head) + 1
    assert judge.missing(np.arange(2), lengths[:2], last[:2]).tolist() == [0, 99]
    # A byte more than is announced, or a head in part.
    lengths[:2] = len(head) + 101, 20
    assert judge.missing(np.arange(4), lengths, last).tolist() == [BAD, BAD, 900, BAD]


# ---- programs


def plan(ending: Ending, sources: int = 1, connections: int = 3) -> Plan:
    return Plan(
        driver=Driver.URING,
        sources=tuple(f"192.0.2.{number}" for number in range(1, sources + 1)),
        destinations=("192.0.2.100",),
        port=80,
        http="1.1",
        requests=2,
        ending=ending,
        think_ns=0,
        loop=ClosedLoop(connections),
        duration_ns=1,
        interval_ns=1,
        timeouts=Timeouts(1, 1, 1, 1),
        seed=1,
    )


def programs(ending: Ending, sources: int = 1) -> Programs:
    asked = plan(ending, sources)
    return Programs(asked, http(asked), receive_buffers(3))


def steps(entries: NDArray[Any]) -> list[int]:
    return [value & (1 << STEP_BITS) - 1 for value in entries["user_data"].tolist()]


def chain(made: Programs, program: Program) -> NDArray[Any]:
    """One slot's entries."""
    return made.entries(program, np.array([2]), Table(3)).view(abi.SQE).reshape(-1)


def test_a_short_chain_answers_once_where_the_client_closes() -> None:
    entries = chain(programs(Ending.CLIENT_FIN), Program.OPEN_LAST)
    assert steps(entries) == [Step.SOCKET, Step.OPTION, Step.CONNECT, Step.SEND, Step.RECV]
    silent = (entries["flags"] & abi.Flag.CQE_SKIP_SUCCESS) > 0
    linked = (entries["flags"] & abi.Flag.LINK) > 0
    assert silent.tolist() == linked.tolist() == [True, True, True, True, False]
    assert (entries["user_data"] >> STEP_BITS).tolist() == [2] * 5
    assert entries["file_index"][0] == 3


def test_the_last_exchange_waits_for_the_server_to_close() -> None:
    made = programs(Ending.SERVER_FIN)
    assert steps(chain(made, Program.NEXT_KEEP)) == [Step.SEND, Step.RECV]
    last = chain(made, Program.NEXT_LAST)
    assert steps(last) == [Step.SEND, Step.RECV, Step.EOF]
    assert (last["flags"] & abi.Flag.CQE_SKIP_SUCCESS).astype(bool).tolist() == [True, False, False]
    assert last["op_flags"][2] == socket.MSG_PEEK


@pytest.mark.parametrize("ending", [Ending.CLIENT_FIN, Ending.CLIENT_RST])
def test_a_client_that_closes_looks_first_and_closes_whatever_it_saw(ending: Ending) -> None:
    entries = chain(programs(ending), Program.FINISH)
    lingering = [Step.NOTHING] if ending.how is How.RST else []
    assert steps(entries) == [Step.PEEK, *lingering, Step.CLOSE]
    assert all(entries["flags"][:-1] & abi.Flag.HARDLINK)


def test_several_sources_are_bound_in_turn() -> None:
    made = programs(Ending.CLIENT_FIN, sources=2)
    table = Table(3)
    table.path[:] = 0, 1, 0
    entries = made.entries(Program.OPEN_KEEP, np.array([0, 1, 2]), table).view(abi.SQE)
    entries = entries.reshape(3, made.length(Program.OPEN_KEEP))
    assert Step.BIND in steps(entries[0])
    bound = entries["addr"][:, steps(entries[0]).index(Step.BIND)]
    assert bound[0] == bound[2] != bound[1]


def test_a_request_tells_the_last_from_the_others() -> None:
    made = programs(Ending.SERVER_FIN)
    keep, last = (chain(made, program)[0] for program in (Program.NEXT_KEEP, Program.NEXT_LAST))
    assert keep["len"] < last["len"]


class Crowd:
    """A client that takes whatever is opened, and nothing ever answers."""

    def __init__(self, tally: Tally, slots: int) -> None:
        self.table = Table(slots)
        self.slow: tuple[SlotAttempt, ...] = ()
        self.opened: list[int] = []
        self.intended: list[int] = []
        self.discarded: list[int] = []
        self._tally = tally

    def open(self, slots: NDArray[np.int64], intended_ns: NDArray[np.int64]) -> None:
        self.opened.append(len(slots))
        self.intended += intended_ns.tolist()
        self._tally.in_flight += len(slots)

    def discard(self, slots: NDArray[np.int64]) -> None:
        self.discarded += slots.tolist()

    def finish(self, slots: NDArray[np.int64]) -> None:
        assert not len(slots)


def test_a_crowd_is_opened_and_waited_for_a_part_at_a_time() -> None:
    asked = plan(Ending.CLIENT_FIN, connections=MOST_STARTS * 9 // 2)
    loop = ClosedLoop(asked.loop.connections)
    tally = Tally(loop)
    load = ClosedUringLoad(asked, loop, tally, loop.connections)
    crowd: Any = Crowd(tally, loop.connections)
    load.client = crowd
    load.begin(7)
    for left in (True, True, True, True, False):
        load.due(0)
        # Those opened are seen to before there are more, and without a wait.
        assert load.wait_limit(0) == ((tally.in_flight, 0) if left else (MOST_WAITED, BATCH_NS))
    assert crowd.opened == [*[MOST_STARTS] * 4, MOST_STARTS // 2]
    assert set(crowd.intended) == {7}
    # Where each takes long, fewer are opened in a turn.
    load.started(10, 10 * START_BUDGET_NS)
    load.free(np.arange(100))
    load.due(0)
    assert crowd.opened[-1] == 1


def test_finished_connections_stay_in_their_slots_only_if_the_next_turns_replace_them() -> None:
    asked = plan(Ending.SERVER_FIN, connections=MOST_STARTS * 4)
    loop = ClosedLoop(asked.loop.connections)
    tally = Tally(loop)
    load = ClosedUringLoad(asked, loop, tally, loop.connections)
    crowd: Any = Crowd(tally, loop.connections)
    load.client = crowd
    load.begin(7)
    load.due(0)
    load.due(0)
    load.gone(np.arange(MOST_STARTS * 2, MOST_STARTS * 4))
    load.due(0)
    assert crowd.discarded == []
    load.gone(np.arange(MOST_STARTS * 2))
    load.due(0)
    # Of three turns' worth, this turn has replaced the oldest, and the next has the second.
    assert crowd.discarded == list(range(MOST_STARTS, MOST_STARTS * 2))
    for _ in range(2):
        load.due(0)
    assert crowd.opened == [MOST_STARTS] * 6
    # Whichever slots they get, the longest wait is the first to end.
    assert crowd.intended == sorted(crowd.intended)
    load.end()
    assert len(crowd.discarded) == MOST_STARTS
