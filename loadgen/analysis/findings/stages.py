"""The rates of a load's stages: each its own, because a mean over them would be a rate that never was."""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.analysis.stages import Stage
from loadgen.text.numbers import count, rate, seconds

STAGES = FindingKind("stages")
NAMED = 4
"""So many stages have a rate each in the sentence, at most."""


def stages(fold: Fold) -> Iterator[Finding]:
    rates = {stage.began.number: stage.rate for stage in fold.stages if stage.rate is not None}
    if len(fold.stages) < 2 or not rates:
        return
    if len(rates) <= NAMED:
        found = {stage.began.number: _rates(stage) for stage in fold.stages if stage.levels}
        sentence = "connections: " + ", ".join(
            f"{words} in stage {number}" for number, words in found.items()
        )
    else:
        low, high = min(rates.values()), max(rates.values())
        sentence = f"{rate(low)} to {rate(high)} in {len(rates)} stages"
    yield Finding(
        kind=STAGES,
        rank=Rank.PACE,
        viewpoint=fold.scope.leg.opener,
        sentence=sentence,
        start_ns=fold.stages[0].start_ns,
        end_ns=fold.stages[-1].end_ns,
        numbers={f"stage.{number}.rate": found for number, found in rates.items()},
        evidence=tuple(_evidence(fold, stage) for stage in fold.stages),
        observed=True,
    )


def _rates(stage: Stage) -> str:
    """The rates of a stage: its own, or the levels that it had."""
    rates = [rate(level.rate) for level in stage.levels]
    if len(rates) > 2:
        ordered = sorted(level.rate for level in stage.levels)
        return f"{rate(ordered[0])} to {rate(ordered[-1])}"
    return ", then ".join(rates)


def _evidence(fold: Fold, stage: Stage) -> str:
    """One stage: its time, what it asked for and made, and the TIME-WAITs at its begin and end."""
    span = f"{stage.start_ns / 1e9:.1f} to {seconds(stage.end_ns / 1e9)}"
    made = f"{count(stage.connected)} connections"
    gone = f", {count(stage.no_port)} attempts without a port" if stage.no_port else ""
    waits = [
        f", TIME-WAIT {viewpoint} {count(found[0])} to {count(found[-1])}"
        for viewpoint in fold.scope.names
        if (found := stage.time_waits(viewpoint)) and max(found)
    ]
    return f"{stage.began.label}, {span}: {made}{gone}{''.join(waits)}"


RULES: tuple[Rule, ...] = (stages,)
