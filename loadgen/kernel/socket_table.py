"""The sockets of one dump as arrays, and the kernel's numbers of TCP states.

The only place in loadgen that knows those numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.tcp import State

# net/tcp_states.h
NUMBERS: dict[State, tuple[int, ...]] = {
    State.ESTABLISHED: (1,),
    State.SYN_SENT: (2,),
    State.SYN_RECEIVED: (3, 12),
    State.FIN_WAIT_1: (4,),
    State.FIN_WAIT_2: (5,),
    State.TIME_WAIT: (6,),
    State.CLOSED: (7,),
    State.CLOSE_WAIT: (8,),
    State.LAST_ACK: (9,),
    State.LISTEN: (10,),
    State.CLOSING: (11,),
}
_STATES = 13
_TIME_WAIT_TIMER = 3  # idiag_timer in inet_twsk_diag_fill(), net/ipv4/inet_diag.c


def state_numbered(number: int) -> State:
    """The state with this kernel number. Raises ValueError if there is none."""
    for state, numbers in NUMBERS.items():
        if number in numbers:
            return state
    raise ValueError(f"no TCP state has the number {number}")


@dataclass(frozen=True, slots=True, eq=False)
class SocketTable:
    """The sockets of one dump: arrays of equal length, an element per socket.

    `state` is the kernel's number and `timer` the kernel's kind of timer (uint8); ports are uint16 in host
    byte order, `remote_port` of a listener is 0. `receive_queue` (uint32) is netstat's Recv-Q: bytes that a
    program has not read, a FIN counted as one (tcp_diag_get_info()). `interrupted`: the table changed
    during the dump (NLM_F_DUMP_INTR), so that rows may be missing or double.
    """

    state: NDArray[np.uint8]
    timer: NDArray[np.uint8]
    local_port: NDArray[np.uint16]
    remote_port: NDArray[np.uint16]
    receive_queue: NDArray[np.uint32]
    interrupted: bool

    def __len__(self) -> int:
        return len(self.state)

    def counts(self) -> dict[State, int]:
        """Sockets by state, zeros left out. FIN-WAIT-2 includes its minisockets."""
        tally: list[int] = np.bincount(self.state, minlength=_STATES).tolist()
        totals = {state: sum(tally[number] for number in numbers) for state, numbers in NUMBERS.items()}
        return {state: total for state, total in totals.items() if total}

    def fin_wait_2_minisockets(self) -> int:
        """Orphans in FIN-WAIT-2, which sockstat counts among its `tw` (K17)."""
        (number,) = NUMBERS[State.FIN_WAIT_2]
        return int(np.count_nonzero((self.state == number) & (self.timer == _TIME_WAIT_TIMER)))

    def unread(self) -> tuple[int, int]:
        """Sockets in CLOSE-WAIT with bytes that their programs have not read, and those bytes; no FINs."""
        (number,) = NUMBERS[State.CLOSE_WAIT]
        queues = self.receive_queue[(self.state == number) & (self.receive_queue > 1)]
        return len(queues), int(queues.sum(dtype=np.uint64)) - len(queues)

    def select(
        self, *, local_port: int | None = None, remote_port: int | None = None, count: int = 1
    ) -> "SocketTable":
        """The sockets with these ports, or with `count` in a row from them on: on loopback they separate the
        server's sockets from its clients'."""
        chosen = np.ones(len(self), dtype=np.bool_)
        if local_port is not None:
            chosen &= (self.local_port >= local_port) & (self.local_port < local_port + count)
        if remote_port is not None:
            chosen &= (self.remote_port >= remote_port) & (self.remote_port < remote_port + count)
        return SocketTable(
            state=self.state[chosen],
            timer=self.timer[chosen],
            local_port=self.local_port[chosen],
            remote_port=self.remote_port[chosen],
            receive_queue=self.receive_queue[chosen],
            interrupted=self.interrupted,
        )
