"""How sockets take their ports: before connect() or in it, from the namespace's range or from their own."""

import pytest

from loadgen.drivers.plan import ClosedLoop
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Bind, Driver
from loadgen.tcp import Ending, Side
from tests.drivers.driving import Bench, Driven, bench
from tests.drivers.test_conformance import HOUR_NS, NO_ASSASSINATION, stop_after

NO_PORT, TAKEN = "connect:EADDRNOTAVAIL", "bind:EADDRINUSE"
RANGE = 20
OWN = (40_003, 40_012)


@pytest.mark.parametrize(
    ("driver", "bind", "own", "opened", "error"),
    [
        (Driver.PROTOCOL, Bind.NONE, None, 2 * RANGE, NO_PORT),
        (Driver.PROTOCOL, Bind.EARLY, OWN, 10, TAKEN),
        (Driver.PROTOCOL, None, OWN, 20, NO_PORT),
        (Driver.AIOHTTP, Bind.EARLY, None, RANGE, TAKEN),
        (Driver.URING, Bind.LATE, OWN, 20, NO_PORT),
    ],
)
def test_ports_are_there_once_for_each_destination_unless_bind_takes_them(
    driver: Driver, bind: Bind | None, own: tuple[int, int] | None, opened: int, error: str
) -> None:
    """Towards two ports of one server: K10, and K9 for a range of the socket's own."""

    async def main(at: Bench) -> tuple[Driven, str]:
        async with at.audited() as loads, at.serving(Ending.CLIENT_FIN, ports=2) as (server, port):
            plan = at.plan(
                port,
                driver=driver,
                ports=2,
                bind=bind,
                local_port_range=own,
                loop=ClosedLoop(2),
                duration_ns=HOUR_NS,
            )
            loads += await at.drive_all(server, plan, heard=stop_after(opened + 20))
        return loads[0], await at.output(Side.CLIENT, "ss", "-tanHO", "state", "time-wait")

    spec = client_server_lab(ports=(40_000, 40_019), sysctls={Side.CLIENT: NO_ASSASSINATION})
    with bench(spec) as at:
        driven, left = at.run(main(at))
    driven.check()
    assert set(driven.errors) == {error}
    assert driven.total("opened") == driven.total("succeeded") == opened
    rows = [row.split() for row in left.splitlines()]
    mine = [int(row[2].rpartition(":")[2]) for row in rows]
    towards = [int(row[3].rpartition(":")[2]) for row in rows]
    first, last = own or (40_000, 40_019)
    assert set(mine) == set(range(first, last + 1))
    assert abs(towards.count(8080) - towards.count(8081)) <= 1
