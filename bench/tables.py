"""The results as Markdown: medians, spreads, and ratios within rounds. Pure."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TypeVar

from bench.load import Exchange
from bench.reading import Reading, Study
from bench.results import Lateness, Results
from loadgen.text.numbers import significant

K = TypeVar("K")
V = TypeVar("V")

PEERS = ("wrk", "ab", "floor")
"""What the others are divided by."""


def markdown(results: Results) -> str:
    """All sections that have something to tell."""
    parts = [str(results.environment)]
    if not results.complete:
        parts.append("**Cut short**: what was measured until then.")
    parts += [
        table
        for section in (_rates, _scaling, _punctuality, _sampler, _held, _starts)
        for table in section(results)
    ]
    if results.failed:
        rows = [[failed.study, failed.what, failed.tool, failed.why] for failed in results.failed]
        parts.append(_titled("Not measured", grid(["study", "load", "tool", "why"], rows)))
    return "\n\n".join(parts) + "\n"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers, to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def ratio_within_rounds(readings: Iterable[Reading], peers: Iterable[Reading]) -> float | None:
    """Median over the rounds that both have; None where there is none."""
    of_peer = {peer.round: peer.per_s for peer in peers if peer.per_s}
    ratios = [reading.per_s / of_peer[reading.round] for reading in readings if reading.round in of_peer]
    return median(ratios) if ratios else None


def middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def by_key(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """In the order of first appearance."""
    groups: dict[K, list[V]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups


def _titled(title: str, table: str) -> str:
    return f"### {title}\n\n{table}"


def _number(value: float | None, form: str) -> str:
    """Absent is not zero."""
    return "–" if value is None else format(value, form)


def _rates(results: Results) -> list[str]:
    """Short and kept connections, and sizes of a response: a table for each load."""
    loads = by_key(results.of(Study.SHORT, Study.KEPT, Study.SIZE), lambda reading: reading.load)
    return [_titled(f"{load}, {_rounds(readings)}", _contest(readings)) for load, readings in loads.items()]


def _rounds(readings: Sequence[Reading]) -> str:
    rounds = max(reading.round for reading in readings)
    return "one round" if rounds == 1 else f"{rounds} rounds"


def _contest(readings: Sequence[Reading]) -> str:
    tools = by_key(readings, lambda reading: reading.tool)
    peers = [peer for peer in PEERS if peer in tools]
    what = "conn/s" if readings[0].load.exchange is Exchange.SHORT else "req/s"
    head = ["tool", f"{what}, median", "min – max", *(f"÷ {peer}" for peer in peers)]
    head += ["CPU µs each, user + system", "peak MiB", "core used, client + server", "own count ÷ kernel's"]
    return grid(head, [_row(tool, found, [tools[peer] for peer in peers]) for tool, found in tools.items()])


def _row(tool: str, found: Sequence[Reading], peers: Sequence[Sequence[Reading]]) -> list[str]:
    rates = [reading.per_s for reading in found]
    user, system = (
        middle(reading.user_us for reading in found),
        middle(reading.system_us for reading in found),
    )
    return [
        tool,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} – {max(rates):,.0f}",
        *(_number(ratio_within_rounds(found, peer), ".2f") for peer in peers),
        f"{_number(user, '.1f')} + {_number(system, '.1f')}",
        f"{max(reading.peak_kib for reading in found) / 1024:.1f}",
        f"{median(reading.client_share for reading in found):.0%} + "
        f"{median(reading.server_share for reading in found):.0%}",
        _number(middle(reading.agreement for reading in found), ".3f"),
    ]


def _scaling(results: Results) -> list[str]:
    """Rates over what grows, a column for each tool."""
    points: tuple[tuple[Study, str, str, Callable[[Reading], str]], ...] = (
        (Study.IN_FLIGHT, "Connections in flight", "in flight", lambda it: f"{it.load.in_flight:,}"),
        (Study.WORKERS, "Workers", "workers", lambda it: str(it.load.workers)),
        (Study.TIME_WAIT, "TIME-WAITs that the client holds", "TIME-WAITs", _population),
    )
    return [
        _titled(f"{title}: short connections/s, nginx closes", _matrix(name, readings, point))
        for study, title, name, point in points
        if (readings := results.of(study))
    ]


def _population(reading: Reading) -> str:
    if not reading.held:
        return "0"
    return f"{reading.held:,} {'on the same path' if reading.same_path else 'towards others'}"


def _matrix(name: str, readings: Sequence[Reading], point: Callable[[Reading], str]) -> str:
    tools = list(by_key(readings, lambda reading: reading.tool))
    rows: list[list[str]] = []
    for label, here in by_key(readings, point).items():
        found = by_key(here, lambda reading: reading.tool)
        rates = [middle(reading.per_s for reading in found.get(tool, ())) for tool in tools]
        rows.append([label, *(_number(rate, ",.0f") for rate in rates)])
    return grid([name, *tools], rows)


def _punctuality(results: Results) -> list[str]:
    if not results.punctuality:
        return []
    rows = [
        [
            f"{one.asked_per_s:,}",
            one.tool,
            f"{one.per_s:,.0f}",
            f"{min(one.bins):.2f} – {max(one.bins):.2f}",
            *_late(one.lateness),
            _number(one.dropped, ","),
        ]
        for one in results.punctuality
    ]
    head = ["asked conn/s", "tool", "achieved", "of it in 100 ms"]
    head += ["late ms p50", "p99", "p99.9", "most", "> 1 ms", "> 2 ms", "dropped"]
    title = "Open loop: achieved rate by the server's kernel, lateness by churn's records"
    return [_titled(title, grid(head, rows))]


def _late(lateness: Lateness | None) -> list[str]:
    if lateness is None:
        return ["–"] * 6
    times_ns = (lateness.p50_ns, lateness.p99_ns, lateness.p999_ns, lateness.max_ns)
    shares = (lateness.over_1ms, lateness.over_2ms)
    return [*(significant(time_ns / 1e6) for time_ns in times_ns), *(f"{share:.2%}" for share in shares)]


def _sampler(results: Results) -> list[str]:
    if not results.sampler:
        return []
    rows = [
        [f"{cost.time_wait:,}", f"{cost.share:.2%}", f"{cost.cost_ns / 1e6:.2f}"] for cost in results.sampler
    ]
    return [
        _titled(
            "The sampler, ten samples a second", grid(["TIME-WAITs", "of a core", "ms a sample, mean"], rows)
        )
    ]


def _held(results: Results) -> list[str]:
    if not results.held:
        return []
    rows = [
        [
            held.tool,
            f"{held.connections:,}",
            f"{held.kib_each:.1f}",
            f"{held.us_each:.0f}",
            f"{held.idle_share:.1%}",
            held.fewer or "–",
        ]
        for held in results.held
    ]
    head = ["driver", "held open", "KiB each", "CPU µs each, to open", "of a core, to hold them all"]
    head.append("no more for want of")
    return [_titled("Connections held open in one worker", grid(head, rows))]


def _starts(results: Results) -> list[str]:
    if not results.starts:
        return []
    rows: list[list[str]] = []
    for command, starts in by_key(results.starts, lambda start: start.command).items():
        times_ms = [start.elapsed_ns / 1e6 for start in starts]
        rows.append([command, f"{median(times_ms):.0f}", f"{min(times_ms):.0f} – {max(times_ms):.0f}"])
    return [_titled("Start-up", grid(["command", "ms, median", "min – max"], rows))]
