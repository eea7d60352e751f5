"""Forms of the pages: reads them within limits, checks the CSRF token, and redirects with a flash message."""

import base64
import binascii
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from outdial.studio.web.errors import InvalidInput, PermissionDenied, RequestTooLarge

CSRF_FIELD: Final = "csrf_token"
MAX_FIELDS: Final = 1000
MAX_FIELD_BYTES: Final = 256 * 1024
_FIELDS_BESIDE_FILE_BYTES: Final = 64 * 1024
FLASH_COOKIE: Final = "outdial_flash"

FlashKind = Literal["good", "warn", "bad", "info"]


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """A message shown once, above the content of the next page."""

    message: str
    kind: FlashKind = "good"


async def checked_form(request: Request) -> FormData:
    """Return the submitted form after checking its CSRF token; the dependency of every page's POST.

    Raises PermissionDenied for a missing or foreign token, and InvalidInput for an unreadable form.
    """
    form = await read_form(request)
    check_csrf(request, form.get(CSRF_FIELD))
    return form


Form = Annotated[FormData, Depends(checked_form)]
"""Parameter of a page's POST: `form: Form`."""


async def read_form(request: Request) -> FormData:
    """Return the submitted form without checking its token; raises InvalidInput for an unreadable form."""
    try:
        return await request.form(max_files=10, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except ClientDisconnect:
        raise InvalidInput("The upload was interrupted") from None
    except HTTPException as error:
        raise InvalidInput(f"The form cannot be read: {error.detail}") from None


@asynccontextmanager
async def limited_form(request: Request, max_file_bytes: int) -> AsyncIterator[FormData]:
    """Yield a checked form whose file has at most `max_file_bytes`; Starlette spools the file to disk first."""
    check_form_size(request, max_file_bytes)
    try:
        yield await checked_form(request)
    finally:
        # Deletes the spooled file, also when the form is rejected.
        await request.close()


def check_form_size(request: Request, max_file_bytes: int) -> None:
    """Raise InvalidInput or RequestTooLarge unless the form declares a length that fits a file of `max_file_bytes`."""
    declared = request.headers.get("content-length", "")
    if not declared.isdigit():
        raise InvalidInput("Send the form with a Content-Length header")
    if int(declared) > max_file_bytes + _FIELDS_BESIDE_FILE_BYTES:
        raise file_too_large(max_file_bytes)


def file_too_large(max_file_bytes: int) -> RequestTooLarge:
    """Return the error for a CSV file above the limit."""
    return RequestTooLarge(
        f"Files may have at most {max_file_bytes >> 20:,} MiB: split the file and repeat the header row in each part"
    )


def check_csrf(request: Request, token: object) -> None:
    """Raise PermissionDenied unless `token` is the CSRF token of the request's session."""
    if not is_same_token(token, request.scope.get("outdial_csrf")):
        raise PermissionDenied("This form has expired: go back, reload the page and try again")


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Return whether a browser states that a page of this studio sent the request."""
    origin, host = headers.get("origin"), headers.get("host", "")
    return headers.get("sec-fetch-site") == "same-origin" or (
        origin is not None and urlsplit(origin).netloc.lower() == host.lower() != ""
    )


def is_same_token(token: object, expected: str | None) -> bool:
    """Compare a form's token with the expected one in constant time."""
    return bool(expected) and isinstance(token, str) and hmac.compare_digest(token.encode(), str(expected).encode())


def text(form: FormData, name: str, default: str = "") -> str:
    """Return a form field without surrounding space; `default` when it is empty, absent or a file."""
    value = form.get(name)
    return default if value is None or isinstance(value, UploadFile) else value.strip() or default


def region_of(values: Mapping[str, Any]) -> str | None:
    """Return the country code in the field `region`, None when empty; raises InvalidInput."""
    region = str(values.get("region") or "").strip().upper()
    if region and not (len(region) == 2 and region.isascii() and region.isalpha()):
        raise InvalidInput("Invalid country", {"region": "use two letters, such as US"})
    return region or None


def redirect(url: str, message: str | None = None, kind: FlashKind = "good") -> RedirectResponse:
    """Return a 303 to `url`, which shows `message` once."""
    response = RedirectResponse(url, 303)
    if message is not None:
        cookie = base64.urlsafe_b64encode(msgspec.json.encode([kind, message[:500]])).decode()
        response.set_cookie(FLASH_COOKIE, cookie, max_age=60, httponly=True, samesite="lax")
    return response


def pending_flash(request: Request) -> FlashMessage | None:
    """Return the message to show on this page; None without a readable cookie, and for live updates."""
    raw = request.cookies.get(FLASH_COOKIE)
    if raw is None or request.headers.get("x-live"):
        return None
    try:
        kind, message = msgspec.json.decode(base64.urlsafe_b64decode(raw), type=tuple[FlashKind, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None
    return FlashMessage(message, kind)


def clear_flash(response: Response) -> None:
    """Delete the flash cookie once its message has been shown."""
    response.delete_cookie(FLASH_COOKIE, httponly=True, samesite="lax")
