"""A message for the next page that its reader sees, once: how a form that has done its work says so."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from fastapi import Request, Response

FlashKind = Literal["good", "warn", "bad", "info"]
COOKIE: Final = "outdial_flash"


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """What the next page says above its content."""

    message: str
    kind: FlashKind = "good"


def set_flash(response: Response, flash: FlashMessage) -> None:
    """Let the next page show `flash`."""
    text = base64.urlsafe_b64encode(msgspec.json.encode([flash.kind, flash.message[:500]])).decode()
    response.set_cookie(COOKIE, text, max_age=60, httponly=True, samesite="lax")


def clear_flash(response: Response) -> None:
    """Let no further page show it."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def flash_of(request: Request) -> FlashMessage | None:
    """Return the message that waits to be shown; one that is not ours in form is none."""
    raw = request.cookies.get(COOKIE)
    if raw is None or request.headers.get("x-live"):
        return None
    try:
        kind, message = msgspec.json.decode(base64.urlsafe_b64decode(raw), type=tuple[FlashKind, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None
    return FlashMessage(message, kind)
