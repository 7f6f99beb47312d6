"""/proc/net/snmp: the TCP counters of RFC 4022, cumulative since the namespace was made.

The file holds groups of two lines, the names and the values; /proc/net/netstat has the same form.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from loadgen.kernel.procfile import NET, ParseError, ProcFile

COUNTERS: Mapping[str, str] = {
    "ActiveOpens": "calls of connect() that sent a SYN: one end of the audit (K19)",
    "PassiveOpens": "connections that a listener made: the other end (K19)",
    "AttemptFails": "connections given up in SYN-SENT or SYN-RECEIVED: refused, timed out",
    "EstabResets": "connections ended by RST instead of FIN, sent or received (K19)",
    "CurrEstab": "a gauge: connections in ESTABLISHED or CLOSE-WAIT now",
    "InSegs": "segments received; several that the device has put together count as one",
    "OutSegs": "segments sent, SYNs, ACKs and RSTs included, those sent again apart",
    "RetransSegs": "segments sent again: loss, or a peer that does not answer",
    "OutRsts": "RSTs sent: aborts, refusals, segments for no socket",
}
"""What churn records of the group `Tcp`: the kernel's name, and what it counts."""

_NAME = "snmp"


def parse_group(source: str, group: str, counters: Iterable[str], text: bytes) -> dict[str, int]:
    """The values of `counters` in the two lines of `group`. One that this kernel lacks is left out, not 0.

    Raises ParseError, naming `source`, if the group is missing, or its two lines do not match.
    """
    prefix = b"%s: " % group.encode()
    lines = [line for line in text.splitlines() if line.startswith(prefix)]
    if len(lines) != 2:
        raise ParseError(source, f"{len(lines)} lines of {group} instead of 2", b"\n".join(lines))
    names, values = (line.split() for line in lines)
    if len(names) != len(values):
        raise ParseError(source, f"{len(names)} names for {len(values)} values", lines[1])
    row = dict(zip(names, values, strict=True))
    try:
        return {name: int(row[key]) for name in counters if (key := name.encode()) in row}
    except ValueError:
        raise ParseError(source, "not a number", lines[1]) from None


def parse(text: bytes) -> dict[str, int]:
    """The `COUNTERS` of group `Tcp`. Raises ParseError."""
    return parse_group(_NAME, "Tcp", COUNTERS, text)


def open(root: Path = NET) -> ProcFile[dict[str, int]]:
    """Keep `root`/snmp open."""
    return ProcFile(root / _NAME, parse)
