"""Several workers of one server: what they share, what they count together, and how they end."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from loadgen.engine import child
from loadgen.engine.child import ChildDiedError, Children, Program
from loadgen.engine.server_pool import ServerPool, start_server
from loadgen.lab.lab import open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Topology
from loadgen.tcp import Ending
from servers.behaviour import Behaviour
from servers.plan import Kind, Plan
from tests.command import LIMIT_S, Done, Running, eventually

CLIENT_CLOSES = Behaviour(Ending.CLIENT_FIN, 1)
T = TypeVar("T")


class Pool(ServerPool):
    """A pool that keeps what it is called with."""

    def __init__(self, workers: Any) -> None:
        self.reports: list[tuple[str, str]] = []
        self.reported = asyncio.Event()
        super().__init__(
            workers,
            accept_failed=lambda worker, error: self._keep(worker.what, error),
            gap=lambda worker, _: self._keep(worker.what, "gap"),
            died=lambda death: self._keep(death.what, death.how),
        )

    def _keep(self, what: str, report: str) -> None:
        self.reports.append((what, report))
        self.reported.set()


def of_a_pool(plan: Plan, workers: int, look: Callable[[Pool], Awaitable[T]]) -> T:
    """What `look` finds of a server of so many workers on the host's loopback."""

    async def main() -> T:
        with open_lab(client_server_lab(Topology.HOST)) as host:
            async with asyncio.timeout(LIMIT_S), Children(host) as children:
                programs = [Program(each.name, "servers", each) for each in plan.divided(workers)]
                return await look(Pool(await start_server(children, programs)))

    return asyncio.run(main())


def plan_for(port: int = 0, kind: Kind = Kind.PROTOCOL) -> Plan:
    return Plan(kind, CLIENT_CLOSES, ("127.0.0.1", "127.0.0.2"), port)


def ask(port: int, host: str = "127.0.0.1") -> None:
    with socket.create_connection((host, port), timeout=LIMIT_S) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("kind", [Kind.PROTOCOL, Kind.AIOHTTP])
def test_all_share_a_port_that_the_kernel_picks_and_their_counts_are_one(kind: Kind) -> None:
    async def look(pool: Pool) -> tuple[Pool, list[int]]:
        port = await pool.ready()
        at_rest = [descriptors(pid) for pid in pool.pids]
        socks = [socket.create_connection((f"127.0.0.{1 + number % 2}", port)) for number in range(64)]
        for sock in socks:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.to_thread(sock.recv, 15)
        opened = [descriptors(pid) - least for pid, least in zip(pool.pids, at_rest, strict=True)]
        for sock in socks:
            sock.close()
        pool.stop()
        await pool.run()
        return pool, opened

    pool, opened = of_a_pool(plan_for(kind=kind), 2, look)
    assert min(opened) > 4
    assert pool.served.accepted == pool.served.exchanges == 64
    assert pool.lost is None


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_a_worker_that_dies_is_named_and_the_other_goes_on() -> None:
    async def look(pool: Pool) -> Pool:
        port = await pool.ready()
        running = asyncio.create_task(pool.run())
        os.kill(pool.pids[0], signal.SIGKILL)
        await pool.reported.wait()
        await asyncio.to_thread(ask, port)
        pool.stop()
        await running
        return pool

    pool = of_a_pool(plan_for(), 2, look)
    assert pool.reports == [("server worker 1 of 2", "by SIGKILL")]
    assert (pool.served.accepted, pool.lost) == (1, None)


def test_if_all_end_unasked_the_server_is_lost() -> None:
    async def look(pool: Pool) -> Pool:
        await pool.ready()
        for pid, number in zip(pool.pids, (signal.SIGTERM, signal.SIGKILL), strict=True):
            os.kill(pid, number)
        await pool.run()
        return pool

    pool = of_a_pool(plan_for(), 2, look)
    assert set(pool.reports) == {
        ("server worker 1 of 2", "with exit status 0"),
        ("server worker 2 of 2", "by SIGKILL"),
    }
    assert pool.lost is not None


def test_a_worker_that_does_not_end_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.engine.server_pool.GRACE_S", 0.5)
    assert child.GRACE_S > 0.5

    async def look(pool: Pool) -> Pool:
        await pool.ready()
        os.kill(pool.pids[1], signal.SIGSTOP)
        pool.stop()
        await pool.run()
        return pool

    pool = of_a_pool(plan_for(), 2, look)
    assert pool.reports == [("server worker 2 of 2", "by SIGKILL")]
    assert pool.lost is None


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_a_foreign_server_has_is_an_error_that_names_it(shares: bool) -> None:
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        foreign.bind(("127.0.0.2", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        with pytest.raises(ChildDiedError) as caught:
            of_a_pool(plan_for(port), 2, ServerPool.ready)
    assert (caught.value.what, caught.value.code) == ("server worker 1 of 2", 2)
    assert f"Address already in use: '127.0.0.2 port {port}'" in caught.value.stderr


def test_a_worker_that_is_held_up_is_named_unless_the_others_are_still_starting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def hold(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(pid, signal.SIGCONT)

    async def look(pool: Pool) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        first, second = pool.pids
        os.kill(second, signal.SIGSTOP)
        ready = asyncio.create_task(pool.ready())
        await asyncio.to_thread(eventually, lambda: listens(port), "the first did not listen")
        await hold(first)
        await asyncio.to_thread(ask, port)
        await asyncio.sleep(0.6)  # It looks every half second, and reports then.
        os.kill(second, signal.SIGCONT)
        await ready
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(0.1)
        before = list(pool.reports)
        await hold(first)
        await pool.reported.wait()
        pool.stop()
        await running
        return before, pool.reports

    before, after = of_a_pool(plan_for(port), 2, look)
    assert before == []
    assert ("server worker 1 of 2", "gap") in after


def listens(port: int) -> bool:
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


# ---- churn serve


@contextmanager
def served(workers: int) -> Iterator[tuple[Running, dict[str, Any]]]:
    with Running("serve", "--port", 0, "--workers", workers) as serving:
        assert serving.process.stdout
        listening = json.loads(serving.process.stdout.readline())
        assert len(listening["pids"]) == workers
        yield serving, listening


def printed(done: Done) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if line["type"] != "gap"]


def test_by_hand_a_worker_that_dies_is_a_line_and_the_other_serves_on() -> None:
    with served(2) as (serving, listening):
        os.kill(listening["pids"][1], signal.SIGKILL)
        assert serving.process.stdout
        exited = json.loads(serving.process.stdout.readline())
        ask(listening["port"])
        serving.process.send_signal(signal.SIGTERM)
        done = serving.finish()
    assert exited == {"type": "worker_exited", "pid": listening["pids"][1], "status": -signal.SIGKILL}
    assert done.code == 0, done.said
    assert [(line["type"], line["accepted"]) for line in printed(done)] == [("served", 1)]


def test_by_hand_without_any_worker_it_ends_and_says_so() -> None:
    with served(2) as (serving, listening):
        for pid in listening["pids"]:
            os.kill(pid, signal.SIGKILL)
        done = serving.finish()
    assert done.code == 1, done.said
    assert "all workers have failed" in done.stderr
    assert [line["type"] for line in printed(done)] == ["worker_exited", "worker_exited", "served"]


def test_by_hand_a_kill_leaves_no_worker() -> None:
    with served(3) as (serving, _):
        serving.process.kill()
        serving.finish()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_by_hand_a_stop_signal_while_it_starts_ends_it_in_order(number: int) -> None:
    with Running("serve", "--port", 0, "--workers", 2) as serving:
        children = Path(f"/proc/{serving.process.pid}/task/{serving.process.pid}/children")
        eventually(lambda: children.read_text().split(), "no worker was started")
        time.sleep(0.05)
        serving.process.send_signal(number)
        done = serving.finish()
    assert done.code == 0, done.said
    assert done.stderr == ""
    assert printed(done)[-1]["type"] == "served"
