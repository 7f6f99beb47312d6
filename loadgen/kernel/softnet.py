"""/proc/net/softnet_stat: packets the host dropped before any socket saw them.

A line per CPU, columns in hexadecimal. It is host-wide in every namespace (K26), so a drop is a caveat, not a
finding: it may be a neighbour's.
"""

from pathlib import Path

from loadgen.kernel.procfile import NET, ParseError, ProcFile

_NAME = "softnet_stat"
_DROPPED = 1  # softnet_seq_show() in net/core/net-procfs.c: processed, dropped, time_squeeze, ...


def parse(text: bytes) -> int:
    """Packets dropped on all CPUs because the backlog queue was full. Raises ParseError."""
    lines = text.splitlines()
    if not lines:
        raise ParseError(_NAME, "empty")
    dropped = 0
    for line in lines:
        try:
            dropped += int(line.split()[_DROPPED], 16)
        except (IndexError, ValueError):
            raise ParseError(_NAME, "no dropped column", line) from None
    return dropped


def open(root: Path = NET) -> ProcFile[int]:
    """Keep `root`/softnet_stat open."""
    return ProcFile(root / _NAME, parse)
