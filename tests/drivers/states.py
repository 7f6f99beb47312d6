"""Watches the sockets of the namespace that it runs in, for tests that compare the states which loads leave.

Each line of stdin has a port, and is echoed. Until the next one it dumps the sockets of that port again and
again: the port of their far end if the argument is `client`, of their own else. Then it writes the
most that it has seen of each state, and of ports held, as a line of JSON.
"""

import json
import select
import sys
from collections import Counter
from socket import AF_UNSPEC

import numpy as np

from loadgen.kernel.sock_diag import SockDiag
from loadgen.tcp import State

PAUSE_S = 0.005
HELD = "ports held"
WATCHED = frozenset(State) - {State.LISTEN, State.CLOSED}


def main() -> None:
    end = {"client": "remote_port", "server": "local_port"}[sys.argv[1]]
    with SockDiag() as diag:
        while port := sys.stdin.readline():
            print(port, end="", flush=True)
            most = Counter[str]()
            over = False
            while not over:
                # Once more after the end, for what lasts.
                over = bool(select.select([sys.stdin], [], [], PAUSE_S)[0])
                table = diag.dump(AF_UNSPEC, WATCHED).select(**{end: int(port)})
                most |= Counter(table.counts()) | Counter({HELD: len(np.unique(table.local_port))})
            sys.stdin.readline()
            print(json.dumps(most), flush=True)


if __name__ == "__main__":
    main()
