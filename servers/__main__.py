"""`python -m servers`: reads a plan, one JSON line, from standard input; answers with JSON lines.

The end of standard input does not stop it; SIGTERM and SIGINT do. Exit: 0 when asked to stop, 1 when all
workers were lost, 2 for a plan that cannot be served.
"""

import sys

from servers.lines import Line, to_json
from servers.plan import Plan
from servers.serve import WorkersLostError, serve_blocking


def main() -> int:
    try:
        plan = Plan.from_json(sys.stdin.buffer.readline())
    except ValueError as error:
        return _fail(2, str(error))
    try:
        serve_blocking(plan, _say)
    except OSError as error:
        return _fail(2, f"cannot listen: {error}")
    except WorkersLostError:
        return _fail(1, "all workers were lost")
    return 0


def _say(line: Line) -> None:
    print(to_json(line), flush=True)


def _fail(status: int, text: str) -> int:
    print(f"servers: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
