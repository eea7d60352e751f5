"""The color theme of the studio: light, dark, or like the device. It belongs to the browser, so a cookie keeps it."""

from datetime import timedelta
from typing import Final, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, studio_state
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.rendering import THEME_COOKIE, Theme

_KEPT_FOR: Final = timedelta(days=365)
router = APIRouter()


@router.post("/theme")
async def set_theme(request: Request, _caller: CurrentCaller) -> Response:
    """Keep the chosen theme, and return to the page it was chosen on."""
    form = await forms.checked_form(request)
    theme = forms.text(form, "theme")
    if theme not in get_args(Theme):
        raise InvalidInput("Choose light, dark or system", fields={"theme": "Choose light, dark or system"})
    response = RedirectResponse(forms.own_path(forms.text(form, "next", "/")), 303)
    keep_choice(request, response, THEME_COOKIE, theme)
    return response


def keep_choice(request: Request, response: Response, cookie: str, value: str) -> None:
    """Keep how pages look in this browser, for a year."""
    secure = studio_state(request).settings.secure
    max_age = int(_KEPT_FOR.total_seconds())
    response.set_cookie(cookie, value, max_age=max_age, httponly=True, samesite="lax", secure=secure)
