"""Read and write multipart/form-data (RFC 7578): deployments arrive in this format and downloads leave in it."""

import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartState, parse_options_header

from outdial.host.wire.errors import HostError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 2_000
# Not `parse_options_header`: it cuts filenames that look like paths of Windows, and ends a quoted value too late when
# the value itself ends with an escaped backslash. Go escapes quotes with a backslash, browsers as %22.
_PARAMETER = re.compile(r";\s*(name|filename)=\"((?:[^\"\\]|\\.)*)\"", re.IGNORECASE)

# The parser warns about each malformed body. InvalidForm carries the same text, so nothing goes to stderr.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())


class InvalidForm(HostError):
    """The body is not valid multipart/form-data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPart:
    """One field of a form. `filename` is None for a plain value; header names read from a form are in lower case."""

    name: str
    content: bytes = field(repr=False)
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> list[FormPart]:
    """Parse a form and return its parts in order. Raises InvalidForm."""
    try:
        media_type, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary", b"")
        if media_type != b"multipart/form-data" or not boundary:
            raise InvalidForm("The body must be multipart/form-data with a boundary")
        collector = _PartCollector()
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
    except FormParserError as error:
        raise InvalidForm(f"The form cannot be parsed: {error}") from error
    except UnicodeError:
        raise InvalidForm("The form has headers that are not UTF-8") from None
    if parser.state is not MultipartState.END:
        raise InvalidForm("The form ends before its last boundary")
    return collector.parts


def write_form(parts: Iterable[FormPart]) -> tuple[str, bytes]:
    """Return the content type and the body of a form. A part's own headers follow its Content-Disposition."""
    boundary = f"outdial-{secrets.token_hex(16)}"
    pieces = []
    for part in parts:
        disposition = f'form-data; name="{_quoted(part.name)}"'
        if part.filename is not None:
            disposition += f'; filename="{_quoted(part.filename)}"'
        headers = {"Content-Disposition": disposition, **part.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces.append(b"--%s\r\n%s\r\n%s\r\n" % (boundary.encode(), lines.encode(), part.content))
    pieces.append(b"--%s--\r\n" % boundary.encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


class _PartCollector:
    """Collect the parts of a form from the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[FormPart] = []
        self._reset()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._reset,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end_part,
        }

    def _reset(self) -> None:
        self._headers: dict[str, str] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._content = bytearray()

    def _end_header(self) -> None:
        self._headers[self._name.decode().lower()] = self._value.decode().strip()
        self._name.clear()
        self._value.clear()

    def _end_part(self) -> None:
        if len(self.parts) == MOST_PARTS:
            raise InvalidForm(f"The form has more than {MOST_PARTS} parts")
        disposition = self._headers.get("content-disposition", "")
        parameters = {key.lower(): re.sub(r"\\(.)", r"\1", value) for key, value in _PARAMETER.findall(disposition)}
        if not disposition.lower().startswith("form-data") or "name" not in parameters:
            raise InvalidForm("A part of the form has no name")
        self.parts.append(
            FormPart(
                name=parameters["name"],
                content=bytes(self._content),
                filename=parameters.get("filename"),
                headers=self._headers,
            )
        )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")
