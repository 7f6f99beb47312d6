"""The client's pool and bursts of arrivals: what they allow, and what contradicts them."""

from pathlib import Path

import pytest

from loadgen.engine import plans
from loadgen.scenario.choices import Arrivals, Driver
from loadgen.scenario.schema import resolved, restore
from tests.scenario.test_kept import problems, read

OPEN = "open_loop: {rate: 100/s}"
BURSTS = "open_loop: {rate: 100/s, arrivals: bursts, burst: 10}"
KEPT = "connection: {requests: 9}"


def test_what_is_written_survives_a_run_directory(tmp_path: Path) -> None:
    scenario = read(tmp_path, f"title: t\n{KEPT}\nload: {{{BURSTS}, pool: {{idle: 2}}}}")
    assert restore(resolved(scenario)) == scenario
    (variant,) = scenario.variants
    assert variant.load.pool
    assert variant.load.open_loop
    found = variant.load.pool.idle, variant.load.open_loop.arrivals, variant.load.open_loop.burst
    assert found == (2, Arrivals.BURSTS, 10)


def test_auto_takes_the_driver_that_has_a_pool_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans.able, "obstacle", lambda _: "")
    for pool, choice in (
        (", pool: {idle: 2}", plans.Choice(Driver.PROTOCOL, "the uring driver cannot follow load.pool")),
        ("", plans.Choice(Driver.URING)),
    ):
        (variant,) = read(tmp_path, f"title: t\n{KEPT}\nload: {{{BURSTS}{pool}}}").variants
        assert plans.choice(variant) == choice


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"load: {{{OPEN}, pool: {{idle: 2}}}}",
            "2:40: load.pool: keeps idle connections, and with one request on each none is ever idle;"
            " raise connection.requests, or remove the key",
        ),
        (
            f"{KEPT}\nload: {{closed_loop: {{connections: 4}}, pool: {{idle: 2}}}}",
            "3:45: load.pool: in a closed loop each connection is used again by its own client, and the pool"
            " closes none; write load.open_loop: {rate: 100/s}, or remove the key",
        ),
        (
            f"{KEPT}\nload: {{{OPEN}, pool: {{idle: 2}}, driver: uring}}",
            "3:59: load.driver: the uring driver cannot follow load.pool;"
            " write load.driver: auto or protocol",
        ),
        (
            f"{KEPT}\nload: {{{OPEN}, pool: {{idle: 2}}, driver: aiohttp}}",
            "3:59: load.driver: the aiohttp driver cannot follow load.pool;"
            " write load.driver: auto or protocol",
        ),
        (
            f"{KEPT}\nload: {{driver: command, command: [a], pool: {{idle: 2}}}}",
            "3:45: load.pool: a command decides this by itself;"
            " remove the key, and configure it in the command or its files",
        ),
        (
            f"{KEPT}\nload: {{{OPEN}, pool: {{idle: 10001}}}}",
            "3:47: load.pool.idle: the load has at most 10,000 connections, so that no more are ever idle;"
            " lower load.pool.idle, or raise load.open_loop.connections",
        ),
        (
            f"connection: {{requests: 9, close: half}}\nload: {{{OPEN}, pool: {{idle: 2}}}}",
            "3:40: load.pool: what its pool has no place for, the client closes by FIN or RST, and not by"
            " `close: half`; use closer: client or server with close: fin or rst, or remove the key",
        ),
        (
            f"{KEPT}\nload: {{workers: 3, {OPEN}, pool: {{idle: 2}}}}",
            "3:17: load.workers: 3 load workers share a pool of 2, and some have no place in it;"
            " use fewer workers, or raise load.pool.idle",
        ),
        (
            f"{KEPT}\nload: {{{OPEN}, pool: {{idle: 0}}}}",
            '3:47: load.pool.idle: expected a whole number from 1 to 60000, got "0"',
        ),
        (
            f"{KEPT}\nload: {{{OPEN}, pool: {{}}}}",
            "3:40: load.pool.idle: is required; add idle: to this mapping",
        ),
        (
            "load: {open_loop: {rate: 100/s, arrivals: bursts}}",
            "2:43: load.open_loop.arrivals: how many arrive at one instant is not said;"
            " write open_loop: {arrivals: bursts, burst: 50}",
        ),
        (
            "load: {open_loop: {rate: 100/s, burst: 5}}",
            "2:40: load.open_loop.burst: is the size of a burst, and arrivals is constant;"
            " write arrivals: bursts, or remove the key",
        ),
        (
            "load: {open_loop: {rate: 100/s, arrivals: bursts, burst: 1}}",
            '2:58: load.open_loop.burst: expected a whole number from 2 to 60000, got "1"',
        ),
        (
            "load: {open_loop: {rate: 2/s, arrivals: bursts, burst: 50}}",
            "2:56: load.open_loop.burst: the load has 20 requests, and one burst 50;"
            " lower load.open_loop.burst, or load for longer",
        ),
        (
            "load: {stages: [{for: 5s, rate: 2/s}, {for: 5s, rate: 4/s}],"
            " open_loop: {arrivals: bursts, burst: 31}}",
            "2:99: load.open_loop.burst: the load has 30 requests, and one burst 31;"
            " lower load.open_loop.burst, or load for longer",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    message, _, hint = problem.partition("; ")
    assert problems(tmp_path, f"title: t\n{text}") == [f"{message} ({hint})" if hint else message]
