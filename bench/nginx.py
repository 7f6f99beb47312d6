"""nginx in place of the bundled server. Pure."""

from pathlib import Path

from bench.studies import client_closes, is_short
from loadgen.scenario.document import Variant
from loadgen.tcp import Closer

CONF = Path(__file__).with_name("nginx.conf")
SPELT_OUT_MOST = 1024
"""Bytes of a body in the configuration, where a word of 4 KiB is refused; a larger body is a file."""


def argv(program: str) -> list[str]:
    """nginx in its directory, with the files below and no others."""
    return [program, "-e", "stderr", "-p", "{dir}", "-c", "nginx.conf"]


def files(load: Variant) -> dict[str, str]:
    """Its configuration for this load, and the page that it sends.

    If the client is to close first nginx keeps the connection and says `Connection: close` all the same:
    tools that believe it close. That is the one way to have them all be first.
    """
    response = load.server.response
    words = {
        "keepalive": "0" if is_short(load) and load.connection.closer is Closer.SERVER else "60s",
        "backlog": str(load.server.backlog),
        "header": "add_header Connection close;" if client_closes(load) else "",
        "body": f'return 200 "{"x" * response}";'
        if response <= SPELT_OUT_MOST
        else "root {dir}; try_files /page =404;",
    }
    conf = CONF.read_text()
    for name, text in words.items():
        conf = conf.replace(f"<{name}>", text)
    return {"nginx.conf": conf, "page": "x" * response}
