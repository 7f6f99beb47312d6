"""Whether the `uring` driver can do what is asked, on this kernel."""

from loadgen.uring.abi import Op
from loadgen.uring.offer import offer

NEEDED = frozenset(
    {
        Op.POLL_ADD,
        Op.ASYNC_CANCEL,
        Op.CONNECT,
        Op.CLOSE,
        Op.SEND,
        Op.RECV,
        Op.SOCKET,
        Op.FIXED_FD_INSTALL,
    }
)


def obstacle(binds: bool) -> str:
    """Why a load whose sockets are bound, or are not, cannot use the driver; empty if it can."""
    offered = offer()
    if offered.refusal:
        return offered.refusal
    if missing := sorted(op.name for op in NEEDED - offered.operations):
        return f"this kernel's io_uring lacks {', '.join(missing)}"
    if not offered.socket_options:
        return "this kernel's io_uring sets no socket options, and a RST needs one: Linux 6.7 does"
    if not offered.closes_at_once:
        return "this kernel's io_uring puts off closes while anything else is pending"
    if binds and Op.BIND not in offered.operations:
        return "this kernel's io_uring cannot bind to a source address: Linux 6.11 can"
    return ""
