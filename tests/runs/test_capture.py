"""Who closes first, and how, as the packets on the link have it: the last word on every close."""

import json
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending, How, Side
from servers.plan import Kind
from tests.drivers.driving import MS_NS, Bench, Driven, bench
from tests.runs.capture import ACK, FIN, RST, SYN


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab()) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Packet:
    """A SYN, FIN or RST: the client's port, who sent it, and what it was."""

    client: int
    flags: int
    sent: bool
    sequence: int

    @property
    def side(self) -> Side:
        return Side.CLIENT if self.sent else Side.SERVER


@dataclass(frozen=True, slots=True)
class Captured:
    """All that was heard, in order, and how many packets the socket had no room for."""

    packets: tuple[Packet, ...]
    dropped: int

    def first_ends(self) -> list[Ending | None]:
        """For each connection who sent the first FIN or RST, and which; None where nobody did."""
        ends: list[Ending | None] = []
        newest: dict[int, tuple[int, int]] = {}
        for packet in self.packets:
            if packet.flags & SYN:
                # A port may be used again; the same SYN may come again.
                known = newest.get(packet.client)
                if not packet.flags & ACK and (known is None or known[1] != packet.sequence):
                    newest[packet.client] = (len(ends), packet.sequence)
                    ends.append(None)
            else:
                index, _ = newest[packet.client]
                how = How.RST if packet.flags & RST else How.FIN
                ends[index] = ends[index] or Ending.of(packet.side, how)
        return ends


async def run(
    at: Bench, kind: Kind, driver: Driver, ending: Ending, requests: int
) -> tuple[Driven, Captured]:
    """A load with a capture around it. Everything is sent before the capture is asked to end."""
    async with at.serving(ending, requests, kind) as (server, port):
        argv = [sys.executable, "-m", "tests.runs.capture", str(port)]
        capture = await at.lab.spawn(Side.CLIENT, argv, stdin=PIPE, stdout=PIPE)
        assert capture.stdin
        assert capture.stdout
        assert json.loads(await capture.stdout.readline()) == {"ready": True}
        plan = at.plan(
            port,
            ending,
            driver=driver,
            requests=requests,
            http="1.0" if requests == 1 else "1.1",
            duration_ns=150 * MS_NS,
        )
        (driven,) = await at.drive_all(server, plan)
    # The server has ended, so its last FIN is out.
    capture.stdin.close()
    *lines, counts = [json.loads(line) async for line in capture.stdout]
    assert await capture.wait() == 0
    assert counts["seen"] >= len(lines)
    return driven, Captured(tuple(Packet(**line) for line in lines), counts["dropped"])


@pytest.mark.parametrize(
    ("kind", "driver", "requests"),
    [
        (Kind.PROTOCOL, Driver.PROTOCOL, 1),
        (Kind.PROTOCOL, Driver.PROTOCOL, 3),
        (Kind.PROTOCOL, Driver.URING, 1),
        (Kind.PROTOCOL, Driver.URING, 3),
        (Kind.PROTOCOL, Driver.AIOHTTP, 1),
        (Kind.PROTOCOL, Driver.AIOHTTP, 3),
        (Kind.AIOHTTP, Driver.PROTOCOL, 1),
        (Kind.AIOHTTP, Driver.AIOHTTP, 3),
    ],
)
@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.BOTH_FIN])
def test_the_first_packet_that_ends_is_the_one_configured(
    pair: Bench, ending: Ending, kind: Kind, driver: Driver, requests: int
) -> None:
    driven, capture = pair.run(run(pair, kind, driver, ending, requests))
    driven.check()
    assert driven.errors == {}
    assert capture.dropped == 0
    ends = capture.first_ends()
    assert len(ends) == driven.total("attempts")
    assert Counter(ends) == {ending: driven.total("attempts")}
    flags = Counter(packet.flags & (SYN | FIN | RST) for packet in capture.packets)
    if ending.how is How.RST:
        assert flags[FIN] == 0
        # The one that ends a connection carries an ACK; one without answers a segment that crossed it on
        # its way (RFC 9293, section 3.10.7.1), such as the ACK of the last data.
        resets = Counter((one.side, one.flags & ACK) for one in capture.packets if one.flags & RST)
        closing = resets.pop((ending.side, ACK))
        assert closing == driven.total("attempts")
        assert not any(acked for _, acked in resets)
    else:
        # Both sides' FINs, and no RST from a side that was done, but for one that answers a segment late.
        assert not [one for one in capture.packets if one.flags & RST and one.flags & ACK]
        assert flags[FIN] >= 2 * driven.total("attempts")
