"""What the forms of pages send: checked for having come from a page of ours, bounded, and answered with a redirect."""

import hmac
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from outdial.studio.web.errors import InvalidInput, PermissionDenied
from outdial.studio.web.flash import FlashKind, FlashMessage, set_flash

CSRF_FIELD: Final = "csrf_token"
MOST_FIELDS: Final = 1000
LONGEST_FIELD: Final = 256 * 1024


async def checked_form(request: Request) -> FormData:
    """Return the form that a page of this session has sent; a dependency of every POST of a page.

    Raises Forbidden when it carries no token, or another session's, and InvalidInput when it cannot be read.
    """
    form = await read_form(request)
    check_csrf(request, form.get(CSRF_FIELD))
    return form


async def read_form(request: Request) -> FormData:
    """Return a form whose token is checked by the caller; raises InvalidInput when it cannot be read."""
    try:
        return await request.form(max_files=10, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD)
    except ClientDisconnect:
        raise InvalidInput("The form did not arrive in full") from None
    except HTTPException as error:
        raise InvalidInput(f"The form cannot be read: {error.detail}") from None


Form = Annotated[FormData, Depends(checked_form)]
"""The parameter of a page's POST: `form: Form`."""


def check_csrf(request: Request, token: object) -> None:
    """Raise Forbidden unless `token` is the one of the session that the request belongs to."""
    if not is_same_token(token, request.scope.get("outdial_csrf")):
        raise PermissionDenied(
            "This form is too old, or does not come from here: go back, load the page again, and repeat it"
        )


def is_same_token(token: object, expected: str | None) -> bool:
    """Tell whether a form carries the token that was expected, in the same time wherever they differ."""
    return bool(expected) and isinstance(token, str) and hmac.compare_digest(token.encode(), str(expected).encode())


def text(form: FormData, name: str, default: str = "") -> str:
    """Return a field of a form, without space around it; `default` when it is empty, absent or a file."""
    value = form.get(name)
    return default if value is None or isinstance(value, UploadFile) else value.strip() or default


def redirect(url: str, message: str | None = None, kind: FlashKind = "good") -> RedirectResponse:
    """Return the answer to a form that has done its work: go to `url`, which shows `message` once."""
    response = RedirectResponse(url, 303)
    if message is not None:
        set_flash(response, FlashMessage(message, kind))
    return response
