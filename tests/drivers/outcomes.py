"""The outcomes of attempts on the servers of `tests.drivers.hostile`: one table that every driver is held to.

What the servers of `tests.drivers.misbehaving` do depends on who is to close, and when:
`test_conformance` has those.
"""

from dataclasses import dataclass

from loadgen.scenario.choices import Driver


@dataclass(frozen=True, slots=True)
class Outcome:
    """Each attempt ends by one of `errors`, or well if there are none; its connection by one of `closes`."""

    errors: frozenset[str]
    closes: frozenset[str]


def outcome(errors: str, closes: str) -> Outcome:
    return Outcome(frozenset(errors.split()), frozenset(closes.split()))


GOOD = outcome("", "client_fin")
MALFORMED = outcome("receive:MALFORMED", "client_rst")
TIMEOUT = outcome("receive:TIMEOUT", "client_rst")
SHORT = outcome("receive:SHORT", "server_fin")
RESET = outcome("receive:ECONNRESET", "server_rst")

OUTCOMES = {
    # Other protocols, and other versions. Requests are of 1.0 or 1.1: only these two are answers to them.
    "switching": MALFORMED,
    "http_0_9": MALFORMED,
    "http_0_9_and_end": outcome("receive:MALFORMED", "server_fin"),
    "http_1_2": MALFORMED,
    "http_2_0": MALFORMED,
    "http_2_frames": MALFORMED,
    "tls": MALFORMED,
    "nul_bytes": MALFORMED,
    "echo": MALFORMED,
    # Before the response.
    "continued": GOOD,
    "continued_only": TIMEOUT,
    "informed_often": GOOD,
    "endless_informed": MALFORMED,
    "end_in_informed": SHORT,
    "end_behind_informed": SHORT,
    # The status. Those that are errors name it, whatever it is.
    "status_of_two_digits": MALFORMED,
    "status_of_four_digits": MALFORMED,
    "status_999": outcome("receive:HTTP_999", "client_rst"),
    "status_500": outcome("receive:HTTP_500", "client_rst"),
    "status_429": outcome("receive:HTTP_429", "client_rst"),
    # More than was asked for.
    "twice": MALFORMED,
    "once_and_a_half": MALFORMED,
    "byte_behind": MALFORMED,
    "line_behind": MALFORMED,
    "behind_chunks": MALFORMED,
    "no_content_with_body": MALFORMED,
    "not_modified_with_body": MALFORMED,
    "endless_responses": MALFORMED,
    # The body's length. One that can be read in two ways is malformed (RFC 9112, section 6.3).
    "lengths_that_differ": MALFORMED,
    "length_twice": GOOD,
    "length_listed": GOOD,
    "length_negative": MALFORMED,
    "length_signed": MALFORMED,
    "length_in_hex": MALFORMED,
    "length_empty": MALFORMED,
    "length_of_20_digits": MALFORMED,
    "length_of_30_digits": MALFORMED,
    "length_never_met": TIMEOUT,
    "length_and_chunks": MALFORMED,
    "unknown_coding": MALFORMED,
    "not_in_the_coding_it_names": GOOD,
    "endless_length": TIMEOUT,
    "endless_body": TIMEOUT,
    "endless_error": TIMEOUT,
    "reset_is_length": RESET,
    # Chunks.
    "chunk_size_is_no_number": MALFORMED,
    "chunk_size_negative": MALFORMED,
    "chunk_size_huge": MALFORMED,
    "chunk_longer_than_its_size": MALFORMED,
    "end_in_chunk_size": SHORT,
    "end_in_chunk": SHORT,
    "end_between_chunks": SHORT,
    "end_in_trailer": SHORT,
    "endless_chunks": TIMEOUT,
    "endless_small_chunks": TIMEOUT,
    "endless_chunk_size": MALFORMED,
    "endless_chunk_extension": MALFORMED,
    "endless_trailer": MALFORMED,
    # Fields.
    "field_without_colon": MALFORMED,
    "field_with_space_before_colon": MALFORMED,
    "field_with_nul": MALFORMED,
    "field_folded": GOOD,
    "long_head": MALFORMED,
    "bare_line_feeds": GOOD,
    "endless_status_line": MALFORMED,
    "endless_field": MALFORMED,
    "endless_head": MALFORMED,
    "drip": TIMEOUT,
    "never_reads": TIMEOUT,
    # Where the reset comes before the request is written or after is a matter of luck.
    "reset_at_accept": outcome("send:ECONNRESET receive:ECONNRESET", "server_rst"),
}
"""By the server's name."""

DIFFERENT = {
    # Both are one length, said twice. A client may take that or not (RFC 9112, section 6.3): h11 does, and
    # aiohttp does not, nor can it be asked to.
    (Driver.AIOHTTP, "length_twice"): MALFORMED,
    (Driver.AIOHTTP, "length_listed"): MALFORMED,
}
"""Where a driver cannot follow, and why."""

UNDECIDED = {
    # Whether the request comes before the close decides between FIN and RST (K4).
    "end_at_accept",
}
"""Servers with which outcomes are a matter of luck, to an extent that a table cannot say."""


def outcome_of(driver: Driver, name: str) -> Outcome:
    """What this driver's attempts on this server come to."""
    return DIFFERENT.get((driver, name), OUTCOMES[name])
