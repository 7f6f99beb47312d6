"""Tools under the same loads, in turns."""

from collections.abc import Sequence

from bench.measure import FAILURES, Case, Kit, measure
from bench.reading import Failed
from bench.results import Results, Say


async def compare(kit: Kit, cases: Sequence[Case], rounds: int, results: Results, say: Say) -> None:
    """Every tool under every load, the tools taking turns."""
    for number in range(1, rounds + 1):
        for case in cases:
            for name in kit.able(case.load):
                if case.tools is not None and name not in case.tools:
                    continue
                what = f"{case.study}, round {number}: {case}: {name}"
                try:
                    reading = await measure(kit, case, name, number)
                except FAILURES as error:
                    results.failed.append(Failed(case.study, name, str(case), str(error)))
                    say(f"{what}: {error}")
                else:
                    results.readings.append(reading)
                    say(f"{what} {reading.per_s:,.0f}/s")
