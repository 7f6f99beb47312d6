"""The requests that a driver sends, as bytes."""

from loadgen.drivers.plan import Plan
from loadgen.tcp import Side


def requests(plan: Plan) -> tuple[bytes, bytes]:
    """The request that wants the connection kept, and the last one on it.

    The last asks for a close only if the server is to close first, or at the same time: asking would entitle
    it to.
    """
    keep, close = ("Connection: keep-alive\r\n", "") if plan.http == "1.0" else ("", "Connection: close\r\n")
    host = plan.destinations[0]
    authority = f"[{host}]" if ":" in host else host
    head = f"GET / HTTP/{plan.http}\r\nHost: {authority}:{plan.port}\r\nUser-Agent: churn\r\n"
    last = close if plan.ending.side is Side.SERVER or plan.crosses else keep
    return f"{head}{keep}\r\n".encode(), f"{head}{last}\r\n".encode()
