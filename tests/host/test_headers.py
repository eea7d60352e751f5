"""A worker cannot break out of its headers, and a client cannot say in a proxy's name who it is."""

import pytest

from outdial.host.wire.headers import ResponseHeaders, clean_lines, headers_for_function


def test_well_formed_lines_pass_as_they_are() -> None:
    lines = b"Content-Type: text/html; charset=utf-8\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nx-empty:\r\n"
    assert clean_lines(lines) == lines


def test_an_answer_without_headers_has_none() -> None:
    assert clean_lines(b"") == b""


@pytest.mark.parametrize(
    "lines",
    [
        b"\r\n",
        b"a: b\r\n\r\n<html>",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b"a: b",
        b"a: b\n\r\n",
        b"a: b\rset-cookie: x\r\n",
        b"a: \x00\r\n",
        b"no colon\r\n",
        b": empty name\r\n",
        b"a b: c\r\n",
        b" folded: c\r\n",
    ],
)
def test_what_is_no_header_is_refused(lines: bytes) -> None:
    assert clean_lines(lines) is None


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "transfer-encoding", "connection", "Date", "sb-request-id", "x-served-by",
        "X-Deno-Execution-Id", "sb-execution-id", "x-sb-edge-region", "sb-project-ref", "sb-gateway-version",
    ],
)  # fmt: skip
def test_what_the_host_writes_itself_is_left_out(name: str) -> None:
    assert clean_lines(f"a: b\r\n{name}: 5\r\nc: d\r\n".encode()) == b"a: b\r\nc: d\r\n"


def test_what_was_seen_is_remembered_within_bounds() -> None:
    cleaner = ResponseHeaders()
    for number in range(2_000):
        assert cleaner.clean(b"x-number: %d\r\n" % number) == b"x-number: %d\r\n" % number
    assert cleaner.clean(b"bad") is None
    assert cleaner.clean(b"bad") is None
    assert len(cleaner._seen) <= 512


SENT = [
    (b"host", b"api.example.com"),
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"x-forwarded-host", b"evil.example.com"),
    (b"x-forwarded-proto", b"https"),
    (b"x-real-ip", b"10.0.0.1"),
    (b"sb-api-key", b"forged"),
    (b"x-outdial-hop", b"forged"),
    (b"transfer-encoding", b"chunked"),
    (b"apikey", b"sb_publishable_x"),
]


def test_without_a_proxy_a_function_is_told_of_the_connection() -> None:
    told = headers_for_function(SENT, "192.0.2.7", secure=False, behind_proxy=False)

    assert told == [
        (b"host", b"api.example.com"),
        (b"apikey", b"sb_publishable_x"),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-forwarded-proto", b"http"),
    ]


def test_behind_a_proxy_a_function_is_told_what_the_proxy_says() -> None:
    told = dict(headers_for_function(SENT, "172.16.0.2", secure=False, behind_proxy=True))

    assert told[b"x-forwarded-for"] == b"10.0.0.1"
    assert told[b"x-forwarded-proto"] == b"https"
    assert not told.keys() & {b"sb-api-key", b"x-outdial-hop", b"transfer-encoding"}
