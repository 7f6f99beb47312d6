"""The counts of a server."""

from msgspec import Struct, field


class Served(Struct, forbid_unknown_fields=True, tag_field="type", tag="served"):
    """What happened, over all workers. Kept up by the connections, so it is not frozen.

    Every connection ends in exactly one of fin, rst, peer_fin, peer_rst and lost: by who was first, and
    how. Hence accepted = fin + rst + peer_fin + peer_rst + lost once all have ended.

    accepted       connections taken from the listeners
    exchanges      responses given to requests
    fin, rst       the server closed first, by FIN or RST
    peer_fin       the client's FIN came first; peer_rst: its RST
    lost           ended by neither, as by a time-out of the network
    idle_timeouts  of fin and rst, those closed for want of a request
    capped         of fin and rst, those closed at once: their client had as many as it may (`per_client`)
    malformed      of fin and rst, those closed for a malformed request
    sent_bytes     bytes handed to the kernel; received_bytes: bytes read
    accept_errors  failed calls of accept(), by errno name
    """

    accepted: int = 0
    exchanges: int = 0
    fin: int = 0
    rst: int = 0
    peer_fin: int = 0
    peer_rst: int = 0
    lost: int = 0
    idle_timeouts: int = 0
    capped: int = 0
    malformed: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    accept_errors: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def ended(self) -> int:
        return self.fin + self.rst + self.peer_fin + self.peer_rst + self.lost

    def add(self, other: "Served") -> None:
        """Add another worker's counts."""
        for name in (name for name in self.__struct_fields__ if name != "accept_errors"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for error, count in other.accept_errors.items():
            self.accept_errors[error] = self.accept_errors.get(error, 0) + count
