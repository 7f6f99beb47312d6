"""`python -m servers`: one worker of a server. Its plan comes on stdin, its messages go to stdout (`lines`).

The end of standard input does not stop it; SIGTERM and SIGINT do. Exit: 0 after a stop signal, 2 for a plan
that cannot be served.
"""

import os
import signal
import sys

from loadgen.wire.codec import CodecError, decode
from loadgen.wire.lines import Lines
from servers.lines import say
from servers.listener import bound_sockets
from servers.plan import Plan
from servers.worker import STOP_SIGNALS, run_worker


def main() -> int:
    try:
        plan = decode(sys.stdin.buffer.readline(), Plan)
    except CodecError as error:
        return _fail(2, f"plan: {error}")
    # Blocked until the worker has handlers: a stop signal before that is no lesser one.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    try:
        sockets = bound_sockets(plan)
    except OSError as error:
        return _fail(2, f"cannot listen: {error}")
    lines = Lines()
    run_worker(plan, sockets, lambda line: say(lines, line))
    lines.close()
    return 0


def _fail(status: int, text: str) -> int:
    print(f"servers: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
