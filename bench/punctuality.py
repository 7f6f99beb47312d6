"""Open loops: whether connections begin when they are due, seen from outside and by churn's own records."""

import asyncio
from time import monotonic_ns

from bench.clients import DriverClient
from bench.load import SECOND_NS, Exchange, Load, Program
from bench.measure import FAILURES, Kit, first_connection, going, need_running
from bench.probe import Probe
from bench.reading import Failed
from bench.results import Lateness, Punctuality, Results, Say
from bench.scale import Scale
from bench.serving import serving
from loadgen.lab.lab import open_lab
from loadgen.records.latency import Counts
from loadgen.tcp import Closer

BIN_NS = SECOND_NS // 10
WARM_UP_S = 0.5
MOST_IN_FLIGHT = 1_000
"""What httperf can have is what all get."""


async def punctuality(kit: Kit, scale: Scale, results: Results, say: Say) -> None:
    """Open loops at the rates, on nginx, which closes."""
    for rate in scale.rates:
        load = Load(
            Exchange.SHORT, Program.NGINX, Closer.SERVER, MOST_IN_FLIGHT, seconds=scale.punctual_s, rate=rate
        )
        for name in kit.able(load):
            what = f"punctuality: {rate:,}/s: {name}"
            try:
                found = await punctual(kit, name, load)
            except FAILURES as error:
                results.failed.append(Failed("punctuality", name, f"{rate:,}/s", str(error)))
                say(f"{what}: {error}")
            else:
                results.punctuality.append(found)
                late = found.lateness
                told = "" if late is None else f", late by {late.p99_ns / 1e6:.2f} ms at p99"
                say(f"{what} {found.per_s:,.0f}/s{told}")


async def punctual(kit: Kit, name: str, load: Load) -> Punctuality:
    """One tool under an open loop, in a lab of its own. Raises one of `FAILURES`."""
    assert load.rate is not None
    with open_lab(load.spec()) as lab:
        async with serving(lab, load, kit.cores, kit.files) as server:
            with Probe(server.net, server.workers) as probe:
                already = probe.opened
                async with going(kit, name, lab, load) as client:
                    await first_connection(probe, client, already)
                    per_s, bins = await _bins(probe, load)
                    need_running(client)
                    if isinstance(client, DriverClient):
                        await client.own_count(load.seconds)
    if not isinstance(client, DriverClient):
        return Punctuality(name, load.rate, per_s, bins)
    sums = client.sums
    lateness = Lateness.of(Counts.merged(sums.starts)) if sums.starts else None
    return Punctuality(name, load.rate, per_s, bins, lateness, sums.dropped)


async def _bins(probe: Probe, load: Load) -> tuple[float, tuple[float, ...]]:
    """Connections a second over the window, and over each 100 ms of it as a part of the asked rate."""
    assert load.rate is not None
    await asyncio.sleep(WARM_UP_S)
    begun_ns, begun = monotonic_ns(), probe.opened
    last_ns, last = begun_ns, begun
    bins: list[float] = []
    for number in range(1, int((load.seconds - 2 * WARM_UP_S) * SECOND_NS) // BIN_NS + 1):
        await asyncio.sleep((begun_ns + number * BIN_NS - monotonic_ns()) / SECOND_NS)
        # By the time that really passed: a look that comes late sees more.
        now_ns, now = monotonic_ns(), probe.opened
        bins.append((now - last) * SECOND_NS / (now_ns - last_ns) / load.rate)
        last_ns, last = now_ns, now
    return (last - begun) * SECOND_NS / (last_ns - begun_ns), tuple(bins)
