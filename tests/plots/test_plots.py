"""Figures are tested by what they show: labels, limits, points, and by the bytes they are written as."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from msgspec import structs

from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import AcceptFailed, LabOpened
from loadgen.records.types import Interval, Record, Sample
from loadgen.records.viewpoints import APART
from loadgen.scenario.claim import Claim
from loadgen.scenario.expectation import Expectation
from loadgen.tcp import Failure, Fault, Phase, Side, State
from loadgen.text.numbers import count, duration, rate, seconds, si, significant
from loadgen.text.problem import Mark as Place
from plots.columns import Columns, Floats, columns_of
from plots.facts import Facts, run_of
from plots.labels import END, Mark, mark_rows, spread
from plots.multiples import multiples
from plots.panels import connections_of
from plots.portrait import portrait, ports_ran_short
from plots.series import averaged, broken, crest, drawable, lone, thinned
from plots.style import LEADER, SHADE
from plots.timeline import timeline
from tests.made_records import driven, from_samples, gap
from tests.stories import (
    KNEE,
    NO_PORT,
    PORTS,
    S,
    Story,
    asked_for,
    client_closes,
    drawn,
    facts_in,
    http10,
    kept,
    load_events,
    sample,
    server_closes,
    summary_of,
    t_of,
    told,
    written,
)


def texts(figure: Figure) -> list[Text]:
    """Every text that is to be seen."""
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


def panel(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(title))


def points(line: Line2D) -> tuple[Floats, Floats]:
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def levels(axes: Axes) -> list[float]:
    """Where horizontal lines are drawn across a panel."""
    return sorted(float(y[0]) for x, y in map(points, axes.lines) if x.tolist() == [0, 1])


def places(axes: Axes) -> list[float]:
    """Where vertical lines are drawn through a panel."""
    return sorted(float(x[0]) for x, y in map(points, axes.lines) if y.tolist() == [0, 1])


def panels(figure: Figure) -> list[Axes]:
    """The panels of the overview, without its key: a row of rates, and one of what held the ports."""
    return [axes for axes in figure.axes if axes.axison]


def key(figure: Figure) -> list[str]:
    """The names in the key of the overview."""
    (legend,) = figure.findobj(Legend)
    assert isinstance(legend, Legend)
    return [text.get_text() for text in legend.get_texts()]


def overlaps(found: Sequence[Text]) -> list[tuple[str, str]]:
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in found]
    return [
        (name, other)
        for index, (name, box) in enumerate(boxes)
        for other, beside in boxes[index + 1 :]
        if min(box.x1, beside.x1) - max(box.x0, beside.x0) > 1
        and min(box.y1, beside.y1) - max(box.y0, beside.y0) > 1
    ]


def assert_readable(figure: Figure) -> None:
    """No label on another, none off the page, no nan."""
    found = texts(figure)
    labels = [text for text in found if text.get_gid() == END]
    heads = [axes.title for axes in figure.axes if axes.title.get_text().strip()]
    heads += [axes._left_title for axes in figure.axes if axes.get_title(loc="left").strip()]  # type: ignore[attr-defined]
    heads += [axes._right_title for axes in figure.axes if axes.get_title(loc="right").strip()]  # type: ignore[attr-defined]
    strips = [text for axes in figure.axes if not axes.axison for text in axes.texts]
    assert overlaps([*labels, *heads, *strips, *figure.texts]) == []
    for text in found:
        assert "nan" not in text.get_text().lower().split(), text
        assert "inf" not in text.get_text().lower().split(), text
    for text in [*labels, *heads, *strips, *figure.texts]:
        box = Text.get_window_extent(text)
        assert box.x0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y0 >= 0, text
        assert box.y1 <= figure.bbox.height, text


# Columns


def test_rates_are_counts_over_the_real_length() -> None:
    rates = columns_of(
        [driven(0, S // 4, connected=50, exchanges=100), driven(S // 4, S, connected=75)]
    ).rates
    assert rates.connected.tolist() == [200.0, 100.0]
    assert rates.exchanges.tolist() == [400.0, 0.0]
    assert rates.t_s.tolist() == [0.125, 0.625]
    assert rates.total(rates.connected) == pytest.approx(125)
    assert rates.mean(rates.connected, 0.0, 1.0) == pytest.approx(125)
    assert rates.mean(rates.connected, 0.2, 1.0) == pytest.approx(100)
    assert rates.mean(rates.connected, 0.3, 0.4) is None


def test_an_interval_without_length_has_no_rate() -> None:
    rates = columns_of([driven(5, 5, connected=3, errors={NO_PORT: 2}), driven(5, S, connected=1)]).rates
    assert rates.connected.size == 1
    assert rates.errors == {}


def test_what_was_not_measured_is_a_gap() -> None:
    measured = driven(S, 2 * S, connected=1, connect_p50_ns=8_000, connect_p99_ns=1_450_000)
    rates = columns_of([driven(0, S), measured]).rates
    assert rates.connect_p50_s.tolist() == pytest.approx([np.nan, 8e-6], nan_ok=True)
    assert rates.connect_p99_s.tolist() == pytest.approx([np.nan, 1.45e-3], nan_ok=True)


def commanded(story: Story) -> Story:
    """The story as it is recorded where a command drives."""
    records = [from_samples(one) if isinstance(one, Interval) else one for one in story.records]
    return replace(story, records=records)


def test_what_a_command_does_not_tell_is_drawn_as_unknown() -> None:
    story = commanded(server_closes())
    rates = columns_of(story.records).rates
    assert rates.from_samples
    assert rates.errors is None
    assert np.isnan(rates.exchanges).all()
    assert not np.isnan(rates.connected).any()
    figure = timeline(*told(story))
    assert_readable(figure)
    assert words(figure).count("not available: the load generator is an external program") == 2
    assert "no errors" not in words(figure)
    assert_readable(portrait(*told(story)))


def test_a_command_beside_a_driver_has_no_line_of_exchanges() -> None:
    figure = multiples_of({"ours": kept("server"), "command": commanded(server_closes())})
    assert_readable(figure)
    ours, _, command, _ = panels(figure)
    drawn = [[line for line in axes.lines if np.isfinite(points(line)[1]).any()] for axes in (ours, command)]
    assert [len(lines) for lines in drawn] == [2, 1]


def test_a_side_that_was_not_sampled_is_absent_and_not_zero() -> None:
    both = sample(0, {State.TIME_WAIT: 7}, {State.ESTABLISHED: 2}, 7)
    server_only = Sample(S, 1, False, {Side.SERVER: both.viewpoints[Side.SERVER]}, 0)
    sockets = columns_of([both, server_only]).sockets
    assert sockets.counts[Side.CLIENT][State.TIME_WAIT].tolist() == pytest.approx([7, np.nan], nan_ok=True)
    assert sockets.counts[Side.SERVER][State.TIME_WAIT].tolist() == [0, 0]
    assert sockets.ports_held.tolist() == pytest.approx([7, np.nan], nan_ok=True)
    assert sockets.peak(Side.CLIENT, State.TIME_WAIT) == 7
    assert sockets.peak(Side.CLIENT, State.CLOSING) == 0
    assert sockets.most_ports == 7
    assert State.CLOSING not in sockets.counts[Side.SERVER]


def test_errors_come_by_frequency_and_the_end_of_the_run_is_none() -> None:
    refused, cut = Failure(Phase.CONNECT, "ECONNREFUSED"), Failure(Phase.RECEIVE, Fault.CUT)
    rates = columns_of([driven(0, S // 2, errors={NO_PORT: 1, refused: 4, cut: 64})]).rates
    assert {kind: rate.tolist() for kind, rate in rates.errors.items()} == {
        "connect:ECONNREFUSED": [8.0],
        "connect:EADDRNOTAVAIL": [2.0],
    }
    assert list(rates.errors) == ["connect:ECONNREFUSED", "connect:EADDRNOTAVAIL"]
    assert rates.cut == 64


def test_ports_are_taken_between_samples_and_never_beyond_them() -> None:
    sockets = columns_of([sample(t * S, {}, {}, 1000 * t) for t in (0, 1, 2, 3, 20, 21)]).sockets
    at_s = np.array([-0.5, 0.25, 1.0, 2.5, 10.0, 20.5, 22.0])
    expected = [np.nan, 250, 1000, 2500, np.nan, 20_500, np.nan]
    assert sockets.ports_at(at_s).tolist() == pytest.approx(expected, nan_ok=True)
    one = columns_of([sample(S, {}, {}, 5)]).sockets
    assert one.ports_at(np.array([0.5, 1.0, 1.5])).tolist() == pytest.approx([np.nan, 5, np.nan], nan_ok=True)
    assert np.isnan(columns_of([]).sockets.ports_at(at_s)).all()


def test_columns_do_not_depend_on_the_order_of_records() -> None:
    records = client_closes(3).records
    forward, backward = columns_of(records), columns_of(reversed(records))
    assert forward.rates.connected.tolist() == backward.rates.connected.tolist()
    assert forward.sockets.ports_held.tolist() == backward.sockets.ports_held.tolist()
    assert forward.load_end_s == backward.load_end_s == 3.0
    assert forward.sysctls[Side.CLIENT]["ip_local_port_range"] == "32768 60999"


# What is drawn of a series


def test_a_long_series_is_thinned_and_keeps_its_spikes() -> None:
    y = np.zeros(36_000)
    y[17_123], y[30_001], y[5_000] = 99.0, -5.0, np.nan
    kept = thinned(y)
    assert kept.size <= 3 * 600 + 2
    assert {0, 17_123, 30_001, 5_000, 35_999} <= set(kept.tolist())
    assert thinned(np.zeros(1000)).size == 1000
    assert thinned(np.zeros(0)).size == 0


def test_a_line_is_broken_where_rows_are_lost_and_not_where_they_are_late() -> None:
    t_s = np.array([0.0, 1.0, 2.0, 3.0, 6.0, 7.0, 17.0, 18.0])
    _, y = drawable(t_s, np.arange(8.0))
    assert np.flatnonzero(np.isnan(y)).tolist() == [6]
    broken_s, _ = broken(t_s, np.arange(8.0), 2.0)
    assert broken_s[4] == 4.5
    assert lone(np.array([1.0, np.nan, 2.0, np.nan, 3.0, 4.0])).tolist() == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_crest_is_the_most_of_each_stretch() -> None:
    t_s, y = crest(np.array([0.0, 1.0, 2.0, 3.0, 8.0]), np.array([0.0, 5.0, 1.0, 0.0, 2.0]), 4)
    assert t_s.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert y.tolist() == pytest.approx([5.0, 1.0, np.nan, 2.0], nan_ok=True)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (si(0), "0"),
        (si(500), "500"),
        (si(28_000), "28k"),
        (si(1_500_000), "1.5M"),
        (si(0.25), "0.25"),
        (count(14_116), "14,116"),
        (rate(17_342), "17,300/s"),
        (rate(637.4), "637/s"),
        (rate(0), "0/s"),
        (seconds(0.851), "0.851 s"),
        (seconds(22.5), "22.5 s"),
        (seconds(25), "25 s"),
        (seconds(3600), "3,600 s"),
        (significant(9_996), "10,000"),
        (significant(0.0123), "0.0123"),
        (significant(-4.0), "-4"),
        (duration(1e-5), "10 µs"),
        (duration(1e-3), "1 ms"),
        (duration(0.00145), "1.45 ms"),
        (duration(2), "2 s"),
        (duration(1e-7), "100 ns"),
    ],
)
def test_numbers_are_written_for_people(said: str, expected: str) -> None:
    assert said == expected


# Labels


@given(st.lists(st.floats(0, 100), max_size=15), st.floats(0.1, 20))
def test_spread_labels_keep_apart_in_order_and_inside(wanted: list[float], pitch: float) -> None:
    placed = spread(wanted, pitch, 0.0, 100.0)
    room = min(pitch, 100.0 / max(len(wanted) - 1, 1))
    ordered = sorted(placed)
    assert all(later - earlier >= room - 1e-6 for earlier, later in pairwise(ordered))
    assert all(-1e-6 <= y <= 100 + 1e-6 for y in placed)
    assert [placed[i] for i in sorted(range(len(wanted)), key=lambda i: wanted[i])] == ordered


def test_labels_that_do_not_touch_stay() -> None:
    assert spread([10.0, 90.0, 50.0], 10.0, 0.0, 100.0) == [10.0, 90.0, 50.0]
    assert spread([50.0, 50.0], 10.0, 0.0, 100.0) == [45.0, 55.0]
    assert spread([], 10.0, 0.0, 100.0) == []


def test_no_mark_runs_through_the_label_of_another() -> None:
    near = [Mark(0.0, "knee 0.00 s"), Mark(0.1, "server exited"), Mark(0.2, ""), Mark(9.0, "load ends")]
    assert mark_rows(near, 10.0) == [1, 0, 0, 0]
    assert mark_rows([], 10.0) == []


def named_ends(axes: Axes) -> dict[str, Annotation]:
    found = [text for text in axes.texts if isinstance(text, Annotation) and text.get_gid() == END]
    return {text.get_text(): text for text in found}


def test_a_raw_run_says_nothing_of_http() -> None:
    figure = timeline(*told(replace(client_closes(3), connection={"protocol": "raw", "closer": "client"})))
    shown = words(figure)
    assert "client closes by FIN, 1 request per connection, raw TCP; closed loop" in shown
    assert ", HTTP/" not in shown


def test_a_line_that_ends_early_is_named_where_it_ends() -> None:
    figure = timeline(*told(client_closes()))
    rates, connect = (named_ends(panel(figure, title)) for title in ("Rates", "Connect"))
    assert rates["connections established"].get_position()[0] == 1.0
    first_s, last_s = panel(figure, "Connect").get_xlim()
    for quantile in ("p50", "p99"):
        # The last that connected did so when the ports ran out.
        x, _ = connect[quantile].get_position()
        assert first_s + x * (last_s - first_s) == pytest.approx(22.5, abs=1)
    labels = [label for axes in figure.axes for label in named_ends(axes).values()]
    assert {label.arrow_patch.get_linestyle() for label in labels if label.arrow_patch} == {LEADER.dashes}


def test_a_label_without_room_beside_its_line_goes_right_of_the_panel() -> None:
    def ends_at(duration_s: float) -> float:
        stories = {"long": client_closes(9, ends=False), "short": client_closes(duration_s, ends=False)}
        overview = multiples_of(stories)
        assert_readable(overview)
        return named_ends(overview.axes[2])["connections"].get_position()[0]

    assert ends_at(3) < 0.5
    assert ends_at(8) == 1.0


# Figures


def test_the_timeline_of_the_client_that_closes() -> None:
    figure = timeline(*told(client_closes(), quick=True))
    assert_readable(figure)
    shown = words(figure)
    assert "client closes by FIN, 1 request per connection, HTTP/1.0; closed loop, 64 in flight" in shown
    assert "knee 0.85 s, 14,131 ports held" in shown
    assert "no port left 22.5 s" in shown
    assert "load ends 25 s" in shown
    assert "TIME-WAIT, peak 28,232" in shown
    assert "all 28,232 client ports" in shown
    assert "predicted knee, 14,116" in shown
    assert "no TIME-WAIT" in shown
    footer = " ".join(text.get_text() for text in figure.texts)
    for part in ("20261120T213005Z-http10", "churn 0.1.0", "kernel 6.18.5", "--quick", "tcp_tw_reuse 2"):
        assert part in footer
    assert levels(panel(figure, "Client")) == [KNEE, PORTS]
    assert levels(panel(figure, "Server")) == []
    for axes in figure.axes[1:]:
        assert places(axes) == [0.85, 22.5, 25.0]
    # Connections that pass through other states are no news.
    assert "Other states" not in shown
    client, server = panel(figure, "Client"), panel(figure, "Server")
    assert client.get_ylim() == server.get_ylim()
    t_s, time_wait = points(client.lines[0])
    assert t_s.size == 265
    assert time_wait.max() == PORTS
    t_s, errors = points(panel(figure, "Errors").lines[0])
    assert errors[t_s < 22].max() == 0
    assert errors[t_s > 24].min() > 200


def test_the_timeline_of_the_server_that_closes() -> None:
    figure = timeline(*told(server_closes()))
    assert_readable(figure)
    shown = words(figure)
    assert "no errors; the end of the run cut 64 attempts" in shown
    assert "half of 28,232 client ports" in shown
    assert "Other states" not in shown
    assert levels(panel(figure, "Client")) == []
    assert levels(panel(figure, "Server")) == [PORTS / 2]


def finishing(sockets: int) -> Story:
    """The server closes, and some connections stay in FIN-WAIT-2."""
    story = server_closes(3)
    records = [
        structs.replace(
            one,
            viewpoints={
                side: structs.replace(row, states={**row.states, State.FIN_WAIT_2: sockets})
                if side == Side.SERVER
                else row
                for side, row in one.viewpoints.items()
            },
        )
        if isinstance(one, Sample) and one.t_ns >= 0
        else structs.replace(one, connected=20, timed=20)
        if isinstance(one, Interval) and one.connected
        else one
        for one in story.records
    ]
    return replace(story, records=records)


def test_other_states_have_a_panel_if_connections_stay_in_them() -> None:
    # 200 connections a second: ten of them are in a state that each is in for 50 ms.
    figure = timeline(*told(finishing(40)))
    assert_readable(figure)
    other = panel(figure, "Other states")
    assert [name for name in named_ends(other) if "FIN" in name] == ["server FIN-WAIT-2, peak 40"]
    # No sockets are drawn into the time before the load.
    drawn = [points(line)[0] for line in other.lines]
    assert min(t_s.min() for t_s in drawn if t_s.tolist() != [0, 1]) > 0
    # Few sockets say nothing, and that connections are open is no news.
    few = timeline(*told(finishing(5)))
    assert "Other states" not in words(few)
    assert "Other states" not in words(timeline(*told(client_closes(3))))


def test_states_that_were_not_read_anew_are_told_with_their_age() -> None:
    def aged(states_age_ns: int) -> Figure:
        story = finishing(40)
        records = [
            structs.replace(
                each,
                viewpoints={
                    side: structs.replace(row, states_age_ns=states_age_ns)
                    for side, row in each.viewpoints.items()
                },
            )
            if isinstance(each, Sample)
            else each
            for each in story.records
        ]
        return timeline(*told(replace(story, records=records)))

    def notes(figure: Figure) -> dict[str, str]:
        return {side: panel(figure, side).get_title(loc="right") for side in ("Client", "Server", "Other")}

    assert notes(aged(0)) == {"Client": "", "Server": "", "Other": ""}
    # TIME-WAIT is counted for every sample.
    assert notes(aged(400_000_000)) == {"Client": "", "Server": "", "Other": "read up to 0.4 s before"}


def test_minor_states_that_are_not_drawn_are_counted() -> None:
    waits = {State.TIME_WAIT: 28_000}
    shown = [sample(t * S, {**EVERY_STATE, **waits}, waits, 28_000) for t in range(90)]
    other = panel(timeline(*told(Story(shown))), "Other")
    assert other.get_title(loc="left") == "Other states: sockets, the most in every 3 s"
    assert other.get_title(loc="right") == "2 smaller states not drawn"


def test_exchanges_get_a_line_where_they_are_another_rate() -> None:
    short, long = (panel(timeline(*told(story)), "Rates") for story in (client_closes(3), kept("client", 3)))
    assert [text.get_text() for text in short.texts] == ["connections established"]
    assert [text.get_text() for text in long.texts] == ["connections established", "exchanges"]
    assert short.get_yscale() == "linear"
    assert long.get_yscale() == "log"


def test_a_silent_overflow_of_the_bucket_limit_is_drawn() -> None:
    lab = LabOpened(0, {}, {Side.SERVER: {"net.ipv4.tcp_max_tw_buckets": "8192"}}, APART)
    waiting = [sample(t * S, {}, {State.TIME_WAIT: min(4000 * t, 8192)}, 0) for t in range(5)]
    figure = timeline(*told(Story([lab, *waiting])))
    assert "tcp_max_tw_buckets, 8,192" in words(figure)
    assert 8192 in levels(panel(figure, "Server"))


def test_caveats_are_plain_to_see() -> None:
    caveats = [
        Caveat(CaveatKind("audit"), "the counts disagree", "", invalidates=True),
        Caveat(CaveatKind("late"), "3 samples were late", ""),
    ]
    columns, facts = told(replace(client_closes(3, ends=False), caveats=caveats))
    for figure in (timeline(columns, facts), portrait(columns, facts)):
        lines = [text.get_text() for text in figure.texts]
        assert "INVALID: the counts disagree" in lines
        assert "CUT SHORT: the records end at 3.0 s" in lines
        assert any("note: 3 samples were late" in line for line in lines)
    overview = multiples(facts.run, [(columns, facts)])
    assert "INVALID, short-client-closes: the counts disagree" in words(overview)


def test_the_portrait_shows_knee_wall_and_ceiling() -> None:
    columns, facts = told(client_closes())
    figure = portrait(columns, facts)
    assert_readable(figure)
    axes = figure.axes[1]
    assert axes.get_yscale() == "log"
    assert places(axes) == [KNEE, 14_131, PORTS]
    assert levels(axes) == [pytest.approx(PORTS / 61)]
    shown = words(figure)
    for part in ("predicted knee 14,116", "measured knee 14,131", "all 28,232 ports", "ports / 61 s = 463/s"):
        assert part in shown
    assert "nothing established" in shown
    points = next(item for item in axes.collections if isinstance(item, PathCollection))
    ports, per_s = np.asarray(points.get_offsets()).T
    assert ports.size == columns.rates.t_s.size
    assert per_s[ports < KNEE - 2000].min() > 10_000
    assert per_s[ports > KNEE + 100].max() < 1_000
    assert np.all(np.diff(np.asarray(points.get_array())) > 0)


@pytest.mark.parametrize(("ceiling", "drawn"), [(200.0, [200.0]), (5_000.0, [])])
def test_the_portrait_shows_a_ceiling_that_is_not_far_above_the_rates(
    ceiling: float, drawn: list[float]
) -> None:
    held = [sample(index * S // 10, {State.TIME_WAIT: 10 * index}, {}, 10 * index) for index in range(31)]
    steady = [driven(index * S // 10, (index + 1) * S // 10, connected=10) for index in range(30)]
    columns, facts = told(Story([*held, *steady, *load_events(3.0)], ceiling=ceiling))
    figure = portrait(columns, facts)
    assert_readable(figure)
    axes = figure.axes[1]
    assert levels(axes) == drawn
    assert axes.get_ylim()[1] > max([100.0, *drawn])


def test_the_portrait_of_a_client_that_holds_a_third_of_its_ports_keeps_the_wall_in_sight() -> None:
    columns, facts = told(kept("client"))
    assert ports_ran_short(columns, facts)
    axes = portrait(columns, facts).axes[1]
    assert axes.get_yscale() == "linear"
    assert axes.get_xlim()[1] > PORTS
    assert places(axes) == [KNEE, PORTS]


def test_a_portrait_is_worth_drawing_where_ports_ran_short() -> None:
    def short(held: int, **metrics: float) -> bool:
        return ports_ran_short(*told(Story([sample(0, {}, {}, held)], metrics=metrics)))

    assert not short(PORTS // 4 - 1)
    assert short(PORTS // 4)
    # On a machine that was slow to sample, the most that was seen may be less than there was.
    assert short(0, **{"knee.ports": 40, "knee.rate_falls": 1})
    assert short(0, **{"exhaustion.time_ns": 1e9})
    assert not ports_ran_short(*told(server_closes()))


def test_a_rate_that_falls_to_zero_keeps_its_label_on_a_log_axis() -> None:
    gone = [
        driven(index * S // 10, (index + 1) * S // 10, attempts=4_000, connected=0 if index else 100)
        for index in range(20)
    ]
    samples = [sample(index * S // 10, {State.TIME_WAIT: 100}, {}, 100) for index in range(21)]
    story = Story([*gone, *samples, *load_events(2.0)], metrics={"exhaustion.time_ns": 0})
    for figure in (timeline(*told(story)), multiples_of({"gone": story, "steady": server_closes()})):
        assert_readable(figure)
        assert any(axes.get_yscale() == "log" for axes in figure.axes)


def multiples_of(stories: Mapping[str, Story]) -> Figure:
    facts = facts_in(stories)
    run = next(iter(facts.values())).run
    return multiples(run, [(columns_of(story.records), facts[name]) for name, story in stories.items()])


def test_variants_share_their_axes() -> None:
    figure = multiples_of(http10())
    assert_readable(figure)
    assert len(panels(figure)) == 8
    assert "short-client-closes runs out of ports" in words(figure)
    assert "Which side collects TIME-WAIT" in words(figure)
    assert len({axes.get_xlim() for axes in panels(figure)}) == 1
    assert len({axes.get_ylim() for axes in panels(figure)}) == 2
    assert [axes.get_title(loc="left").strip() for axes in panels(figure)[::2]] == list(http10())
    below = panels(figure)[1::2]
    assert [levels(axes) for axes in below] == [[PORTS]] * 4


def lockstep(zeros_from_s: float = 3.0) -> Story:
    """64 connections kept in lockstep: each interval of 100 ms sees them begin twice, or once; then none."""
    step = S // 10
    records: list[Record] = []
    for index in range(30):
        n = 64 * (1 + index % 2) if index * step < zeros_from_s * S else 0
        interval = driven(index * step, (index + 1) * step, attempts=n, connected=n, exchanges=9_600)
        records += [interval, sample(index * step, {}, {}, 64)]
    return Story([*load_events(3.0), *records], kept("server").connection)


def test_kept_connections_are_averaged_over_several_rounds_of_them() -> None:
    columns, facts = told(lockstep())
    rates = panel(timeline(columns, facts), "Rates")
    # Ten rounds take two thirds of a second at 960/s: so much is too long for three seconds.
    assert rates.get_title(loc="left") == "Rates, per second; connections: means of 0.3 s"
    connected, exchanges = (points(line)[1] for line in rates.lines[:2])
    assert connected.size == 10
    assert connected.max() - connected.min() < 0.25 * 960
    assert connected.mean() == pytest.approx(960)
    assert exchanges.size == 30
    overview = multiples_of({"kept": lockstep(), "short": server_closes(3)})
    assert_readable(overview)
    assert "connections: means of 0.3 s" in words(overview)
    # Of short connections there are many rounds in every interval.
    assert points(overview.axes[2].lines[0])[0].size >= 30
    assert connections_of(columns.rates, None).note == ""


def test_an_average_is_of_what_there_is() -> None:
    t_s, length_s = np.array([0.5, 1.5, 2.5, 6.5]), np.array([1.0, 1.0, 1.0, 1.0])
    at_s, means = averaged(t_s, length_s, np.array([10.0, 20.0, 30.0, 40.0]), 2.0)
    assert at_s.tolist() == [1.0, 3.0, 5.5]
    assert means.tolist() == [15.0, 30.0, 40.0]
    at_s, means = averaged(t_s, length_s, np.array([10.0, 20.0, 30.0, 40.0]), 1.5)
    assert at_s.tolist() == [0.75, 2.25, 3.75, 5.75]
    assert means.tolist() == pytest.approx([10.0, 25.0, np.nan, 40.0], nan_ok=True)


def test_a_rate_of_zero_is_named_on_a_log_axis() -> None:
    stories = {"dies": lockstep(zeros_from_s=1.2), "steady": lockstep()}
    figure = multiples_of(stories)
    assert_readable(figure)
    silent = [
        [text.get_text() for text in axes.texts if "nothing" in text.get_text()] for axes in panels(figure)
    ]
    assert silent == [["nothing\nestablished"], [], [], []]
    rates = panel(timeline(*told(stories["dies"])), "Rates")
    (said,) = (text for text in rates.texts if isinstance(text, Annotation) and "nothing" in text.get_text())
    assert 1.2 < said.xy[0] < 3
    # A stretch too short for the words is left to the curve, and after the load none is expected.
    assert "nothing" not in words(multiples_of({"dies": lockstep(2.8), "steady": lockstep()}))


def test_a_lone_rate_of_zero_does_not_upset_the_layout() -> None:
    gap = [record for record in lockstep().records if not 0 < t_of(record) < 2 * S]
    alone = [
        structs.replace(one, connected=0) if isinstance(one, Interval) and not one.start_ns else one
        for one in gap
    ]
    # A log axis has no place for it: drawn beyond the panel, it took all of the page.
    figure = multiples_of({"held": Story(alone, server_closes().connection), "steady": kept("server", 3)})
    assert figure.axes[0].get_yscale() == "log"
    assert_readable(figure)


def test_exchanges_are_drawn_only_where_they_are_another_rate() -> None:
    figure = multiples_of(http10())
    assert [len(axes.lines) for axes in panels(figure)[::2]] == [1, 1, 2, 2]
    assert "dashed: exchanges" in words(figure)
    assert "exchanges" not in words(multiples_of({"short": client_closes(3)}))


def heads(axes: Axes) -> list[str]:
    """The lines above a panel of the overview."""
    others = [text for text in axes.texts if isinstance(text, Annotation) and text.xy == (0, 1)]
    return [axes.get_title(loc="left").strip(), *(text.get_text().strip() for text in others)]


def test_every_panel_says_what_held_most_ports_and_where_else_time_wait_is() -> None:
    figure = multiples_of(http10())
    assert [heads(axes) for axes in panels(figure)[1::2]] == [
        ["client 20 ESTABLISHED", "server 14,116 TIME-WAIT"],
        ["client 28,232 TIME-WAIT", "server 0 TIME-WAIT"],
        ["client 64 ESTABLISHED", "server 9,500 TIME-WAIT"],
        ["client 9,500 TIME-WAIT", "server 0 TIME-WAIT"],
    ]
    # Areas too low to be seen are not in the key, unless they are what held most ports.
    assert key(figure) == ["client TIME-WAIT", "client ESTABLISHED", "server TIME-WAIT", "no load"]


def areas(axes: Axes) -> dict[str, float]:
    """The highest place of each area of a panel."""
    found = [one for one in axes.collections if not str(one.get_label()).startswith("_")]
    return {str(one.get_label()): float(one.get_paths()[0].vertices[:, 1].max()) for one in found}


def leak() -> Story:
    """The client does not close: CLOSE-WAIT holds its ports, and the load's end makes TIME-WAITs."""
    records: list[Record] = []
    for t in range(10):
        states = {State.ESTABLISHED: 400} if t < 3 else {State.CLOSE_WAIT: 300, State.SYN_SENT: 100}
        client, server = (states, {}) if t < 8 else ({}, {State.TIME_WAIT: 400})
        records.append(sample(t * S, client, server, 400 if t < 8 else 0))
        records.append(driven(t * S, (t + 1) * S, connected=100 if t < 4 else 0))
    return Story([*load_events(7.5), *records])


def test_what_held_the_ports_is_stacked_by_state_and_apart_from_what_the_end_made() -> None:
    figure = multiples_of({"leak": leak()})
    assert_readable(figure)
    _, below = panels(figure)
    assert heads(below) == ["client 300 CLOSE-WAIT", "server 0 TIME-WAIT, after the load 400"]
    assert areas(below) == {"CLOSE-WAIT": 300, "ESTABLISHED": 400, "SYN-SENT": 400}
    # TIME-WAIT elsewhere holds none of the client's ports: it is a line over the areas.
    (line,) = [points(line) for line in below.lines if len(line.get_xdata()) > 2]  # type: ignore[arg-type]
    assert line[1].max() == 400
    assert key(figure) == [
        "client CLOSE-WAIT",
        "client ESTABLISHED",
        "client SYN-SENT",
        "server TIME-WAIT",
        "no load",
    ]


def shaded(axes: Axes) -> list[tuple[float, float]]:
    """The spans that are shaded in a panel."""
    boxes = [
        one for one in axes.patches if isinstance(one, Rectangle) and to_hex(one.get_facecolor()) == SHADE
    ]
    return sorted((one.get_x(), one.get_x() + one.get_width()) for one in boxes)


def test_the_time_without_load_is_shaded_in_every_panel_of_time() -> None:
    columns, facts = told(client_closes(3))
    overview = panels(multiples(facts.run, [(columns, facts)]))
    above_time = timeline(columns, facts)
    for axes in (*overview, *(axes for axes in above_time.axes if axes.axison)):
        first_s, last_s = axes.get_xlim()
        assert shaded(axes) == [(first_s, 0), (3.0, last_s)]
    assert "shaded: no load" in words(above_time)
    unfinished = multiples_of({"killed": client_closes(3, ends=False)})
    assert [len(shaded(axes)) for axes in panels(unfinished)] == [1, 1]


def test_twelve_variants_with_long_names_wrap() -> None:
    names = [
        f"ports={ports},closer=client,requests={n},topology=pair,close=fin"
        for ports in (28232, 900)
        for n in range(6)
    ]
    stories = {name: client_closes(2) if index % 2 else kept("server", 2) for index, name in enumerate(names)}
    stories[names[7]] = Story([])
    figure = multiples_of(stories)
    assert_readable(figure)
    assert len(panels(figure)) == 24
    assert "no intervals" in words(figure)
    assert_readable(multiples_of({"main": client_closes(2)}))
    assert_readable(multiples_of({name: stories[name] for name in names[:5]}))


def at(t_ns: int, like: Sample) -> Sample:
    return structs.replace(like, t_ns=t_ns)


FAILING = [
    Failure(Phase.CONNECT, kind)
    for kind in ("ECONNREFUSED", "TIMEOUT", "EMFILE", "ENOBUFS", "EADDRINUSE", "X")
]
EVERY_STATE = {state: 10 * (rank + 1) for rank, state in enumerate(State)}
NONE = sample(0, {}, {}, 0)
FULL = client_closes(3).records
UGLY: dict[str, list[Record]] = {
    "no records": [],
    "events only": [*load_events(3.0)],
    "one sample": [sample(0, {State.TIME_WAIT: 3}, {}, 3)],
    "one interval": [driven(0, S, connected=3, connect_p50_ns=10_000, connect_p99_ns=10_000)],
    "one of each": [sample(S // 2, {}, {}, 0), driven(0, S)],
    "no samples": [record for record in FULL if not isinstance(record, Sample)],
    "no intervals": [record for record in FULL if not isinstance(record, Interval)],
    "no length": [driven(S, S, connected=4), sample(S, {}, {}, 0)],
    "counts of zero": [record for t in range(9) for record in (driven(t * S, (t + 1) * S), at(t * S, NONE))],
    "all failed": [
        driven(t * S, (t + 1) * S, attempts=60, errors=dict.fromkeys(FAILING, 10)) for t in range(9)
    ],
    "every state": [sample(t * S, EVERY_STATE, EVERY_STATE, 64) for t in range(9)],
    "few of every state": [
        sample(t * S, {**EVERY_STATE, State.TIME_WAIT: 28_000}, EVERY_STATE, 28_000) for t in range(90)
    ],
    "gaps": [record for record in client_closes(9, ends=False).records if not 4 * S < t_of(record) < 6 * S],
    "only before": [sample(-S, {}, {}, 0), driven(-S, -S // 2, connected=5)],
    "many events": [*FULL, *(AcceptFailed(t * S // 10, 7, "EMFILE") for t in range(30))],
    "one side": [
        structs.replace(at(t * S, NONE), viewpoints={Side.SERVER: NONE.viewpoints[Side.SERVER]})
        for t in range(3)
    ],
}


def every_figure(columns: Columns, facts: Facts) -> list[Figure]:
    return [timeline(columns, facts), portrait(columns, facts), multiples(facts.run, [(columns, facts)])]


@pytest.mark.parametrize("name", UGLY)
def test_ugly_cases_are_drawn_and_say_so(name: str) -> None:
    columns, facts = told(Story(UGLY[name]))
    for figure in (
        timeline(columns, facts),
        portrait(columns, facts),
        multiples(facts.run, [(columns, facts)]),
    ):
        assert_readable(figure)
        assert figure.texts


def test_a_figure_without_anything_says_so() -> None:
    columns, facts = told(Story([]))
    for figure in (
        timeline(columns, facts),
        portrait(columns, facts),
        multiples(facts.run, [(columns, facts)]),
    ):
        assert "nothing to draw" in words(figure)


def test_an_hour_is_thinned_to_a_page() -> None:
    noise = np.random.default_rng(4).integers(30, 60, 36_000)
    step = S // 10
    records: list[Record] = [
        driven(t * step, (t + 1) * step, connected=int(n), connect_p50_ns=int(n) * 1000)
        for t, n in enumerate(noise)
    ]
    records += [sample(t * step, {State.TIME_WAIT: int(n)}, {}, int(n)) for t, n in enumerate(noise)]
    columns, facts = told(Story(records))
    for figure in (timeline(columns, facts), portrait(columns, facts)):
        sizes = [points(line)[0].size for axes in figure.axes for line in axes.lines]
        sizes += [
            np.asarray(item.get_offsets()).shape[0] for axes in figure.axes for item in axes.collections
        ]
        assert max(sizes) <= 1300


# Files


def test_the_figures_of_a_run_are_written_and_are_the_same_every_time(tmp_path: Path) -> None:
    stories = {"a": server_closes(2), "b": client_closes(2)}
    first, second = (written(tmp_path / name, stories) for name in ("a", "b"))
    paths, again = drawn(first), drawn(second)
    stems = ["variants", "timeline-a", "timeline-b", "portrait-b"]
    assert [path.name for path in paths] == [
        f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")
    ]
    assert [path.parent for path in paths] == [first.figures] * len(paths)
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name
    svg = paths[0].read_text()
    assert "<dc:date>" not in svg
    assert "<text" not in svg
    assert str(tmp_path) not in svg


def test_some_figures_of_a_run_that_was_killed(tmp_path: Path) -> None:
    run = written(tmp_path, {"a": client_closes(2, ends=False)})
    assert [path.name for path in drawn(run, "portrait-a")] == ["portrait-a.svg", "portrait-a.png"]
    with pytest.raises(
        ValueError, match="no such figure: portrait-b; there are variants, timeline-a, portrait-a"
    ):
        drawn(run, "portrait-b")


def test_the_overview_has_the_verdicts_on_the_claims() -> None:
    _, facts = told(client_closes(2))
    run = replace(facts.run, claims="C18 confirmed; C19 confirmed (expected: refuted)")
    assert "C19 confirmed (expected: refuted)" in words(multiples(run, [told(server_closes(2))]))


def test_a_run_with_claims_has_their_verdicts_for_its_figures() -> None:
    asked = asked_for({"a": client_closes(2)})
    claims = [
        Claim(id=name, confirmed=(Expectation.parse(f"rate.mean@a {op} 0", Place("x")),))
        for name, op in (("C4", ">"), ("C18", ">"), ("C19", ">"), ("C20", "<"))
    ]
    asked = replace(asked, scenario=asked.scenario.model_copy(update={"claims": tuple(claims)}))
    summaries = [summary_of("a", client_closes(2))]
    assert run_of("x", asked, summaries).claims == (
        "C4, C18 confirmed; C19 confirmed (expected: refuted); C20 undecided (expected: confirmed)"
    )


def test_a_dollar_sign_is_a_dollar_sign(tmp_path: Path) -> None:
    _, facts = told(client_closes(2))
    run = replace(facts.run, title="what does $1 of $PORTS_{ buy?")
    figure = multiples(run, [told(server_closes(2))])
    assert "what does $1 of $PORTS_{ buy?" in words(figure)
    figure.savefig(tmp_path / "figure.png")


def test_drawing_leaves_matplotlib_as_it_was_and_heeds_no_setting_of_the_user(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    plain = drawn(written(tmp_path / "plain", {"a": client_closes(2)}), "timeline-a")
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"lines.linewidth": 9, "font.family": "serif", "svg.fonttype": "none"}):
        loud = drawn(written(tmp_path / "loud", {"a": client_closes(2)}), "timeline-a")
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in loud]


def test_importing_the_figures_does_not_import_matplotlib() -> None:
    code = "import sys, plots.figures; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# What was not observed


def with_gap(what: str) -> tuple[Columns, Facts]:
    """A run with a gap from 2 s to 4 s, in which everything was recorded all the same."""
    story = server_closes()
    return told(replace(story, records=[*story.records, gap(what, 2 * S, 4 * S)]))


def broken_in(axes: Axes, begin_s: float, end_s: float) -> bool:
    """Whether no line has a point inside, and none crosses it."""
    lines = [line for line in axes.lines if len(points(line)[0]) > 2]
    assert lines
    for line in lines:
        t_s, y = points(line)
        inside = (t_s > begin_s) & (t_s < end_s)
        if np.isfinite(y[inside]).any() or not inside.any():
            return False
    return True


@pytest.mark.parametrize(
    ("what", "hidden", "shown"), [("load worker", "Rates", "Server"), ("sampler", "Server", "Rates")]
)
def test_a_gap_breaks_the_lines_that_it_hides_and_is_hatched_and_named(
    what: str, hidden: str, shown: str
) -> None:
    columns, facts = with_gap(what)
    figure = timeline(columns, facts)
    hatched = [len([each for each in axes.collections if each.get_hatch()]) for axes in figure.axes]
    if what == "load worker":
        assert broken_in(panel(figure, hidden), 2.1, 3.9)
        assert not broken_in(panel(figure, shown), 2.1, 3.9)
    assert [
        len([c for c in panel(figure, name).collections if c.get_hatch()]) for name in (hidden, shown)
    ] == [1, 0]
    assert sum(hatched) > 1
    assert f"{what} held up for 2 s" in words(figure)
    assert "hatched: not observed" in words(figure)
    assert "not observed" in key(multiples(facts.run, [(columns, facts)]))
    whole = timeline(*told(server_closes()))
    assert "hatched" not in words(whole)


def test_no_point_of_a_portrait_and_no_mean_is_of_a_gap() -> None:
    columns, _ = with_gap("load worker")
    seen = columns.rates.seen(columns.rates.connected)
    inside = (columns.rates.t_s > 2) & (columns.rates.t_s < 4)
    assert np.isnan(seen[inside]).all()
    assert np.isfinite(seen[~inside]).all()
    assert columns.rates.mean(columns.rates.connected, 2, 4) is None
    # Totals are of all that was counted.
    assert columns.rates.total(columns.rates.connected) == pytest.approx(
        (columns.rates.connected * columns.rates.length_s).sum()
    )


# Where numbers come from


def test_the_cpu_time_of_connect_is_a_line_of_its_own_where_it_was_clocked() -> None:
    story = client_closes(3)
    clocked = [
        structs.replace(one, clocked=4, clocked_wall_ns=400_000, clocked_cpu_ns=60_000)
        if isinstance(one, Interval)
        else one
        for one in story.records
    ]
    columns, facts = told(replace(story, records=clocked))
    assert columns.rates.connect_cpu_s == pytest.approx(15e-6)
    assert "CPU, mean" in words(timeline(columns, facts))
    without, _ = told(story)
    assert np.isnan(without.rates.connect_cpu_s).all()
    assert "CPU, mean" not in words(timeline(without, facts))


def test_percentiles_of_a_part_of_the_calls_say_of_how_many() -> None:
    def timed(calls: int) -> tuple[Columns, Facts]:
        story = client_closes(3)
        records = [
            structs.replace(one, timed=min(calls, one.connected)) if isinstance(one, Interval) else one
            for one in story.records
        ]
        return told(replace(story, records=records))

    some = timed(3)
    calls = some[0].rates.timed
    assert calls is not None
    assert 3 <= calls <= 90
    connect = panel(timeline(*some), "Connect time")
    assert connect.get_title(loc="right") == f"of {calls} timed calls"
    footer = " ".join(text.get_text() for text in portrait(*some).texts)
    assert f"times of connect(): of {calls} timed calls" in footer
    every = timed(100_000)
    assert every[0].rates.timed is None
    for figure in (timeline(*every), portrait(*every)):
        assert "timed calls" not in words(figure)
    assert "timed calls" not in words(timeline(*told(commanded(server_closes()))))


def test_the_footer_names_the_sysctls_that_the_scenario_sets_on_either_side() -> None:
    columns, facts = told(server_closes(3))
    asked = replace(
        facts,
        asked_sysctls={
            Side.CLIENT: {"tcp_syn_retries": "2", "tcp_tw_reuse": "2"},
            Side.SERVER: {"tcp_abort_on_overflow": "1"},
        },
    )
    footer = " ".join(text.get_text() for text in timeline(columns, asked).texts)
    # What was not read back is shown as it was set.
    assert "client tcp_syn_retries 2, tcp_tw_reuse 2, ip_local_port_range 32768 60999" in footer
    assert "server tcp_abort_on_overflow 1" in footer
    other = replace(facts, variant="plain")
    footer = " ".join(
        text.get_text() for text in multiples(facts.run, [(columns, asked), (columns, other)]).texts
    )
    assert "short-client-closes: server tcp_abort_on_overflow 1" in footer
    footer = " ".join(text.get_text() for text in multiples(facts.run, [(columns, asked)]).texts)
    assert "· server tcp_abort_on_overflow 1" in footer


def test_a_connect_that_slows_while_the_rate_does_not_fall_is_marked() -> None:
    slow = {"knee.ports": 14_200, "knee.time_ns": 1e9, "knee.rate_falls": 0}
    columns, facts = told(replace(kept("client", 3), metrics=slow))
    figure = timeline(columns, facts)
    assert_readable(figure)
    assert "slow connect() 1 s, 14,200 ports" in words(figure)
    figure = portrait(columns, facts)
    assert_readable(figure)
    assert "connect() slow from 14,200" in words(figure)
    # If the rate falls there, that is the knee.
    knee = told(replace(kept("client", 3), metrics={**slow, "knee.rate_falls": 1}))
    for figure in (timeline(*knee), portrait(*knee)):
        assert "slow connect()" not in words(figure)
        assert "connect() slow" not in words(figure)
