"""The `protocol` driver's part of closing by nobody: its connections stay open until the load ends."""

from loadgen.drivers.load import Load
from loadgen.drivers.protocol import ProtocolAttempt, ProtocolClient


class StayingClient(ProtocolClient):
    """Opens connections that no side closes while the load lasts."""

    def connect(self, intended_ns: int) -> None:
        StayingAttempt(self, intended_ns).connect()


class StayingAttempt(ProtocolAttempt):
    """An attempt that stays open once its exchanges are made."""

    __slots__ = ()

    def finish(self) -> None:
        load = self._host.load
        assert isinstance(load, Load)
        if load.ending:
            super().finish()
        else:
            load.stays(self)
