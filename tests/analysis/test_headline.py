"""The headline of a variant: one sentence for every shape of a result, the same on terminal and figures."""

import pytest

from loadgen.analysis.findings.ends import ENDED_FIRST
from loadgen.analysis.findings.failures import FAILURES
from loadgen.analysis.findings.finding import Finding, Rank
from loadgen.analysis.findings.left import LEFT_BY_THE_END
from loadgen.analysis.findings.pace import PACE
from loadgen.analysis.findings.ports import CONNECT_SLOW, PORTS_GONE
from loadgen.analysis.headline import comparison, headline
from tests.made_records import S, finding

STEADY = finding(PACE, Rank.PACE, "1,230 connections/s")
SLOW = finding(CONNECT_SLOW, Rank.LIMITED, "connect() slows down")
GONE = finding(PORTS_GONE, Rank.LIMITED, "no port is free")
MOST = finding(FAILURES, Rank.FAILED, "most attempts fail")
SOME = finding(FAILURES, Rank.PARTLY_FAILED, "some attempts fail")
LEFT = finding(LEFT_BY_THE_END, Rank.LEFT, "the load's end leaves TIME-WAITs")


def metrics(client: int = 0, server: int = 0, **more: float) -> dict[str, float]:
    return {
        "client.ports": 28_232,
        "opened": 1_000,
        "connected": 1_000,
        "rate.mean": 1_234.5,
        "client.time_wait.max": client,
        "server.time_wait.max": server,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


CLIENT = finding(ENDED_FIRST, Rank.CLOSES, "the client closes first", client_fin=9)
SERVER = finding(ENDED_FIRST, Rank.CLOSES, "the server closes first", server_fin=9)
BOTH = finding(
    ENDED_FIRST, Rank.CLOSES, "the server closes 304 connections first, the client 16", server_fin=304
)
NOT_KNOWN = finding(ENDED_FIRST, Rank.CLOSES, "who closed first is not to be told")


@pytest.mark.parametrize(
    ("measured", "ended", "sentence"),
    [
        (metrics(client=8_000), CLIENT, "the client collects up to 8,000 TIME-WAITs, the server none"),
        (metrics(server=14_116), SERVER, "the server collects up to 14,116 TIME-WAITs, the client none"),
        (
            metrics(client=12),
            SERVER,
            "the server closes first; the client collects up to 12 TIME-WAITs, the server none",
        ),
        (
            metrics(client=16, server=304),
            BOTH,
            "the server closes 304 connections first, the client 16;"
            " the server collects up to 304 TIME-WAITs, the client 16",
        ),
        (
            metrics(client=900, server=100),
            CLIENT,
            "the client closes first; the client collects up to 900 TIME-WAITs, the server 100",
        ),
        (metrics(), CLIENT, "the client closes first; no side collects TIME-WAIT"),
        (metrics(server=9), NOT_KNOWN, "the server collects up to 9 TIME-WAITs, the client none"),
        (metrics(client=7, server=9), NOT_KNOWN, "the server collects up to 9 TIME-WAITs, the client 7"),
        (metrics(), NOT_KNOWN, "no side collects TIME-WAIT"),
    ],
    ids=[
        "client",
        "server",
        "the wrong one",
        "mixed",
        "both",
        "nobody",
        "unknown",
        "unknown, both",
        "unknown, nobody",
    ],
)
def test_the_headline_says_who_closed_and_which_side_collects_time_wait(
    measured: dict[str, float], ended: Finding, sentence: str
) -> None:
    assert headline(measured, [STEADY, ended]) == f"1,230 connections/s; {sentence}"


@pytest.mark.parametrize(
    ("measured", "findings", "sentence"),
    [
        (
            metrics(
                client=28_232,
                knee__ports=14_131,
                knee__rate_falls=1,
                knee__rate_before=16_000.4,
                knee__rate_after=661.2,
                exhaustion__time_ns=22.46 * S,
            ),
            [SLOW, GONE, STEADY],
            "Throughput falls from 16,000/s to 661/s at 14,131 of 28,232 ports,"
            " and no port is left after 22.5 s; the client collects up to 28,232 TIME-WAITs, the server none",
        ),
        (
            metrics(client=2_000, exhaustion__time_ns=0.3 * S),
            [GONE, STEADY],
            "No port is free; the client collects up to 2,000 TIME-WAITs, the server none",
        ),
        (metrics(), [GONE, SOME], "No port is free; some attempts fail; no side collects TIME-WAIT"),
        (metrics(), [MOST, GONE], "Most attempts fail; no port is free; no side collects TIME-WAIT"),
        (metrics(), [SOME, STEADY], "Some attempts fail; no side collects TIME-WAIT"),
        (
            metrics(),
            [SLOW, STEADY],
            "1,230 connections/s; connect() slows down; no side collects TIME-WAIT",
        ),
        (
            metrics(client=9),
            [STEADY, LEFT],
            "1,230 connections/s; the load's end leaves the client with 9 TIME-WAITs, the server none",
        ),
        (
            {"client.ports": 28_232, "opened": 1_500, "connected": 0, "errors.total": 1_500},
            [],
            "No connection was established; 1,500 attempts failed",
        ),
        (
            {"attempts": 9, "opened": 0, "errors.total": 9, "errors.EADDRNOTAVAIL": 9},
            [],
            "No connection was established; 9 attempts failed with EADDRNOTAVAIL",
        ),
        ({"opened": 9, "connected": 0}, [MOST], "No connection was established: most attempts fail"),
        # No SYN was sent, but ports were looked for.
        (
            {"attempts": 9, "opened": 0, "errors.total": 9},
            [],
            "No connection was established; 9 attempts failed",
        ),
        ({"attempts": 0, "opened": 0, "errors.total": 0}, [], "No connection was tried"),
        ({"opened": 0, "connected": 0}, [], "No connection was tried"),
        ({"opened": 1, "connected": 0}, [], "No connection was established; 1 attempts failed"),
        ({"opened": 1, "connected": 1}, [], "Throughput was not observed; no side collects TIME-WAIT"),
        ({"client.ports": 28_232, "samples.count": 7}, [], "No load was recorded, only the sockets"),
        ({"client.ports": 28_232}, [], "Nothing was measured"),
    ],
)
def test_the_headline_is_the_strongest_that_can_be_said(
    measured: dict[str, float], findings: list[Finding], sentence: str
) -> None:
    assert headline(measured, findings) == sentence


def test_a_comparison_names_the_variants_that_ran_out() -> None:
    out, slow = metrics(knee__rate_falls=1, exhaustion__time_ns=2 * S), metrics(knee__rate_falls=1)
    assert comparison({"one": out, "two": metrics()}) == "one runs out of ports"
    assert comparison({"one": out, "two": slow}) == "one runs out of ports; two slows down at the knee"
    assert comparison({"one": out, "two": metrics(knee__rate_falls=0)}) == "one runs out of ports"
    assert comparison({"two": metrics()}) == ""
    many = comparison({"a": out, "b": out, "c": out, "d": metrics()})
    assert many == "3 of 4 variants run out of ports"
