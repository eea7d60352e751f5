"""Rejects requests whose framing is ambiguous, because two HTTP parsers could read them differently.

llhttp itself rejects a bare LF or CR, folded lines, two content-lengths, a content-length beside chunks, and malformed
chunks (RFC 9112, 6 and 11.2). `tests/http/test_smuggling.py` checks that it does.
"""

from collections.abc import Mapping

from outdial.http.message import HeaderPairs

# Status and message of a rejected request.
RequestFault = tuple[int, str]

_SINGLE = (b"host", b"transfer-encoding", b"content-length")


def find_fault(
    version: str, headers: HeaderPairs, fields: Mapping[bytes, bytes], max_lines: int
) -> RequestFault | None:
    """Return why to reject a request, or None; `fields` are `headers` by name."""
    if version == "1.1" and len(fields) == len(headers) <= max_lines:
        if b"transfer-encoding" not in fields and b"host" in fields:
            return None
    elif len(headers) > max_lines:
        return 431, f"A request may have at most {max_lines} headers"
    elif version not in ("1.0", "1.1"):
        return 505, "Only HTTP/1.0 and HTTP/1.1 are supported"
    names = [name for name, _ in headers]
    for name in _SINGLE:
        if names.count(name) > 1:
            return 400, f"The header {name.decode()} may appear only once"
    coding = fields.get(b"transfer-encoding")
    if coding is not None and version == "1.0":
        return 400, "HTTP/1.0 does not support transfer-encoding"
    if coding is not None and coding.strip().lower() != b"chunked":
        return 501, "The only supported transfer-encoding is chunked"
    if b"host" not in fields and version == "1.1":
        return 400, "The host header is missing"
    return None


def parse_target(target: bytes) -> tuple[str, str] | None:
    """Return path and query of a target in origin or absolute form (RFC 9112, 3.2); None for other forms."""
    if not target.startswith(b"/"):
        if target == b"*":
            return "*", ""
        _, scheme, rest = target.partition(b"://")
        if not scheme:
            return None
        _, slash, target = rest.partition(b"/")
        target = slash + target or b"/"
    path, _, query = target.partition(b"#")[0].partition(b"?") if b"#" in target else target.partition(b"?")
    return path.decode("latin-1"), query.decode("latin-1")


def without_upgrade(method: bytes, target: bytes, version: str, headers: HeaderPairs) -> bytes:
    """Return the request head without its upgrade header, which a server may ignore (RFC 9110, 7.8)."""
    lines = [b"%b: %b\r\n" % pair for pair in headers if pair[0] != b"upgrade"]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), b"".join(lines))
