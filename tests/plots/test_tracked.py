"""The conntrack entries of a NAT in figures: from samples, and from buckets of a long run."""

from matplotlib.figure import Figure
from msgspec.structs import replace

from loadgen.lab.translated import translated_lab
from loadgen.records.conntrack import Conntrack
from loadgen.records.types import Sample
from loadgen.tcp import Tracked
from plots.buckets import samples_reduced
from plots.columns import columns_of
from plots.style import house_style
from plots.tracked_panel import tracked_panel
from tests.made_records import STEP, opened, side

PORTS = 20
SCOPE = translated_lab(ports=(32768, 60999), nat_ports=(40000, 40000 + PORTS - 1), sysctls={}).scope


def sample(step: int, **entries: int) -> Sample:
    counts = {Tracked(state): number for state, number in entries.items() if number}
    tracked = Conntrack(counts, step, sum(entries.values()), {})
    viewpoints = {"client": side(), "nat": replace(side(), conntrack=tracked), "server": side()}
    return Sample(step * STEP, 1, False, viewpoints, 0)


SAMPLES = [sample(number, ESTABLISHED=number, TIME_WAIT=2 * number) for number in range(8)]


def test_entries_are_columns_by_state() -> None:
    columns = columns_of([opened(SCOPE), *SAMPLES])
    entries = columns.tracked["nat"]
    assert list(columns.tracked) == ["nat"]
    assert entries.ports == PORTS
    assert entries.counts.keys() == {Tracked.ESTABLISHED, Tracked.TIME_WAIT}
    assert entries.counts[Tracked.TIME_WAIT].tolist() == [2 * number for number in range(8)]
    assert entries.oldest_s == 7 / 1e9


def test_buckets_of_a_long_run_keep_the_fewest_and_the_most_entries() -> None:
    first, last = (one.viewpoints["nat"].conntrack for one in samples_reduced(SAMPLES))
    assert first is not None
    assert last is not None
    assert (first.entries[Tracked.TIME_WAIT], last.entries[Tracked.TIME_WAIT]) == (0, 14)
    assert (first.count, last.count) == (0, 21)
    assert samples_reduced(SAMPLES)[0].viewpoints["client"].conntrack is None


def test_the_panel_names_states_and_ports() -> None:
    columns = columns_of([opened(SCOPE), *SAMPLES])
    with house_style():
        axes = Figure().add_subplot()
        tracked_panel("nat", columns.sockets.t_s, columns.tracked["nat"]).draw(axes)
    texts = {one.get_text() for one in axes.texts}
    assert axes.get_title("left") == "NAT: conntrack entries by state"
    assert any("TIME_WAIT, peak 14" in text for text in texts)
    assert any("all 20 ports of the NAT" in text for text in texts)
