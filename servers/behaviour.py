"""How a server treats its connections: which side closes first, after what, and how."""

from msgspec import Struct

from loadgen.tcp import Close, Ending, Side


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True):
    """How a server treats its connections.

    ending           which side closes first, and how. The client: the server never does, whatever the HTTP
                     version and the Connection header say, but for idle_timeout_ns, malformed requests and
                     its own shutdown. The server: after `requests` exchanges, or sooner if HTTP says so. Its
                     FIN leaves together with the last byte of the response. A RST would destroy that byte
                     and follows it: a client that closes at once may then be first.
    requests         exchanges on one connection after which the server closes, if it is the closer
    delay_ns         before each response; the event loop keeps it to the millisecond
    idle_timeout_ns  a connection without a request for that long is closed by the server, whoever is
                     the closer; within a millisecond of it. 0: never
    response_size    bytes of body; of a whole response, if it is raw
    request_size     bytes of a request, if it is raw
    per_client       connections that one client address may have; those beyond are closed as soon as they are
                     accepted, by the ending's method. 0: any number
    close            the way of closing that `ending` comes from
    fin_apart        the FIN leaves in a segment of its own, behind the response: the client may close between
                     the two
    linger_s         SO_LINGER {1, n}, if the server closes: it calls close() and does not wait for the
                     client's FIN

    Raises ValueError for a number out of range.
    """

    ending: Ending
    requests: int
    delay_ns: int = 0
    idle_timeout_ns: int = 0
    response_size: int = 64
    request_size: int = 64
    per_client: int = 0
    close: Close = Close.FIN
    linger_s: int | None = None
    fin_apart: bool = False

    @property
    def takes_unsent(self) -> bool:
        """The client closes with bytes in its send queue: there is little room here, and no response."""
        return self.close is Close.UNSENT and self.ending.side is Side.CLIENT

    def __post_init__(self) -> None:
        need_whole("requests", self.requests, 1)
        need_whole("delay_ns", self.delay_ns, 0)
        need_whole("idle_timeout_ns", self.idle_timeout_ns, 0)
        need_whole("response_size", self.response_size, 0)
        need_whole("request_size", self.request_size, 1)
        need_whole("per_client", self.per_client, 0)


def need_whole(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raises ValueError unless `value` is from `least` to `most`."""
    if value < least:
        raise ValueError(f"{name}: {value} is less than {least}")
    if most is not None and value > most:
        raise ValueError(f"{name}: {value} is more than {most}")
