"""/proc/net/netstat: Linux's own TCP counters (group `TcpExt`), cumulative since the namespace was made."""

from collections.abc import Mapping
from pathlib import Path

from loadgen.kernel.procfile import NET, ProcFile
from loadgen.kernel.snmp import parse_group

COUNTERS: Mapping[str, str] = {
    # Active closes by FIN = TW + TWKilled + TCPTimeWaitOverflow (K18).
    "TW": "entries into TIME-WAIT, or into FIN-WAIT-2 as an orphan",
    "TWKilled": "the same, for a stay of at most 4 s: a short tcp_fin_timeout",
    "TCPTimeWaitOverflow": "TIME-WAITs destroyed at once, tcp_max_tw_buckets being reached (K14)",
    "TWRecycled": "ports in TIME-WAIT that connect() took over: tcp_tw_reuse at work (K12)",
    "PAWSTimewait": "SYNs that a TIME-WAIT refused for their timestamp: reconnects that stall (K28)",
    # Whose limit: the listener's.
    "ListenOverflows": "SYNs or ACKs dropped, the accept queue being full (K15)",
    "ListenDrops": "the same and every other drop at a listener",
    "TCPReqQFullDrop": "SYNs dropped, the SYN queue being full and cookies off",
    "TCPReqQFullDoCookies": "SYNs answered by a cookie, the SYN queue being full",
    "SyncookiesSent": "SYN cookies sent",
    "EmbryonicRsts": "RSTs received in SYN-RECEIVED: clients that gave up",
    # Closes that were no FIN.
    "TCPAbortOnData": "closes by RST: SO_LINGER {1, 0} (K4)",
    "TCPAbortOnClose": "close() with unread data, which sends a RST (K4)",
    "TCPAbortOnTimeout": "connections given up: the peer stayed silent through all retransmissions",
    "TCPAbortOnMemory": "connections given up: too many orphans, or no memory for them",
    "TCPKeepAlive": "keepalive probes sent: the connection was silent for TCP_KEEPIDLE",
    "OutOfWindowIcmps": "ICMP errors ignored: the segment that they quote is none of those unacknowledged",
    # Waits on the path.
    "TCPTimeouts": "retransmission timers that fired, for SYN, data or FIN",
    "TCPLossProbes": "segments sent again, their ACK taking over two round trips (RFC 8985): a slow peer",
    "TCPSynRetrans": "SYNs and SYN-ACKs sent again: a dropped SYN costs its client a second",
}
"""What churn records of the group `TcpExt`: the kernel's name, and what it counts."""

_NAME = "netstat"


def parse(text: bytes) -> dict[str, int]:
    """The `COUNTERS` of group `TcpExt`. Raises ParseError."""
    return parse_group(_NAME, "TcpExt", COUNTERS, text)


def open(root: Path = NET) -> ProcFile[dict[str, int]]:
    """Keep `root`/netstat open."""
    return ProcFile(root / _NAME, parse)
