"""The privacy page: retention, legal hold, erasures, and the export of a person's data."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from starlette.datastructures import FormData

from outdial.campaigns.retention_policy import KINDS
from outdial.db.session import encode_json
from outdial.domain import limits
from outdial.studio.privacy import service as privacy
from outdial.studio.privacy.service import ConfirmedDeletions, Erasure, SubjectPhone
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, StudioError
from outdial.studio.web.forms import Form, redirect, region_of, text
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/privacy")

LIMIT: Final = 50
# Keeps the page small.
_MOST_UNREACHED: Final = 100


@router.get("")
async def privacy_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show how long data is kept, the legal hold and the erasures."""
    return await _show(request, context)


@router.post("")
async def change(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Change how long data is kept, or the legal hold."""
    context.require("admin")
    try:
        changes: dict[str, Any] = {kind.name: _read_days(kind.name, text(form, kind.name)) for kind in KINDS}
        is_held = text(form, "legal_hold") == "true"
        reason = text(form, "legal_hold_reason").replace("\0", "").strip() or None
        changes |= {"legal_hold": is_held, "legal_hold_reason": reason if is_held else None}
        async with context.transaction() as connection:
            await privacy.change_retention(connection, context, changes, text(form, "etag") or None)
    except StudioError as error:
        return await _show(request, context, error=error, form=form)
    return redirect(_url(context), "Saved.")


@router.post("/erase")
async def erase(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Erase a number, or ask first: who sends no `confirmed` gets a page with the number as it was read."""
    context.require("admin")
    try:
        if text(form, "confirmed") != "true":
            phone = privacy.read_phone(_subject(form))
            return page(request, "privacy/erase.html", context, url=_url(context), phone=phone)
        await privacy.erase(context, _subject(form))
    except StudioError as error:
        return await _show(request, context, error=error, form=form)
    return redirect(_url(context), "Erased from the database. This page shows when files, logs and Retell are done.")


@router.post("/erasures/{erasure_id}/confirm")
async def confirm(request: Request, context: CurrentOrganization, erasure_id: UUID, form: Form) -> Response:
    """Confirm that the calls that the page has shown as out of reach are deleted at Retell."""
    context.require("admin")
    try:
        confirmed = ConfirmedDeletions.model_validate({"until": text(form, "until")})
    except ValidationError:
        error = InvalidInput("Nothing was confirmed: reload the page and try again")
        return await _show(request, context, error=error)
    async with context.transaction() as connection:
        number, erasure = await privacy.confirm(connection, context, erasure_id, confirmed)
    if not number:
        return redirect(
            _url(context), "Nothing more was confirmed: the calls are confirmed already, or a key reaches them again."
        )
    return redirect(_url(context), f"Confirmed. {_what_remains(erasure)}")


@router.post("/export")
async def export(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Download all data about a number as JSON."""
    context.require("admin")
    try:
        async with context.transaction() as connection:
            known = await privacy.export_phone(connection, context, _subject(form))
    except StudioError as error:
        return await _show(request, context, error=error, form=form)
    headers = {"content-disposition": 'attachment; filename="subject.json"', "cache-control": "no-store"}
    return Response(encode_json(known), media_type="application/json", headers=headers)


def _what_remains(erasure: Erasure) -> str:
    remaining = erasure.calls - erasure.calls_deleted
    if remaining:
        return f"{remaining:,} other {'call is' if remaining == 1 else 'calls are'} still to be deleted at Retell."
    if erasure.swept_at is None:
        return "The erasure finishes once the number is removed from Outdial."
    return "The erasure finishes within a minute."


def _subject(form: FormData) -> SubjectPhone:
    phone = text(form, "phone")[: limits.LONGEST_PHONE_INPUT]
    return SubjectPhone(phone=phone, default_region=region_of(form))


def _read_days(name: str, written: str) -> int | None:
    if not written:
        return None
    if not (written.isascii() and written.isdecimal() and len(written) <= 4):
        raise InvalidInput("Invalid retention", {name: "must be a number of days, or empty to keep the data"})
    return int(written)


async def _show(
    request: Request,
    context: OrganizationContext,
    *,
    error: StudioError | None = None,
    form: FormData | None = None,
) -> HTMLResponse:
    page_request, url = PageRequest(request.query_params.get("cursor") or None, LIMIT), _url(context)
    async with context.transaction() as connection:
        retention = await privacy.show_retention(connection, context)
        erasures = await privacy.list_erasures(connection, context, page_request, _MOST_UNREACHED)
    given: Mapping[str, str] = {} if form is None else {name: text(form, name) for name in form}
    return page(
        request,
        "privacy/show.html",
        context,
        status=200 if error is None else error.status,
        url=url,
        retention=retention,
        kinds=KINDS,
        erasures=erasures.items,
        has_key=context.studio.settings.erasure_keys is not None,
        given=given,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        **page_links(url, {}, page_request, erasures.next),
    )


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/privacy"
