"""Ways to close between real sockets: what each leaves, who was first, what was lost; the audit is exact."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from loadgen.drivers.plan import Raw
from loadgen.engine.child import Child
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Read
from loadgen.tcp import Close, Ending, Side
from loadgen.wire.served import Served
from servers.lines import Line
from servers.plan import Kind
from tests.drivers.driving import MS_NS, Bench, Driven, bench

CLIENT_FIN, CLIENT_RST, SERVER_FIN, SERVER_RST, _ = Ending
TIME_WAIT, ON_CLOSE, ON_DATA = "TW", "TCPAbortOnClose", "TCPAbortOnData"
COUNTERS = (TIME_WAIT, ON_CLOSE, ON_DATA)
SIZE = 64 << 10
RESPONSE = 64
"""Of a server of raw TCP, by default."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Way:
    """A way to close; on which side which counter grows by one for each connection; what else it shows."""

    ending: Ending
    close: Close
    side: Side
    counter: str
    linger_s: int | None = None
    whole: bool = True
    """Whether the client gets the last response of each connection."""
    fails: bool = False
    loses: bool = False
    behaviour: Mapping[str, int] = field(default_factory=dict[str, int])
    read: Read = Read.ALL
    request: int = 0
    """Bytes of a request of raw TCP; 0: HTTP."""


LARGE = {"response_size": SIZE}
WAYS = {
    "half by the client": Way(
        CLIENT_FIN, Close.HALF, Side.CLIENT, TIME_WAIT, behaviour={"delay_ns": 5 * MS_NS}
    ),
    "half by the server": Way(SERVER_FIN, Close.HALF, Side.SERVER, TIME_WAIT),
    "linger by the client": Way(CLIENT_FIN, Close.FIN, Side.CLIENT, TIME_WAIT, linger_s=2),
    "linger by the server": Way(SERVER_FIN, Close.FIN, Side.SERVER, TIME_WAIT, linger_s=2),
    "unread by the client": Way(CLIENT_RST, Close.UNREAD, Side.CLIENT, ON_CLOSE, whole=False, loses=True),
    "headers read by the client": Way(
        CLIENT_RST, Close.FIN, Side.CLIENT, ON_CLOSE, whole=False, loses=True, read=Read.HEADERS
    ),
    "none read by the client": Way(
        CLIENT_RST, Close.FIN, Side.CLIENT, ON_CLOSE, whole=False, loses=True, read=Read.NONE
    ),
    "unread by the server": Way(
        SERVER_RST, Close.UNREAD, Side.SERVER, ON_CLOSE, whole=False, fails=True, loses=True
    ),
    "unsent": Way(SERVER_FIN, Close.UNSENT, Side.SERVER, TIME_WAIT, behaviour=LARGE),
    "unsent by the client": Way(CLIENT_FIN, Close.UNSENT, Side.CLIENT, TIME_WAIT, whole=False, request=SIZE),
    "unsent by the client, linger 0": Way(
        CLIENT_RST, Close.UNSENT, Side.CLIENT, ON_DATA, linger_s=0, whole=False, loses=True, request=SIZE
    ),
    "unsent, linger": Way(SERVER_FIN, Close.UNSENT, Side.SERVER, TIME_WAIT, linger_s=1, behaviour=LARGE),
    "unsent, linger 0": Way(
        SERVER_RST,
        Close.UNSENT,
        Side.SERVER,
        ON_DATA,
        linger_s=0,
        whole=False,
        fails=True,
        loses=True,
        behaviour=LARGE,
    ),
}


@dataclass(slots=True)
class Shown:
    driven: Driven
    served: Served
    counters: Mapping[Side, Mapping[str, int]]


def drive(pair: Bench, way: Way, requests: int, **others: Any) -> Shown:
    """A load on a server that both do as the way says; `others` are further fields of the plan."""

    async def main() -> Shown:
        async with pair.counting() as kernel, pair.audited() as loads:
            sizes = {"request_size": way.request} if way.request else {}
            serving = pair.serving(
                way.ending,
                requests,
                kind=Kind.RAW if way.request else Kind.PROTOCOL,
                close=way.close,
                linger_s=way.linger_s,
                **sizes,
                **way.behaviour,
            )
            async with serving as (server, port):
                asked: dict[str, Any] = {"close": way.close, "linger_s": way.linger_s, "read": way.read}
                if way.request:
                    asked["raw"] = Raw(way.request, RESPONSE)
                plan = pair.plan(port, way.ending, requests=requests, **asked, **others)
                loads += await pair.drive_all(server, plan)
                served = await counts(server)
        return Shown(loads[0], served, kernel)

    return pair.run(main())


async def counts(server: Child[Line]) -> Served:
    """What the server has counted, which it says last."""
    async for message in server.received():
        if isinstance(message, Served):
            return message
    raise AssertionError("the server has not said what it counted")


def early_most(requests: int, attempts: int) -> int:
    """The most connections that the load's end closes before their last request: of those in flight."""
    return min(4, attempts) if requests > 1 else 0


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("name", WAYS)
def test_every_way_leaves_what_it_is_known_for(pair: Bench, name: str, requests: int) -> None:
    way = WAYS[name]
    if way.read is not Read.ALL or way.request:
        requests = 1  # none can follow a response that is not read
    shown = drive(pair, way, requests)
    driven, served, attempts = shown.driven, shown.served, shown.driven.total("attempts")
    if way.ending is CLIENT_RST or way.request:
        # The last request of each connection is begun, does not fail, and has no whole response.
        assert (
            attempts - early_most(requests, attempts)
            <= driven.total("started") - driven.total("exchanges")
            <= attempts
        )
        assert driven.total("connected") == driven.closes.total() == driven.total("succeeded") == attempts
    else:
        driven.check()
    assert attempts
    assert driven.closes == {way.ending: attempts}
    # At the end of the load some connections are closed idle, before their last request.
    early = early_most(requests, attempts)
    lasting = attempts - early
    grown = {(side, name): shown.counters[side][name] for side in Side for name in COUNTERS}
    of_way = grown.pop((way.side, way.counter))
    assert lasting <= of_way <= attempts
    # Those that were idle at the end have no bytes to leave unread: a reset of theirs is by SO_LINGER.
    assert sum(grown.values()) == attempts - of_way
    failed = sum(driven.errors.values())
    if way.fails:
        # A server that is held up between send() and close() may have sent all meanwhile.
        assert 0 < failed <= attempts
        assert failed >= lasting or way.close is Close.UNSENT
        assert driven.errors == {"receive:ECONNRESET": failed}
    else:
        assert driven.errors == {}
    unread = 0 if way.whole else failed or attempts
    missing = attempts * requests - driven.total("exchanges")
    assert unread - early <= missing <= unread + early * requests
    sent = driven.total("sent_bytes") + served.sent_bytes
    lost = sent - driven.total("received_bytes") - served.received_bytes
    assert (lost >= max(failed, 1)) if way.loses else (lost == 0)


def test_a_half_closed_client_reads_behind_its_fin(pair: Bench) -> None:
    shown = drive(pair, WAYS["half by the client"], 1)
    # The server has read the client's FIN before it answered, and the client was never second.
    assert shown.served.peer_fin == shown.served.exchanges == shown.driven.total("exchanges")


def test_a_half_closed_server_reads_what_comes_after_its_fin(pair: Bench) -> None:
    shown = drive(pair, WAYS["half by the server"], 1)
    whole = drive(pair, Way(SERVER_FIN, Close.FIN, Side.SERVER, TIME_WAIT), 1)
    request = whole.served.received_bytes // whole.served.exchanges
    assert shown.served.received_bytes == 2 * request * shown.served.exchanges
