"""A worker cannot break out of its headers, and a client cannot forge forwarding headers."""

import pytest

from outdial.host.wire.headers import Headers, WorkerHeaderFilter, headers_for_function


def test_well_formed_headers_pass_unchanged() -> None:
    headers = [
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"set-cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
        (b"x-empty", b""),
    ]
    assert WorkerHeaderFilter().filter(headers) == headers


def test_a_response_without_headers_has_none() -> None:
    assert WorkerHeaderFilter().filter([]) == []


@pytest.mark.parametrize(
    "pair",
    [
        (b"", b""),
        (b"a", b"b\r\n\r\n<html>"),
        (b"\r\nHTTP/1.1 200 OK\r\n", b""),
        (b"a: b\r\nc", b"d"),
        (b"a", b"b\n"),
        (b"a", b"b\rset-cookie: x"),
        (b"a", b"\x00"),
        (b"no colon\r\n", b""),
        (b"", b"empty name"),
        (b"a b", b"c"),
        (b" folded", b"c"),
    ],
)
def test_malformed_headers_are_rejected(pair: tuple[bytes, bytes]) -> None:
    assert WorkerHeaderFilter().filter([pair]) is None
    assert WorkerHeaderFilter().filter([(b"a", b"b"), pair]) is None


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "transfer-encoding", "connection", "Date", "sb-request-id", "x-served-by",
        "X-Deno-Execution-Id", "sb-execution-id", "x-sb-edge-region", "sb-project-ref", "sb-gateway-version",
    ],
)  # fmt: skip
def test_headers_that_only_the_host_sets_are_dropped(name: str) -> None:
    headers = [(b"a", b"b"), (name.encode(), b"5"), (b"c", b"d")]
    assert WorkerHeaderFilter().filter(headers) == [(b"a", b"b"), (b"c", b"d")]


def test_the_cache_is_bounded() -> None:
    header_filter = WorkerHeaderFilter()
    for number in range(2_000):
        headers: Headers = [(b"x-number", b"%d" % number)]
        assert header_filter.filter(headers) == headers
        assert header_filter.filter(headers) == headers
    assert header_filter.filter([(b"bad name", b"")]) is None
    assert header_filter.filter([(b"bad name", b"")]) is None
    assert len(header_filter._accepted) <= 512


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


def test_without_a_proxy_a_function_gets_the_address_of_the_connection() -> None:
    headers = headers_for_function(SENT, "192.0.2.7", secure=False, behind_proxy=False)

    assert headers == [
        (b"host", b"api.example.com"),
        (b"apikey", b"sb_publishable_x"),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-forwarded-proto", b"http"),
    ]


def test_behind_a_proxy_a_function_gets_the_forwarding_headers_of_the_proxy() -> None:
    headers = dict(headers_for_function(SENT, "172.16.0.2", secure=False, behind_proxy=True))

    assert headers[b"x-forwarded-for"] == b"10.0.0.1"
    assert headers[b"x-forwarded-proto"] == b"https"
    assert not headers.keys() & {b"sb-api-key", b"x-outdial-hop", b"transfer-encoding"}
