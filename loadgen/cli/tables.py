"""The report at the end of a run, and predictions: headlines and overviews. On stdout."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from loadgen.analysis.claims import JudgedClaim, RunClaims
from loadgen.analysis.headline import time_waits
from loadgen.analysis.summary import VariantSummary
from loadgen.analysis.summary_document import run_verdict
from loadgen.cli.columns import NONE, Column, print_columns, screen
from loadgen.cli.report import print_sections
from loadgen.cli.verdicts import print_claims
from loadgen.model.course import Decides, course
from loadgen.model.foresight import foresee
from loadgen.records.directory import RunDirectory
from loadgen.records.prediction import Prediction
from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Closer, Ending
from loadgen.text.numbers import count, duration, percent


def print_predictions(
    scenario: Scenario, predictions: Sequence[tuple[Variant, Prediction]], path: Path
) -> None:
    """The variants of a scenario: what is foreseen in words, and the prediction for each."""
    console = screen()
    console.print(Text.assemble((scenario.title, "bold"), (f"  {path}", "dim")))
    if scenario.question:
        console.print(scenario.question, markup=False)
    console.print()
    variants = [variant for variant, _ in predictions]
    lines = foreseen_lines(variants)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if lines:
        console.print()
    columns = [
        Column("variant", [variant.name for variant in variants], numeric=False),
        Column("closes first", [closing(variant) for variant in variants], numeric=False),
        Column("load", [loading(variant) for variant in variants], numeric=False),
    ]
    shown = dict(_PREDICTED)
    if any(prediction.upstream for _, prediction in predictions):
        shown |= _BEHIND
    for heading, cell in shown.items():
        columns.append(Column(heading, [cell(prediction) for _, prediction in predictions]))
    print_columns(console, columns)
    legs = [leg for _, prediction in predictions for leg in (prediction, prediction.upstream) if leg]
    for assumption in dict.fromkeys(text for leg in legs for text in leg.assumptions):
        console.print(Text(f"  assumed: {assumption}", style="dim"))


def foreseen_lines(variants: Sequence[Variant]) -> list[str]:
    """What the settings lead to, a line each; it names its variants unless it holds for all."""
    names: dict[str, list[str]] = {}
    for variant in variants:
        for foreseen in foresee(variant):
            names.setdefault(foreseen.sentence, []).append(variant.name)
    return [
        sentence if len(found) == len(variants) else f"{', '.join(found)}: {sentence}"
        for sentence, found in names.items()
    ]


def print_report(
    scenario: Scenario,
    summaries: Sequence[VariantSummary],
    claims: Sequence[JudgedClaim],
    directory: RunDirectory,
    *,
    quick: bool,
    whole: bool,
) -> None:
    """The whole report: one verdict, then what it is based on."""
    console = screen()
    variants = {variant.name: variant for variant in scenario.variants}
    console.print(Text(run_verdict(summaries, variants, claims, whole=whole), style="bold"))
    if quick:
        console.print("This was --quick: fewer ports and less time than the scenario asks for.")
    for summary in summaries:
        console.print(Text.assemble("  ", (summary.name, "bold"), ": ", summary.verdict))
    console.print()
    _print_overview(console, summaries)
    valid = whole and all(summary.valid for summary in summaries)
    print_claims(console, [RunClaims(run=directory.id, valid=valid, claims=claims)])
    print_sections(console, summaries)
    console.print(Text("records   ", style="bold"), Text(str(directory.path)), sep="")


def print_figures(figures: Sequence[Path]) -> None:
    """Where the figures are."""
    console = screen()
    for path in figures:
        if path.suffix == ".png":
            console.print(Text("figure    ", style="bold"), Text(str(path)), sep="")


def closing(variant: Variant) -> str:
    """Who is expected to close first, how, after how many requests."""
    expected = course(variant)
    if variant.connection.closer is Closer.NOBODY and expected.decides is Decides.CONNECTION:
        return f"{Closer.NOBODY} ×{expected.requests}"
    return f"{_words(expected.ending)} ×{round(expected.requests, 2):.10g}"


def ended(metrics: Mapping[str, float]) -> str:
    """How most connections were ended, and what share of them, unless that is all; as it was counted."""
    counts = {ending: metrics.get(f"closes.{ending}", 0.0) for ending in Ending}
    total = sum(counts.values())
    if not total:
        return NONE
    most = max(counts, key=counts.__getitem__)
    share = counts[most] / total
    return _words(most) if counts[most] == total else f"{_words(most)} {share:.0%}"


def _words(ending: Ending) -> str:
    return f"{ending.closer} {ending.how.upper()}"


def loading(variant: Variant) -> str:
    if variant.load.program:
        return f"{variant.load.program}, {variant.load.duration}"
    loop = variant.load.loop
    if variant.load.stages:
        return f"{variant.load.staged}, {variant.load.duration}"
    offered = loop.words if isinstance(loop, OpenLoop) else f"{loop.connections} in flight"
    if variant.load.pool:
        offered += f", pool of {variant.load.pool.idle}"
    return f"{offered}, {variant.load.duration}"


def _print_overview(console: Console, summaries: Sequence[VariantSummary]) -> None:
    left_out = set[str]()
    if not any(_START in summary.metrics for summary in summaries):
        left_out.add(_START)
    if not any(_times_some(summary.metrics) for summary in summaries):
        left_out.add(_TIMED)
    columns = [
        Column("variant", [summary.name for summary in summaries], numeric=False),
        Column("closed first", [ended(summary.metrics) for summary in summaries], numeric=False),
    ]
    sampled = dict.fromkeys(name for summary in summaries for name in time_waits(summary.metrics))
    waiting: _Measured = {f"TW {name}": (f"{name}.time_wait.max", _count) for name in sampled}
    for heading, (name, show) in {**_RATES, **waiting, **_TIMES}.items():
        if name not in left_out:
            columns.append(Column(heading, [show(summary.metrics.get(name)) for summary in summaries]))
    print_columns(console, columns)


def _times_some(metrics: Mapping[str, float]) -> bool:
    """Whether connect() was timed for some connections only, as the uring driver does."""
    return metrics.get(_TIMED, math.inf) < metrics.get("connected", 0)


def _shown(write: Callable[[float], str]) -> Callable[[float | None], str]:
    """The same, with a dash for a number that was not measured."""
    return lambda value: NONE if value is None else write(value)


def _tenths(value_s: float) -> str:
    return f"{value_s:.1f} s"


def _nanoseconds(value_ns: float) -> str:
    return duration(value_ns / 1e9)


_count, _time, _share, _at = _shown(count), _shown(_nanoseconds), _shown(percent), _shown(_tenths)


def _rate(per_s: float | None) -> str:
    return NONE if per_s is None else f"{count(per_s)}/s"


def _rates(prediction: Prediction) -> str:
    """The rate; of stages the least and the most."""
    if not prediction.stages:
        return _count(prediction.rate_per_s)
    rates = sorted(stage.rate_per_s for stage in prediction.stages)
    return " to ".join(dict.fromkeys((count(rates[0]), count(rates[-1]))))


_PREDICTED: Mapping[str, Callable[[Prediction], str]] = {
    "conn/s": lambda prediction: _rates(prediction),
    "slow connect()": lambda prediction: _at(prediction.time_to_knee_s),
    "rate falls": lambda prediction: _at(prediction.time_to_knee_s if prediction.rate_falls else None),
    "ports gone": lambda prediction: _at(prediction.time_to_exhaustion_s),
    "ceiling": lambda prediction: _rate(prediction.ceiling_per_s),
    "TW client": lambda prediction: _count(prediction.time_wait_client),
    "TW server": lambda prediction: _count((prediction.upstream or prediction).time_wait_server),
}
_BEHIND: Mapping[str, Callable[[Prediction], str]] = {
    "TW proxy.downstream": lambda prediction: _count(prediction.time_wait_server),
    "TW proxy.upstream": lambda prediction: _count((prediction.upstream or prediction).time_wait_client),
    "proxy's ports gone": lambda prediction: _at((prediction.upstream or prediction).time_to_exhaustion_s),
}
"""The columns of the predictions: headings, and the value under each."""
_Measured: TypeAlias = Mapping[str, tuple[str, Callable[[float | None], str]]]
_START = "start.p99_ns"
"""How late starts were. Only an open loop schedules starts: without one there is no such column."""
_TIMED = "timed"
"""Of how many connections the times of connect() are. If they are of all, there is no such column."""
_RATES: _Measured = {
    "conn/s": ("rate.mean", _count),
    "req/s": ("rate.requests", _count),
    "start p99": (_START, _time),
}
_TIMES: _Measured = {
    "errors": ("errors.total", _count),
    "connect p50": ("connect.p50_ns", _time),
    "connect p99": ("connect.p99_ns", _time),
    "of timed": (_TIMED, _count),
    "response p99": ("response.p99_ns", _time),
    "load CPU": ("client.busy.max", _share),
    "in connect": ("connect.share", _share),
    "server CPU": ("server.busy.max", _share),
}
"""The columns of the overview, before and after those of TIME-WAIT: headings, the metric under each, and how
it is written."""
