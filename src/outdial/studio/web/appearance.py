"""How pages look in a browser: the color theme, and the columns of lists. Cookies keep the choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, studio_state
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.rendering import THEME_COOKIE, Theme

_KEPT_FOR: Final = timedelta(days=365)
COLUMNS_COOKIE: Final = "outdial_columns"
"""The chosen columns of each list, such as contacts.email.added~calls.cost; a list with none has its name only."""


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column that a list can leave out. `is_usual`: it is shown until the user chooses."""

    name: str
    label: str
    is_usual: bool = True


LIST_COLUMNS: Final[Mapping[str, Sequence[ListColumn]]] = {
    "contacts": (
        ListColumn("email", "Email"),
        ListColumn("company", "Company"),
        ListColumn("external_id", "External ID"),
        ListColumn("zone_key", "Time zone"),
        ListColumn("created_at", "Added"),
        ListColumn("updated_at", "Changed", is_usual=False),
    ),
    "calls": (
        ListColumn("duration_ms", "Talk time"),
        ListColumn("cost_cents", "Cost"),
        ListColumn("campaign", "Campaign"),
        ListColumn("ended_at", "Ended", is_usual=False),
        ListColumn("disconnection_reason", "Retell reason", is_usual=False),
        ListColumn("kept", "Recording and transcript", is_usual=False),
    ),
}
"""The lists with a choice of columns. Their first columns, which say what a row is, are always shown."""

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


def shown_columns(request: Request, listed: str) -> frozenset[str]:
    """Return the names of the columns that a list shows in this browser."""
    chosen = _chosen(request).get(listed)
    return frozenset(
        column.name for column in LIST_COLUMNS[listed] if (column.is_usual if chosen is None else column.name in chosen)
    )


def _chosen(request: Request) -> dict[str, Sequence[str]]:
    parts = (part.split(".") for part in request.cookies.get(COLUMNS_COOKIE, "").split("~"))
    return {listed: names for listed, *names in parts if listed in LIST_COLUMNS}


@router.post("/columns")
async def choose_columns(request: Request, _caller: CurrentCaller) -> Response:
    """Keep the chosen columns of a list, or forget the choice, and return to the list."""
    form = await forms.checked_form(request)
    listed = forms.text(form, "list")
    names = [str(name) for name in form.getlist("column")]
    known = {column.name for column in LIST_COLUMNS.get(listed, ())}
    if not known or not known.issuperset(names):
        raise InvalidInput("Choose columns of the list", fields={"column": "choose from those offered"})
    chosen = {**_chosen(request), listed: names}
    if forms.text(form, "usual"):
        del chosen[listed]
    response = RedirectResponse(forms.own_path(forms.text(form, "next", "/")), 303)
    kept = "~".join(".".join((each, *columns)) for each, columns in chosen.items())
    keep_choice(request, response, COLUMNS_COOKIE, kept)
    return response
