"""The tools that churn is measured beside: how each is told what to do, and what it says afterwards. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.load import CONNECTIONS_BEFORE_THE_CLIFF, PORT, Exchange, Load, Program

RATE_IN_REACH = {Exchange.SHORT: 40_000, Exchange.KEPT: 200_000}
"""Exchanges a second that no tool here exceeds on a core: tools that cannot be given a time get so many."""
HTTPERF_MOST = 1_000
"""httperf waits by select(): a thousand connections are all it can have."""
NEVER_ENDING = "100000000"
CLOSE = ("-H", "Connection: close")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on the PATH.

    `argv` makes its command line from the load and the servers' addresses. `counted` finds its own
    count of responses in what it prints. `version` is the command that tells it, and `says` where.
    """

    name: str
    argv: Callable[[Load, Sequence[str]], list[str]]
    counted: re.Pattern[str]
    version: tuple[str, ...]
    says: re.Pattern[str]
    closes_first: bool = False
    """Whether it closes a connection after a response whose header says that the server would."""
    paces: bool = False
    """Whether it opens connections at a rate."""
    many: bool = False
    """Whether it has thousands of connections, and several threads."""

    def able(self, load: Load) -> bool:
        if load.client_closes and not self.closes_first:
            return False
        if load.rate is not None:
            return self.paces
        return self.many or (load.workers == 1 and load.in_flight <= HTTPERF_MOST)

    def own_count(self, printed: str) -> int | None:
        """Responses that the tool counted itself; None where it does not say."""
        found = self.counted.search(printed)
        return int(found[1]) if found else None


def _url(addresses: Sequence[str]) -> str:
    return f"http://{addresses[0]}:{PORT}/"


def _asks_for_close(load: Load) -> bool:
    """Whether the request says `Connection: close`.

    nginx would close at once where it does. Where the client is to be first nginx only says that it
    closes (see `bench.serving`); the bundled server says so when asked, and leaves it to the client.
    """
    if load.exchange is Exchange.KEPT:
        return False
    return not (load.client_closes and load.server is Program.NGINX)


def _exchanges(load: Load) -> int:
    """As many as outlast the window, and none beyond the cliff: there they would take minutes (K8)."""
    enough = (load.rate or RATE_IN_REACH[load.exchange]) * load.seconds
    return min(enough, CONNECTIONS_BEFORE_THE_CLIFF + 1500) if load.client_closes else enough


def _wrk(load: Load, addresses: Sequence[str]) -> list[str]:
    close = CLOSE if _asks_for_close(load) else ()
    return [
        "wrk",
        f"-t{load.workers}",
        f"-c{load.in_flight}",
        f"-d{load.seconds}s",
        *close,
        _url(addresses),
    ]


def _ab(load: Load, addresses: Sequence[str]) -> list[str]:
    keep = ["-k"] if load.exchange is Exchange.KEPT else []
    counts = ["-c", str(load.in_flight), "-t", str(load.seconds), "-n", NEVER_ENDING]
    return ["ab", "-q", *keep, *counts, _url(addresses)]


def _h2load(load: Load, addresses: Sequence[str]) -> list[str]:
    argv = ["h2load", "--h1", f"-t{load.workers}", *(CLOSE if _asks_for_close(load) else ())]
    if load.rate is not None:
        # So many every millisecond is the finest that it can be told.
        each = load.rate // 1000
        argv += [f"-c{_exchanges(load)}", f"-n{_exchanges(load)}", f"-r{each}", "--rate-period=1ms"]
    elif load.exchange is Exchange.KEPT:
        argv += [f"-c{load.in_flight}", "-D", str(load.seconds)]
    else:
        # Given a time it does not end where connections do (nghttp2 1.52).
        argv += [f"-c{load.in_flight}", f"-n{max(_exchanges(load), load.in_flight)}"]
    return [*argv, _url(addresses)]


def _hey(load: Load, addresses: Sequence[str]) -> list[str]:
    close = ["-disable-keepalive"] if _asks_for_close(load) else []
    counts = ["-c", str(load.in_flight), "-z", f"{load.seconds}s", "-cpus", str(load.workers)]
    return ["hey", *counts, *close, _url(addresses)]


def _httperf(load: Load, addresses: Sequence[str]) -> list[str]:
    argv = ["httperf", "--hog", "--timeout", "5", "--server", addresses[0], "--port", str(PORT)]
    if load.exchange is Exchange.KEPT:
        calls = _exchanges(load) // load.in_flight
        return [*argv, "--num-conns", str(load.in_flight), "--num-calls", str(calls), "--rate", "10000"]
    rate = load.rate or RATE_IN_REACH[load.exchange]
    # It gives up what comes while it has its thousand: it opens fewer than these, and none beyond the cliff.
    return [*argv, "--num-conns", str(rate * load.seconds), "--num-calls", "1", "--rate", str(rate)]


TOOLS = (
    Tool(
        name="wrk",
        argv=_wrk,
        counted=re.compile(r"(\d+) requests in"),
        version=("wrk", "-v"),
        says=re.compile(r"wrk (\S+)"),
        closes_first=True,
        many=True,
    ),
    Tool(
        name="ab",
        argv=_ab,
        counted=re.compile(r"Complete requests:\s+(\d+)"),
        version=("ab", "-V"),
        says=re.compile(r"Version (\S+)"),
    ),
    Tool(
        name="h2load",
        argv=_h2load,
        counted=re.compile(r"requests: .* (\d+) succeeded"),
        version=("h2load", "--version"),
        says=re.compile(r"nghttp2/(\S+)"),
        closes_first=True,
        paces=True,
        many=True,
    ),
    Tool(
        name="hey",
        argv=_hey,
        counted=re.compile(r"\[200\]\s+(\d+) responses"),
        version=("dpkg-query", "-W", "-f", "${Version}", "hey"),
        says=re.compile(r"(\S+)"),
        closes_first=True,
    ),
    Tool(
        name="httperf",
        argv=_httperf,
        counted=re.compile(r"replies (\d+) test-duration"),
        version=("httperf", "--version"),
        says=re.compile(r"httperf-(\S+)"),
        closes_first=True,
        paces=True,
    ),
)
