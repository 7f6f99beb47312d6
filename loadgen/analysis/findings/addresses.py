"""EADDRNOTAVAIL or EADDRINUSE of a program while ports are free: no lack of ports."""

import errno
import os
from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.analysis.shortage import NEARLY_ALL
from loadgen.records.events import CommandEnded
from loadgen.text.numbers import count

ADDRESS_REFUSED = FindingKind("address_refused")
_MISSING = ("EADDRNOTAVAIL", os.strerror(errno.EADDRNOTAVAIL))


def address_refused(fold: Fold) -> Iterator[Finding]:
    """A program said at its end that the kernel refused an address or a port, and most ports were free.

    If none was held, no connection took one: then EADDRNOTAVAIL is about the source address or its family.
    """
    ended, opener = fold.event(CommandEnded), fold.scope.leg.opener
    held = fold.sampled.ports_most.get(opener)
    if ended is None or not fold.under_load().no_port_reported or held is None:
        return
    if held >= NEARLY_ALL * fold.ports or fold.under_load().shortage is not None:
        return
    missing = not held and any(words in ended.stderr for words in _MISSING)
    name = "EADDRNOTAVAIL" if any(words in ended.stderr for words in _MISSING) else "EADDRINUSE"
    why = (
        "the client has no such source address, or no address of that family"
        if missing
        else "that is no lack of ports"
    )
    yield Finding(
        kind=ADDRESS_REFUSED,
        rank=Rank.FAILED if not fold.total("opened") else Rank.PARTLY_FAILED,
        viewpoint=opener,
        sentence=f"the load's command reports {name} with at most {count(held)} of {count(fold.ports)} ports"
        f" held: {why}",
        numbers={"ports": fold.ports, "held": held},
        evidence=(ended.stderr.splitlines()[-1], f"{opener}.ports_held.max {held:,}"),
        observed=missing,
    )


RULES: tuple[Rule, ...] = (address_refused,)
