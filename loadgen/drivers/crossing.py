"""The `protocol` driver's part of closing by both: its FIN leaves while the server's is on its way.

The client closes as soon as the response is whole, and keeps its descriptor until the server's FIN comes.
Then the socket's state shows whether the FINs crossed: CLOSING, which no other order of segments leads to.
If the loop reads the FIN only after the last ACK, the state is TIME-WAIT, and the end counts as the client's;
the counters of both kernels show the crossing all the same (`both_fin` in the ledger).
"""

from loadgen.drivers.protocol import ProtocolAttempt, ProtocolClient
from loadgen.drivers.sockets import closed_by_server, fin_was_first
from loadgen.kernel.tcp_info import segments_sent, state_of
from loadgen.tcp import Ending, Phase, State

CLIENT_FIN, BOTH_FIN = Ending.CLIENT_FIN, Ending.BOTH_FIN


class CrossingClient(ProtocolClient):
    """Opens connections that both sides close at once."""

    def connect(self, intended_ns: int) -> None:
        CrossingAttempt(self, intended_ns).connect()


class CrossingAttempt(ProtocolAttempt):
    """An attempt whose client closes while the server's FIN is on its way."""

    __slots__ = ()

    def finish(self) -> None:
        assert self._sock is not None
        self._enter(Phase.CLOSE, self._host.plan.timeouts.close_ns)
        if closed_by_server(self._sock) is not None:
            return  # Its end is read next.
        sent = segments_sent(self._sock)
        self._send_fin(self._sock)
        if self._ending is None and fin_was_first(self._sock, sent):
            self._ending = CLIENT_FIN

    def eof_received(self) -> None:
        assert self._sock is not None
        if self._ending is not CLIENT_FIN:
            super().eof_received()
        elif state_of(self._sock) is State.CLOSING:
            self._ending = BOTH_FIN
