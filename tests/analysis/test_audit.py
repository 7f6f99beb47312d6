"""The audit: every identity holds exactly or is told, and a counter that is absent is not zero."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import pytest

from loadgen.analysis.audit import (
    AuditLine,
    audit,
    audit_ends,
    closed_by_both,
    missing,
)
from loadgen.analysis.counts import Counted
from loadgen.analysis.races import Races, find_races
from loadgen.tcp import Ending, Side
from tests.made_records import ends

# 1,000 attempts: 10 sent no SYN, 20 more were refused, the other 970 were closed by either side (K1, K4).
COUNTED = Counted(
    attempts=1_000,
    opened=990,
    connected=970,
    succeeded=900,
    failed=100,
    closes=Counter(dict(zip(Ending, (500, 50, 400, 20), strict=True))),
)
CLIENT = {
    "ActiveOpens": 990,
    "PassiveOpens": 0,
    "EstabResets": 70,
    "TW": 450,
    "TWKilled": 30,
    "TCPTimeWaitOverflow": 20,
}
SERVER = {
    "ActiveOpens": 0,
    "PassiveOpens": 970,
    "EstabResets": 70,
    "TW": 400,
    "TWKilled": 0,
    "TCPTimeWaitOverflow": 0,
}
BOTH = {name: CLIENT[name] + SERVER[name] for name in CLIENT}
APART = {Side.CLIENT: CLIENT, Side.SERVER: SERVER}
SHARED = {Side.CLIENT: BOTH, Side.SERVER: BOTH}
RELEVANT = [
    (Side.CLIENT, "ActiveOpens"),
    (Side.CLIENT, "EstabResets"),
    (Side.CLIENT, "TW"),
    (Side.CLIENT, "TWKilled"),
    (Side.CLIENT, "TCPTimeWaitOverflow"),
    (Side.SERVER, "PassiveOpens"),
    (Side.SERVER, "EstabResets"),
    (Side.SERVER, "TW"),
    (Side.SERVER, "TWKilled"),
    (Side.SERVER, "TCPTimeWaitOverflow"),
]


def inexact(lines: list[AuditLine]) -> list[str]:
    return [line.what for line in lines if not line.exact]


def test_counts_that_agree_are_exact() -> None:
    assert inexact(audit(COUNTED, ends(APART, shared=False))) == []
    assert len(audit(COUNTED, ends(APART, shared=False))) == 8
    assert inexact(audit(COUNTED, ends(SHARED, shared=True))) == []
    assert len(audit(COUNTED, ends(SHARED, shared=True))) == 6


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(("side", "counter"), RELEVANT)
def test_one_more_or_less_in_the_kernel_is_told(side: Side, counter: str, by: int) -> None:
    changed = {**APART, side: {**APART[side], counter: APART[side][counter] + by}}
    (line,) = [line for line in audit(COUNTED, ends(changed, shared=False)) if not line.exact]
    assert counter in line.source
    assert line.source.startswith(side)
    assert line.theirs == line.ours + by


@pytest.mark.parametrize("counter", sorted(BOTH))
def test_one_more_is_told_where_both_sides_are_in_one_namespace(counter: str) -> None:
    both = {**BOTH, counter: BOTH[counter] + 1}
    (line,) = [
        line
        for line in audit(COUNTED, ends({Side.CLIENT: both, Side.SERVER: both}, shared=True))
        if not line.exact
    ]
    assert counter in line.source


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("attempts", ["attempts, one outcome each"]),
        ("succeeded", ["attempts, one outcome each"]),
        ("failed", ["attempts, one outcome each"]),
        ("opened", ["SYNs sent by the client"]),
        ("connected", ["connections, one close each", "connections established"]),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_one_more_of_churns_own_is_told(field: str, told: list[str], shared: bool) -> None:
    counted = dataclasses.replace(COUNTED, **{field: getattr(COUNTED, field) + 1})
    assert inexact(audit(counted, ends(SHARED if shared else APART, shared=shared))) == told


@pytest.mark.parametrize("ending", Ending)
def test_a_close_booked_to_the_wrong_side_or_method_is_told(ending: Ending) -> None:
    for other in {*Ending} - {ending}:
        closes = COUNTED.closes + Counter({other: 1}) - Counter({ending: 1})
        lines = inexact(audit(dataclasses.replace(COUNTED, closes=closes), ends(APART, shared=False)))
        # A reset is one at both ends, whoever sent it: EstabResets does not show it (K19).
        assert bool(lines) != ({ending, other} == {Ending.CLIENT_RST, Ending.SERVER_RST})


def test_a_fin_that_was_not_reset_after_all_is_told() -> None:
    counted = dataclasses.replace(COUNTED, server_fin_reset=1)
    assert inexact(audit(counted, ends(APART, shared=False)))


def met(client: dict[str, int], server: dict[str, int]) -> Mapping[Side, Mapping[str, int]]:
    """What the kernels count where so much more, or less, befell either side."""
    return {
        Side.CLIENT: {name: count + client.get(name, 0) for name, count in CLIENT.items()},
        Side.SERVER: {name: count + server.get(name, 0) for name, count in SERVER.items()},
    }


BY_CLIENT, BY_SERVER = "closed by the client, FIN", "closed by the server, FIN"


def reconciled(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool = False) -> list[AuditLine]:
    """The audit where the server may end connections by itself."""
    return audit(COUNTED, ends(kernel, shared=shared), races=find_races(COUNTED, ends(kernel, shared=shared)))


@pytest.mark.parametrize(
    ("client", "server", "races"),
    [
        ({}, {"TW": 3}, Races(fins=3)),
        ({"TW": -2}, {"TW": 2}, Races(fins=2, behind=2)),
        ({"TW": -2}, {"TW": 5}, Races(fins=5, behind=2)),
        ({}, {"EstabResets": -4}, Races(resets=4)),
        ({"TW": -125}, {"TW": 500, "EstabResets": -50}, Races(fins=500, behind=125, resets=50)),
    ],
)
def test_ends_that_crossed_are_counted_by_both_kernels(
    client: dict[str, int], server: dict[str, int], races: Races
) -> None:
    kernel = met(client, server)
    assert find_races(COUNTED, ends(kernel, shared=False)) == races
    lines = reconciled(kernel)
    assert inexact(lines) == []
    explained = [(BY_CLIENT, -races.behind), (BY_SERVER, races.fins), ("closed by RST", -races.resets)]
    assert [(line.what, line.by_races) for line in lines if line.by_races] == [
        one for one in explained if one[1]
    ]
    # Where the server ends nothing by itself the same is a difference.
    assert inexact(audit(COUNTED, ends(kernel, shared=False))) != []


SERVERS = {"ListenOverflows": 40, "TCPAbortOnData": 30, "TCPAbortOnClose": 10}
"""What a server's kernel counts beside: where it has none of it, it explains nothing."""


def resets_met(server: dict[str, int]) -> Mapping[Side, Mapping[str, int]]:
    kernel = met({}, server)
    return {**kernel, Side.SERVER: {**SERVERS, **kernel[Side.SERVER]}}


@pytest.mark.parametrize(
    ("server", "races"),
    [
        ({"PassiveOpens": -40, "EstabResets": -40}, Races(unaccepted=40)),
        ({"TW": -30}, Races(late=30)),
        ({"EstabResets": 40}, Races(refused=40)),
        ({"PassiveOpens": -7, "EstabResets": -5}, Races(unaccepted=7, refused=2)),
    ],
)
def test_what_the_client_cannot_see_is_bounded_by_a_counter_of_the_server(
    server: dict[str, int], races: Races
) -> None:
    kernel = resets_met(server)
    assert find_races(COUNTED, ends(kernel, shared=False)) == races
    assert inexact(reconciled(kernel)) == []
    assert inexact(reconciled(met({}, server))) != []
    more = {name: by + (1 if by > 0 else -1) for name, by in server.items()}
    if races != Races(unaccepted=7, refused=2):
        assert inexact(reconciled(resets_met(more))) != []


def test_a_client_that_alone_ends_connections_still_has_some_that_were_never_accepted() -> None:
    kernel = resets_met({"PassiveOpens": -4, "EstabResets": -4})
    races = find_races(COUNTED, ends(kernel, shared=False), server_ends=False)
    assert races == Races(unaccepted=4)
    assert inexact(audit(COUNTED, ends(kernel, shared=False), races=races)) == []
    races = find_races(COUNTED, ends(resets_met({"TW": -30}), shared=False), server_ends=False)
    assert races == Races()


def test_a_fin_whose_reset_came_first_left_no_time_wait_on_the_client() -> None:
    kernel = resets_met({"EstabResets": 9})
    kernel = {**kernel, Side.CLIENT: {**kernel[Side.CLIENT], "TW": CLIENT["TW"] - 6}}
    assert find_races(COUNTED, ends(kernel, shared=False)) == Races(refused=9, lost=6)
    assert inexact(reconciled(kernel)) == []


def test_a_reset_behind_a_fin_is_counted_by_the_client_alone() -> None:
    counted = dataclasses.replace(COUNTED, server_fin_reset=5)
    assert inexact(audit(counted, ends(APART, shared=False))) == ["closed by RST"]
    assert inexact(audit(counted, ends(met({"EstabResets": 5}, {}), shared=False))) == []
    both = {**BOTH, "EstabResets": BOTH["EstabResets"] + 5}
    assert inexact(audit(counted, ends(dict.fromkeys(Side, both), shared=True))) == []


def test_in_one_namespace_the_two_kernels_counts_of_crossed_ends_are_one() -> None:
    kernel = met({"TW": -2}, {"TW": 5, "EstabResets": -4})
    both = {name: sum(kernel[side][name] for side in Side) for name in CLIENT}
    shared = dict.fromkeys(Side, both)
    # Those that were behind are one FIN either way.
    assert find_races(COUNTED, ends(shared, shared=True)) == Races(fins=3, resets=4)
    assert inexact(reconciled(shared, shared=True)) == []
    assert inexact(audit(COUNTED, ends(shared, shared=True))) == ["closed by FIN", "closed by RST, both ends"]


@pytest.mark.parametrize(
    ("client", "server", "told"),
    [
        pytest.param({}, {"TW": -1}, [BY_SERVER], id="a FIN of the server's that nobody made"),
        pytest.param({"TW": 1}, {}, [BY_CLIENT], id="a FIN of the client's that churn did not count"),
        pytest.param({"TW": -1}, {}, [BY_CLIENT], id="a FIN that neither side made"),
        pytest.param({}, {"TW": 501}, [BY_SERVER], id="more than the client ended by FIN"),
        pytest.param(
            {"TW": -126}, {"TW": 126}, [BY_CLIENT, BY_SERVER], id="more behind than a moment explains"
        ),
        pytest.param({}, {"EstabResets": -51}, ["closed by RST"], id="more than the client ended by RST"),
        pytest.param({}, {"EstabResets": 1}, ["closed by RST"], id="a reset that nobody sent"),
        pytest.param({"EstabResets": -1}, {}, ["closed by RST"], id="a reset that left no side"),
        pytest.param(
            {}, {"TW": 9, "EstabResets": 1}, ["closed by RST"], id="one of them, beside FINs that raced"
        ),
        pytest.param({}, {"TW": -1, "EstabResets": -9}, [BY_SERVER], id="a FIN, beside RSTs that raced"),
    ],
)
def test_what_crossing_does_not_explain_is_a_difference(
    client: dict[str, int], server: dict[str, int], told: list[str]
) -> None:
    assert inexact(reconciled(met(client, server))) == told


@pytest.mark.parametrize("counter", sorted(CLIENT))
@pytest.mark.parametrize("shared", [False, True])
def test_a_counter_the_kernel_lacks_is_not_taken_for_zero(counter: str, shared: bool) -> None:
    whole = SHARED if shared else APART
    kernel = {
        side: {name: count for name, count in counters.items() if name != counter}
        for side, counters in whole.items()
    }
    lines = reconciled(kernel, shared=shared)
    assert inexact(lines) == []
    assert all(counter not in line.source for line in lines)
    assert len(lines) < len(audit(COUNTED, ends(whole, shared=shared)))
    assert missing([ends(kernel, shared=shared)]) == [counter]


def test_nothing_is_missing_where_all_is_counted() -> None:
    assert missing([ends(APART, shared=False)]) == []


def test_what_was_not_sampled_leaves_churns_own_identities() -> None:
    nothing: dict[Side, dict[str, int]] = {side: {} for side in Side}
    assert [line.what for line in audit(COUNTED, ends(nothing, shared=False))] == [
        "attempts, one outcome each",
        "connections, one close each",
    ]
    assert (
        inexact(audit(Counted(), ends({side: dict.fromkeys(CLIENT, 0) for side in Side}, shared=False))) == []
    )


# Where a command drives: 990 SYNs, 20 refused; 500 FINs and 30 RSTs by the client, 400 and 40 by the server.
CLIENT_SIDE = {**CLIENT, "AttemptFails": 20, "TCPAbortOnData": 10, "TCPAbortOnClose": 20, "CurrEstab": 0}
SERVER_SIDE = {**SERVER, "AttemptFails": 0, "TCPAbortOnData": 40, "TCPAbortOnClose": 0, "CurrEstab": 0}
BOTH_SIDES = {name: CLIENT_SIDE[name] + SERVER_SIDE[name] for name in CLIENT_SIDE}


@pytest.mark.parametrize("shared", [False, True])
def test_the_two_sides_of_a_command_are_compared_with_each_other(shared: bool) -> None:
    kernel = (
        {Side.CLIENT: BOTH_SIDES, Side.SERVER: BOTH_SIDES}
        if shared
        else {Side.CLIENT: CLIENT_SIDE, Side.SERVER: SERVER_SIDE}
    )
    lines = audit_ends(ends(kernel, shared=shared))
    assert [(line.ours, line.theirs) for line in lines] == [(970, 970), (970, 970)]


@pytest.mark.parametrize(
    ("name", "differing"),
    [
        ("AttemptFails", ["connections established at the client", "connections, one close each"]),
        ("TW", ["connections, one close each"]),
        ("TCPAbortOnData", ["connections, one close each"]),
    ],
)
def test_sides_that_differ_are_told(name: str, differing: list[str]) -> None:
    client = {**CLIENT_SIDE, name: CLIENT_SIDE[name] - 1}
    assert (
        inexact(audit_ends(ends({Side.CLIENT: client, Side.SERVER: SERVER_SIDE}, shared=False))) == differing
    )


def test_ends_are_not_compared_while_connections_are_open_or_where_they_are_not_counted() -> None:
    for server in (
        {**SERVER_SIDE, "CurrEstab": 1},
        {name: count for name, count in SERVER_SIDE.items() if name != "TCPAbortOnData"},
    ):
        (line,) = audit_ends(ends({Side.CLIENT: CLIENT_SIDE, Side.SERVER: server}, shared=False))
        assert line.exact
    lacking = {name: count for name, count in CLIENT_SIDE.items() if name != "AttemptFails"}
    assert audit_ends(ends({Side.CLIENT: lacking, Side.SERVER: SERVER_SIDE}, shared=False)) == []


@pytest.mark.parametrize("shared", [False, True])
def test_ends_beyond_the_connections_are_those_that_both_sides_made(shared: bool) -> None:
    client = {**CLIENT_SIDE, "TW": CLIENT_SIDE["TW"] + 7}
    both = {**BOTH_SIDES, "TW": BOTH_SIDES["TW"] + 7}
    kernel = dict.fromkeys(Side, both) if shared else {Side.CLIENT: client, Side.SERVER: SERVER_SIDE}
    assert closed_by_both(ends(kernel, shared=shared)) == 7
    (line,) = audit_ends(ends(kernel, shared=shared))
    assert line.what == "connections established at the client"


@pytest.mark.parametrize(("shared", "most"), [(False, 970), (True, 2 * 970)])
def test_more_ends_than_a_side_has_connections_are_a_difference(shared: bool, most: int) -> None:
    others = 30 if not shared else sum(BOTH_SIDES[name] for name in ("TCPAbortOnData", "TCPAbortOnClose"))
    ended = {"TW": most - others + 1, "TWKilled": 0, "TCPTimeWaitOverflow": 0}
    first = BOTH_SIDES if shared else CLIENT_SIDE
    kernel = {Side.CLIENT: {**first, **ended}, Side.SERVER: SERVER_SIDE}
    assert closed_by_both(ends(kernel, shared=shared)) == 0
    assert inexact(audit_ends(ends(kernel, shared=shared))) == ["connections, one close each"]


def test_a_command_needs_other_counters_than_a_driver() -> None:
    legs = [ends({Side.CLIENT: CLIENT_SIDE, Side.SERVER: SERVER_SIDE}, shared=False)]
    assert missing(legs, commanded=True) == missing(legs) == []
    lacking = [ends(APART, shared=False)]
    assert missing(lacking, commanded=True) == ["AttemptFails", "TCPAbortOnData", "TCPAbortOnClose"]
