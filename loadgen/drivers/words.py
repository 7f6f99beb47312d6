"""What a load worker hears and says: lines on its stdin, JSON lines on its stdout."""

import json
import os
import select
import sys
from collections.abc import Mapping
from typing import Any

from loadgen.drivers.tally import Tally
from loadgen.records import plain

STDIN = 0


def hear() -> str:
    """The next line, waited for; empty at the end. Nothing behind it is taken: another reader may follow."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(STDIN, 1)
        if not byte:
            return ""
        line += byte
    return line.decode()


def told() -> bool:
    """Whether there is a line, or the end, to be heard now."""
    return bool(select.select([STDIN], [], [], 0)[0])


def say(kind: str, data: Mapping[str, Any] | None = None) -> None:
    sys.stdout.write(json.dumps({"type": kind, **(data or {})}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def say_interval(tally: Tally, start_ns: int, end_ns: int) -> None:
    """Take what was counted, and say it."""
    interval, latencies = tally.take(start_ns, end_ns)
    say("interval", plain(interval))
    for counts in latencies:
        say("latency", counts.to_json())
