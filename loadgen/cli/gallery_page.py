"""The gallery as a page in Markdown: every claim, its verdict, and what to do about it. Pure."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from loadgen.analysis.claims import Ground, JudgedClaim, RunClaims
from loadgen.records.info import Info
from loadgen.scenario.advice import Advice, texts
from loadgen.scenario.catalogue import Decision, Statement, catalogue, themes

SHOWN = 2
"""So many comparisons of a verdict are shown, and of each condition the first; the records have all."""
NOT_DECIDED = "not decided"
DECIDED = (Decision.CONFIRMED, Decision.REFUTED, Decision.DEPENDS)


class Judged(NamedTuple):
    """A run, the verdicts on its claims, and the folder of its figures."""

    info: Info
    claims: RunClaims
    figures: Path

    @property
    def scenario(self) -> str:
        """The name of its scenario; an id is the instant and the name."""
        return self.info.id.partition("-")[2] or self.info.id

    @property
    def machine(self) -> str:
        environment = self.info.environment
        return f"Linux {_release(environment.kernel)}, {environment.cpus} cores of {environment.machine}"


class Verdict(NamedTuple):
    """The verdict of one run on a claim."""

    run: Judged
    claim: JudgedClaim

    @property
    def doubt(self) -> tuple[bool, bool, bool]:
        """Sorts verdicts: the one to show comes first."""
        return not self.run.claims.valid, not self.claim.decided, not self.claim.as_expected


def page(runs: Sequence[Judged]) -> Iterator[str]:
    """The lines of the page. A claim that no run decides is listed as that."""
    found = {name: _verdicts(name, runs) for name in catalogue()}
    shown = pictures(runs)
    yield "# Gallery"
    yield ""
    yield from _beginning(runs, found)
    for theme in themes():
        yield from _theme(theme, found, shown)


def pictures(runs: Sequence[Judged]) -> Mapping[str, Path]:
    """The figures of these runs that the page shows, by the name of the copy beside it."""
    found = {
        _copy(advice.figure): run.figures / f"{advice.figure.partition('/')[2]}.png"
        for advice in texts().claims.values()
        for run in runs
        if advice.figure.partition("/")[0] == run.scenario
    }
    return {name: path for name, path in found.items() if path.exists()}


def _copy(figure: str) -> str:
    """The name of the copy of a run's figure."""
    return f"gallery-{figure.replace('/', '-')}.png"


def _verdicts(name: str, runs: Sequence[Judged]) -> list[Verdict]:
    """The verdicts on a claim, the one to show first."""
    every = [Verdict(run, claim) for run in runs for claim in run.claims.claims if claim.claim == name]
    return sorted(every, key=lambda verdict: verdict.doubt)


def _beginning(runs: Sequence[Judged], found: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    counts = Counter(_short(found[name]) for name in catalogue())
    parts = [f"{counts[one]} {one}" for one in (*DECIDED, NOT_DECIDED) if counts[one]]
    days = sorted({run.info.started_at[:10] for run in runs})
    span = " to ".join(dict.fromkeys(days[:1] + days[-1:]))
    machines = "; ".join(sorted({run.machine for run in runs}))
    yield texts().opening.strip()
    yield ""
    yield f"Of {len(catalogue())} claims: {', '.join(parts)}."
    yield f"Measured {span} on {machines}. Rates are that machine's; counts and states are Linux's."
    yield ""
    yield "To make this page again: `churn run --all`, then `churn claims runs/* --gallery docs`."
    yield ""


def _theme(theme: str, found: Mapping[str, Sequence[Verdict]], shown: Collection[str]) -> Iterator[str]:
    text = texts().themes[theme]
    names = [name for name, statement in catalogue().items() if statement.theme == theme]
    yield f"## {text.title}"
    yield ""
    yield text.opening.strip()
    yield ""
    yield "| | claim | verdict |"
    yield "|---|---|---|"
    for name in names:
        claim = _cell(catalogue()[name].text)
        yield f"| [{name}](#{name.lower()}) | {claim} | {_short(found[name])} |"
    yield ""
    for name in names:
        yield from _claim(name, catalogue()[name], texts().claims[name], found[name])
        yield from _picture(texts().claims[name], shown)


def _claim(name: str, statement: Statement, advice: Advice, verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield f'<a id="{name.lower()}"></a>'
    yield ""
    yield f"### {name}. {statement.text}"
    yield ""
    if advice.measured or verdicts:
        yield from _verdict(statement, verdicts)
    else:
        yield "**Not measured**: it is about other systems, and their documents say so."
    yield ""
    yield f"{advice.why} **What to do:** {advice.remedy}"
    yield ""


def _picture(advice: Advice, shown: Collection[str]) -> Iterator[str]:
    """The picture of a claim: one of docs/, or the copy of a run's figure if there is such a run."""
    if "/" not in advice.figure:
        name = advice.figure
    else:
        name = _copy(advice.figure) if _copy(advice.figure) in shown else ""
    if name:
        yield f"![{advice.caption}]({name})"
        yield ""


def _verdict(statement: Statement, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The verdict, the numbers that decided it, and where."""
    if not verdicts:
        yield f"**Not decided** by these runs; {statement.expected} is expected."
        return
    shown, *others = verdicts
    claim = shown.claim
    if not claim.decided:
        yield f"**Not decided** by {_run(shown)}; {statement.expected} is expected: {claim.reason}."
        return
    unexpected = "" if claim.as_expected else f"; {claim.expected} was expected"
    if claim.verdict is Decision.DEPENDS:
        yield f"**It depends**, as {_run(shown)} shows{unexpected}:"
    else:
        yield f"**{claim.verdict.capitalize()}** by {_run(shown)}{unexpected}:"
    yield ""
    for ground in _shown(claim.grounds):
        condition = f"{ground.condition}: " if ground.condition else ""
        yield f"- {condition}`{ground.text}`: {ground.reason}"
    more = len(claim.grounds) - len(_shown(claim.grounds))
    also = [f"{_short([other])} by {_run(other)}" for other in others]
    rest = [*([f"{more} more comparisons hold" if more > 1 else "one more holds"] if more else []), *also]
    if rest:
        yield ""
        yield f"{'; '.join(rest).capitalize()}."


def _shown(grounds: Sequence[Ground]) -> Sequence[Ground]:
    """The first comparisons, or the first of each condition."""
    conditions = dict.fromkeys(ground.condition for ground in grounds)
    if len(conditions) == 1:
        return grounds[:SHOWN]
    return [next(one for one in grounds if one.condition == condition) for condition in conditions]


def _short(verdicts: Sequence[Verdict]) -> str:
    """The verdict in a word or two."""
    decided = verdicts and verdicts[0].claim.decided
    return str(verdicts[0].claim.verdict) if decided else NOT_DECIDED


def _run(verdict: Verdict) -> str:
    invalid = "" if verdict.run.claims.valid else ", whose measurement is invalid"
    return f"`churn run {verdict.run.scenario}`{invalid}"


def _release(kernel: str) -> str:
    """A kernel's version without what a distributor appends."""
    return kernel.partition("-")[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
