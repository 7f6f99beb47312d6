"""`python -m loadgen.ledger`: makes entries of the ledger happen, and reads what each kernel counted.

It runs inside a lab of a client and a server.

    > plan        one JSON line (`Plan`); the namespaces' descriptors are inherited
    < Happened    one for each entry
"""

import sys

from loadgen.ledger.messages import Happened, Plan
from loadgen.ledger.stage import Stage, settle
from loadgen.ledger.ways import FILLING, SLOW, WAYS
from loadgen.tcp import Side
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines

TIMES = 3
"""How often an entry is made to happen, if that does not take long."""


def happen(stage: Stage, entry: str) -> Happened:
    """Make an entry happen."""
    times = 1 if entry in SLOW else TIMES
    before = stage.counters()
    for _ in range(times):
        WAYS[entry](stage)
    settle()
    after = stage.counters()
    grown = {side: {name: after[side][name] - before[side][name] for name in after[side]} for side in Side}
    besides = {"server_fin": 1} if entry in FILLING else {}
    return Happened(entry, times, besides, grown[Side.CLIENT], grown[Side.SERVER])


def main() -> None:
    plan, lines = decode(sys.stdin.readline(), Plan), Lines()
    stage = Stage(plan.address, plan.user, plan.networks)
    for entry in plan.entries:
        lines.say(happen(stage, entry))
    lines.close()


if __name__ == "__main__":
    main()
