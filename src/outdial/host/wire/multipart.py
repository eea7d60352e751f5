"""multipart/form-data (RFC 7578), as bytes: what clients deploy functions with, and download them as."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from outdial.host.wire.errors import HostError

MOST_PARTS = 2_000
_BOUNDARY = re.compile(
    r"multipart/form-data\s*;(?:.*;)?\s*boundary=(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE
)
# Clients escape a quote in a name with a backslash (Go) or as %22 (browsers); paths of ours hold none.
_PARAMETER = re.compile(r";\s*(name|filename)=\"((?:[^\"\\]|\\.)*)\"", re.IGNORECASE)


class InvalidForm(HostError):
    """The body is no multipart/form-data that could be read."""


@dataclass(frozen=True, slots=True)
class FormPart:
    """One field of a form; `filename` is None for a plain value. Names of headers are in lower case."""

    name: str
    content: bytes = field(repr=False)
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> list[FormPart]:
    """Return the parts of a form in order; raise BadForm."""
    found = _BOUNDARY.match(content_type.strip())
    if found is None:
        raise InvalidForm("The body must be multipart/form-data with a boundary")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode()
    _, *pieces = (b"\r\n" + body).split(delimiter, MOST_PARTS + 1)
    if len(pieces) > MOST_PARTS:
        raise InvalidForm(f"The form has more than {MOST_PARTS} parts")
    if not pieces or not pieces[-1].startswith(b"--"):
        raise InvalidForm("The form ends before its last boundary")
    return [_read_part(piece) for piece in pieces[:-1]]


def write_form(parts: Iterable[FormPart]) -> tuple[str, bytes]:
    """Return the content type and the body of a form; headers of a part come after those that it always has."""
    boundary = f"outdial-{secrets.token_hex(16)}"
    pieces = []
    for part in parts:
        disposition = f'form-data; name="{_quoted(part.name)}"'
        if part.filename is not None:
            disposition += f'; filename="{_quoted(part.filename)}"'
        lines = {"Content-Disposition": disposition, **part.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        pieces.append(b"--%s\r\n%s\r\n%s\r\n" % (boundary.encode(), head.encode(), part.content))
    pieces.append(b"--%s--\r\n" % boundary.encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _read_part(piece: bytes) -> FormPart:
    head, blank, content = piece.partition(b"\r\n\r\n")
    padding, _, lines = head.partition(b"\r\n")
    if not blank or padding.strip(b" \t"):
        raise InvalidForm("A part of the form has no headers")
    try:
        headers = dict(_header(line) for line in lines.decode().split("\r\n"))
    except UnicodeDecodeError:
        raise InvalidForm("A part of the form has headers that are not UTF-8") from None
    disposition = headers.get("content-disposition", "")
    parameters = {name.lower(): re.sub(r"\\(.)", r"\1", value) for name, value in _PARAMETER.findall(disposition)}
    if not disposition.lower().startswith("form-data") or "name" not in parameters:
        raise InvalidForm("A part of the form has no name")
    return FormPart(parameters["name"], content, parameters.get("filename"), headers)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")
