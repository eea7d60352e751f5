"""Forms of the pages: reads them within limits, checks the CSRF token, and redirects with a flash message."""

import base64
import binascii
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
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
_MAX_NEXT_CHARS: Final = 2000
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_MAX_SHOWN_CHARS: Final = 200
HOOK_SECRET: Final = "hook_secret"
RETELL_KEY: Final = "retell_key"
# What a page puts into its hidden fields, and a user does not type.
_ID_OR_PATH: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|/o/\S*")
_UNSHOWN_FIELDS: Final = frozenset({CSRF_FIELD, "key", "seen", "etag", HOOK_SECRET})

FlashKind = Literal["good", "warn", "bad", "info"]


class KeptForm(msgspec.Struct, frozen=True, kw_only=True):
    """A form that could not be accepted: its URL, its fields, and the page that shows it."""

    action: str
    page: str
    fields: list[tuple[str, str]]

    @property
    def shown(self) -> Sequence[tuple[str, str]]:
        """The fields that a user filled in, with their values in one line; no hidden fields of the page."""
        values: dict[str, list[str]] = {}
        for name, value in self.fields:
            if value and name not in _UNSHOWN_FIELDS and not _ID_OR_PATH.fullmatch(value):
                values.setdefault(name, []).append(value)
        return [(name, ", ".join(parts)[:_MAX_SHOWN_CHARS]) for name, parts in values.items()]


class FormExpired(PermissionDenied):
    """The form's token is not that of the session; `fields` are None when it has a file, which cannot be kept."""

    def __init__(self, fields: list[tuple[str, str]] | None) -> None:
        super().__init__("This form has expired: go back, reload the page and try again")
        self.fields = fields


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """A message shown once, above the content of the next page."""

    message: str
    kind: FlashKind = "good"
    undo: str | None = None
    """Path of the form that takes back what the message is about."""


async def checked_form(request: Request) -> FormData:
    """Return the submitted form after checking its CSRF token; the dependency of every page's POST.

    Raises FormExpired for a missing or foreign token, and InvalidInput for an unreadable form.
    """
    form = await read_form(request)
    if not is_same_token(form.get(CSRF_FIELD), request.scope.get("outdial_csrf")):
        has_file = any(isinstance(value, UploadFile) for value in form.values())
        raise FormExpired(None if has_file else text_fields(form))
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


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Return whether a browser states that a page of this studio sent the request."""
    host = headers.get("host", "").lower()
    return headers.get("sec-fetch-site") == "same-origin" or host_of(headers.get("origin", "")) == host != ""


def host_of(url: str) -> str:
    """Return the host of `url` and its port, in lower case; empty without one, and for a malformed URL."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def is_same_token(token: object, expected: str | None) -> bool:
    """Compare a form's token with the expected one in constant time."""
    return bool(expected) and isinstance(token, str) and hmac.compare_digest(token.encode(), str(expected).encode())


def text_fields(form: FormData) -> list[tuple[str, str]]:
    """Return the fields of a form that may be kept: no files, and no API key."""
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != RETELL_KEY]


def text(form: FormData, name: str, default: str = "") -> str:
    """Return a form field without surrounding space; `default` when it is empty, absent or a file."""
    value = form.get(name)
    return default if value is None or isinstance(value, UploadFile) else value.strip() or default


def short_text(form: FormData, name: str, longest: int, default: str = "") -> str:
    """Return a form field like `text`, without NUL characters, which Postgres rejects, and cut at `longest`."""
    return text(form, name, default).replace("\0", "")[:longest]


def region_of(values: Mapping[str, Any]) -> str | None:
    """Return the country code in the field `region`, None when empty; raises InvalidInput."""
    region = str(values.get("region") or "").strip().upper()
    if region and not (len(region) == 2 and region.isascii() and region.isalpha()):
        raise InvalidInput("Invalid country", {"region": "use two letters, such as US"})
    return region or None


def own_path(url: str) -> str:
    """Return `url` when it is a path of the studio, else `/`, so that sign-in never redirects to another site."""
    parts = urlsplit(url) if url.startswith("/") and not url.startswith("//") and not _UNSAFE.search(url) else None
    if parts is None or parts.scheme or parts.netloc or len(url) > _MAX_NEXT_CHARS:
        return "/"
    return "/" if parts.path.startswith(("/sign-", "/api/", "/static/")) or parts.path.endswith("/live") else url


def back_of(form: FormData, default: str) -> str:
    """Return the page that a form was sent from, in its field `back`; `default` without one."""
    back = text(form, "back")
    return own_path(back) if back else default


def redirect(
    url: str, message: str | None = None, kind: FlashKind = "good", *, undo: str | None = None
) -> RedirectResponse:
    """Return a 303 to `url`, which shows `message` once, with a button that posts to the path `undo`."""
    response = RedirectResponse(url, 303)
    if message is not None:
        cookie = base64.urlsafe_b64encode(msgspec.json.encode([kind, message[:500], undo])).decode()
        response.set_cookie(FLASH_COOKIE, cookie, max_age=60, httponly=True, samesite="lax")
    return response


def pending_flash(request: Request) -> FlashMessage | None:
    """Return the message to show on this page; None without a readable cookie, and for live updates.

    A form sent in place (static/in_place.js) names its page: a response that is another page is loaded again, and has
    the message then.
    """
    raw = request.cookies.get(FLASH_COOKIE)
    if raw is None or request.headers.get("x-live"):
        return None
    if request.headers.get("x-in-place", request.url.path) != request.url.path:
        return None
    try:
        kind, message, undo = msgspec.json.decode(base64.urlsafe_b64decode(raw), type=tuple[FlashKind, str, str | None])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None
    return FlashMessage(message, kind, undo)


def clear_flash(response: Response) -> None:
    """Delete the flash cookie once its message has been shown."""
    response.delete_cookie(FLASH_COOKIE, httponly=True, samesite="lax")
