"""How attempts that the client never had as a connection are made to happen, by their entries' names."""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial

from loadgen.ledger.stage import Stage, close, reset, settle
from loadgen.tcp import Side


def _refused(stage: Stage) -> None:
    stage.listen().close()
    with contextlib.suppress(ConnectionRefusedError):
        stage.connect()


def _syn(stage: Stage, *, until_timeout: bool, end: Callable[[socket.socket], None] = close) -> None:
    stage.set(Side.CLIENT, "net.ipv4.tcp_syn_retries", 1)
    stage.set(Side.CLIENT, "net.ipv4.tcp_syn_linear_timeouts", 0)
    stage.listen().close()
    with stage.cut():
        client = stage.connect(wait=False)
        time.sleep(3.5 if until_timeout else 0.1)
        end(client)


def _syn_ack_late(stage: Stage, end: Callable[[socket.socket], None]) -> None:
    with stage.listen():
        with stage.astray():
            client = stage.connect(wait=False)
            settle()
            end(client)
        time.sleep(1.3)  # the SYN-ACK is sent again


NEVER_ESTABLISHED: Mapping[str, Callable[[Stage], None]] = {
    "refused": _refused,
    "syn_timed_out": partial(_syn, until_timeout=True),
    "syn_given_up": partial(_syn, until_timeout=False),
    "syn_given_up_rst": partial(_syn, until_timeout=False, end=reset),
    "syn_ack_late": partial(_syn_ack_late, end=close),
    "syn_ack_late_rst": partial(_syn_ack_late, end=reset),
}
