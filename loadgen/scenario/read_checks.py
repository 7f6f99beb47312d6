"""Settings that contradict a `connection.read` of less than all."""

from collections.abc import Iterator

from loadgen.scenario.choices import ApplicationProtocol, Read, ServerKind
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.tcp import Close, Closer

_KEY = "connection.read"


def read_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction of what the client leaves unread with the rest."""
    connection, server = settings.connection, settings.server
    read = connection.read
    if read is Read.ALL:
        return
    if connection.closer is not Closer.CLIENT:
        yield Conflict(
            (_KEY, "connection.closer"),
            f"the client closes with bytes unread, before the server does, and closer is {connection.closer}",
            "write closer: client, or remove the key",
        )
    elif connection.close is Close.UNREAD:
        yield Conflict(
            (_KEY, "connection.close"),
            f"close: unread leaves the whole last response unread, and read is {read}",
            "keep one of the two keys",
        )
    elif connection.close is not Close.FIN:
        yield Conflict(
            (_KEY, "connection.close"),
            f"bytes unread make close() send a RST, and close is {connection.close}",
            "remove one of the two keys",
        )
    elif connection.linger is not None:
        yield Conflict(
            (_KEY, "connection.linger"),
            "bytes unread reset the connection, and nothing is left for linger to wait for",
            "remove one of the two keys",
        )
    if connection.requests > 1:
        yield Conflict(
            (_KEY, "connection.requests"),
            "a next response would come behind the bytes that are unread",
            "write requests: 1; or close: unread, of which only the last response is unread",
        )
    if read is Read.NONE:
        return
    if connection.protocol is ApplicationProtocol.RAW:
        yield Conflict(
            (_KEY, "connection.protocol"),
            "a raw response has no headers",
            "write read: none, or protocol: http",
        )
    elif not server.response and server.kind is not ServerKind.COMMAND:
        yield Conflict(
            (_KEY, "server.response"),
            "a response without a body has nothing left to read behind its headers",
            "raise server.response, or remove the key",
        )
