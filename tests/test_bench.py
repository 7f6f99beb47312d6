"""The bench: what it tells tools and reads from them, its arithmetic, its tables, one real measurement."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uvloop
from click.testing import CliRunner
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from bench import floor, measure, population
from bench.__main__ import main
from bench.clients import Client
from bench.figures import draw, held, punctuality, rates, sampler, startup
from bench.fill import paths
from bench.growth import scaling as scaling_figure
from bench.load import Cores, Exchange, Load, Pace, Program, pinned
from bench.machine import Environment
from bench.measure import Case, Kit, going
from bench.punctuality import punctual
from bench.reading import Failed, Look, Reading, Study, Window, agreement
from bench.results import HeldOpen, Lateness, Punctuality, Results, SamplerCost, Start
from bench.scale import QUICK, kept, scaling, short, sizes
from bench.serving import nginx_conf
from bench.tables import markdown, ratio_within_rounds
from bench.tools import TOOLS, Tool
from loadgen.kernel.process import CpuTime
from loadgen.lab.lab import Lab
from loadgen.records.latency import Counts, Tag
from loadgen.tcp import Closer
from plots.style import INK
from tests.peers import need, without
from tests.test_runs import shared_path
from tests.unprivileged import as_ordinary_user

__all__ = ["shared_path"]

ROOT = Path(__file__).parents[1]

SHORT = Load(Exchange.SHORT, Program.NGINX, Closer.SERVER)
CLIENT_CLOSES = Load(Exchange.SHORT, Program.NGINX, Closer.CLIENT)
KEPT = Load(Exchange.KEPT, Program.NGINX, Closer.CLIENT)
PACED = replace(SHORT, rate=5000, in_flight=1000)
ENVIRONMENT = Environment("6.1", "a cpu", 2, "3.11", "cubic", 0.1, {"wrk": "4.1"})

SAID = {
    "wrk": "  28068 requests in 1.00s, 6.18MB read\nRequests/sec:  28009.94\n",
    "ab": "Concurrency Level:      64\nComplete requests:      181187\nFailed requests:        0\n",
    "h2load": "requests: 158897 total, 158961 started, 158897 done, 158890 succeeded, 7 failed, 0 errored\n",
    "hey": "Status code distribution:\n  [200]\t16226 responses\n",
    "httperf": "Total: connections 46522 requests 46522 replies 46500 test-duration 2.020 s\n",
}
COUNTED = {"wrk": 28_068, "ab": 181_187, "h2load": 158_890, "hey": 16_226, "httperf": 46_500}


def tool(name: str) -> Tool:
    return next(tool for tool in TOOLS if tool.name == name)


def test_each_tool_is_read_by_its_own_count() -> None:
    assert {tool.name: tool.own_count(SAID[tool.name]) for tool in TOOLS} == COUNTED


def test_a_tool_that_was_cut_off_has_no_count() -> None:
    assert [tool.own_count("") for tool in TOOLS] == [None] * len(TOOLS)


def test_a_tool_is_asked_only_for_what_it_can_do() -> None:
    def able(load: Load) -> list[str]:
        return [tool.name for tool in TOOLS if tool.able(load)]

    assert able(SHORT) == able(KEPT) == ["wrk", "ab", "h2load", "hey", "httperf"]
    assert able(CLIENT_CLOSES) == ["wrk", "h2load", "hey", "httperf"]
    assert able(PACED) == ["h2load", "httperf"]
    assert able(replace(SHORT, in_flight=10_000)) == able(replace(SHORT, workers=2)) == ["wrk", "h2load"]


def test_nobody_is_asked_for_more_than_there_are_descriptors() -> None:
    kit = Kit(Cores((0,)), Path("floor"), TOOLS, 20_000)
    assert "aiohttp" not in kit.able(replace(SHORT, in_flight=10_000)), "it keeps two for each connection"
    assert {"protocol", "floor", "wrk"} <= {*kit.able(replace(SHORT, in_flight=10_000))}
    assert "aiohttp" in kit.able(replace(SHORT, in_flight=10_000, workers=2)), "its workers share them"
    assert kit.able(replace(SHORT, in_flight=19_900)) == []
    held = {driver.value: kit.most_in_flight(driver) for driver in kit.drivers}
    assert held == {"protocol": 19_500, "aiohttp": 9_750, "uring": 19_500}


@pytest.mark.parametrize("name", ["wrk", "h2load"])
def test_nginx_is_not_asked_to_close_where_the_client_is_to_be_first(name: str) -> None:
    argv = tool(name).argv
    assert "Connection: close" in argv(SHORT, ["10.0.0.1"])
    assert "Connection: close" not in argv(CLIENT_CLOSES, ["10.0.0.1"])
    assert "Connection: close" in argv(replace(CLIENT_CLOSES, server=Program.CHURN), ["10.0.0.1"])
    assert "Connection: close" not in argv(KEPT, ["10.0.0.1"])


def test_rates_are_told_in_each_tools_own_words() -> None:
    assert {"-r5", "--rate-period=1ms", "-n10000"} <= {*tool("h2load").argv(PACED, ["10.0.0.1"])}
    told = tool("httperf").argv(PACED, ["10.0.0.1"])
    assert told[told.index("--rate") + 1] == "5000"
    assert told[told.index("--num-conns") + 1] == "10000"


def test_no_number_of_connections_leads_beyond_the_cliff() -> None:
    assert "-n80000" in tool("h2load").argv(SHORT, ["10.0.0.1"])
    assert "-n31500" in tool("h2load").argv(CLIENT_CLOSES, ["10.0.0.1"])


def test_nginx_says_close_and_keeps_where_the_client_is_to_be_first() -> None:
    assert "keepalive_timeout 0;" in nginx_conf(SHORT, "/d", 20_000)
    assert "add_header" not in nginx_conf(SHORT, "/d", 20_000)
    first = nginx_conf(CLIENT_CLOSES, "/d", 20_000)
    assert "keepalive_timeout 60s;" in first
    assert "add_header Connection close;" in first
    assert "add_header" not in nginx_conf(KEPT, "/d", 20_000)


def test_an_ordinary_user_measures_nginx_too(shared_path: Path) -> None:
    need("nginx", "taskset", "wrk")
    script = """
import asyncio
from pathlib import Path
from bench.load import Cores, Exchange, Load, Pace, Program
from bench.measure import Case, Kit, measure
from bench.reading import Study
from bench.tools import TOOLS
from loadgen.tcp import Closer
import uvloop

kit = Kit(Cores.here(), None, TOOLS, 1024)
load = Load(Exchange.SHORT, Program.NGINX, Closer.SERVER, 4, seconds=1)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(runner.run(measure(kit, Case(Study.SHORT, load, Pace(0.05, 0.2)), "wrk", 1)).per_s)
"""
    argv = as_ordinary_user([sys.executable, "-c", script])
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(shared_path)}
    done = subprocess.run(
        argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


def test_a_worker_has_a_core_and_the_server_the_last() -> None:
    cores = Cores((2, 3, 5))
    assert (cores.clients(1), cores.clients(2), cores.server) == ((2,), (2, 3), 5)
    assert Cores((1,)).clients(2) == (1, 1)
    assert pinned((1, 1)) == ["taskset", "-c", "1"]


def look(t_ns: int, opened: int, requested: int, user_ns: int = 0) -> Look:
    return Look(t_ns, opened, requested, CpuTime(user_ns, 2 * user_ns), CpuTime(user_ns, user_ns))


def test_a_window_counts_connections_or_responses() -> None:
    before, after = look(0, 100, 1000), look(500_000_000, 1100, 51_000, user_ns=10_000_000)
    short = Window(Exchange.SHORT, before, after)
    assert (short.per_s, short.user_us, short.system_us) == (2000, 10, 20)
    assert (short.client_share, short.server_share) == (pytest.approx(0.06), pytest.approx(0.04))
    assert Window(Exchange.KEPT, before, after).per_s == 100_000


def test_a_window_without_connections_has_no_cost_of_each() -> None:
    nothing = Window(Exchange.SHORT, look(0, 5, 5), look(1_000_000_000, 5, 5))
    assert (nothing.per_s, nothing.user_us, nothing.system_us) == (0, None, None)


def test_own_counts_agree_with_the_kernels() -> None:
    begun, ended = look(0, 10, 10), look(1, 74, 10_074)
    # 64 connections sent a FIN each: those are not responses.
    assert agreement(Exchange.KEPT, 10_000, begun, ended) == 1
    assert agreement(Exchange.SHORT, 64, begun, ended) == 1
    assert agreement(Exchange.SHORT, None, begun, ended) is None
    assert agreement(Exchange.SHORT, 0, begun, begun) is None


def test_time_waits_tell_who_closed_first() -> None:
    assert measure.right_closer(SHORT, 1000, 900)
    assert not measure.right_closer(SHORT, 1000, 0)
    assert measure.right_closer(CLIENT_CLOSES, 1000, 0)
    assert not measure.right_closer(CLIENT_CLOSES, 1000, 900)
    assert measure.right_closer(KEPT, 64, 0)


def test_time_waits_are_spread_over_addresses_and_take_one_parity_first() -> None:
    assert list(paths(5, 10, 13, ["a", "b"])) == [("a", 10), ("b", 10), ("a", 12), ("b", 12), ("a", 11)]
    assert len(list(paths(100, 10, 13, ["a"]))) == 4, "no more than there are ports"
    assert len(population.Population(120_000).spec().addresses(population.Side.SERVER)) == 5
    assert len(population.Population(27_000, same_path=True).spec().addresses(population.Side.SERVER)) == 1


def test_socket_options_by_io_uring_came_with_6_7() -> None:
    releases = ("5.15.0-91-generic", "6.6.1", "6.7-rc1", "6.18.3", "7.0.0")
    assert [floor.takes_options(release) for release in releases] == [False, False, True, True, True]


def test_the_floors_count_is_none_where_any_failed() -> None:
    assert floor.own_count('{"exchanges": 7, "failed": 0, "first_error": 0, "elapsed_ns": 1}\n') == 7
    assert floor.own_count('{"exchanges": 7, "failed": 1, "first_error": 111, "elapsed_ns": 1}\n') is None
    assert floor.own_count("floor: io_uring_queue_init: Operation not permitted\n") is None


# ---- what is told of it


def reading(name: str, per_s: float, number: int, load: Load = SHORT, study: Study = Study.SHORT) -> Reading:
    return Reading(study, name, load, number, per_s, 1.5, 20.25, 0.9, 0.5, 2048, 1.0)


def full() -> Results:
    results = Results(ENVIRONMENT, complete=True)
    for number in (1, 2):
        # A slow second round: ratios within rounds do not see it.
        for name, per_s in (("protocol", 20_000), ("wrk", 25_000)):
            results.readings.append(reading(name, per_s / number, number))
            results.readings.append(reading(name, 5 * per_s / number, number, KEPT, Study.KEPT))
    for count in (1, 10):
        results.readings.append(
            reading("wrk", 1000 * count, 1, replace(SHORT, in_flight=count), Study.IN_FLIGHT)
        )
        results.readings.append(reading("wrk", 9000, 1, replace(SHORT, workers=count), Study.WORKERS))
        results.readings.append(reading("wrk", 3000, 1, replace(KEPT, response=10**6), Study.SIZE))
    none = reading("wrk", 800, 1, SHORT, Study.TIME_WAIT)
    results.readings += [none, replace(none, held=20_000, same_path=True), replace(none, held=10_000)]
    lateness = Lateness(12_300, 450_000, 1_500_000, 23_000_000, 0.015, 0.0004)
    results.punctuality.append(Punctuality("protocol", 5000, 4990.0, (0.99, 1.01), lateness, 3))
    results.punctuality.append(Punctuality("httperf", 5000, 5000.0, (0.9, 1.1)))
    results.sampler.append(SamplerCost(28_000, 0.013, 900_000, 40))
    results.held.append(HeldOpen("aiohttp", 9_750, 33.0, 150.0, 0.006, "descriptors: 20,000 allowed"))
    results.held.append(HeldOpen("protocol", 10_000, 3.1, 44.0, 0.006))
    results.starts += [Start("churn --help", number, number * 100_000_000) for number in (1, 2, 3)]
    results.failed.append(Failed("short", "hey", "nginx, server closes", "made no connection: a | b"))
    return results


def test_a_ratio_is_the_median_of_those_within_rounds() -> None:
    ours, theirs = [reading("a", 10, 1), reading("a", 30, 2)], [reading("b", 20, 1), reading("b", 40, 2)]
    assert ratio_within_rounds(ours, theirs) == pytest.approx((0.5 + 0.75) / 2)
    assert ratio_within_rounds(ours, [reading("b", 20, 3)]) is None
    assert ratio_within_rounds(ours, [reading("b", 0, 1)]) is None


def test_the_table_tells_medians_spreads_and_ratios() -> None:
    text = markdown(full())
    assert "| protocol | 15,000 | 10,000 – 20,000 | 0.80 | 1.5 + 20.2 | 2.0 | 90% + 50% | 1.000 |" in text
    assert "| 10 | 10,000 |" in text
    assert "| 20,000 on the same path | 800 |" in text
    late = "0.0123 | 0.45 | 1.5 | 23 | 1.50% | 0.04%"
    assert f"| 5,000 | protocol | 4,990 | 0.99 – 1.01 | {late} | 3 |" in text
    assert "| 5,000 | httperf | 5,000 | 0.90 – 1.10 | – | – | – | – | – | – | – |" in text
    assert "| 28,000 | 1.30% | 0.90 |" in text
    assert "| aiohttp | 9,750 | 33.0 | 150 | 0.6% | descriptors: 20,000 allowed |" in text
    assert "| protocol | 10,000 | 3.1 | 44 | 0.6% | – |" in text
    assert "| churn --help | 200 | 100 – 300 |" in text
    assert "made no connection: a / b" in text, "a bar would end the cell"
    assert "Cut short" not in text


def test_a_run_without_anything_says_that_it_was_cut_short() -> None:
    assert "Cut short" in markdown(Results(ENVIRONMENT))


def test_results_are_written_with_every_measurement(tmp_path: Path) -> None:
    written = json.loads(full().write(tmp_path).read_text())
    assert written["schema_version"] == 2
    assert written["environment"]["congestion_control"] == "cubic"
    assert written["readings"][0]["load"] == {
        "exchange": "short", "server": "nginx", "closer": "server", "in_flight": 64, "workers": 1,
        "seconds": 2, "rate": None,
    }  # fmt: skip


def test_each_study_gets_a_figure(tmp_path: Path) -> None:
    names = ["rates", "sizes", "scaling", "punctuality", "sampler", "held", "startup"]
    assert [path.name for path in draw(full(), tmp_path)] == [
        f"{name}.{suffix}" for name in names for suffix in ("svg", "png")
    ]
    assert draw(Results(ENVIRONMENT), tmp_path / "nothing") == []


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def test_figures_tell_the_finding_and_name_what_they_draw() -> None:
    shown = texts(rates(full()))
    assert "protocol: 0.80 × wrk on one core (nginx, short, server closes)" in shown
    assert {"nginx, short, server closes: connections/s", "nginx, kept: requests/s", "15,000", "18,800"} <= {
        *shown
    }
    assert {"wrk, towards others", "wrk, same path"} <= {*texts(scaling_figure(full()))}
    assert {"protocol", "httperf", "5,000/s", "1 ms", "2 ms"} <= {*texts(punctuality(full()))}
    assert "Ten samples a second take 1.3 % of a core at 28,000 TIME-WAITs" in texts(sampler(full()))
    assert {"10,000 connections held open in one worker", "For each connection; aiohttp holds 9,750"} <= {
        *texts(held(full()))
    }
    assert "churn --help: 200 ms" in texts(startup(full()))


def test_the_figure_of_punctuality_has_a_column_for_each_tool_and_a_ladder_for_ours() -> None:
    achieved, late = punctuality(full()).axes

    def columns(axes: Axes) -> dict[str, float]:
        return {
            name.get_text(): name.xy[0]
            for name in axes.texts
            if isinstance(name, Annotation) and name.get_color() != INK
        }

    assert list(columns(achieved)) == ["protocol", "httperf"]
    assert columns(late) == {"protocol": columns(achieved)["protocol"]}
    (ladder,) = (line for line in late.lines if len({*line.get_ydata()}) == 2)
    assert list(ladder.get_ydata()) == [12_300 / 1e9, 23_000_000 / 1e9]
    low, high = late.get_ylim()
    assert low < 12_300 / 1e9 < 23_000_000 / 1e9 < high


def test_a_figure_of_punctuality_needs_no_driver_of_ours() -> None:
    results = full()
    results.punctuality = [one for one in results.punctuality if one.lateness is None]
    assert {"httperf", "1 ms", "2 ms"} <= {*texts(punctuality(results))}


def test_lateness_is_of_all_starts() -> None:
    starts = np.concatenate((np.full(980, 40_000), np.full(15, 1_500_000), np.full(5, 3_000_000)))
    late = Lateness.of(
        Counts.merged([Counts.of(Tag.START, starts[:500]), Counts.of(Tag.START, starts[500:])])
    )
    assert late.p50_ns == pytest.approx(40_000, rel=0.001)
    assert late.p99_ns == pytest.approx(1_500_000, rel=0.001)
    assert late.p999_ns == late.max_ns == pytest.approx(3_000_000, rel=0.001)
    assert (late.over_1ms, late.over_2ms) == (0.02, 0.005)


def test_a_figure_of_a_run_cut_short_says_so() -> None:
    assert any(text.startswith("CUT SHORT") for text in texts(rates(replace(full(), complete=False))))


def test_all_cases_have_labs_that_can_be() -> None:
    for case in [*short(QUICK), *kept(QUICK), *sizes(QUICK), *scaling(QUICK)]:
        assert case.load.spec()
        assert case.held.spec()


def test_a_section_that_is_none_is_refused_with_those_that_are() -> None:
    refused = CliRunner().invoke(main, ["--only", "short,fast"])
    assert refused.exit_code == 2
    assert "'fast' is not a valid Section; there are short, kept, sizes, scaling" in " ".join(
        refused.output.split()
    )


# ---- for real


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    need("cc", "nginx", "taskset", "wrk")
    try:
        program = floor.build(tmp_path_factory.mktemp("floor"))
    except floor.NotBuiltError as error:
        without(str(error))
    argv = [str(program), "127.0.0.1", "1", "1", "0.01", "server", "0"]
    refused = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stderr
    if refused:
        without(f"this machine allows no io_uring: {refused}")
    return Kit(Cores.here(), program, (tool("wrk"),), 1024)


@pytest.mark.parametrize("name", ["uring", "wrk"])
def test_kept_connections_are_counted_right_whatever_the_size_of_a_response(kit: Kit, name: str) -> None:
    case = Case(Study.SIZE, replace(KEPT, in_flight=4, seconds=1, response=10_000), Pace(0.05, 0.2))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = runner.run(measure.measure(kit, case, name, 1))
    assert made.per_s > 0
    assert made.agreement == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["floor", "wrk", "protocol"])
def test_one_measurement_agrees_with_the_kernel(kit: Kit, name: str) -> None:
    case = Case(Study.SHORT, replace(SHORT, in_flight=4, seconds=1), Pace(0.05, 0.2))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = runner.run(measure.measure(kit, case, name, 1))
    assert made.per_s > 0
    assert made.peak_kib > 0
    assert made.agreement == pytest.approx(1, abs=0.05)


@asynccontextmanager
async def looked_at_late(kit: Kit, name: str, lab: Lab, load: Load) -> AsyncGenerator[Client]:
    """As `going`, but all connections that are ever opened are open before anybody looks."""
    async with going(kit, name, lab, load) as client:
        await asyncio.sleep(0.5)
        yield client


def test_a_client_of_kept_connections_may_open_them_all_before_it_is_looked_at(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "going", looked_at_late)
    load = Load(Exchange.KEPT, Program.NGINX, Closer.CLIENT, in_flight=4, seconds=3)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = runner.run(measure.measure(kit, Case(Study.KEPT, load, Pace(0.05, 0.2)), "wrk", 1))
    assert made.per_s > 0


def test_an_open_loop_of_ours_tells_how_late_it_was(kit: Kit) -> None:
    load = replace(SHORT, in_flight=100, seconds=2, rate=200)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = runner.run(punctual(kit, "protocol", load))
    assert (made.tool, made.asked_per_s, len(made.bins)) == ("protocol", 200, 10)
    assert made.dropped is not None
    assert made.dropped <= 100  # A server that is held up at the end leaves some without their turn.
    late = made.lateness
    assert late is not None
    assert 0 < late.p50_ns <= late.p99_ns <= late.p999_ns <= late.max_ns
    assert 0 <= late.over_2ms <= late.over_1ms <= 1


def test_the_floor_fails_loudly_without_a_server(kit: Kit) -> None:
    assert kit.floor is not None
    argv = [str(kit.floor), "127.0.0.1", "1", "2", "0.1", "server", "0"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout
    assert json.loads(said)["failed"] > 0
    assert floor.own_count(said) is None
