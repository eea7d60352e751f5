"""Readable text of untrusted payloads: indented JSON, with bounded growth."""

import json
from typing import Any, Final

import msgspec

_MAX_GROWTH: Final = 8


def readable_body(body: bytes) -> str:
    """Decode a body as text, with indented JSON; invalid UTF-8 is replaced, lone surrogates are escaped."""
    text = body.decode("utf-8", "replace")
    try:
        chunks, room = [], _MAX_GROWTH * len(text)
        for chunk in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(text)):
            chunks.append(chunk)
            room -= len(chunk)
            if room < 0:  # so deeply nested that indentation dominates
                return text
    except (ValueError, RecursionError):
        return text
    return "".join(chunks).encode("utf-8", "backslashreplace").decode()


def decode_texts(text: str | None) -> dict[str, str]:
    """Decode a JSON column into an object of strings; other values are converted to JSON text."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in decode_object(text).items()
    }


def decode_object(text: str | None) -> dict[str, Any]:
    """Decode a JSON column into an object; other values are wrapped as {"value": ...}."""
    value = msgspec.json.decode(text) if text else {}
    return value if isinstance(value, dict) else {"value": value}
