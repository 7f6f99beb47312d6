"""Doubts about a result, each typed, with its cause and its remedy. Those that invalidate say so."""

from dataclasses import dataclass
from enum import StrEnum


class CaveatKind(StrEnum):
    """What a doubt is about."""

    AUDIT_DIFFERS = "audit_differs"
    AUDIT_INCOMPLETE = "audit_incomplete"
    BACKLOG_CAPPED = "backlog_capped"
    CLOSED_BY_BOTH = "closed_by_both"
    CLOSER_DIFFERS = "closer_differs"
    COMMAND_FAILED = "command_failed"
    COMMAND_STOPPED = "command_stopped"
    COOKIES_SENT = "cookies_sent"
    DATA_AFTER_CLOSE = "data_after_close"
    DRIVER_FALLBACK = "driver_fallback"
    GENERATOR_HELD_UP = "generator_held_up"
    GENERATOR_SATURATED = "generator_saturated"
    HOST_LOOPBACK = "host_loopback"
    INTERRUPTED = "interrupted"
    LEFTOVERS = "leftovers"
    LISTEN_OVERFLOWS = "listen_overflows"
    LOOPBACK_REUSE = "loopback_reuse"
    NEVER_ACCEPTED = "never_accepted"
    NOT_AUDITED = "not_audited"
    NO_RECORDS = "no_records"
    PORTS_GONE = "ports_gone"
    PORT_SEARCH = "port_search"
    PROCESS_DIED = "process_died"
    READ_IN_PIECES = "read_in_pieces"
    RECORDS_DAMAGED = "records_damaged"
    RECORDS_UNREAD = "records_unread"
    SAMPLE_DIFFERS = "sample_differs"
    SAMPLER_HELD_UP = "sampler_held_up"
    SAMPLER_LATE = "sampler_late"
    SERVER_HELD_UP = "server_held_up"
    SERVER_SATURATED = "server_saturated"
    SOFTNET_DROPS = "softnet_drops"
    STARTS_DROPPED = "starts_dropped"
    STARTS_LATE = "starts_late"
    TIME_WAIT_OVERFLOW = "time_wait_overflow"


@dataclass(frozen=True, slots=True)
class Caveat:
    """One doubt. `invalidates` tells that the run does not answer its question as asked."""

    kind: CaveatKind
    cause: str
    remedy: str
    invalidates: bool = False
