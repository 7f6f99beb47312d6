"""Responses as a driver reads them: one table, each replayed in every way that TCP may cut it."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.drivers.application import MalformedResponseError, ShortResponseError
from loadgen.drivers.response import Memo, Response, ResponseReader


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes from a server, and what they are. `by_eof`: only the server's end completes them."""

    wire: bytes
    response: Response
    by_eof: bool = False


def head(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode() + body


CASES = {
    "content-length": Case(
        head("HTTP/1.1 200 OK", "Content-Length: 5", body=b"hello"), Response(200, 5, closes=False)
    ),
    "no body": Case(head("HTTP/1.1 200 OK", "Content-Length: 0"), Response(200, 0, closes=False)),
    "body that looks like a head": Case(
        head("HTTP/1.1 200 OK", "Content-Length: 19", body=b"HTTP/1.1 200 OK\r\n\r\n"),
        Response(200, 19, closes=False),
    ),
    "chunked": Case(
        head(
            "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
        ),
        Response(200, 13, closes=False),
    ),
    "chunked with extension and trailer": Case(
        head(
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: chunked",
            "Connection: close",
            body=b"3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
        Response(200, 3, closes=True),
    ),
    "until the end": Case(
        head("HTTP/1.1 200 OK", "Connection: close", body=b"until the end"),
        Response(200, 13, closes=True),
        by_eof=True,
    ),
    "until the end, unannounced": Case(
        head("HTTP/1.1 200 OK", body=b"abc"), Response(200, 3, closes=True), by_eof=True
    ),
    "until the end, empty": Case(head("HTTP/1.1 200 OK"), Response(200, 0, closes=True), by_eof=True),
    "1.0": Case(head("HTTP/1.0 200 OK", "Content-Length: 2", body=b"ok"), Response(200, 2, closes=True)),
    "1.0 kept": Case(
        head("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 2", body=b"ok"),
        Response(200, 2, closes=False),
    ),
    "1.0 until the end": Case(
        head("HTTP/1.0 200 OK", body=b"ok"), Response(200, 2, closes=True), by_eof=True
    ),
    "1xx before": Case(
        head("HTTP/1.1 100 Continue")
        + head("HTTP/1.1 103 Early Hints", "Link: </a>", "Connection: close")
        + head("HTTP/1.1 200 OK", "Content-Length: 1", body=b"x"),
        Response(200, 1, closes=False),
    ),
    "204": Case(head("HTTP/1.1 204 No Content"), Response(204, 0, closes=False)),
    "304": Case(head("HTTP/1.1 304 Not Modified", "Content-Length: 9"), Response(304, 0, closes=False)),
    "404": Case(
        head("HTTP/1.1 404 Not Found", "Content-Length: 3", body=b"no!"), Response(404, 3, closes=False)
    ),
    "503": Case(
        head("HTTP/1.1 503 Service Unavailable", "Content-Length: 0", "Connection: close"),
        Response(503, 0, closes=True),
    ),
    "no reason": Case(head("HTTP/1.1 200 ", "Content-Length: 0"), Response(200, 0, closes=False)),
    "names in any case": Case(
        head("HTTP/1.1 200 OK", "cOnTeNt-LeNgTh: 4", "CONNECTION: Close", body=b"case"),
        Response(200, 4, closes=True),
    ),
    "a list of options": Case(
        head("HTTP/1.1 200 OK", "Connection: Upgrade ,\tCLOSE, x", "Content-Length: 0"),
        Response(200, 0, closes=True),
    ),
    "options in two fields": Case(
        head("HTTP/1.1 200 OK", "Connection: x", "Content-Length: 0", "Connection: close"),
        Response(200, 0, closes=True),
    ),
    "close beats keep-alive": Case(
        head("HTTP/1.0 200 OK", "Connection: keep-alive, close", "Content-Length: 0"),
        Response(200, 0, closes=True),
    ),
    "disclosed is not close": Case(
        head("HTTP/1.1 200 OK", "Connection: disclosed", "Content-Length: 0"), Response(200, 0, closes=False)
    ),
}

MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "another HTTP": b"HTTP/2 200\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "no status": head("HTTP/1.1 OK"),
    "no colon": head("HTTP/1.1 200 OK", "Content-Length 5"),
    "length that is no number": head("HTTP/1.1 200 OK", "Content-Length: five"),
    "two lengths": head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2"),
    "unknown coding": head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
    "chunk without a size": head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"zzz\r\n"),
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "a head too large, and whole": head("HTTP/1.1 200 OK", "X: " + "y" * 20_000, "Content-Length: 0"),
    "a version to come": head("HTTP/1.2 200 OK", "Content-Length: 0"),
    "another major version": head("HTTP/2.0 200 OK", "Content-Length: 0"),
    "no status line": b"<html>",
    "a length and chunks": head("HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked"),
    "a length beyond all counters": head("HTTP/1.1 200 OK", f"Content-Length: {1 << 63}"),
    "no end of 1xx": head("HTTP/1.1 103 Early Hints") * 129,
}

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
ended_by_itself = pytest.mark.parametrize(
    "case",
    [case for case in CASES.values() if not case.by_eof],
    ids=[name for name, case in CASES.items() if not case.by_eof],
)


def reader(memo: Memo | None = None) -> ResponseReader:
    return ResponseReader({} if memo is None else memo)


def replay(case: Case, pieces: list[bytes]) -> None:
    """Fed piece by piece, the last one completes the response; or the end does."""
    whole = reader()
    *before, last = pieces
    for piece in before:
        assert whole.feed(piece) is None
    response = whole.feed(last)
    if case.by_eof:
        assert response is None
        response = whole.feed_eof()
    assert response == case.response


@cases
def test_whole(case: Case) -> None:
    replay(case, [case.wire])


@cases
def test_byte_by_byte(case: Case) -> None:
    replay(case, [case.wire[i : i + 1] for i in range(len(case.wire))])


@cases
def test_cut_anywhere(case: Case) -> None:
    for cut in range(1, len(case.wire)):
        replay(case, [case.wire[:cut], case.wire[cut:]])


@ended_by_itself
@pytest.mark.parametrize("more", [b"\0", b"\r\n", head("HTTP/1.1 200 OK", "Content-Length: 0")])
def test_more_than_was_asked_for_is_malformed(case: Case, more: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        reader().feed(case.wire + more)
    # In two pieces as well: the reader takes what came with the response's end for its own.
    cut = len(case.wire) - 1
    halved = reader()
    assert halved.feed(case.wire[:cut]) is None
    with pytest.raises(MalformedResponseError):
        halved.feed(case.wire[cut:] + more)


@ended_by_itself
def test_one_reader_serves_a_kept_connection(case: Case) -> None:
    kept = reader()
    for _ in range(3):
        assert kept.feed(case.wire) == case.response
    assert kept.feed(case.wire[:9]) is None
    assert kept.feed(case.wire[9:]) == case.response
    assert kept.feed(case.wire) == case.response


@cases
def test_an_end_inside_is_short(case: Case) -> None:
    until_body = case.wire.rindex(b"\r\n\r\n") + 4 if case.by_eof else len(case.wire)
    for cut in range(1, until_body):
        cut_short = reader()
        assert cut_short.feed(case.wire[:cut]) is None
        with pytest.raises(ShortResponseError):
            cut_short.feed_eof()


def test_an_end_before_anything_is_short() -> None:
    with pytest.raises(ShortResponseError):
        reader().feed_eof()


@ended_by_itself
def test_an_end_after_a_response_completes_no_other(case: Case) -> None:
    after = reader()
    after.feed(case.wire)
    with pytest.raises(ShortResponseError):
        after.feed_eof()


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_malformed(wire: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        reader().feed(wire)


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_malformed_in_two_pieces(wire: bytes) -> None:
    halved = reader()

    def feed_both() -> None:
        halved.feed(wire[:1])
        halved.feed(wire[1:])

    with pytest.raises(MalformedResponseError):
        feed_both()


# ---- the memo


def outcome(memo: Memo, data: bytes) -> Response | type[Exception] | None:
    try:
        return reader(memo).feed(data)
    except MalformedResponseError as error:
        return type(error)


wires = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([case.wire for case in CASES.values()]),
    st.builds(
        lambda length, body: head("HTTP/1.1 200 OK", f"Content-Length: {length}", body=body),
        st.integers(0, 8),
        st.binary(max_size=8),
    ),
)


@given(wires)
@example(b"")
def test_the_memo_answers_as_the_parser_does(data: bytes) -> None:
    memo: Memo = {}
    first = outcome(memo, data)
    assert outcome(memo, data) == first
    assert outcome({}, data) == first


@given(st.lists(wires, max_size=6))
def test_the_memo_of_others_changes_nothing(pieces: list[bytes]) -> None:
    """What other connections left in the memo makes no difference to a stream of pieces."""
    shared: Memo = {}
    for piece in pieces:
        outcome(shared, piece)

    def stream(memo: Memo) -> list[object]:
        found: list[object] = []
        one = reader(memo)
        try:
            for piece in pieces:
                found.append(one.feed(piece))
            found.append(one.feed_eof())
        except (MalformedResponseError, ShortResponseError) as error:
            found.append(type(error))
        return found

    assert stream(shared) == stream({})


def test_the_memo_is_bounded() -> None:
    memo: Memo = {}
    for number in range(1000):
        body = b"%d" % number
        wire = head("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", body=body)
        assert reader(memo).feed(wire) == Response(200, len(body), closes=False)
    assert 0 < len(memo) <= 64
    memo.clear()
    chunk = b"20000\r\n" + bytes(1 << 17) + b"\r\n0\r\n\r\n"
    long = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunk)
    assert reader(memo).feed(long) == Response(200, 1 << 17, closes=False)
    assert memo == {}
    # A body that is announced is no part of what is kept.
    long = head("HTTP/1.1 200 OK", f"Content-Length: {1 << 17}", body=bytes(1 << 17))
    assert reader(memo).feed(long) == Response(200, 1 << 17, closes=False)
    assert max(map(len, memo)) < 100
