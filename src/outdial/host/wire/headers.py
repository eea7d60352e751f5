"""The headers that pass through the host: what a function's answer may carry, and what a function is told."""

import re
from collections.abc import Iterable
from typing import Final

Headers = list[tuple[bytes, bytes]]

# RFC 9110, 5.1 and 5.5: a token, a colon, and a value without control characters.
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*")
# They belong to a connection (RFC 9110, 7.6.1), and our server writes its own.
_OF_A_CONNECTION: Final = frozenset(
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
# What tells how an answer came about is for the host to say.
_OF_THE_HOST: Final = frozenset(
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
_WRITTEN_BY_THE_SERVER: Final = _OF_A_CONNECTION | {b"content-length", b"date"}
_NOT_IN_ANSWERS: Final = _WRITTEN_BY_THE_SERVER | _OF_THE_HOST
HOP: Final = b"x-outdial-hop"
# `sb-api-key` is Supabase's own word between its gateway and its workers.
_NOT_FOR_FUNCTIONS: Final = _OF_A_CONNECTION | {HOP, b"expect", b"sb-api-key"}
_NOT_FOR_PEERS: Final = _NOT_FOR_FUNCTIONS | {b"content-length"}
_BY_A_PROXY: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
_NOT_FROM_CLIENTS: Final = _NOT_FOR_FUNCTIONS | _BY_A_PROXY

_MOST_KEPT = 512
_LONGEST_KEPT = 4096


class ResponseHeaders:
    """Makes the header lines of a worker fit to be sent; a function uses few, so that what was seen is remembered."""

    def __init__(self) -> None:
        self._seen: dict[bytes, bytes | None] = {}

    def clean(self, lines: bytes, request_line: bytes = b"") -> bytes | None:
        """Return `lines` without those that are the host's to write; None when they are not well-formed.

        `request_line` is the one that names the request, and so differs each time.
        """
        lines = lines.replace(request_line, b"", 1)
        try:
            return self._seen[lines]
        except KeyError:
            cleaned = clean_lines(lines)
        if len(lines) <= _LONGEST_KEPT:
            if len(self._seen) >= _MOST_KEPT:
                self._seen.clear()
            self._seen[lines] = cleaned
        return cleaned


def clean_lines(lines: bytes) -> bytes | None:
    """Return the header lines without those that are the host's to write; None when one of them is no header line.

    A worker runs code that is not ours: an empty line in here would begin a body, and a second content-length or a
    transfer-encoding an answer to somebody else's request.
    """
    *found, rest = lines.split(b"\r\n")
    if rest:
        return None
    kept = []
    for line in found:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        if match[1].lower() not in _NOT_IN_ANSWERS:
            kept.append(line + b"\r\n")
    return b"".join(kept)


def headers_for_function(headers: Headers, client: str, *, secure: bool, behind_proxy: bool) -> Headers:
    """Return what a function is told of the request's `headers`.

    What a proxy says of the client is believed `behind_proxy` only; otherwise it is said anew, from the connection.
    """
    if behind_proxy:
        return [pair for pair in headers if pair[0] not in _NOT_FOR_FUNCTIONS]
    kept = [pair for pair in headers if pair[0] not in _NOT_FROM_CLIENTS]
    kept.append((b"x-forwarded-for", client.encode("latin-1")))
    kept.append((b"x-forwarded-proto", b"https" if secure else b"http"))
    return kept


def headers_for_peer(headers: Headers) -> Headers:
    """Return what another host is sent of a request's headers."""
    return [pair for pair in headers if pair[0] not in _NOT_FOR_PEERS]


def headers_from_peer(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the lines of another host's answer; what the host itself writes is that host's."""
    return b"".join(
        b"%s: %s\r\n" % (name, value) for name, value in headers if name.lower() not in _WRITTEN_BY_THE_SERVER
    )


def header_value(headers: Headers, name: bytes) -> str:
    """Return the first value of the header `name`, given in lower case; empty when it was not sent."""
    for found, value in headers:
        if found == name:
            return value.decode("latin-1").strip()
    return ""
