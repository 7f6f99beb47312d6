"""/proc/meminfo: the memory that the kernel holds for its own objects, sockets and TIME-WAITs among them.

It is the whole machine's. /proc/slabinfo has the same by kind of object, but only root may read it.
"""

from pathlib import Path

from loadgen.kernel.procfile import PROC, ParseError, ProcFile

_NAME = "meminfo"
_KIB = 1024


def parse(text: bytes) -> int | None:
    """Bytes of slab that cannot be reclaimed (SUnreclaim); None if the file lacks it. Raises ParseError."""
    for line in text.splitlines():
        name, *rest = line.split()[:2] or [b""]
        if name == b"SUnreclaim:":
            try:
                return int(rest[0]) * _KIB
            except (IndexError, ValueError):
                raise ParseError(_NAME, "no number", line) from None
    return None


def open(root: Path = PROC) -> ProcFile[int | None]:
    """Keep `root`/meminfo open."""
    return ProcFile(root / _NAME, parse)
