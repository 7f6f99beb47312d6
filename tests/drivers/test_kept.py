"""What becomes of a request on a kept connection that the server has closed meanwhile."""

from collections.abc import Iterator

import pytest

from loadgen.drivers.plan import ClosedLoop
from loadgen.lab.topology import client_server_lab
from loadgen.tcp import Ending, Side
from loadgen.wire.keepalive import Keepalive
from tests.drivers.driving import MS_NS, Bench, Driven, bench

IDLE_NS = 60 * MS_NS
PAUSE_NS = 200 * MS_NS
"""Long after the server's timeout, however busy the machine."""
LEFT_NS = 2_400 * MS_NS
"""As long as the server waits for an answer to its FIN (servers/connection.py), and more."""

CLIENT_FIN, CLIENT_RST, SERVER_FIN, SERVER_RST, _ = Ending


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


def driven(on: Bench, ending: Ending, **changed: object) -> Driven:
    """A load of pauses that are longer than the server's timeout, audited."""
    asked: dict[str, object] = {
        "requests": 5,
        "think_ns": PAUSE_NS,
        "loop": ClosedLoop(6),
        "duration_ns": 500 * MS_NS,
        **changed,
    }

    async def main() -> Driven:
        async with (
            on.audited() as loads,
            on.serving(ending, 5, idle_timeout_ns=IDLE_NS) as (server, port),
        ):
            loads += await on.drive_all(server, on.plan(port, ending, **asked))
        return loads[0]

    found = on.run(main())
    found.check()
    return found


@pytest.mark.parametrize("ending", [CLIENT_FIN, SERVER_FIN])
def test_a_client_that_looks_loses_nothing(pair: Bench, ending: Ending) -> None:
    found = driven(pair, ending)
    assert found.errors == {}
    assert found.total("exchanges") == found.total("attempts") > 6
    assert found.total("retries") == 0
    assert "server_fin" in found.closes


@pytest.mark.parametrize(
    ("ending", "lost", "first"),
    [
        (CLIENT_FIN, "receive:NO_RESPONSE", "server_fin"),
        (SERVER_FIN, "receive:NO_RESPONSE", "server_fin"),
        (CLIENT_RST, "send:ECONNRESET receive:ECONNRESET close:ECONNRESET", "server_rst"),
    ],
)
def test_one_that_does_not_look_loses_each_second_request(
    pair: Bench, ending: Ending, lost: str, first: str
) -> None:
    found = driven(pair, ending, look=False)
    assert set(found.errors) <= set(lost.split())
    assert sum(found.errors.values()) >= 6
    assert found.closes[Ending(first)] >= sum(found.errors.values())
    assert found.total("retries") == 0


@pytest.mark.parametrize("ending", [CLIENT_FIN, CLIENT_RST])
def test_unless_it_tries_again(pair: Bench, ending: Ending) -> None:
    found = driven(pair, ending, look=False, retry=1)
    # A reset of what is idle when the load ends fails no exchange.
    assert set(found.errors) <= {"close:ECONNRESET"}
    assert found.total("retries") >= 6
    # An exchange that is tried again is one exchange, on two connections.
    assert found.total("exchanges") == found.total("started") == found.total("offered")
    assert found.total("attempts") == 6 + found.total("retries")


def test_who_sits_in_close_wait_for_long_is_reset(pair: Bench) -> None:
    found = driven(pair, CLIENT_FIN, look=False, think_ns=LEFT_NS, duration_ns=LEFT_NS + 300 * MS_NS)
    assert set(found.errors) == {"receive:NO_RESPONSE"}
    assert found.total("server_fin_reset") == found.errors["receive:NO_RESPONSE"] == 6


def test_a_server_that_refuses_a_new_connection_is_not_asked_again(pair: Bench) -> None:
    async def main() -> Driven:
        async with (
            pair.audited() as loads,
            pair.serving(SERVER_FIN, 5, per_client=2) as (server, port),
        ):
            plan = pair.plan(port, SERVER_FIN, requests=5, retry=1, loop=ClosedLoop(4))
            loads += await pair.drive_all(server, plan)
        return loads[0]

    found = pair.run(main())
    found.check()
    assert found.total("retries") == 0
    assert sum(found.errors.values()) > 0
    assert set(found.errors) <= {"send:ECONNRESET", "send:EPIPE", "receive:NO_RESPONSE", "receive:ECONNRESET"}
    assert found.total("exchanges") > 0


@pytest.mark.parametrize("side", Side)
def test_the_kernel_probes_a_silent_connection(pair: Bench, side: Side) -> None:
    keepalive = Keepalive(idle_s=1, interval_s=1, probes=3)

    async def main() -> dict[Side, dict[str, int]]:
        async with pair.counting() as kernel:
            listening = keepalive if side is Side.SERVER else None
            async with pair.serving(CLIENT_FIN, 2, keepalive=listening) as (server, port):
                plan = pair.plan(
                    port,
                    requests=2,
                    think_ns=1_600 * MS_NS,
                    duration_ns=1_800 * MS_NS,
                    keepalive=keepalive if side is Side.CLIENT else None,
                )
                (found,) = await pair.drive_all(server, plan)
                found.check()
                assert found.errors == {}
        return kernel

    kernel = pair.run(main())
    other = Side.SERVER if side is Side.CLIENT else Side.CLIENT
    assert kernel[side]["TCPKeepAlive"] >= 4
    assert kernel[other]["TCPKeepAlive"] == 0
