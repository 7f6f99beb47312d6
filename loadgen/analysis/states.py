"""The TCP states of each viewpoint as people know them from netstat: during the load, at its end, after it.

Pure.
"""

from collections.abc import Sequence

from msgspec import Struct

from loadgen.analysis.fold import Fold
from loadgen.tcp import State


class StateCount(Struct, frozen=True):
    """Sockets of a viewpoint in one state.

    most         the most that a sample of the load found
    at_load_end  in the last sample of the load; `at_end`: in the last of the run
    """

    viewpoint: str
    state: State
    most: int
    at_load_end: int
    at_end: int


def state_counts(fold: Fold) -> Sequence[StateCount]:
    """By viewpoint and state, in the order of RFC 9293; states that no sample found are left out."""
    loaded = [sample for sample in fold.samples if 0 <= sample.t_ns <= fold.load_end_ns()]
    if not loaded:
        return []
    last, end = loaded[-1], fold.samples[-1]
    return [
        StateCount(viewpoint, state, most, last.viewpoints[viewpoint].count(state), at_end)
        for viewpoint in fold.scope.names
        for state in State
        if state is not State.LISTEN
        and (
            (most := max(sample.viewpoints[viewpoint].count(state) for sample in loaded))
            + (at_end := end.viewpoints[viewpoint].count(state))
        )
    ]
