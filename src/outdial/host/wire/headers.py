"""Filters the headers that pass through the host, in both directions."""

import re
from collections.abc import Iterable
from typing import Final

from outdial.http import HeaderPairs
from outdial.net import client_address

Headers = list[tuple[bytes, bytes]]

# RFC 9110, 5.1 and 5.5: a token, and a value without control characters.
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# Hop-by-hop headers (RFC 9110, 7.6.1). Our server writes its own.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Only the host may set these.
_HOST_HEADERS: Final = frozenset(
    {
        b"sb-execution-id",
        b"sb-gateway-version",
        b"sb-project-ref",
        b"sb-request-id",
        b"x-deno-execution-id",
        b"x-sb-edge-region",
        b"x-served-by",
    }
)
_SERVER_HEADERS: Final = _HOP_BY_HOP | {b"content-length", b"date"}
_NOT_FROM_WORKERS: Final = _SERVER_HEADERS | _HOST_HEADERS
HOP: Final = b"x-outdial-hop"
# Supabase's gateway passes `sb-api-key` to its workers, so a client must not set it.
_NOT_FOR_FUNCTIONS: Final = _HOP_BY_HOP | {HOP, b"expect", b"sb-api-key"}
_NOT_FOR_PEERS: Final = _NOT_FOR_FUNCTIONS | {b"content-length"}
_FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
_NOT_FROM_CLIENTS: Final = _NOT_FOR_FUNCTIONS | _FORWARDED

_MAX_CACHED = 512
_MAX_CACHED_VALUE = 1024


class WorkerHeaderFilter:
    """Filters the response headers of a worker. Caches accepted pairs, because a function sends the same few."""

    def __init__(self) -> None:
        self._accepted: set[tuple[bytes, bytes]] = set()

    def filter(self, headers: HeaderPairs) -> Headers | None:
        """Return `headers` without those that only the host may set, or None when one is malformed.

        A worker runs untrusted code: a line break in a header would start the body, and a second content-length or a
        transfer-encoding would forge the response to another request.
        """
        if self._accepted.issuperset(headers):
            return list(headers)
        kept = []
        for pair in headers:
            if pair not in self._accepted:
                name, value = pair
                # Our own workers send such names in lower case with every response.
                if name in _NOT_FROM_WORKERS:
                    continue
                if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                    return None
                if name.lower() in _NOT_FROM_WORKERS:
                    continue
                if len(value) <= _MAX_CACHED_VALUE:
                    if len(self._accepted) >= _MAX_CACHED:
                        self._accepted.clear()
                    self._accepted.add(pair)
            kept.append(pair)
        return kept


def headers_for_function(headers: Headers, client: str, *, secure: bool, behind_proxy: bool) -> Headers:
    """Return the request headers that a function receives.

    Forwarding headers are trusted only `behind_proxy`. Otherwise they are replaced with the connection's own data.
    """
    if behind_proxy:
        return [pair for pair in headers if pair[0] not in _NOT_FOR_FUNCTIONS]
    kept = [pair for pair in headers if pair[0] not in _NOT_FROM_CLIENTS]
    kept.append((b"x-forwarded-for", client.encode("latin-1")))
    kept.append((b"x-forwarded-proto", b"https" if secure else b"http"))
    return kept


def headers_for_peer(headers: Headers) -> Headers:
    """Return the request headers to send to another host."""
    return [pair for pair in headers if pair[0] not in _NOT_FOR_PEERS]


def headers_from_peer(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the response headers of another host, including those that only a host may set."""
    return [pair for pair in headers if pair[0].lower() not in _SERVER_HEADERS]


def forwarded_client(headers: Headers, client: str, proxies: int) -> str:
    """Return the address of the client of a connection from `client`, behind `proxies` trusted proxies."""
    if not proxies:
        return client
    lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return client_address(client, lines, proxies=proxies)


def header_value(headers: Headers, name: bytes) -> str:
    """Return the first value of the header `name` (in lower case), or an empty string."""
    for found, value in headers:
        if found == name:
            return value.decode("latin-1").strip()
    return ""
