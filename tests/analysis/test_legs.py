"""Labs with more than one leg, or with nodes on none: which counts are compared, and with which."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.audit_requests import audit_requests
from loadgen.analysis.counts import LegCounts
from loadgen.analysis.findings.behind import behind_ports_gone
from loadgen.analysis.findings.left import ended_by_rst
from loadgen.analysis.fold import Fold
from loadgen.analysis.metrics import measure
from loadgen.analysis.summary import audited
from loadgen.lab.spec import LabSpec, Node
from loadgen.records.damage import Damage
from loadgen.records.events import ServerCounted
from loadgen.records.types import Sample, ViewpointSample
from loadgen.records.viewpoints import APART, Leg, Scope, SocketFilter, Viewpoint
from loadgen.tcp import Ending, Failure, State
from loadgen.wire.served import Served
from tests.made_records import STEP, S, ended, interval, opened, side, variant

PROXIED = Scope(
    (
        Viewpoint("client", "client"),
        Viewpoint("proxy.downstream", "proxy", SocketFilter(local_port=80)),
        Viewpoint("proxy.upstream", "proxy", SocketFilter(remote_port=8080), (32_768, 60_999)),
        Viewpoint("server", "server"),
    ),
    (Leg("client", "proxy.downstream"), Leg("proxy.upstream", "server")),
)
"""A client, a proxy that opens a connection for each that it accepts, and a server."""
CLIENT_CLOSES = variant(connection={"closer": "client"})


def proxied(accepted: int = 5) -> Fold:
    """A fold of five connections through the proxy, the server having accepted so many."""
    fold = Fold(28_232)
    client = {"ActiveOpens": 5, "TW": 5}
    proxy = {"ActiveOpens": 5, "PassiveOpens": 5, "TW": 5}
    counters = {"client": client, "proxy.downstream": proxy, "proxy.upstream": proxy}
    counters["server"] = {"PassiveOpens": accepted}
    samples = [
        Sample(-STEP, 1, False, dict.fromkeys(PROXIED.names, side()), 0),
        Sample(S, 1, False, {name: side(counters=counters[name]) for name in PROXIED.names}, 0),
    ]
    for record in (opened(PROXIED), *samples, interval(0, 5, closes={Ending.CLIENT_FIN: 5}), *ended(S)):
        fold.add(record)
    return fold


def test_on_the_first_leg_the_driver_is_audited_and_on_the_next_one_end_against_the_other() -> None:
    lines = {line.what: (line.source, line.ours, line.theirs) for line in audited(CLIENT_CLOSES, proxied(6))}
    assert lines["connections established"] == ("proxy.downstream PassiveOpens", 5, 5)
    upstream = "proxy.upstream to server: connections established at the proxy.upstream"
    assert lines[upstream] == ("server PassiveOpens", 5, 6)
    assert len([what for what in lines if "proxy.upstream" in what]) == 2


def test_viewpoints_of_one_node_share_its_counters_and_a_leg_within_it() -> None:
    assert PROXIED.by_node == {
        "client": ("client",),
        "proxy": ("proxy.downstream", "proxy.upstream"),
        "server": ("server",),
    }
    assert not any(PROXIED.shares(leg) for leg in PROXIED.legs)
    assert PROXIED.shares(Leg("proxy.downstream", "proxy.upstream"))
    counts = {"TW": 1}
    assert LegCounts(APART.leg, counts, counts, shared=True).kernels == (counts,)


def test_without_the_event_of_the_lab_nothing_is_audited_where_records_were_lost(tmp_path: Path) -> None:
    fold = Fold(28_232)
    apart = dict.fromkeys(APART.names, ViewpointSample({}, None, {}, None, None))
    for record in (
        Sample(-STEP, 1, False, apart, 0),
        interval(0, 5),
        Sample(S, 1, False, apart, 0),
        *ended(S),
    ):
        fold.add(record)
    assert audited(CLIENT_CLOSES, fold) != []
    fold.add(Damage(tmp_path, 1, "is broken"))
    assert audited(CLIENT_CLOSES, fold) == []


def test_names_that_do_not_fit_together_are_refused() -> None:
    one = Viewpoint("one", "here")
    with pytest.raises(ValueError, match="two viewpoints of one name"):
        Scope((one, one))
    with pytest.raises(ValueError, match="no such viewpoint: other"):
        Scope((one,), (Leg("one", "other"),))
    with pytest.raises(ValueError, match="no such node: here"):
        LabSpec((Node("there"),), (), {}, Scope((one,)))
    with pytest.raises(ValueError, match="no leg"):
        opened(Scope((one,)))


def test_each_leg_has_what_the_two_together_explain() -> None:
    fold = proxied()
    first, second = fold.legs()
    # The proxy's five TIME-WAITs are of connections that it opened: the client closed the others first.
    assert (first.accepter["TW"], second.opener["TW"]) == (0, 5)
    assert fold.kernel()["proxy.downstream"]["TW"] == fold.kernel()["proxy.upstream"]["TW"] == 5
    assert all(line.exact for line in audited(CLIENT_CLOSES, fold))


def test_counts_that_nothing_explains_stay_together_and_differ() -> None:
    fold = proxied(6)
    first, second = fold.legs()
    assert first.accepter == second.opener
    assert not all(line.exact for line in audited(CLIENT_CLOSES, fold))


def test_the_first_sample_that_finds_every_port_taken_is_the_instant_at_which_they_are_gone() -> None:
    fold = Fold(28_232)
    scope = replace(
        PROXIED, viewpoints=tuple(replace(one, ports=one.ports and (1, 4)) for one in PROXIED.viewpoints)
    )
    held = [0, 3, 4, 4]
    fold.add(opened(scope))
    for index, ports in enumerate(held):
        views = {
            name: side({State.TIME_WAIT: ports}, ports_held=ports if "up" in name else None)
            for name in scope.names
        }
        fold.add(Sample(index * STEP, 1, False, views, 0))
    assert fold.sampled.ports_gone_ns == {"proxy.upstream": 2 * STEP}
    assert measure(fold)["proxy.upstream.ports_gone.time_ns"] == 2 * STEP
    (found,) = behind_ports_gone(fold)
    assert found.sentence == "the proxy.upstream has no free port from 0.2 s on: TIME-WAIT holds 4 of 4"


def test_requests_that_the_server_answered_and_the_client_did_not_get_are_explained_by_its_errors() -> None:
    def lines(answered: int, errors: dict[str, int]) -> list[AuditLine]:
        fold = Fold(28_232)
        failed = {Failure(*name.split(":")): count for name, count in errors.items()}  # pyright: ignore[reportArgumentType]
        fold.add(interval(0, 5, exchanges=5, errors=failed))
        fold.add(ServerCounted(S, Served(exchanges=answered)))
        return list(audit_requests(fold))

    assert [one.exact for one in lines(5, {})] == [True]
    assert [one.exact for one in lines(6, {"receive:HTTP_502": 1})] == [False]
    assert [one.exact for one in lines(6, {"receive:NO_RESPONSE": 1})] == [True]
    assert [one.exact for one in lines(4, {"receive:NO_RESPONSE": 1})] == [False]


@pytest.mark.parametrize("left", [5, 0])
def test_the_time_waits_of_a_proxys_other_leg_are_not_gone(left: int) -> None:
    """The proxy's kernel counts those of both legs, and the client has sent as many RSTs."""
    fold = Fold(28_232)
    proxy = side(counters={"TW": 5})
    last = {
        "client": side(counters={"OutRsts": 5}),
        "proxy.downstream": proxy,
        "proxy.upstream": replace(proxy, states={State.TIME_WAIT: left}),
        "server": side(),
    }
    samples = [
        Sample(-STEP, 1, False, dict.fromkeys(PROXIED.names, side()), 0),
        Sample(S, 1, False, last, 0),
    ]
    for record in (opened(PROXIED), *samples, interval(0, 5), *ended(S)):
        fold.add(record)
    assert [one.kind for one in ended_by_rst(fold)] == ([] if left else ["ended_by_rst"])
