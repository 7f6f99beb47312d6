"""Dropped and delayed segments in whole runs: what is dropped, nothing else, only while the fault acts."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from loadgen.analysis.packets.connection import Connection, Transit, connections
from loadgen.records.directory import RunDirectory
from loadgen.records.events import FaultBegan, FaultEnded, SegmentsDropped
from loadgen.records.pcapng import read_capture
from loadgen.records.segment import Flags
from loadgen.scenario.choices import Lost
from loadgen.tcp import Side
from tests.command import Running, churn, document, eventually
from tests.runs.test_runs import exact, shared_path, write
from tests.runs.test_script import faults_begun, ran
from tests.unprivileged import as_ordinary_user

__all__ = ["shared_path"]

HEAD = """
title: t
load: {driver: protocol, open_loop: {rate: 25/s, late: 1min}, duration: 2s}
capture: {connections: 100}
variants:
"""


def is_fin(one: Transit) -> bool:
    return one.segment.has(Flags.FIN)


def is_bare_ack(one: Transit) -> bool:
    return not one.segment.takes and not one.segment.has(Flags.RST)


def is_syn_ack(one: Transit) -> bool:
    return one.segment.has(Flags.SYN) and one.segment.has(Flags.ACK)


def is_reset(one: Transit) -> bool:
    return one.segment.has(Flags.RST)


DROPS: dict[Lost, tuple[Side, str, Callable[[Transit], bool]]] = {
    Lost.FIN: (Side.CLIENT, "fin", is_fin),
    Lost.LAST_ACK: (Side.CLIENT, "fin", is_bare_ack),
    Lost.SYN_ACK: (Side.SERVER, "fin", is_syn_ack),
    Lost.RST: (Side.CLIENT, "rst", is_reset),
    Lost.ALL: (Side.CLIENT, "fin", bool),
}
"""By what is dropped: the side that sends it, how the client closes, and what is to be stopped."""


def dropped(run: RunDirectory, variant: str) -> SegmentsDropped:
    (found,) = (one for one in run.records(variant) if isinstance(one, SegmentsDropped))
    return found


def answered_by_reset(one: Transit, connection: Connection) -> bool:
    """Whether the other side sent a RST after this one: it had not got it, and its program ended later."""
    return any(
        is_reset(each) and each.by is not one.by and each.at_ns > one.at_ns for each in connection.transits
    )


def test_each_drop_stops_its_segments_and_no_other(tmp_path: Path) -> None:
    text = "".join(
        f"""
  drop-{what}:
    connection: {{closer: client, close: {close}}}
    script: [{{at: 400ms, for: 800ms, do: drop, what: {what}, on: {side}}}]
"""
        for what, (side, close, _) in DROPS.items()
    )
    variants, run, _ = ran(tmp_path, text, HEAD)
    for what, (side, _, is_asked) in DROPS.items():
        name, counted = f"drop-{what}", dropped(run, f"drop-{what}")
        began, ended = (
            next(one.t_ns for one in run.records(name) if isinstance(one, kind))
            for kind in (FaultBegan, FaultEnded)
        )
        assert began < ended
        assert (counted.on, counted.what) == (side, what)
        assert counted.segments == variants[name]["metrics"]["script.dropped"] > 0
        # What did not get to a side's TCP, by what both sides sent later.
        every = connections(read_capture(run.capture(name)))
        stopped = [
            one
            for connection in every
            for one in connection.transits
            if one.ignored or (is_reset(one) and answered_by_reset(one, connection))
        ]
        assert {one.by for one in stopped} == {side}, name
        assert all(is_asked(one) for one in stopped), name
        # Of all segments some are bare ACKs, which no answer shows to be lost.
        assert len(stopped) == counted.segments or what is Lost.ALL, name
        assert len(stopped) <= counted.segments, name
        # The others came through: each kind was sent before and after as well.
        assert len(every) == variants[name]["metrics"]["opened"] > len(stopped) / 8, name


def test_without_room_for_a_time_wait_each_driver_knows_who_closed_first(tmp_path: Path) -> None:
    head = """
title: t
load: {open_loop: {rate: 300/s, late: 1min}, duration: 1s}
connection: {closer: client}
lab: {sysctl: {client: {net.ipv4.tcp_max_tw_buckets: 0}}}
variants:
"""
    made = (("protocol", 1), ("protocol", 3), ("uring", 1), ("aiohttp", 1))
    text = "".join(
        f"  {driver}-{requests}: {{load: {{driver: {driver}}}, connection: {{requests: {requests}}}}}\n"
        for driver, requests in made
    )
    variants, _, code = ran(tmp_path, text, head)
    assert code == 0
    for name, variant in variants.items():
        metrics = variant["metrics"]
        assert exact(variant), name
        assert metrics["closes.client_fin"] == metrics["client.kernel.TCPTimeWaitOverflow"] > 0, name


ADD_NETEM = """
from loadgen.lab import delays, namespaces
namespaces.new_private_network()
delays.KIND = {kind!r}
delays.add("lo", 50_000_000)
delays.remove("lo")
"""


def can_add(kind: str) -> bool:
    """Whether a qdisc of this kind can be added here, and removed."""
    program = [sys.executable, "-c", ADD_NETEM.format(kind=kind)]
    return subprocess.run(as_ordinary_user(program), capture_output=True, check=False).returncode == 0


def test_a_delay_is_refused_before_the_run_just_if_the_kernel_has_no_netem(tmp_path: Path) -> None:
    text = (
        "title: t\nload: {driver: protocol, open_loop: {rate: 20/s, late: 1min}, duration: 1s}\n"
        "script: [{at: 100ms, for: 800ms, do: delay, by: 50ms, on: server}]\n"
    )
    done = churn("run", write(tmp_path, text), "--no-figures", "--json", runs=tmp_path / "runs")
    refused = "script.0 of main (delay): nothing can be delayed" in done.stderr
    assert refused is not can_add("netem"), done.stderr
    assert done.code == (106 if refused else 0)
    assert ("server.delay" in done.stderr) is refused
    assert (tmp_path / "runs").exists() is not refused


def test_an_ordinary_user_can_drop_segments(shared_path: Path) -> None:
    text = (
        "title: t\nload: {driver: protocol, open_loop: {rate: 20/s, late: 1min}, duration: 500ms}\n"
        "connection: {closer: client}\nscript: [{at: 50ms, for: 300ms, do: drop, what: fin, on: client}]\n"
    )
    done = churn(
        "run", write(shared_path, text), "--no-figures", "--json", runs=shared_path / "runs", ordinary=True
    )
    assert done.code == 0, done.said
    assert document(done.stdout)["variants"]["main"]["metrics"]["script.dropped"] > 0


def test_nothing_is_left_after_churn_is_killed_while_segments_are_dropped(tmp_path: Path) -> None:
    text = (
        "title: t\nload: {driver: protocol, duration: 30s}\nconnection: {closer: client}\nscript:\n"
        "  - {at: 100ms, for: 20s, do: drop, what: last_ack, on: client}\n"
        "  - {at: 100ms, for: 20s, do: drop, what: rst, on: server}\n"
    )
    with Running("run", write(tmp_path, text), "--no-figures", runs=tmp_path / "runs") as running:
        eventually(lambda: faults_begun(running) == 2, "the faults did not begin")
        running.process.kill()
        running.finish()
