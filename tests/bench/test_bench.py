"""The bench: what it asks tools for and reads from them, its arithmetic, its tables, one real measurement."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uvloop
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench import measure, nginx, session
from bench.__main__ import main
from bench.figures import draw, punctuality, rates, scaling, sizes
from bench.fill import paths
from bench.machine import Environment
from bench.measure import Kit
from bench.probe import Look, Probe
from bench.results import Missing, Quantity, Reading, Results
from bench.studies import STUDIES, Case, Population, Section, variant
from bench.tables import markdown, ratio_within_rounds
from bench.tools import TOOLS, NotBuiltError, Tool, build_floor
from loadgen.records.latency import Counts, Distribution, Tag
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from tests.peers import need, without
from tests.runs.test_runs import shared_path
from tests.unprivileged import as_ordinary_user

__all__ = ["shared_path"]

ROOT = Path(__file__).parents[2]


def on_nginx(load: Variant) -> Variant:
    return session.served_by(load, nginx.argv("nginx"), nginx.files(load))


SHORT = variant("short-server-closes")
CLIENT_CLOSES = variant("short-client-closes", "load.duration=2s")
KEPT = variant("kept")
PACED = variant("open-loop", "load.open_loop.rate=5000/s")
TEN_THOUSAND = variant("short-server-closes", "load.closed_loop.connections=10000")
ENVIRONMENT = Environment("6.1", "a cpu", 2, "cubic", 0.1, {"wrk": "4.1"})

PRINTED = {
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
    assert {tool.name: tool.own_count(PRINTED[tool.name]) for tool in TOOLS} == COUNTED


def test_a_tool_that_was_cut_off_has_no_count() -> None:
    assert [tool.own_count("") for tool in TOOLS] == [None] * len(TOOLS)


def test_a_tool_is_asked_only_for_what_it_can_do() -> None:
    def able(load: Variant) -> list[str]:
        return [tool.name for tool in TOOLS if tool.able(load)]

    assert able(SHORT) == able(KEPT) == ["wrk", "ab", "h2load", "hey", "httperf"]
    assert able(CLIENT_CLOSES) == ["wrk", "h2load", "hey", "httperf"]
    assert able(PACED) == ["h2load", "httperf"]
    assert able(TEN_THOUSAND) == able(variant("short-server-closes", "load.workers=2")) == ["wrk", "h2load"]


def test_no_tool_is_asked_for_more_than_there_are_descriptors() -> None:
    kit = Kit(TOOLS, 20_000)
    assert "aiohttp" not in kit.able(TEN_THOUSAND), "it keeps two for each connection"
    assert {"protocol", "uring", "wrk"} <= {*kit.able(TEN_THOUSAND)}
    number = "load.closed_loop.connections={}"
    shared = variant("short-server-closes", number.format(9_700), "load.workers=2")
    assert "aiohttp" in kit.able(shared), "its workers share them"
    assert kit.able(variant("short-server-closes", number.format(19_900))) == []


@pytest.mark.parametrize("name", ["wrk", "h2load"])
def test_nginx_is_not_asked_to_close_if_the_client_is_to_be_first(name: str) -> None:
    assert "Connection: close" in tool(name).argv(on_nginx(SHORT))
    assert "Connection: close" not in tool(name).argv(on_nginx(CLIENT_CLOSES))
    assert "Connection: close" in tool(name).argv(CLIENT_CLOSES)
    assert "Connection: close" not in tool(name).argv(on_nginx(KEPT))


def test_rates_are_in_each_tools_own_words() -> None:
    assert {"-r5", "--rate-period=1ms", "-n15000", "-c15000"} <= {*tool("h2load").argv(PACED)}
    argv = tool("httperf").argv(PACED)
    assert argv[argv.index("--rate") + 1] == "5000"
    assert argv[argv.index("--num-conns") + 1] == "15000"


def test_no_number_of_connections_leads_beyond_the_cliff() -> None:
    assert "-n80000" in tool("h2load").argv(SHORT)
    assert "-n31500" in tool("h2load").argv(CLIENT_CLOSES)


def test_a_program_is_bound_to_its_cores_and_the_server_to_the_last() -> None:
    load = session.by_command(on_nginx(SHORT), tool("wrk").argv(SHORT))
    assert load.load.command is not None
    assert load.server.command is not None
    client, server = load.load.command[:3], load.server.command[:3]
    allowed = session.plans.cores(variant("short-server-closes", "load.workers=64"), Side.CLIENT)
    assert client == ("taskset", "-c", str(min(allowed)))
    assert server == ("taskset", "-c", str(max(allowed)))
    assert load.load.command[3:] == (
        "wrk", "-t1", "-c{connections}", "-d{duration_s}s", "-H", "Connection: close", "{url}",
    )  # fmt: skip


def test_nginx_says_close_and_keeps_if_the_client_is_to_be_first() -> None:
    closes, first, keeps = (nginx.files(load)["nginx.conf"] for load in (SHORT, CLIENT_CLOSES, KEPT))
    assert "keepalive_timeout 0;" in closes
    assert "add_header" not in closes
    assert "keepalive_timeout 60s;" in first
    assert "add_header Connection close;" in first
    assert "keepalive_timeout 60s;" in keeps
    assert "add_header" not in keeps
    assert "<" not in closes + first + keeps, "each word is filled in"


def test_nginx_sends_a_large_body_from_a_file() -> None:
    files = nginx.files(variant("kept", "server.response=10000B"))
    assert len(files["page"]) == 10_000
    assert "try_files /page" in files["nginx.conf"]
    assert f'return 200 "{"x" * 64}";' in nginx.files(KEPT)["nginx.conf"]


def test_an_ordinary_user_measures_nginx_too(shared_path: Path) -> None:
    need("nginx", "taskset", "wrk")
    script = """
import asyncio
from bench.measure import Kit, measure
from bench.results import Quantity
from bench.studies import Case, Section, variant
from bench.tools import TOOLS
import uvloop

load = variant("short-server-closes", "load.closed_loop.connections=4", "load.duration=1s")
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    case = Case(Section.SHORT, "short", load, (0.05, 0.2))
    print(runner.run(measure(Kit(TOOLS, 1024), case, "wrk", 1)).values[Quantity.PER_S])
"""
    argv = as_ordinary_user([sys.executable, "-c", script])
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(shared_path)}
    done = subprocess.run(
        argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


def look(t_ns: int, opened: int, requested: int, cpu_ns: int = 0) -> Look:
    return Look(t_ns, opened, requested, user_ns=cpu_ns, system_ns=2 * cpu_ns, server_ns=2 * cpu_ns)


def test_a_window_counts_connections_or_responses() -> None:
    looks = [look(0, 100, 1000), look(200_000_000, 300, 9_000), look(500_000_000, 1100, 51_000, 10_000_000)]
    short = measure.counted(SHORT, looks)
    assert (short[Quantity.PER_S], short[Quantity.USER_US], short[Quantity.SYSTEM_US]) == (2000, 10, 20)
    assert short[Quantity.CLIENT_CORE] == pytest.approx(0.06)
    assert short[Quantity.SERVER_CORE] == pytest.approx(0.04)
    assert measure.counted(KEPT, looks)[Quantity.PER_S] == 100_000


def test_a_window_without_connections_has_no_cost_of_each() -> None:
    nothing = measure.counted(SHORT, [look(0, 5, 5), look(1_000_000_000, 5, 5)])
    assert (nothing[Quantity.PER_S], nothing[Quantity.USER_US], nothing[Quantity.SYSTEM_US]) == (
        0,
        None,
        None,
    )


def test_own_counts_agree_with_the_kernels() -> None:
    begun, ended = look(0, 10, 10), look(1, 74, 10_074)
    # 64 connections sent a FIN each: those are not responses.
    assert measure.agreement(KEPT, 10_000, begun, ended) == 1
    assert measure.agreement(SHORT, 64, begun, ended) == 1
    assert measure.agreement(SHORT, None, begun, ended) is None
    assert measure.agreement(SHORT, 0, begun, begun) is None


def test_time_waits_show_who_closed_first() -> None:
    assert measure.right_closer(SHORT, 1000, 900)
    assert not measure.right_closer(SHORT, 1000, 0)
    assert measure.right_closer(CLIENT_CLOSES, 1000, 0)
    assert not measure.right_closer(CLIENT_CLOSES, 1000, 900)
    assert measure.right_closer(KEPT, 64, 0)


def test_bins_are_parts_of_the_asked_rate_by_the_time_that_passed() -> None:
    looks = [look(0, 0, 0), look(100_000_000, 90, 0), look(300_000_000, 310, 0), look(400_000_000, 410, 0)]
    assert measure.punctuality(1000, looks) == {
        Quantity.LEAST_BIN: pytest.approx(0.9),
        Quantity.MIDDLE_BIN: pytest.approx(1.0),
        Quantity.MOST_BIN: pytest.approx(1.1),
    }


def test_lateness_is_of_all_starts() -> None:
    starts = Distribution()
    late_ns = np.concatenate((np.full(980, 40_000), np.full(15, 1_500_000), np.full(5, 3_000_000)))
    for part in (late_ns[:500], late_ns[500:]):
        starts.record(Counts.of(Tag.START, part))
    late = measure.lateness(starts)
    assert late[Quantity.LATE_P50] == pytest.approx(0.04, rel=0.002)
    assert late[Quantity.LATE_P99] == pytest.approx(1.5, rel=0.002)
    assert late[Quantity.LATE_P999] == late[Quantity.LATE_MOST] == pytest.approx(3, rel=0.002)
    assert {*measure.lateness(Distribution()).values()} == {None}


def test_time_waits_are_spread_over_addresses_and_take_one_parity_first() -> None:
    assert list(paths(5, 10, 13, ["a", "b"])) == [("a", 10), ("b", 10), ("a", 12), ("b", 12), ("a", 11)]
    assert len(list(paths(100, 10, 13, ["a"]))) == 4, "no more than there are ports"
    assert Population(0).lab == Population(27_000, same_path=True).lab == "lab.server.addresses=1"
    assert Population(120_000).lab == "lab.server.addresses=5"


# ---- what is reported of it


def reading(
    name: str, per_s: float, number: int, title: str = "nginx, short", x: int | None = None
) -> Reading:
    section = Section.KEPT if "kept" in title else Section.SCALING if x is not None else Section.SHORT
    values = {
        Quantity.PER_S: per_s,
        Quantity.USER_US: 1.5,
        Quantity.SYSTEM_US: 20.25,
        Quantity.CLIENT_CORE: 0.9,
        Quantity.SERVER_CORE: 0.5,
        Quantity.PEAK_MIB: 2.0,
        Quantity.AGREEMENT: 1.0,
    }
    return Reading(section, title, name, values, number, x)


LATE = {
    Quantity.LATE_P50: 0.0123,
    Quantity.LATE_P99: 0.45,
    Quantity.LATE_P999: 1.5,
    Quantity.LATE_P9999: 2.5,
    Quantity.LATE_MOST: 23.0,
    Quantity.DROPPED: 3,
}


def open_loop(name: str, per_s: float, least: float, late: dict[Quantity, float]) -> Reading:
    bins = {Quantity.LEAST_BIN: least, Quantity.MIDDLE_BIN: 1.0, Quantity.MOST_BIN: 1.01}
    values = {Quantity.PER_S: per_s, **bins, **late}
    return Reading(Section.PUNCTUALITY, "open loop", name, values, x=5000)


def full() -> Results:
    results = Results(ENVIRONMENT, complete=True)
    for number in (1, 2):
        # A slow second round: ratios within rounds do not see it.
        for name, per_s in (("protocol", 20_000), ("wrk", 25_000)):
            results.readings.append(reading(name, per_s / number, number))
            results.readings.append(reading(name, 5 * per_s / number, number, "nginx, kept"))
    for count in (1, 10):
        results.readings.append(reading("wrk", 1000 * count, 1, "connections in flight", count))
    same_path = reading("wrk", 800, 1, "TIME-WAITs held on the same path", 20_000)
    results.readings += [same_path, replace(same_path, section=Section.SIZES, title="kept, bytes")]
    results.readings += [open_loop("protocol", 4990, 0.99, LATE), open_loop("httperf", 5000, 0.9, {})]
    sampler = {Quantity.CLIENT_CORE: 0.013, Quantity.SAMPLE_MS: 0.9}
    results.readings.append(Reading(Section.SAMPLER, "the sampler", "sampler", sampler, x=28_000))
    held = {Quantity.KIB_EACH: 33.0, Quantity.USER_US: 150.0, Quantity.CLIENT_CORE: 0.006}
    results.readings.append(Reading(Section.HELD, "held open", "aiohttp", held, x=9_750))
    for number in (1, 2, 3):
        start = {Quantity.START_MS: 100.0 * number}
        results.readings.append(Reading(Section.STARTUP, "start-up", "churn --help", start, number))
    results.missing.append(Missing(Section.SHORT, "nginx, server closes", "hey", "made no connection: a | b"))
    return results


def test_what_a_capture_costs_is_the_cpu_time_over_that_without_it() -> None:
    results = Results(ENVIRONMENT, complete=True)
    for number, used_us in enumerate((40.0, 41.0, 60.0, 60.6, 50.0, 49.0)):
        values = dict.fromkeys((Quantity.CPU_US, Quantity.CPU_OPEN_US, Quantity.CPU_LATER_US), used_us)
        tool = ("without", "capture")[number % 2]
        results.readings.append(Reading(Section.CAPTURE, "capture", tool, values, number // 2))
    (row,) = [line for line in markdown(results).splitlines() if line.startswith("| capture ")]
    assert row == "| capture | 49.00 | 41.0 – 60.6 | 1.010 | 1.010 | 1.010 |"


def test_a_ratio_is_the_median_of_those_within_rounds() -> None:
    ours, theirs = [reading("a", 10, 1), reading("a", 30, 2)], [reading("b", 20, 1), reading("b", 40, 2)]
    assert ratio_within_rounds(ours, theirs) == pytest.approx((0.5 + 0.75) / 2)
    assert ratio_within_rounds(ours, theirs, Quantity.CPU_US) is None
    assert ratio_within_rounds(ours, [reading("b", 20, 3)]) is None
    assert ratio_within_rounds(ours, [reading("b", 0, 1)]) is None


def test_the_tables_have_medians_spreads_and_ratios() -> None:
    text = markdown(full())
    assert "### nginx, short, 2 rounds" in text
    assert "| tool | per second, median | min – max | ÷ wrk | CPU µs each" in text, "no empty columns"
    assert "| protocol | 15,000 | 10,000 – 20,000 | 0.80 | 1.5 + 20.2 | 2.0 | 90% + 50% | 1.000 |" in text
    assert "| 10 | wrk | 10,000 |" in text
    assert "| 20,000 | wrk | 800 |" in text
    assert "| 5,000 | protocol | 4,990 | 0.99 – 1.01 | 0.0123 | 0.45 | 1.5 | 2.5 | 23 | 3 |" in text
    assert "| 5,000 | httperf | 5,000 | 0.90 – 1.01 | – | – | – | – | – | – |" in text
    assert "| 28,000 | sampler | 1.30% | 0.9 |" in text
    assert "| 9,750 | aiohttp | 33.0 | 150 | 0.6% |" in text
    assert "| churn --help | 200 | 100 – 300 |" in text
    assert "made no connection: a / b" in text, "a bar would end the cell"
    assert "Cut short" not in text


def test_a_run_without_anything_says_that_it_was_cut_short() -> None:
    assert "Cut short" in markdown(Results(ENVIRONMENT))


def test_results_are_written_with_every_measurement(tmp_path: Path) -> None:
    written = json.loads(full().write(tmp_path).read_text())
    assert written["schema_version"] == 3
    assert written["environment"]["congestion_control"] == "cubic"
    assert written["readings"][0] == {
        "section": "short", "title": "nginx, short", "tool": "protocol", "round": 1, "x": None,
        "values": {
            "per_s": 20_000, "user_us": 1.5, "system_us": 20.25, "client_core": 0.9, "server_core": 0.5,
            "peak_mib": 2.0, "agreement": 1.0,
        },
    }  # fmt: skip


def test_studies_that_compare_tools_get_a_figure(tmp_path: Path) -> None:
    names = ["rates", "sizes", "scaling", "punctuality"]
    assert [path.name for path in draw(full(), tmp_path)] == [
        f"{name}.{suffix}" for name in names for suffix in ("svg", "png")
    ]
    assert draw(Results(ENVIRONMENT), tmp_path / "nothing") == []


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def test_figures_show_the_finding_and_name_what_they_draw() -> None:
    shown = {text.strip() for text in texts(rates(full()))}
    assert "protocol: 0.80 × wrk on one core (nginx, short)" in shown
    assert {"nginx, short: connections/s", "nginx, kept: requests/s", "15,000", "18,800"} <= shown
    over = {"Over the connections in flight", "Over the TIME-WAITs held on the same path", "wrk"}
    assert over <= {*texts(scaling(full()))}
    assert {"Over the kept, bytes", "wrk"} <= {*texts(sizes(full()))}
    assert {"protocol", "httperf", "5k"} <= {*texts(punctuality(full()))}


def test_the_figure_of_punctuality_has_a_line_for_each_tool_and_lateness_for_ours() -> None:
    achieved, late = punctuality(full()).axes
    assert [list(line.get_ydata()) for line in achieved.lines] == [[1.0], [1.0]]
    assert [list(line.get_ydata()) for line in late.lines] == [[0.45]]
    low, high = late.get_ylim()
    assert low < 0.0123 < 23 < high


def test_a_figure_of_punctuality_needs_no_driver_of_ours() -> None:
    results = full()
    results.readings = [one for one in results.readings if Quantity.LATE_P99 not in one.values]
    assert "httperf" in texts(punctuality(results))


def test_a_figure_of_a_run_cut_short_says_so() -> None:
    assert any(text.startswith("CUT SHORT") for text in texts(rates(replace(full(), complete=False))))


@pytest.mark.parametrize("quick", [True, False])
def test_all_cases_have_labs_and_tools_that_are_known(quick: bool) -> None:
    known = {*map(str, Driver), "floor", *(tool.name for tool in TOOLS)}
    for case in (case for study in STUDIES for case in study.cases(quick)):
        assert session.lab_spec(case.load)
        assert case.tools is None or known.issuperset(case.tools)
        assert sum(case.window) < case.load.load.duration / 1e9


def test_a_section_that_is_none_is_refused_with_those_that_are() -> None:
    refused = CliRunner().invoke(main, ["--only", "short,fast"])
    assert refused.exit_code == 2
    known = "'fast' is not a valid Section; there are startup, sampler, held, capture, short, kept, sizes"
    assert known in " ".join(refused.output.split())


# ---- for real


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    need("cc", "nginx", "taskset", "wrk")
    try:
        floor = build_floor(tmp_path_factory.mktemp("floor"))
    except NotBuiltError as error:
        without(str(error))
    program = floor.short.split()[0]
    argv = [program, "127.0.0.1", "1", "1", "0.01", "server", "0"]
    refused = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stderr
    if refused:
        without(f"this machine allows no io_uring: {refused}")
    return Kit((floor, tool("wrk")), 1024)


def measured(kit: Kit, load: Variant, name: str, window: tuple[float, float] = (0.05, 0.2)) -> Reading:
    case = Case(Section.SHORT, "a load", load, window)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure.measure(kit, case, name, 1))


FOUR = ("load.closed_loop.connections=4", "load.duration=1s")


@pytest.mark.parametrize("name", ["uring", "wrk"])
def test_kept_connections_are_counted_right_whatever_the_size_of_a_response(kit: Kit, name: str) -> None:
    made = measured(kit, variant("kept", *FOUR, "server.response=10000B"), name)
    assert made.values[Quantity.PER_S] > 0
    assert made.values[Quantity.AGREEMENT] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["floor", "wrk", "protocol"])
def test_one_measurement_agrees_with_the_kernel(kit: Kit, name: str) -> None:
    made = measured(kit, variant("short-server-closes", *FOUR), name)
    assert made.values[Quantity.PER_S] > 0
    assert 0 < made.values[Quantity.PEAK_MIB] < 200
    assert made.values[Quantity.AGREEMENT] == pytest.approx(1, abs=0.05)


def test_a_client_of_kept_connections_may_open_them_all_before_the_first_look(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_connection = measure.first_connection

    async def looked_at_late(probe: Probe, client: session.Session, begun: Look) -> None:
        await asyncio.sleep(0.5)
        await first_connection(probe, client, begun)

    monkeypatch.setattr(measure, "first_connection", looked_at_late)
    made = measured(kit, variant("kept", "load.closed_loop.connections=4", "load.duration=3s"), "wrk")
    assert made.values[Quantity.PER_S] > 0


def test_an_open_loop_of_ours_reports_how_late_it_was(kit: Kit) -> None:
    rate, most = "load.open_loop.rate=200/s", "load.open_loop.connections=100"
    values = measured(
        kit, variant("open-loop", rate, most, "load.duration=2s"), "protocol", (0.5, 1.0)
    ).values
    assert values[Quantity.LEAST_BIN] <= values[Quantity.MIDDLE_BIN] <= values[Quantity.MOST_BIN]
    # A server that is held up at the end leaves some without their turn.
    assert values[Quantity.DROPPED] <= 100
    late = [values[quantity] for quantity in measure.LATE]
    assert late[0] > 0
    assert late == sorted(late)


def test_time_waits_are_held_before_a_load(kit: Kit) -> None:
    case = Case(
        Section.SCALING, "held", variant("short-server-closes", *FOUR), (0.05, 0.2), held=Population(500)
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = runner.run(measure.measure(kit, case, "wrk", 1))
    assert made.values[Quantity.PER_S] > 0


def test_the_floor_fails_loudly_without_a_server(kit: Kit) -> None:
    floor = kit.tools[0]
    argv = [floor.short.split()[0], "127.0.0.1", "1", "2", "0.1", "server", "0"]
    printed = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout
    assert json.loads(printed)["failed"] > 0
    assert floor.own_count(printed) is None
    good = '{"exchanges": 7, "failed": 0, "first_error": 0, "elapsed_ns": 1}\n'
    assert floor.own_count(good) == 7
    assert floor.own_count("floor: io_uring_queue_init: Operation not permitted\n") is None
