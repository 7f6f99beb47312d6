"""The request reader: one case table, replayed whole, byte by byte, and with a request behind it."""

from collections.abc import Sequence

import pytest

from servers.request import MEMO_BYTES, MEMO_ENTRIES, Malformed, Memo, Message, Request, RequestReader

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT_READ = Request("1.1", "GET", persistent=True, keep_alive=False)

CASES = {
    "1.1 lives on": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Request("1.1", "GET", True, False)),
    "1.1 close": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Request("1.1", "GET", False, False),
    ),
    "1.1 close, in a list, in capitals": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n",
        Request("1.1", "GET", False, False),
    ),
    "1.1 asks for what it has": (
        b"HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        Request("1.1", "HEAD", True, True),
    ),
    "1.0 ends": (b"GET / HTTP/1.0\r\n\r\n", Request("1.0", "GET", False, False)),
    "1.0 asks to live on": (
        b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        Request("1.0", "GET", True, True),
    ),
    "close beats keep-alive": (
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        Request("1.0", "GET", False, True),
    ),
    "a body of known length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        Request("1.1", "POST", True, False),
    ),
    "a body in chunks": (
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Request("1.1", "PUT", True, False),
    ),
}

MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "an unknown version": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "1.1 without a host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "endless header": b"GET / HTTP/1.1\r\nHost: " + b"a" * 100_000,
}


def read(reader: RequestReader, *pieces: bytes) -> list[Message]:
    return [message for piece in pieces for message in reader.feed(piece)]


def bytewise(data: bytes) -> Sequence[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES)
def test_whole_in_bytes_and_pipelined(data: bytes, expected: Request) -> None:
    assert read(RequestReader({}), data) == [expected]
    assert read(RequestReader({}), *bytewise(data)) == [expected]
    assert read(RequestReader({}), data + NEXT) == [expected, NEXT_READ]
    assert read(RequestReader({}), data + NEXT[:9], NEXT[9:]) == [expected, NEXT_READ]
    assert read(RequestReader({}), *bytewise(data + NEXT)) == [expected, NEXT_READ]
    assert read(RequestReader({}), data, NEXT, data) == [expected, NEXT_READ, expected]


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES)
def test_cut_anywhere(data: bytes, expected: Request) -> None:
    memo = Memo()
    for cut in range(len(data) + 1):
        assert read(RequestReader(memo), data[:cut], data[cut:]) == [expected], cut


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_is_said_once_and_last(data: bytes) -> None:
    memo = Memo()
    for _ in range(2):
        reader = RequestReader(memo)
        good, bad = read(reader, NEXT + data)
        assert good == NEXT_READ
        assert isinstance(bad, Malformed)
        assert bad.reason
        assert read(reader, NEXT) == []


def test_the_same_bytes_are_parsed_once() -> None:
    memo = Memo()
    first = RequestReader(memo).feed(NEXT + NEXT)
    assert list(first) == [NEXT_READ, NEXT_READ]
    assert RequestReader(memo).feed(NEXT + NEXT) is first


def test_known_bytes_inside_a_body_are_no_request() -> None:
    memo = Memo()
    RequestReader(memo).feed(NEXT)
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(NEXT)}\r\n\r\n".encode()
    assert read(RequestReader(memo), head, NEXT) == [Request("1.1", "POST", True, False)]


def test_a_request_in_pieces_is_not_remembered_by_its_last_piece() -> None:
    memo = Memo()
    read(RequestReader(memo), NEXT[:10], NEXT[10:])
    assert memo == {}


def test_the_memo_is_bounded() -> None:
    memo = Memo()
    for number in range(MEMO_ENTRIES + 10):
        data = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number
        assert read(RequestReader(memo), data) == [NEXT_READ]
    assert len(memo) == MEMO_ENTRIES
    memo.clear()
    long = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * MEMO_BYTES)
    assert read(RequestReader(memo), long) == [NEXT_READ]
    assert memo == {}
