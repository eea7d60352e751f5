"""Where one request ends and the next begins: what is not clear about that is refused, for two readers may differ.

What httptools (llhttp) refuses by itself is not repeated here: a bare LF or CR, folded lines, two lengths, a length
beside chunks, chunks that are badly cut (RFC 9112, 6 and 11.2). `tests/http/test_smuggling.py` holds it to that.
"""

from collections.abc import Mapping, Sequence

RequestFault = tuple[int, str]
Headers = Sequence[tuple[bytes, bytes]]

_ONCE = (b"host", b"transfer-encoding", b"content-length")


def find_fault(version: str, headers: Headers, fields: Mapping[bytes, bytes], most_lines: int) -> RequestFault | None:
    """Return the status and the reason for which a request cannot be taken; `fields` are `headers` by name."""
    if version == "1.1" and len(fields) == len(headers) <= most_lines:
        if b"transfer-encoding" not in fields and b"host" in fields:
            return None
    elif len(headers) > most_lines:
        return 431, f"A request may have {most_lines} headers at most"
    elif version not in ("1.0", "1.1"):
        return 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here"
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            return 400, f"The header {name.decode()} may be there only once"
    return _fault_of_fields(version, fields)


def _fault_of_fields(version: str, fields: Mapping[bytes, bytes]) -> RequestFault | None:
    coding = fields.get(b"transfer-encoding")
    if coding is not None and version == "1.0":
        return 400, "HTTP/1.0 has no transfer-encoding"
    if coding is not None and coding.strip().lower() != b"chunked":
        return 501, "The only transfer-encoding that is understood is chunked"
    if b"host" not in fields and version == "1.1":
        return 400, "The header host is missing"
    return None


def parse_target(target: bytes) -> tuple[str, str] | None:
    """Return path and query of a request's target, in origin or absolute form (RFC 9112, 3.2); None for others."""
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


def without_upgrade(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Return the head of a request again, less its wish to speak another protocol, which a server may pass over."""
    lines = [b"%b: %b\r\n" % pair for pair in headers if pair[0] != b"upgrade"]
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))
