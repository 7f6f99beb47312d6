"""`python -m servers`: reads a plan, one JSON line, from standard input; writes JSON lines.

The end of standard input does not stop it; SIGTERM and SIGINT do. Exit: 0 after a stop signal, 1 if all
workers have failed, 2 for a plan that cannot be served.
"""

import sys

from loadgen.wire.codec import CodecError, decode
from loadgen.wire.lines import Lines
from servers.plan import Plan
from servers.serve import WorkersLostError, say, serve_blocking


def main() -> int:
    try:
        plan = decode(sys.stdin.buffer.readline(), Plan)
    except CodecError as error:
        return _fail(2, f"plan: {error}")
    lines = Lines()
    try:
        serve_blocking(plan, lambda line: say(lines, line))
    except OSError as error:
        return _fail(2, f"cannot listen: {error}")
    except WorkersLostError:
        return _fail(1, "all workers have failed")
    finally:
        lines.close()
    return 0


def _fail(status: int, text: str) -> int:
    print(f"servers: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
