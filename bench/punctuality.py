"""Open loops: whether connections begin when they are due, seen from outside and by churn's own records."""

import asyncio
from time import monotonic_ns

from bench.clients import start_driver
from bench.load import SECOND_NS, Exchange, Load, Program
from bench.measure import FAILURES, Kit, ToolFailedError, first_connection, going
from bench.probe import Probe
from bench.reading import Failed
from bench.results import Punctuality, Results, Say
from bench.scale import Scale
from bench.serving import serving
from loadgen.choices import Driver
from loadgen.lab.lab import open_lab
from loadgen.tcp import Closer

BIN_NS = SECOND_NS // 10
WARM_UP_S = 0.5
LATE_NS = (1_000_000, 2_000_000)
"""A run tells how many starts were later than one bound: two bounds take two runs."""
MOST_IN_FLIGHT = 1_000
"""What httperf can have is what all get."""


async def punctuality(kit: Kit, scale: Scale, results: Results, say: Say) -> None:
    """Open loops at the rates, on nginx, which closes."""
    for rate in scale.rates:
        load = Load(
            Exchange.SHORT, Program.NGINX, Closer.SERVER, MOST_IN_FLIGHT, seconds=scale.punctual_s, rate=rate
        )
        drivers = {driver.value: driver for driver in kit.drivers}
        for name in kit.able(load):
            for late_ns in LATE_NS if name in drivers else (None,):
                what = f"punctuality: {rate:,}/s: {name}"
                try:
                    found = await _punctual(kit, name, drivers.get(name), load, late_ns)
                except FAILURES as error:
                    results.failed.append(Failed("punctuality", name, f"{rate:,}/s", str(error)))
                    say(f"{what}: {error}")
                else:
                    results.punctuality.append(found)
                    late = "" if found.late is None else f", {found.late:.2%} late"
                    say(f"{what} {found.per_s:,.0f}/s{late}")


async def _punctual(
    kit: Kit, name: str, driver: Driver | None, load: Load, late_ns: int | None
) -> Punctuality:
    assert load.rate is not None
    with open_lab(load.spec()) as lab:
        async with serving(lab, load, kit.cores, kit.files) as server:
            with Probe(server.net, server.workers) as probe:
                if driver is None or late_ns is None:
                    async with going(kit, name, lab, load) as client:
                        await first_connection(probe, client)
                        per_s, bins = await _bins(probe, load)
                        if not client.running:
                            raise ToolFailedError(f"ended before the window did: {client.last_words()}")
                    return Punctuality(name, load.rate, per_s, bins)
                ours = await start_driver(lab, driver, load, kit.cores, late_ns)
                try:
                    await first_connection(probe, ours)
                    per_s, bins = await _bins(probe, load)
                    await ours.own_count(load.seconds)
                finally:
                    await ours.end()
    sums = ours.sums
    late = sums.late / sums.started if sums.started else None
    return Punctuality(name, load.rate, per_s, bins, late_ns, late, sums.dropped)


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
