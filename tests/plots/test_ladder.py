"""The ladder's layout: the order of time is kept, and no text covers another."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from loadgen.tcp import Side, State
from plots.ladder import ladder
from plots.ladder_layout import HEAD_SEGMENTS, ROW, TAIL_SEGMENTS, layout
from tests.analysis.test_packets import CASES, crashed, made
from tests.made_packets import ACK, CLIENT, RST, SERVER, Sent


@pytest.mark.parametrize("name", CASES)
def test_order_is_kept_and_texts_have_room(name: str) -> None:
    placed = layout(made(CASES[name][0]))
    everything = sorted(one for of_side in placed.instants.values() for one in of_side)
    heights = [y for _, y in everything]
    assert heights == sorted(heights)
    for of_side in placed.instants.values():
        rows = [y for _, y in of_side]
        assert all(below - above > ROW - 1e-9 for above, below in itertools.pairwise(rows))
    assert all(arrow.bottom > arrow.top for arrow in placed.arrows)
    for bands in placed.bands.values():
        assert all(band.bottom - band.top > ROW - 1e-9 for band in bands)
        assert all(above.bottom == below.top for above, below in itertools.pairwise(bands))


def test_arrows_that_cross_keep_their_texts_away_from_there() -> None:
    placed = layout(made(CASES["both at once"][0]))
    crossed = [arrow.crossed for arrow in placed.arrows if arrow.crossed is not None]
    assert len(crossed) == 4
    assert all(0 < part < 1 for part in crossed)


def test_a_pause_breaks_the_axis_and_a_long_connection_leaves_segments_out() -> None:
    placed = layout(made(CASES["a fin lost and sent again"][0]))
    assert [one.length_ns for one in placed.breaks] == [200_000_000]
    (last,) = [band for band in placed.bands[Side.CLIENT] if band.span.state is State.TIME_WAIT]
    assert last.open_
    data = [
        Sent(1 + number, (CLIENT, SERVER)[number % 2], ACK, 1 + number // 2, 1 + number // 2, size=1)
        for number in range(100)
    ]
    placed = layout(made(data))
    assert len(placed.arrows) == HEAD_SEGMENTS + TAIL_SEGMENTS
    assert [one.segments for one in placed.breaks] == [103 - HEAD_SEGMENTS - TAIL_SEGMENTS]


def test_a_figure_says_what_each_segment_and_state_is() -> None:
    figure = ladder(made(CASES["a fin lost and sent again"][0]), "title", "subtitle", "footer")
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("FIN, ACK   seq 1 ack 1") == 2
    assert {"lost", "retransmission 1", "LISTEN", "client", "server", "closes first"} <= {*texts}
    assert {"200 ms", "CLOSED", "TIME-WAIT", "60 s"} <= {*texts}


def test_what_a_script_does_is_marked_on_its_side_and_covers_no_text() -> None:
    script = [Sent(2, CLIENT, ACK, 1, 1, size=5), Sent(2.1, SERVER, RST, 1)]
    connection = made(script, crashed(SERVER, at_ms=1, back_ms=1))
    placed = layout(connection)
    assert [words for words, _ in placed.marks[SERVER]] == ["crash", "crash over"]
    assert placed.marks[CLIENT] == []
    (crash, back), (*_, last) = [y for _, y in placed.marks[SERVER]], placed.bands[SERVER]
    assert (last.span.state, last.bottom) == (State.ESTABLISHED, crash)
    assert back - crash > ROW
    figure = ladder(connection, "title", "subtitle", "footer")
    (axes,) = figure.axes
    assert [line for line in axes.lines if line.get_marker() == "D"]
    assert {"crash", "crash over"} <= {text.get_text() for text in axes.texts}
    covers_none(figure)


@pytest.mark.parametrize("name", CASES)
def test_no_text_covers_another(name: str) -> None:
    covers_none(ladder(made(CASES[name][0]), "title", "subtitle", "footer"))


def covers_none(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    shown = [text for text in axes.texts if text.get_text()]
    # Not the whole extent: a line of text has room above and below its letters.
    boxes = [Text.get_window_extent(text).expanded(0.98, 0.8) for text in shown]
    for (one, box), (other, another) in itertools.combinations(zip(shown, boxes, strict=True), 2):
        assert not box.overlaps(another), (one.get_text(), other.get_text())
