"""Faults that the lab has no place for, that the load is too short for, or that contradict each other."""

from collections.abc import Iterator
from itertools import combinations

from loadgen.scenario import packet_checks
from loadgen.scenario.choices import Act, Driver, ServerKind, Topology
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.scenario.script import Fault
from loadgen.tcp import Side
from loadgen.text.units import Duration

LONGEST_PAUSE = Duration.parse("20s")
"""Of load workers: churn ends one that is silent for 30 s."""

PROCESSES = frozenset({Act.PAUSE, Act.KILL, Act.RESTART})
"""Faults of a side's processes; all others are of its namespace."""

_OF_LINKS = {Act.CUT: "could be cut", Act.CRASH: "one of them could leave"}
"""Faults that take a side off the network, and need a link: what each does to that."""

_ENDS = {Act.KILL: "is killed", Act.CRASH: "crashes"}

_NEEDS_END = frozenset({Act.PAUSE})
"""Faults that have to end before the load does."""


def script_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction of the script."""
    for place, fault in enumerate(settings.script):
        path = f"script.{place}"
        yield from _keys(path, fault)
        yield from _times(path, fault, settings.load.duration)
        yield from _place(path, fault, settings)
    for (first, one), (second, other) in combinations(enumerate(settings.script), 2):
        if _overlap(one, other) and (clash := _clash(one, other)):
            there = "there" if one.on is other.on else f"on the {one.on}"
            yield Conflict(
                (f"script.{second}.at", f"script.{second}"),
                f"{other.do} on the {other.on} begins while {one.do} (entry {first + 1}) acts {there}:"
                f" {clash}",
                "begin it after the end of the other, or leave one out",
            )


def _keys(path: str, fault: Fault) -> Iterator[Conflict]:
    """Keys that its act needs, or has no use for."""
    if fault.do is Act.SYSCTL and not fault.sysctl:
        yield Conflict(
            (f"{path}.sysctl", f"{path}.do"),
            "sysctl is to be set, and no value is named",
            "write sysctl: {net.ipv4.tcp_max_tw_buckets: 0}",
        )
    if fault.do is not Act.SYSCTL and "sysctl" in fault.model_fields_set:
        yield _useless(path, "sysctl", fault)
    if fault.do not in (Act.KILL, Act.RESTART) and fault.signal is not None:
        yield _useless(path, "signal", fault)
    yield from packet_checks.keys(path, fault)
    if fault.do is Act.KILL and fault.lasts is not None:
        message = "a process that was killed does not come back after a time"
        yield Conflict((f"{path}.for",), message, "remove for, or write do: restart")
    if fault.do in _NEEDS_END and fault.lasts is None:
        message = f"{fault.do} needs an end"
        yield Conflict((f"{path}.do",), message, "write for: 2s")


def _useless(path: str, key: str, fault: Fault) -> Conflict:
    return Conflict((f"{path}.{key}",), f"has no meaning with do: {fault.do}", "remove the key")


def _times(path: str, fault: Fault, duration: Duration) -> Iterator[Conflict]:
    if fault.at >= duration:
        yield Conflict(
            (f"{path}.at",),
            f"{fault.at} is not within the load of {duration}",
            "begin it earlier, or raise load.duration",
        )
    elif fault.end is not None and fault.end > duration:
        yield Conflict(
            (f"{path}.for",),
            f"it would end at {Duration(fault.end)}, and the load ends at {duration}",
            "shorten it, or raise load.duration",
        )


def _place(path: str, fault: Fault, settings: Settings) -> Iterator[Conflict]:
    """What the topology, or the side's program, cannot take."""
    topology = settings.lab.topology
    yield from packet_checks.place(path, fault, settings)
    if fault.do in _OF_LINKS and topology is not Topology.PAIR:
        yield Conflict(
            (f"{path}.do",),
            f"topology {topology} has no link between the sides that {_OF_LINKS[fault.do]}",
            "use topology pair",
        )
    elif fault.do is Act.SYSCTL and topology is Topology.HOST:
        yield Conflict(
            (f"{path}.do",),
            "the host topology has no namespace of its own, and the host's sysctls are left alone",
            "use topology pair or loopback",
        )
    if fault.on is Side.SERVER:
        if fault.do is Act.RESTART and fault.signal == "HUP" and settings.server.kind is ServerKind.COMMAND:
            message = "most programs reload on SIGHUP, and a restart waits for the end"
            yield Conflict((f"{path}.signal",), message, "use TERM, INT, QUIT or KILL")
        return
    own = settings.load.driver is not Driver.COMMAND
    if fault.do is Act.RESTART:
        message = "a load cannot be started again: its counts and its schedule are those of one process"
        yield Conflict((f"{path}.do",), message, "restart the server, or pause the client")
    elif fault.do is Act.CRASH and fault.lasts is not None:
        message = "a client that has crashed is not started again: its schedule is that of one process"
        yield Conflict((f"{path}.for",), message, "remove for, or let the server crash")
    elif fault.do in (Act.KILL, Act.CRASH) and own:
        yield Conflict(
            (f"{path}.do",),
            f"a load worker that {_ENDS[fault.do]} takes the counts of its last connections with it",
            "use pause, or a program of yours: load.driver: command",
        )
    elif fault.do is Act.PAUSE and own and fault.lasts is not None and fault.lasts > LONGEST_PAUSE:
        yield Conflict(
            (f"{path}.for",),
            f"{fault.lasts} is longer than a load worker may be silent",
            f"pause it for {LONGEST_PAUSE} at most, or use load.driver: command",
        )


def _overlap(one: Fault, other: Fault) -> bool:
    """Whether both act at some instant. A kill, and what has no end, lasts."""
    first, second = sorted((one, other), key=lambda fault: fault.at)
    if first.do is Act.RESTART and first.lasts is None:
        return first.at == second.at
    return first.end is None or second.at < first.end


def _clash(one: Fault, other: Fault) -> str:
    """Why two faults that overlap cannot both act; empty if they can."""
    if clash := packet_checks.clash(one, other):
        return clash
    if one.on is not other.on:
        return ""
    if one.do in PROCESSES and other.do in PROCESSES:
        return "both are of the side's processes"
    if one.do in _OF_LINKS and other.do in _OF_LINKS:
        return f"the {'link is down' if Act.CUT in (one.do, other.do) else 'side is gone'} already"
    both = one.sysctl.keys() & other.sysctl.keys()
    return f"both set {', '.join(sorted(both))}" if both else ""
