"""What casts doubt on a variant's result: one function a doubt, each of the fold alone.

Pure. A doubt that changes the answer to the question invalidates; one that merely bounds what
may be read off the result does not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from loadgen.analysis.audit import NONE_CROSSED, AuditLine, Crossed, closed_by_both, missing
from loadgen.analysis.caveats import Caveat, CaveatKind
from loadgen.analysis.fold import Fold
from loadgen.analysis.overflows import overflows
from loadgen.analysis.saturation import saturation
from loadgen.analysis.unobserved import unobserved
from loadgen.records.events import (
    CommandEnded,
    DriverChosen,
    Interrupted,
    ProcessDied,
    SampleCheck,
    WorkerExited,
)
from loadgen.scenario.choices import Topology
from loadgen.scenario.models import Variant
from loadgen.tcp import Fault, Phase, Side, State
from loadgen.wire.codec import plain
from loadgen.wire.exit_status import how_ended

OWN_ENDS = 0.1
"""The share of connections that a command may end otherwise than the scenario says: it did not read it."""
MOST_READS = 10
"""Reads for each response, on average, beyond which their number is a finding: 1 MB takes the uring driver
two, and a driver that reads what is there seven by TCP's slow start alone."""
LATE_SAMPLES = 0.05
"""The share of samples that may be late before the timeline has visible gaps."""

NAMED_PLACES = 4
"""The damaged places that a caveat names."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a doubt looks at."""

    variant: Variant
    fold: Fold
    audit: Sequence[AuditLine]
    crossed: Crossed

    @property
    def closed_by_both(self) -> int:
        """Connections that both sides closed. Only the kernel counts their two ends: a driver tells one."""
        shared = self.variant.lab.topology.shared
        return closed_by_both(self.fold.kernel(), shared=shared) if self.fold.by_kernel else 0


def doubts(
    variant: Variant, fold: Fold, audit: Sequence[AuditLine], crossed: Crossed = NONE_CROSSED
) -> list[Caveat]:
    """All caveats of a variant, those that invalidate first."""
    case = Case(variant, fold, audit, crossed)
    found = [caveat for doubt in _DOUBTS for caveat in doubt(case)]
    return sorted(found, key=lambda caveat: not caveat.invalidates)


def _records(case: Case) -> Iterator[Caveat]:
    nothing = not case.fold.intervals or not case.fold.samples
    if nothing and not case.fold.event(ProcessDied) and not case.fold.damage:
        yield Caveat(
            CaveatKind.NO_RECORDS,
            "the variant ended before there was anything to measure",
            "look at its events.jsonl, and run it again",
            invalidates=True,
        )


def _damaged(case: Case) -> Iterator[Caveat]:
    damage = case.fold.damage
    if damage:
        more = len(damage) - NAMED_PLACES
        places = ", ".join(
            [one.place for one in damage[:NAMED_PLACES]] + ([f"{more} more"] if more > 0 else [])
        )
        yield Caveat(
            CaveatKind.RECORDS_DAMAGED,
            f"records could not be read, and are left out: {places}",
            "take the run directory from a copy, or run it again; `churn plot` names what is wrong with each",
            invalidates=True,
        )


def _interrupted(case: Case) -> Iterator[Caveat]:
    if case.fold.event(Interrupted):
        yield Caveat(
            CaveatKind.INTERRUPTED,
            f"interrupted after {case.fold.load_end_ns() / 1e9:.1f} s of {case.variant.load.duration}",
            "run it to its end for maxima and means that can be compared",
        )


def _died(case: Case) -> Iterator[Caveat]:
    for event in case.fold.events:
        if isinstance(event, ProcessDied):
            # Of what a command said, the first line tells what befell it; of a traceback, the last one.
            first, *more = event.stderr.splitlines() or [""]
            words = " ".join([first, *(["..."] if more[1:] else []), *more[-1:]])
            yield Caveat(
                CaveatKind.PROCESS_DIED,
                f"the {event.what} ended before its time, {event.how}" + (f": {words}" if words else ""),
                "see what it wrote last in events.jsonl; dmesg tells of the out-of-memory killer",
                invalidates=True,
            )
        if isinstance(event, WorkerExited):
            yield Caveat(
                CaveatKind.PROCESS_DIED,
                f"a worker of the server ended before its time, {how_ended(event.status)}",
                "look for what killed it: dmesg tells of the out-of-memory killer",
                invalidates=True,
            )


def _fallback(case: Case) -> Iterator[Caveat]:
    event = case.fold.event(DriverChosen)
    if event and event.lacking:
        yield Caveat(
            CaveatKind.DRIVER_FALLBACK,
            f"the {event.driver} driver made the load: {event.why}",
            "read its rate beside others of the same driver only; `churn doctor` tells what io_uring lacks",
        )


def _command(case: Case) -> Iterator[Caveat]:
    ended = case.fold.event(CommandEnded)
    if ended is None:
        return
    if ended.asked and not case.fold.event(Interrupted):
        yield Caveat(
            CaveatKind.COMMAND_STOPPED,
            f"the load's command still ran at {case.fold.load_end_ns() / 1e9:.1f} s, and was ended",
            "tell it how long to load: {duration_s} stands for load.duration in seconds",
        )
    code = ended.code
    if code and not ended.asked:
        words = ended.stderr.splitlines()
        yield Caveat(
            CaveatKind.COMMAND_FAILED,
            f"the load's command ended {how_ended(code)}" + (f": {words[-1]}" if words else ""),
            "see driver.err and driver.out of the variant: what it did not do was not measured",
            invalidates=True,
        )
    elif case.fold.complete and not case.fold.event(Interrupted) and _opened_none(case):
        yield Caveat(
            CaveatKind.COMMAND_FAILED,
            "the load's command tried no connection: the client's kernel counted none (ActiveOpens)",
            "see driver.err and driver.out of the variant, and that it loads {url}",
            invalidates=True,
        )


def _opened_none(case: Case) -> bool:
    """Whether the client's kernel counts connection attempts, and counted none."""
    return case.fold.kernel()[Side.CLIENT].get("ActiveOpens") == 0


def _unaudited(case: Case) -> Iterator[Caveat]:
    if case.fold.samples and not case.fold.complete:
        yield Caveat(
            CaveatKind.NOT_AUDITED,
            f"the records end at {case.fold.load_end_ns() / 1e9:.1f} s of {case.variant.load.duration}:"
            " the counts could not be compared with the kernel's",
            "read it up to that moment only, and run it again: it was killed, or a process of it was",
            invalidates=True,
        )
    lacking = missing(case.fold.kernel(), commanded=case.fold.by_kernel) if case.fold.complete else []
    if lacking:
        yield Caveat(
            CaveatKind.AUDIT_INCOMPLETE,
            f"this kernel does not count {', '.join(lacking)}: what rests on it was not audited",
            "run it on a kernel that counts all of them, or take those counts on churn's word",
        )


def _audit(case: Case) -> Iterator[Caveat]:
    differing = [line for line in case.audit if not line.exact]
    if differing:
        told = "; ".join(f"{line.what}: {line.ours:,}, {line.source} {line.theirs:,}" for line in differing)
        who = "the two sides differ" if case.fold.by_kernel else "churn's counts are not the kernel's"
        yield Caveat(
            CaveatKind.AUDIT_DIFFERS,
            f"{who} ({told})",
            "look for refusals, for a server that died, or one that resets or forgets what it closed; without"
            " a cause it is a bug worth reporting",
            invalidates=True,
        )


def _closed_by_both(case: Case) -> Iterator[Caveat]:
    if both := case.closed_by_both:
        yield Caveat(
            CaveatKind.CLOSED_BY_BOTH,
            f"{both:,} connections were ended by both sides, before either had heard of it: two FINs leave"
            " both with TIME-WAIT (K1), a RST after a FIN counts as well. The closes could not be audited",
            "let the side that is not the closer read until the other's FIN before it closes",
        )
    crossed = case.crossed
    told = [
        f"{count:,} {what}"
        for count, what in (
            (
                crossed.fins - crossed.behind,
                "were closed by both sides at once, which left both with TIME-WAIT (RFC 9293, 3.6)",
            ),
            (crossed.behind, "were closed by the server in the moment before the client did"),
            (crossed.resets, "were reset by the client when the server's FIN was on its way"),
            (crossed.refused, "were reset by the server, which closed them with bytes unread (K4)"),
        )
        if count
    ]
    if told:
        commanded = case.variant.server.command
        theirs = "the server's own timeouts" if commanded else "server.delay and server.idle_timeout"
        yield Caveat(
            CaveatKind.CLOSED_BY_BOTH,
            f"of the connections that count as ended by the client {', '.join(told)}",
            f"where that matters, keep {theirs} away from load.timeouts and from the load's end",
        )


def _late_data(case: Case) -> Iterator[Caveat]:
    if late := case.crossed.late:
        yield Caveat(
            CaveatKind.DATA_AFTER_CLOSE,
            f"bytes of the client came to {late:,} connections that the server had closed by FIN: its kernel"
            " answered by RST, and left no TIME-WAIT (RFC 1122, 4.2.2.13)",
            "keep the client's pauses shorter than the server's idle timeout",
        )


def _unaccepted(case: Case) -> Iterator[Caveat]:
    if unaccepted := case.crossed.unaccepted:
        yield Caveat(
            CaveatKind.NEVER_ACCEPTED,
            f"{unaccepted:,} connections were established for the client alone: the server's kernel dropped"
            " the last ACK of their handshake, its accept queue being full (K15)",
            "raise the server's backlog; until then, count the connections that the server accepted"
            " (server.kernel PassiveOpens)",
        )


def _sample_check(case: Case) -> Iterator[Caveat]:
    for event in case.fold.events:
        if isinstance(event, SampleCheck):
            for side, found in event.sides.items():
                if found.sockstat != found.dump:
                    yield Caveat(
                        CaveatKind.SAMPLE_DIFFERS,
                        f"{side}: {found.sockstat:,} TIME-WAIT by sockstat, {found.dump:,} by a dump",
                        "something else used the namespace, or this kernel counts otherwise (K17): report it",
                        invalidates=True,
                    )


def _host(case: Case) -> Iterator[Caveat]:
    if case.variant.lab.topology is Topology.HOST:
        yield Caveat(
            CaveatKind.HOST_LOOPBACK,
            "ran on the host's own loopback, where TIME-WAIT ports are reused after a second (K12) and"
            " other programs' connections count",
            "allow namespaces (`churn doctor` tells how) and use `topology: pair`",
            invalidates=True,
        )


def _loopback(case: Case) -> Iterator[Caveat]:
    lab, recycled = case.variant.lab, case.fold.kernel()[Side.CLIENT].get("TWRecycled", 0)
    asked_for = "net.ipv4.tcp_tw_reuse" in {**lab.sysctl.client, **lab.sysctl.server}
    if lab.topology is Topology.LOOPBACK and recycled and not asked_for:
        yield Caveat(
            CaveatKind.LOOPBACK_REUSE,
            f"{recycled:,} TIME-WAIT ports were reused: tcp_tw_reuse=2 does so on loopback alone (K12)",
            "use `topology: pair` for what a network shows, or set net.ipv4.tcp_tw_reuse to 0",
        )


def _leftovers(case: Case) -> Iterator[Caveat]:
    first = case.fold.samples[0] if case.fold.samples else None
    left = sum(side.count(State.TIME_WAIT) for side in first.sides.values()) if first else 0
    if left:
        yield Caveat(
            CaveatKind.LEFTOVERS,
            f"{left:,} TIME-WAITs of earlier connections stood before the first packet",
            "wait a minute and run again, or use a lab with its own namespaces",
            invalidates=True,
        )


def _dropped(case: Case) -> Iterator[Caveat]:
    dropped, offered = case.fold.count("dropped"), case.fold.count("offered")
    loop = case.variant.load.open_loop
    if loop is not None and dropped:
        yield Caveat(
            CaveatKind.STARTS_DROPPED,
            f"{dropped:,} of {offered:,} starts were dropped: {loop.connections:,} connections were open or"
            " waiting to be opened, or the load ended before their turn",
            "lower the rate, or raise load.open_loop.connections where the server is what is slow",
        )


def _saturated(case: Case) -> Iterator[Caveat]:
    yield from saturation(case.variant, case.fold)


def _unobserved(case: Case) -> Iterator[Caveat]:
    yield from unobserved(case.fold)


def _overflows(case: Case) -> Iterator[Caveat]:
    yield from overflows(case.variant, case.fold)


def _sampler(case: Case) -> Iterator[Caveat]:
    sampled = case.fold.sampled
    # A sample that ends a gap is no doubt of its own.
    late, missed = sampled.late - sampled.late_by_gaps, sampled.missed - sampled.missed_by_gaps
    if late + missed > LATE_SAMPLES * (sampled.count + missed):
        besides = f", and {missed:,} were missed" if missed else ""
        yield Caveat(
            CaveatKind.SAMPLER_LATE,
            f"{late:,} of {sampled.count:,} samples were late by more than half a period{besides}",
            "free the machine's cores, or sample less often (sample.every)",
        )


def _reads(case: Case) -> Iterator[Caveat]:
    reads = case.fold.count("reads")
    # Of a connection without a whole response there was one that was begun.
    responses = max(case.fold.count("exchanges"), case.fold.count("connected"))
    if reads > MOST_READS * responses > 0:
        yield Caveat(
            CaveatKind.READ_IN_PIECES,
            f"the driver read each response in {reads / responses:.0f} pieces on average: rate and response"
            " times include these turns of the driver",
            "compare with another driver (load.driver), and client.busy with a core; a server that sends in"
            " small pieces or chunks leaves no other way",
        )


def _closer(case: Case) -> Iterator[Caveat]:
    connection, closes = case.variant.connection, case.fold.closes
    ended: dict[str, int] = plain(replace(closes, server_fin_reset=0))
    # What the end of the run cut off was reset by churn itself, and is told by its errors.
    ended["client_rst"] -= sum(
        count
        for failure, count in case.fold.errors.items()
        if failure.kind == Fault.CUT and failure.phase not in (Phase.BIND, Phase.CONNECT)
    )
    other = sum(
        count for ending, count in ended.items() if ending != f"{connection.closer}_{connection.close}"
    )
    # One of the two ends of a connection that both closed is the other side's.
    other -= case.closed_by_both
    total = closes.total - case.closed_by_both
    # A command that has loaded for its time ends what it has open in its own way.
    tolerated = OWN_ENDS * total if case.fold.by_kernel else 0
    told: list[str] = []
    if other > tolerated:
        told.append(
            f"{other:,} of {total:,} connections were not ended by the {connection.closer}'s"
            f" {connection.close.upper()}, as the scenario says"
        )
    if (early := _ended_early(case)) > 0:
        made = case.fold.count("exchanges") / case.fold.count("connected")
        told.append(
            f"at least {early:,} that fared well ended before their {connection.requests:,} requests"
            f" were made; a connection made {made:.3g} on average"
        )
    if told:
        yield Caveat(
            CaveatKind.CLOSER_DIFFERS,
            "; ".join(told),
            "look at the errors, at server.idle_timeout and at load.timeouts",
        )


def _ended_early(case: Case) -> int:
    """Connections that succeeded with fewer requests than asked for: so many at the least, none if negative.

    The load's end is no fault: what was open in the last whole interval, or was opened since, may be such.
    """
    fold = case.fold
    all_made = fold.count("exchanges") // case.variant.connection.requests
    return fold.count("succeeded") - all_made - fold.open_at_end()


_DOUBTS: tuple[Callable[[Case], Iterator[Caveat]], ...] = (
    _records,
    _damaged,
    _interrupted,
    _died,
    _fallback,
    _command,
    _unaudited,
    _audit,
    _closed_by_both,
    _late_data,
    _unaccepted,
    _sample_check,
    _host,
    _leftovers,
    _dropped,
    _loopback,
    _closer,
    _saturated,
    _unobserved,
    _sampler,
    _reads,
    _overflows,
)
