"""HTTP/1.0 and 1.1 as an application protocol of a server."""

from functools import partial

from servers.application import Application
from servers.behaviour import Behaviour
from servers.request import Memo, RequestReader
from servers.response import Replies, Writer


def http(behaviour: Behaviour) -> Application:
    """What its requests are, and their replies by this behaviour."""
    memo: Memo = {}
    replies, writer = Replies(behaviour), Writer(behaviour.response_size)
    return Application(memo, partial(RequestReader, memo), replies.to, writer.bytes_of)
