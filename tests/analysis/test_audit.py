"""The audit: every connection is an entry of the ledger, or is reported; an absent counter is not zero."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from loadgen.analysis.audit import AuditLine, audit, audit_ends, missing
from loadgen.analysis.counts import Counted
from loadgen.analysis.explanation import Explained, explain
from loadgen.ledger.entry import FINS, Kind
from loadgen.tcp import Ending, Side
from tests.made_endings import Kernels, met, together, zeros
from tests.made_records import ends

# 1,000 attempts: 10 sent no SYN, 20 more were refused, the other 970 were closed by either side (K1, K4).
MIX = {"client_fin": 500, "client_rst": 50, "server_fin": 400, "server_rst": 20, "refused": 20}
APART, _driven = met(MIX)
COUNTED = dataclasses.replace(_driven, attempts=1_000, succeeded=900, failed=100)
# The kernel counts an entry into TIME-WAIT under one of three names (K18).
APART[Side.CLIENT] |= {"TW": 450, "TWKilled": 30, "TCPTimeWaitOverflow": 20}
SHARED = together(APART)
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
BY_CLIENT, BY_SERVER = "closed by the client, FIN", "closed by the server, FIN"
ESTABLISHED, BY_RST, ONE_ENTRY = "connections established", "closed by RST", "SYNs, one entry each"
COMPARED = sorted({counter for _, counter in RELEVANT})


def audited(
    counted: Counted, kernels: Mapping[Side, Mapping[str, int]], *, shared: bool = False
) -> list[AuditLine]:
    leg = ends(kernels, shared=shared)
    return audit(counted, leg, explain(leg, counted))


def inexact(lines: list[AuditLine]) -> list[str]:
    return [line.what for line in lines if not line.exact]


def moved(by: Mapping[tuple[Side, str], int], kernels: Kernels = APART) -> Kernels:
    """The counters, each of these by so much more."""
    return {
        side: {name: count + by.get((side, name), 0) for name, count in counters.items()}
        for side, counters in kernels.items()
    }


def with_more(mix: Mapping[str, int], **seen: Ending) -> tuple[Kernels, Counted]:
    """The connections of `MIX` and these: what the kernels and the driver count."""
    kernels, counted = met({**MIX, **{name: count + MIX.get(name, 0) for name, count in mix.items()}}, **seen)
    return kernels, counted


def test_counts_that_agree_are_exact() -> None:
    assert inexact(audited(COUNTED, APART)) == []
    assert len(audited(COUNTED, APART)) == 9
    assert inexact(audited(COUNTED, SHARED, shared=True)) == []
    assert len(audited(COUNTED, SHARED, shared=True)) == 7
    assert not any(line.by_races for line in audited(COUNTED, APART))


EXPLAINED = {
    **{(side, name): "both_fin" for side in Side for name in FINS},
    (Side.SERVER, "EstabResets"): "client_fin_then_data",
}
"""One more of these is a way that connections really end, and is reported as such."""


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(("side", "counter"), RELEVANT)
def test_one_more_or_less_in_the_kernel_is_reported(side: Side, counter: str, by: int) -> None:
    kernels = moved({(side, counter): by})
    lines = audited(COUNTED, kernels)
    (line,) = [line for line in lines if counter in line.source and line.source.startswith(side)]
    assert line.theirs == line.ours + by
    if by > 0 and (side, counter) in EXPLAINED:
        assert inexact(lines) == []
        assert line.by_races == by
        known = explain(ends(kernels, shared=False), COUNTED).known
        assert known is not None
        assert _odd(known) == {(EXPLAINED[side, counter], 1)}
    else:
        assert {*inexact(lines)} == {ONE_ENTRY, line.what}


@pytest.mark.parametrize("counter", COMPARED)
def test_one_less_is_reported_if_both_sides_are_in_one_namespace(counter: str) -> None:
    both = moved(dict.fromkeys([(side, counter) for side in Side], -1), SHARED)
    lines = audited(COUNTED, both, shared=True)
    (line,) = [line for line in lines if counter in line.source.split()]
    assert {ONE_ENTRY, line.what} == {*inexact(lines)}


@pytest.mark.parametrize(
    ("field", "reported"),
    [
        ("attempts", ["attempts, one outcome each"]),
        ("succeeded", ["attempts, one outcome each"]),
        ("failed", ["attempts, one outcome each"]),
        ("opened", ["SYNs sent by the client", ONE_ENTRY]),
        ("connected", ["connections, one close each", "connections established", ONE_ENTRY]),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_one_more_of_churns_own_is_reported(field: str, reported: list[str], shared: bool) -> None:
    counted = dataclasses.replace(COUNTED, **{field: getattr(COUNTED, field) + 1})
    assert inexact(audited(counted, SHARED if shared else APART, shared=shared)) == reported


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("ending", Ending)
def test_a_close_booked_to_the_wrong_side_or_method_is_reported(ending: Ending, count: int) -> None:
    for other in {*Ending} - {ending}:
        closes = COUNTED.closes + Counter({other: count}) - Counter({ending: count})
        counted = dataclasses.replace(COUNTED, closes=closes)
        if (ending, other) == BESIDE_A_LOOK:
            assert inexact(audited(counted, APART)) == []
        elif not inexact(audited(counted, APART)):
            # Rare kinds together would move the same: caveats name them.
            assert ending is Ending.CLIENT_RST
            possible = explain(ends(APART, shared=False), counted).possible
            assert all(_odd(one) for one in possible)


BESIDE_A_LOOK = (Ending.SERVER_FIN, Ending.CLIENT_FIN)
"""The one wrong booking of a few that real connections make, too: the server closed after the client's last
look (`server_fin_seen_late`)."""


def test_two_wrong_bookings_do_not_cancel() -> None:
    # The sums of FINs, of RSTs, and of each side are right.
    swapped = Counter({Ending.CLIENT_RST: 5, Ending.SERVER_FIN: 5})
    other = Counter({Ending.CLIENT_FIN: 5, Ending.SERVER_RST: 5})
    counted = dataclasses.replace(COUNTED, closes=COUNTED.closes + swapped - other)
    assert inexact(audited(counted, APART))


def test_a_fin_that_was_not_reset_after_all_is_reported() -> None:
    assert inexact(audited(dataclasses.replace(COUNTED, server_fin_reset=1), APART))


@pytest.mark.parametrize(
    ("mix", "seen", "explained"),
    [
        pytest.param({"both_fin": 3}, {}, [(BY_SERVER, 3)], id="seen as the client's"),
        pytest.param(
            {"both_fin": 3}, {"both_fin": Ending.SERVER_FIN}, [(BY_CLIENT, 3)], id="seen as the server's"
        ),
        pytest.param({"server_fin_seen_late": 2}, {}, [(BY_CLIENT, -2), (BY_SERVER, 2)], id="seen late"),
        pytest.param(
            {"both_fin": 3, "server_fin_seen_late": 2},
            {},
            [(BY_CLIENT, -2), (BY_SERVER, 5)],
            id="both of these",
        ),
        # Each end was reset, and neither counter is one too many: only who aborted is counted twice.
        pytest.param({"both_rst": 4}, {}, [], id="resets that crossed"),
        pytest.param({"server_fin_then_data": 7}, {}, [], id="bytes after the server's FIN"),
        pytest.param({"server_fin_then_data_early": 7}, {}, [(BY_SERVER, -7)], id="bytes before its ACK"),
        pytest.param(
            {"never_accepted": 40}, {}, [(ESTABLISHED, -40), (BY_RST, -40)], id="never accepted, reset later"
        ),
        pytest.param(
            {"never_accepted_rst": 40}, {}, [(ESTABLISHED, -40), (BY_RST, -40)], id="never accepted, reset"
        ),
        pytest.param(
            {"refused_by_full_queue": 40},
            {},
            [(ESTABLISHED, -40), (BY_RST, -40)],
            id="refused by a full queue",
        ),
        pytest.param(
            {"client_fin_reset_by_server_unread": 9}, {}, [(BY_RST, 9)], id="the server had bytes unread"
        ),
        pytest.param(
            {"client_fin_reset_by_server_unread_early": 9},
            {},
            [(BY_CLIENT, -9), (BY_RST, 9)],
            id="and reset it before the client's TIME-WAIT",
        ),
        pytest.param(
            {"server_fin_reset_by_client_unread_early": 300},
            {},
            [(BY_SERVER, -300), (BY_RST, 300)],
            id="the client answered by RST",
        ),
        pytest.param({"client_timed_out": 6}, {}, [(BY_RST, -6)], id="the client's kernel gave up"),
    ],
)
def test_what_both_sides_did_is_explained_by_the_ledger(
    mix: dict[str, int], seen: dict[str, Ending], explained: list[tuple[str, int]]
) -> None:
    kernels, counted = with_more(mix, **seen)
    lines = audited(counted, kernels)
    assert inexact(lines) == []
    assert [(line.what, line.by_races) for line in lines if line.by_races] == explained
    # One more in any counter that is compared, and it is a difference again.
    for relevant in RELEVANT:
        # With a full accept queue, one accepted more may be a reset that crossed the server's FIN.
        late = relevant == (Side.SERVER, "PassiveOpens") and "never_accepted" in mix
        if relevant not in EXPLAINED and not late:
            assert inexact(audited(counted, moved({relevant: 1}, kernels))) != []


@pytest.mark.parametrize("name", ["never_accepted", "never_accepted_rst_late", "refused_by_full_queue"])
def test_what_the_client_cannot_see_is_bounded_by_a_counter_of_the_server(name: str) -> None:
    kernels, counted = with_more({name: 40})
    assert inexact(audited(counted, kernels)) == []
    # No more of them than the server's accept queue was full for.
    kernels[Side.SERVER]["ListenOverflows"] = 39
    assert inexact(audited(counted, kernels)) != []


def test_in_one_namespace_what_both_sides_did_is_counted_in_one_sum() -> None:
    kernels, counted = with_more({"both_fin": 3, "server_fin_seen_late": 2, "both_rst": 4})
    lines = audited(counted, together(kernels), shared=True)
    assert inexact(lines) == []
    # Those that were seen late are one FIN either way.
    assert [(line.what, line.by_races) for line in lines if line.by_races] == [("closed by FIN", 3)]


@pytest.mark.parametrize(
    ("by", "reported"),
    [
        pytest.param({(Side.SERVER, "TW"): -1}, [BY_SERVER], id="a FIN of the server that was not made"),
        pytest.param({(Side.CLIENT, "TW"): -1}, [BY_CLIENT], id="a FIN that neither side made"),
        pytest.param({(Side.SERVER, "TW"): 901}, [BY_SERVER], id="more than there were FINs"),
        pytest.param(
            {(Side.CLIENT, "TW"): -126, (Side.SERVER, "TW"): 126},
            [BY_CLIENT, BY_SERVER],
            id="more seen late than a moment explains",
        ),
        pytest.param({(Side.SERVER, "EstabResets"): -51}, [BY_RST], id="more than the client ended by RST"),
        pytest.param({(Side.CLIENT, "EstabResets"): 1}, [BY_RST], id="a reset too many"),
        pytest.param({(Side.CLIENT, "EstabResets"): -1}, [BY_RST], id="a reset too few"),
        pytest.param(
            {(Side.SERVER, "EstabResets"): 1, (Side.CLIENT, "EstabResets"): -1},
            [BY_RST, BY_RST],
            id="opposite errors",
        ),
        pytest.param(
            {(Side.SERVER, "TW"): 9, (Side.CLIENT, "EstabResets"): 1},
            [BY_SERVER, BY_RST],
            id="a reset too many, beside FINs that crossed",
        ),
    ],
)
def test_what_no_entry_explains_is_a_difference(by: dict[tuple[Side, str], int], reported: list[str]) -> None:
    assert inexact(audited(COUNTED, moved(by))) == [ONE_ENTRY, *reported]


@pytest.mark.parametrize("counter", COMPARED)
@pytest.mark.parametrize("shared", [False, True])
def test_a_counter_the_kernel_lacks_is_not_taken_for_zero(counter: str, shared: bool) -> None:
    whole = SHARED if shared else APART
    kernels = {
        side: {name: count for name, count in counters.items() if name != counter}
        for side, counters in whole.items()
    }
    lines = audited(COUNTED, kernels, shared=shared)
    assert inexact(lines) == []
    assert all(counter not in line.source for line in lines)
    assert len(lines) < len(audited(COUNTED, whole, shared=shared))
    assert missing([ends(kernels, shared=shared)]) == [counter]


def test_nothing_is_missing_if_all_is_counted() -> None:
    assert missing([ends(APART, shared=False)]) == []
    lacking = {Side.CLIENT: APART[Side.CLIENT], Side.SERVER: dict.fromkeys(COMPARED, 0)}
    assert missing([ends(lacking, shared=False)]) == [
        "AttemptFails",
        "TCPAbortOnData",
        "TCPAbortOnClose",
        "TCPAbortOnTimeout",
        "EmbryonicRsts",
    ]


def test_what_was_not_sampled_leaves_churns_own_identities() -> None:
    nothing: dict[Side, dict[str, int]] = {side: {} for side in Side}
    assert [line.what for line in audited(COUNTED, nothing)] == [
        "attempts, one outcome each",
        "connections, one close each",
    ]
    assert inexact(audited(Counted(), {side: zeros() for side in Side})) == []


# A command drives: the same connections, and of the RSTs some because of bytes unread.
COMMANDED, _ = met({**MIX, "client_rst": 10, "client_rst_unread": 20, "server_rst": 40})


def compared(kernels: Mapping[Side, Mapping[str, int]], *, shared: bool = False) -> list[AuditLine]:
    leg = ends(kernels, shared=shared)
    return audit_ends(leg, explain(leg))


@pytest.mark.parametrize("shared", [False, True])
def test_the_two_sides_of_a_command_are_compared_with_each_other(shared: bool) -> None:
    lines = compared(together(COMMANDED) if shared else COMMANDED, shared=shared)
    assert [(line.ours, line.by_races, line.theirs) for line in lines] == [(970, 0, 970), (970, 0, 970)]


@pytest.mark.parametrize(
    ("name", "differing"),
    [
        ("TW", ["connections, one end each"]),
        ("ActiveOpens", ["connections established at the client", "connections, one end each"]),
    ],
)
def test_sides_that_differ_are_reported(name: str, differing: list[str]) -> None:
    assert inexact(compared(moved({(Side.CLIENT, name): -1}, COMMANDED))) == differing
    more = moved({(Side.CLIENT, "TCPAbortOnTimeout"): 1, (Side.SERVER, "EmbryonicRsts"): 1}, COMMANDED)
    assert inexact(compared(more)) == ["connections, one end each"]


def test_connections_still_open_are_an_entry_of_their_own() -> None:
    kernels, _ = met({"client_fin": 960, "still_open": 10})
    assert [(line.ours, line.theirs) for line in compared(kernels)] == [(970, 970), (970, 970)]
    # No more than the gauge shows.
    assert inexact(compared(moved({(Side.CLIENT, "CurrEstab"): -1}, kernels))) == [
        "connections, one end each"
    ]


def test_sides_are_not_compared_by_a_counter_that_is_absent() -> None:
    lacking = {name: count for name, count in COMMANDED[Side.CLIENT].items() if name != "AttemptFails"}
    assert compared({**COMMANDED, Side.CLIENT: lacking}) == []


@pytest.mark.parametrize("shared", [False, True])
def test_ends_beyond_the_connections_are_those_that_both_sides_made(shared: bool) -> None:
    kernels, _ = met({"client_fin": 90, "server_fin": 3, "both_fin": 7})
    lines = compared(together(kernels) if shared else kernels, shared=shared)
    assert [(line.ours, line.theirs, line.exact) for line in lines] == [(100, 100, True), (100, 100, True)]
    found = explain(ends(together(kernels) if shared else kernels, shared=shared))
    assert all({("both_fin", 7)} <= _odd(possible) for possible in found.possible)


def _odd(explained: Sequence[Explained]) -> set[tuple[str, int]]:
    return {
        (one.entry.name, one.count)
        for one in explained
        if one.entry.open and one.entry.kind is not Kind.ORDINARY
    }


@pytest.mark.parametrize("shared", [False, True])
def test_more_ends_than_a_side_has_connections_are_a_difference(shared: bool) -> None:
    kernels = moved({(Side.CLIENT, "TW"): 971}, COMMANDED)
    lines = compared(together(kernels) if shared else kernels, shared=shared)
    assert inexact(lines) == ["connections, one end each"]
