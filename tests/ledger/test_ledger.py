"""The ledger of endings holds on the running kernel, and what was counted is added up from it."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.analysis.counts import Counted
from loadgen.analysis.explanation import Explanation, explain
from loadgen.cli.endings import page
from loadgen.engine.endings import Compared, compare_endings
from loadgen.ledger.entries import ENTRIES
from loadgen.ledger.entry import ROWS, Kind
from loadgen.ledger.ways import SLOW, WAYS
from loadgen.tcp import Ending, Side
from tests.made_endings import BY_NAME, Kernels, met, together
from tests.made_records import ends

SAME = frozenset(name for name, entry in BY_NAME.items() if entry.driver_only)
"""Entries that only a driver can tell from another one."""


def explained(kernels: Kernels, counted: Counted | None = None, *, fault: str = "") -> Explanation:
    return explain(ends(kernels, shared=False), counted, {fault} - {""})


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
    kernels, driver = met({name: 300})
    if BY_NAME[name].most_share < 1:
        # So many of them would be a driver that counts wrongly.
        assert explained(kernels, driver).possible == ()
        kernels, driver = met({name: 5, str(BY_NAME[name].counted_as[0]): 295})
    found = explained(kernels, driver, fault=BY_NAME[name].fault).possible
    assert len(found) == 1
    assert name in {one.entry.name for one in found[0]}


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in SAME])
def test_an_entry_alone_is_found_by_the_kernels_counts(name: str) -> None:
    kernels, _ = met({name: 300})
    found = explained(kernels, fault=BY_NAME[name].fault).possible
    names = [{one.entry.name for one in possible} for possible in found]
    assert {name} in names
    assert all(len(each) == 1 for each in names)


@pytest.mark.parametrize("name", [name for name, entry in BY_NAME.items() if entry.fault])
def test_what_a_fault_makes_explains_nothing_without_it(name: str) -> None:
    kernels, driver = met({name: 300})
    for counted in (None, driver):
        without = explained(kernels, counted).possible
        assert name not in {one.entry.name for possible in without for one in possible}


def test_who_was_first_is_seen_in_the_other_sides_resets() -> None:
    answered, _ = met({"server_fin_reset_by_client_unread_early": 300})
    reset, _ = met({"client_rst_unread": 300})
    assert answered[Side.CLIENT] == reset[Side.CLIENT]
    for name, first in (
        ("server_fin_reset_by_client_unread_early", Ending.SERVER_FIN),
        ("client_rst_unread", Ending.CLIENT_RST),
    ):
        kernels, _ = met({name: 300})
        assert explained(kernels).firsts() == {first: 300}


def test_what_counters_cannot_tell_apart_is_said_to_be_either() -> None:
    kernels, _ = met({"syn_given_up": 5})
    kernels[Side.SERVER]["ListenOverflows"] = 9
    found = explained(kernels)
    assert {one.entry.name for possible in found.possible for one in possible} == {
        "syn_given_up",
        "never_accepted_fin",
    }
    assert found.known is None
    assert found.firsts() is None
    # Without a witness it is one of them alone.
    kernels[Side.SERVER]["ListenOverflows"] = 0
    assert [one.entry.name for one in explained(kernels).known or ()] == ["syn_given_up"]


def test_what_does_not_add_up_has_no_explanation() -> None:
    kernels, driver = met({"client_fin": 100})
    kernels[Side.SERVER]["PassiveOpens"] += 1
    assert explained(kernels, driver).possible == ()


MIXES = st.dictionaries(
    st.sampled_from([name for name, entry in BY_NAME.items() if not (entry.driver_only or entry.fault)]),
    st.integers(1, 5_000),
    max_size=4,
)


@given(MIXES)
def test_any_explanation_adds_up_and_needs_no_more_kinds_than_there_were(mix: dict[str, int]) -> None:
    kernels, driver = met(mix)
    for found in (
        explained(kernels, driver),
        explained(kernels),
    ):
        assert found.possible
        odd = sum(BY_NAME[name].kind is not Kind.ORDINARY for name in mix)
        for possible in found.possible:
            assert sum(one.entry.kind is not Kind.ORDINARY for one in possible) <= odd
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
    kernels, driver = met({"client_fin": 40, "server_rst": 7})
    found = explain(ends(together(kernels), shared=True), driver).known
    assert found is not None
    assert {one.entry.name: one.count for one in found} == {"client_fin": 40, "server_rst": 7}


def test_in_one_namespace_the_kernel_does_not_show_who_was_first() -> None:
    kernels, _ = met({"client_fin": 40, "server_rst": 7})
    found = explain(ends(together(kernels), shared=True))
    assert len(found.possible) > 1
    assert found.firsts() is None


def test_without_the_counter_of_a_witness_its_entry_explains_nothing() -> None:
    kernels, driver = met({"never_accepted": 5, "server_fin": 90})
    assert explained(kernels, driver).known
    del kernels[Side.SERVER]["ListenOverflows"]
    assert explained(kernels, driver).possible == ()


def test_the_page_is_the_one_that_is_generated(compared: list[Compared]) -> None:
    kept = (Path(__file__).parents[2] / "docs" / "endings.md").read_text()
    made = "\n".join(page(compared)) + "\n"
    release = re.compile(r"of Linux [0-9.]+\.$", re.MULTILINE)
    assert release.sub("", made) == release.sub("", kept), "churn endings --markdown > docs/endings.md"
