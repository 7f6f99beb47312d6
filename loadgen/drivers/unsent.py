"""The `protocol` driver's part of closing by `unsent`: close() comes right behind the only request.

The server has room for a part of the request. The kernel sends the rest, and the FIN behind it; with
SO_LINGER {1, 0} it drops the rest, and sends a RST (K4). No response is waited for.
"""

from loadgen.drivers.protocol import ProtocolAttempt, ProtocolClient


class UnsentClient(ProtocolClient):
    """Opens connections that are closed with most of a request in the send queue."""

    def connect(self, intended_ns: int) -> None:
        UnsentAttempt(self, intended_ns).connect()


class UnsentAttempt(ProtocolAttempt):
    """An attempt that is over with its request."""

    __slots__ = ()

    def _make_transport(self) -> None:
        assert self._sock is not None
        self._settle(self._sock, self._host.own_ending)
        self._sock.close()
        self._over()
