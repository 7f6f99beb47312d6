"""Runs the ledger of endings on this machine: every entry made to happen in a lab, and compared."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadgen.engine.child import Child
from loadgen.lab.lab import open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.ledger.entries import ENTRIES
from loadgen.ledger.entry import ROWS, Entry, summed
from loadgen.ledger.messages import Happened, Plan
from loadgen.ledger.ways import SLOW
from loadgen.tcp import Side

LABS = 3
"""For the entries that are quick: most of their time is spent waiting for a delayed ACK."""
_BY_NAME = {entry.name: entry for entry in ENTRIES}


@dataclass(frozen=True, slots=True)
class Compared:
    """An entry, and by how much each counter of `ROWS` grew on each side for one connection of it.

    A counter that grew by another amount each time has a fraction. Those that this kernel lacks are left out.
    """

    entry: Entry
    grown: Mapping[Side, Mapping[str, float]]

    @property
    def differences(self) -> Iterator[tuple[Side, str, int, float]]:
        """The counters that grew otherwise than the ledger says: by what it says, and by what they grew."""
        for side, grown in self.grown.items():
            for row, seen in grown.items():
                said = self.entry.moves(side).get(row, 0)
                if seen != said:
                    yield side, row, said, seen


async def compare_endings() -> list[Compared]:
    """Every entry, in the ledger's order. Raises LabUnavailable, and ChildDiedError."""
    quick = [entry.name for entry in ENTRIES if entry.name not in SLOW]
    parts = [
        *(quick[first::LABS] for first in range(LABS)),
        *([entry.name] for entry in ENTRIES if entry.name in SLOW),
    ]
    happened = [one for part in await asyncio.gather(*map(_happen, parts)) for one in part]
    by_entry = {one.entry: _compared(one) for one in happened}
    return [by_entry[entry.name] for entry in ENTRIES]


async def _happen(entries: Sequence[str]) -> list[Happened]:
    """Some entries, in a lab of their own."""
    with open_lab(client_server_lab()) as lab:
        plan = Plan(
            tuple(entries),
            lab.addresses[Side.SERVER][0],
            lab.user,
            {side: lab.networks[side] for side in Side},
        )
        child = await Child[Happened].start(
            lab, Side.CLIENT, "ledger", "loadgen.ledger", plan, Happened, lab.descriptors
        )
        try:
            return [await child.expect(Happened) for _ in entries]
        except BaseException:
            child.kill()
            raise
        finally:
            await child.end()


def _compared(happened: Happened) -> Compared:
    """Without the connections of other entries that it took."""
    grown: dict[Side, dict[str, float]] = {}
    for side, counters in ((Side.CLIENT, happened.client), (Side.SERVER, happened.server)):
        seen = summed(counters)
        for name, count in happened.besides.items():
            for row, moved in _BY_NAME[name].moves(side).items():
                seen[row] = seen.get(row, 0) - count * moved
        grown[side] = {row: seen[row] / happened.times for row in ROWS if row in seen}
    return Compared(_BY_NAME[happened.entry], grown)
