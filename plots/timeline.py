# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The timeline of a variant: rates, sockets, connect time and errors above one time axis."""

from matplotlib.figure import Figure

from loadgen.records.events import (
    Captured,
    DriverChosen,
    Event,
    Gap,
    LabOpened,
    Origin,
    Processes,
    SampleCheck,
    SegmentsDropped,
    ServerCounted,
    Settled,
    StageBegan,
)
from loadgen.text.numbers import count, seconds
from loadgen.wire.messages import GapCause
from plots.columns import Columns
from plots.facts import Facts
from plots.labels import Mark, draw_marks, hatch, mark_rows, settle, shade, strip_height
from plots.page import nothing_page, page, variant_frame
from plots.panels import connect_panel, error_panel, rate_panel
from plots.states import state_panels
from plots.style import house_style

SILENT = (
    Origin,
    LabOpened,
    DriverChosen,
    Processes,
    ServerCounted,
    SegmentsDropped,
    SampleCheck,
    Captured,
    Settled,
    Gap,
)
"""Events that every run has, at instants that the time axis shows anyway; gaps are marked by their spans."""


def timeline(columns: Columns, facts: Facts) -> Figure:
    """Stacked panels over seconds since the load began; shaded if there is no load."""
    with house_style():
        frame = variant_frame(columns, facts, facts.headline)
        if columns.empty:
            return nothing_page(frame)
        gaps = columns.load_gaps
        hidden = [
            (rate_panel(columns.rates, facts.kept, columns.end_s), gaps),
            *((panel, columns.sampler_gaps) for panel in state_panels(columns, facts)),
            (connect_panel(columns.rates), gaps),
            (error_panel(columns.rates), gaps),
        ]
        panels = [panel for panel, _ in hidden]
        first_s, last_s = _span(columns)
        # A summary of other records may name instants that are not on the axis.
        marks = [mark for mark in _marks(columns, facts) if first_s <= mark.x <= last_s]
        rows = mark_rows(marks, last_s - first_s)
        heights = [strip_height(rows), *(panel.height for panel in panels)]
        figure = page(frame, sum(heights) + 0.16 * len(panels) + 0.4)
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        strip = figure.add_subplot(grid[0])
        drawn = [figure.add_subplot(grid[row], sharex=strip) for row in range(1, len(heights))]
        strip.set_xlim(first_s, last_s)
        for axes, panel in zip(drawn, panels, strict=True):
            panel.draw(axes)
            axes.tick_params(labelbottom=axes is drawn[-1])
        for axes, (_, gaps) in zip(drawn, hidden, strict=True):
            shade(axes, columns.load_end_s)
            hatch(axes, gaps)
        hatched = "; hatched: not observed" if columns.gaps else ""
        drawn[-1].set_xlabel(f"seconds since the load began (shaded: no load{hatched})")
        draw_marks(strip, drawn, marks, rows)
        return settle(figure)


def _marks(columns: Columns, facts: Facts) -> list[Mark]:
    """Measured findings and events, in order of time. Of many events of a kind the first is named."""
    marks: list[Mark] = []
    if facts.measured_knee_s is not None:
        ports = facts.measured_knee_ports
        held = "" if ports is None else f", {count(ports)} ports held"
        marks.append(Mark(facts.measured_knee_s, f"knee {seconds(facts.measured_knee_s)}{held}", strong=True))
    if facts.measured_slow_s is not None:
        ports = facts.measured_slow_ports
        held = "" if ports is None else f", {count(ports)} ports"
        text = f"slow connect() {seconds(facts.measured_slow_s)}{held}"
        marks.append(Mark(facts.measured_slow_s, text, strong=True))
    if facts.measured_exhaustion_s is not None:
        text = f"no port left {seconds(facts.measured_exhaustion_s)}"
        marks.append(Mark(facts.measured_exhaustion_s, text, strong=True))
    kinds: dict[str, list[Event]] = {}
    for event in columns.events:
        if not isinstance(event, SILENT):
            kinds.setdefault(event.label, []).append(event)
    for events in kinds.values():
        first_s = events[0].t_ns / 1e9
        many = f" (first of {len(events)})" if len(events) > 1 else ""
        at = "" if isinstance(events[0], StageBegan) and events[0].number == 1 else f" {seconds(first_s)}"
        between = "," if at and isinstance(events[0], StageBegan) else ""
        marks.append(Mark(first_s, f"{events[0].label}{between}{at}{many}"))
        marks += [Mark(event.t_ns / 1e9, "") for event in events[1:]]
    gaps: dict[tuple[str, GapCause], list[Gap]] = {}
    for gap in columns.gaps:
        gaps.setdefault((gap.what, gap.cause), []).append(gap)
    for (what, cause), spans in gaps.items():
        how, first = ("held up" if cause is GapCause.HELD_UP else "not read"), spans[0]
        many = f" (first of {len(spans)})" if len(spans) > 1 else ""
        text = f"{what} {how} for {seconds((first.end_ns - first.start_ns) / 1e9)}{many}"
        marks.append(Mark(first.start_ns / 1e9, text))
    return sorted(marks, key=lambda mark: mark.x)


def _span(columns: Columns) -> tuple[float, float]:
    """The time axis: all that was recorded, and some room if that is a single instant."""
    instants = [
        0.0,
        columns.last_s,
        *columns.sockets.t_s[:1],
        *(event.t_ns / 1e9 for event in columns.events),
    ]
    first_s, last_s = float(min(instants)), float(max(instants))
    return (first_s, last_s) if last_s > first_s else (first_s - 0.5, last_s + 0.5)
