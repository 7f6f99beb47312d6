"""The figure of remedies: a row each, a dash for what was not measured, and a headline of what was cured."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from msgspec import structs

from loadgen.records.events import Event, Interrupted, LabOpened, LoadEnds
from loadgen.records.types import Record
from loadgen.scenario.baseline import Remedies
from loadgen.scenario.document import Scenario
from plots.columns import Columns, columns_of
from plots.facts import Facts, run_of
from plots.remedies import NOT_MEASURED, headline, remedies
from plots.remedy_rows import Row, changes_in_words, rows_of
from tests.made_records import SHARED, variant
from tests.stories import S, Story, asked_for, client_closes, facts_in, kept, server_closes

NO_LOSS = {"bytes.lost": 0.0, "connect.p99_ns": 250_000.0}


def stories() -> dict[str, Story]:
    """A workload that runs out of ports, and three remedies: one moves TIME-WAITs, one destroys them."""
    out, moved, requests = client_closes(3.0), server_closes(3.0), kept("client", 3.0)
    failing = {"errors.total": 900.0, "client.time_wait.max": 500.0, "server.time_wait.max": 0.0, **NO_LOSS}
    elsewhere = {"errors.total": 0.0, "client.time_wait.max": 0.0, "server.time_wait.max": 120.0, **NO_LOSS}
    destroyed = {
        "errors.total": 0.0,
        "client.time_wait.max": 50.0,
        "server.time_wait.max": 0.0,
        "client.kernel.TCPTimeWaitOverflow": 1_450.0,
    }
    return {
        "nothing": replace(out, metrics=failing),
        "server-closes": replace(moved, metrics=elsewhere),
        "few-buckets": replace(requests, metrics=destroyed),
        "wider-range": replace(out, metrics={**failing, "errors.total": 400.0}),
    }


def drawn(left_out: dict[str, str] | None = None) -> tuple[Figure, list[Row]]:
    recorded = stories()
    scenario = asked_for(recorded).scenario.model_copy(
        update={"remedies": Remedies(baseline="nothing", left_out=left_out or {})}
    )
    facts = facts_in(recorded)
    variants = [(columns_of(story.records), facts[name]) for name, story in recorded.items()]
    run = run_of("20261120T213005Z-remedies", asked_for(recorded))
    return remedies(run, scenario, variants), rows(scenario, variants)


def rows(scenario: Scenario, variants: list[tuple[Columns, Facts]]) -> list[Row]:
    assert scenario.remedies is not None
    return rows_of(scenario, variants, scenario.remedies.compared([each.name for each in scenario.variants]))


def rows_about(stories: dict[str, Story]) -> list[Row]:
    """The rows of stories, the first of which is the workload itself."""
    scenario = asked_for(stories).scenario.model_copy(
        update={"remedies": Remedies(baseline=next(iter(stories)))}
    )
    facts = facts_in(stories)
    return rows(scenario, [(columns_of(story.records), facts[name]) for name, story in stories.items()])


def headline_of(rows: list[Row]) -> str:
    return headline(rows, "nothing")


def on_loopback(record: Record) -> Record:
    return structs.replace(record, scope=SHARED) if isinstance(record, LabOpened) else record


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def test_rows_have_what_was_measured_and_absent_is_not_zero() -> None:
    _, (nothing, moved, destroyed, wider) = drawn()
    assert (nothing.failed.value, wider.failed.value, moved.failed.value) == (900, 400, 0)
    assert (nothing.held.value, moved.held.value) == (500, 0)
    assert (moved.moved.value, moved.moved.word) == (120, "server")
    assert (nothing.moved.value, nothing.moved.word) == (0, "")
    assert (destroyed.cut_short.value, destroyed.cut_short.word) == (1_450, "destroyed")
    assert destroyed.lost.value is None
    assert destroyed.connect_p99.value is None
    assert nothing.lost.value == 0
    assert nothing.cut_short.value is None
    assert destroyed.rate.value == pytest.approx(38_000, rel=0.1)  # responses: 100 on a connection


def test_the_figure_shows_each_number_and_a_dash_for_what_is_not_known() -> None:
    figure, found = drawn({"pool": "this churn has no key load.pool"})
    shown = texts(figure)
    for text in ("900", "400", "120\nserver", "1,450\ndestroyed", "250 µs", "TIME-WAITs,\nclient"):
        assert text in shown
    assert shown.count(NOT_MEASURED) == sum(row.values.count(None) for row in found)
    assert any("left out: pool (this churn has no key load.pool)" in text for text in shown)
    assert any(f"{NOT_MEASURED} not measured" in text for text in shown)
    panels = figure.axes
    assert len(panels) == 9
    # A bar for each number, none for a dash.
    bars = [
        patch
        for axes in panels[1:]
        for patch in axes.patches
        if isinstance(patch, Rectangle) and patch.get_height() < 0.9
    ]
    known = sum(value is not None for row in found for value in row.values)
    assert len(bars) == known


def test_the_headline_names_the_remedies_after_which_nothing_fails() -> None:
    _, found = drawn()
    assert headline_of(found) == "2 of 3 remedies leave no attempt that fails: server-closes, few-buckets"
    nothing, _, _, wider = found
    assert headline_of([nothing, wider]) == "Attempts still fail with each of 1 remedies"
    assert headline_of([replace(nothing, failed=replace(nothing.failed, value=0.0)), wider]) == ""
    assert headline_of([replace(nothing, failed=replace(nothing.failed, value=None)), wider]) == ""


def test_the_headline_leaves_out_what_is_invalid_or_did_not_come_to_its_end() -> None:
    _, (nothing, moved, destroyed, wider) = drawn()
    invalid, short = replace(moved, invalid=True), replace(destroyed, finished=False)
    assert headline_of([nothing, invalid, short, wider]) == "Attempts still fail with each of 1 remedies"
    assert (
        headline_of([nothing, moved, short]) == "1 of 1 remedies leave no attempt that fails: server-closes"
    )
    for rows in ([nothing, short], [replace(nothing, invalid=True), moved], [wider, moved], []):
        assert headline_of(rows) == ""


@pytest.mark.parametrize("ends", [[], [Interrupted(2 * S), LoadEnds(3 * S)]], ids=["killed", "interrupted"])
def test_a_load_that_was_stopped_early_did_not_come_to_its_end(ends: list[Event]) -> None:
    story = client_closes(3.0)
    records = [*(each for each in story.records if not isinstance(each, LoadEnds)), *ends]
    whole, stopped = rows_about({"nothing": story, "stopped": replace(story, records=records)})
    assert (whole.finished, stopped.finished) == (True, False)


def test_viewpoints_of_one_namespace_count_once() -> None:
    counted = {
        f"{end}.kernel.{name}": number
        for end in ("client", "server")
        for name, number in (("TWRecycled", 7.0), ("TCPTimeWaitOverflow", 20.0))
    }
    apart = replace(client_closes(3.0), metrics=counted)
    records = [on_loopback(each) for each in apart.records]
    two, one = rows_about({"nothing": apart, "loopback": replace(apart, records=records)})
    assert (two.cut_short.value, one.cut_short.value) == (54, 27)
    assert one.cut_short.word == "destroyed + reused"


def test_settings_stand_below_a_name_without_what_they_have_in_common() -> None:
    base = variant()
    sysctls = {"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_timestamps": "0"}
    other = variant(connection={"closer": "server"}, lab={"sysctl": {"client": sysctls}})
    assert changes_in_words(variant(connection={"closer": "client"}), other) == (
        "closer server; client: tcp_tw_reuse 1, tcp_timestamps 0"
    )
    assert changes_in_words(base, base) == ""
