"""What a stranger has sent, as text that can be shown: JSON is indented, and nothing grows beyond measure."""

import json
from typing import Final

_MOST_GROWTH: Final = 8


def readable_body(body: bytes) -> str:
    """Return a body as text; what is not UTF-8 is replaced, and halves of characters are spelled out."""
    text = body.decode("utf-8", "replace")
    try:
        pieces, room = [], _MOST_GROWTH * len(text)
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(text)):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:  # nested so deeply that it would be all indentation
                return text
    except (ValueError, RecursionError):
        return text
    return "".join(pieces).encode("utf-8", "backslashreplace").decode()
