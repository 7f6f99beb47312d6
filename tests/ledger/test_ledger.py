"""The ledger of endings holds on the running kernel, and what was counted is added up from it."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.analysis.explanation import explain
from loadgen.cli.endings import page
from loadgen.engine.endings import Compared, compare_endings
from loadgen.ledger.entries import ENTRIES
from loadgen.ledger.entry import FIN, FINS, ROWS
from loadgen.ledger.ways import SLOW, WAYS
from loadgen.tcp import Ending, Side

BY_NAME = {entry.name: entry for entry in ENTRIES}
GAUGES = ("CurrEstab",)
SAME = {"server_fin_seen_late": "server_fin"}
"""Entries that only a driver can tell from another one."""

Counters = dict[str, int]


def counted(mix: Mapping[str, int]) -> tuple[Counters, Counters, Counter[Ending]]:
    """What the client's kernel, the server's, and a driver count for so many connections of each entry."""
    zeros = {name: 0 for name in (*ROWS, *FINS, *GAUGES) if name != FIN}
    client, server, closes = dict(zeros), dict(zeros), Counter[Ending]()
    for name, count in mix.items():
        entry = BY_NAME[name]
        for side, counters in ((Side.CLIENT, client), (Side.SERVER, server)):
            for row, moved in entry.moves(side).items():
                counters[FINS[0] if row == FIN else row] += moved * count
        for name_of in entry.witness:
            server[name_of] = server.get(name_of, 0) + count
        if entry.gauge:
            client[entry.gauge] += count
        if entry.counted_as:
            closes[entry.counted_as[0]] += count
    return client, server, closes


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    return asyncio.run(compare_endings())


def test_the_ledger_is_what_this_kernel_counts(compared: list[Compared]) -> None:
    found = compared
    assert [one.entry.name for one in found] == list(BY_NAME)
    assert [(one.entry.name, *difference) for one in found for difference in one.differences] == []
    # Every counter of the ledger is one that this kernel has, so that each was compared.
    assert all(set(grown) == set(ROWS) for one in found for grown in one.grown.values())


def test_every_entry_has_a_way_to_make_it_happen() -> None:
    assert WAYS.keys() == BY_NAME.keys()
    assert WAYS.keys() >= SLOW


def test_no_two_entries_look_the_same_to_kernels_and_driver() -> None:
    looks = Counter(
        (frozenset(one.client.items()), frozenset(one.server.items()), one.counted_as) for one in ENTRIES
    )
    assert max(looks.values()) == 1


@pytest.mark.parametrize("name", BY_NAME)
def test_an_entry_alone_is_found_by_a_drivers_counts(name: str) -> None:
    client, server, closes = counted({name: 300})
    if BY_NAME[name].most_share < 1:
        # So many of them would be a driver that counts wrongly.
        assert explain(client, server, shared=False, closes=closes).possible == ()
        client, server, closes = counted({name: 30, "client_fin": 270})
    found = explain(client, server, shared=False, closes=closes).possible
    assert len(found) == 1
    assert name in {one.entry.name for one in found[0]}


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in SAME])
def test_an_entry_alone_is_found_by_the_kernels_counts(name: str) -> None:
    client, server, _ = counted({name: 300})
    names = [
        {one.entry.name for one in possible} for possible in explain(client, server, shared=False).possible
    ]
    assert {name} in names
    assert all(len(each) == 1 for each in names)


def test_who_was_first_is_seen_in_the_other_sides_resets() -> None:
    answered, _, _ = counted({"server_fin_reset_by_client_unread_early": 300})
    reset, _, _ = counted({"client_rst_unread": 300})
    assert answered == reset  # The client counts the same.
    for name, first in (
        ("server_fin_reset_by_client_unread_early", Ending.SERVER_FIN),
        ("client_rst_unread", Ending.CLIENT_RST),
    ):
        client, server, _ = counted({name: 300})
        assert explain(client, server, shared=False).firsts() == {first: 300}


def test_what_counters_cannot_tell_apart_is_said_to_be_either() -> None:
    client, server, _ = counted({"syn_given_up": 5})
    server["ListenOverflows"] = 9
    found = explain(client, server, shared=False)
    assert {one.entry.name for possible in found.possible for one in possible} == {
        "syn_given_up",
        "never_accepted_fin",
    }
    assert found.known is None
    assert found.firsts() is None
    # Without a witness it is one of them alone.
    server["ListenOverflows"] = 0
    assert [one.entry.name for one in explain(client, server, shared=False).known or ()] == ["syn_given_up"]


def test_what_does_not_add_up_has_no_explanation() -> None:
    client, server, closes = counted({"client_fin": 100})
    server["PassiveOpens"] += 1
    assert explain(client, server, shared=False, closes=closes).possible == ()


MIXES = st.dictionaries(
    st.sampled_from([name for name in BY_NAME if name not in SAME]), st.integers(1, 5_000), max_size=4
)


@given(MIXES)
def test_any_explanation_adds_up_and_needs_no_more_kinds_than_there_were(mix: dict[str, int]) -> None:
    client, server, closes = counted(mix)
    for found in (
        explain(client, server, shared=False, closes=closes),
        explain(client, server, shared=False),
    ):
        assert found.possible
        odd = sum(not BY_NAME[name].ordinary for name in mix)
        for possible in found.possible:
            assert sum(not one.entry.ordinary for one in possible) <= odd
            again = Counter[str]()
            for one in possible:
                for side in Side:
                    for row, moved in one.entry.moves(side).items():
                        again[f"{side} {row}"] += moved * one.count
            expected = {
                f"{side} {row}": sum(
                    BY_NAME[name].moves(side).get(row, 0) * count for name, count in mix.items()
                )
                for side in Side
                for row in ROWS
            }
            assert +again == +Counter(expected)


def test_both_sides_in_one_namespace_are_added_up_together() -> None:
    client, server, closes = counted({"client_fin": 40, "server_rst": 7})
    both = {name: client[name] + server[name] for name in client}
    found = explain(both, both, shared=True, closes=closes).known
    assert found is not None
    assert {one.entry.name: one.count for one in found} == {"client_fin": 40, "server_rst": 7}


def test_the_page_is_the_one_that_is_generated(compared: list[Compared]) -> None:
    kept = (Path(__file__).parents[2] / "docs" / "endings.md").read_text()
    made = "\n".join(page(compared)) + "\n"
    release = re.compile(r"of Linux [0-9.]+\.$", re.MULTILINE)
    assert release.sub("", made) == release.sub("", kept), "churn endings --markdown > docs/endings.md"
