"""The do-not-call page."""

import re
from collections.abc import AsyncIterator, Mapping
from itertools import accumulate
from typing import Annotated, Final
from urllib.parse import quote_plus

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData, UploadFile

from outdial.domain.permission.consent import Scope
from outdial.studio.do_not_call import service as do_not_call
from outdial.studio.do_not_call.service import MAX_FILE_BYTES, Blocked, BlockedPhone, NewBlockedNumbers
from outdial.studio.undo.service import undo_url
from outdial.studio.view.badges import humanize
from outdial.studio.view.countries import country_options, likely_country
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, StudioError
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import (
    MAX_FIELD_BYTES,
    FlashKind,
    Form,
    back_of,
    limited_form,
    redirect,
    region_of,
    short_text,
    text,
)
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/do-not-call")

LIMIT: Final = 50
PURPOSES: Final = [(scope.value, "All calls" if scope is Scope.ANY else humanize(scope)) for scope in Scope]
_MAX_LINES: Final = 10_000
# Less than a field of a form may have, as browsers send it again.
_MAX_KEPT_BYTES: Final = MAX_FIELD_BYTES - 4096
_FIELDS: Final = ("numbers", "region", "purpose", "reason")


async def uploaded_list(request: Request, context: CurrentOrganization) -> AsyncIterator[FormData]:
    """Yield an operator's form with a file of numbers."""
    context.require("operator")
    async with limited_form(request, MAX_FILE_BYTES) as form:
        yield form


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the list with its search and the forms to add numbers."""
    return await _list(request, context)


@router.post("")
async def add(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Add the numbers of a text area, one per line."""
    context.require("operator")
    typed = {name: text(form, name) for name in _FIELDS}
    lines = [line.strip() for line in typed["numbers"].splitlines() if line.strip()]
    if not lines or len(lines) > _MAX_LINES:
        message = "Too many numbers for this form: import them as a file" if lines else "No numbers entered"
        error = InvalidInput(message, {"numbers": f"enter 1 to {_MAX_LINES:,} numbers, one per line"})
        return await _list(request, context, error=error, typed=typed)
    try:
        new = NewBlockedNumbers(
            numbers=[line[:100] for line in lines],
            default_region=region_of(form),
            purpose=_purpose_of(form),
            reason=typed["reason"][:500].replace("\0", "") or None,
        )
        async with context.transaction() as connection:
            blocked = await do_not_call.block_numbers(connection, context, new)
    except InvalidInput as error:
        return await _list(request, context, error=error, typed=typed)
    back = text(form, "back")
    if not blocked.rejected and re.fullmatch(rf"/o/{context.organization_id}/contacts/[0-9a-f-]{{36}}", back):
        return redirect(back, "This number will not be called again.", undo=undo_url(context, blocked.result.act_id))
    return await _added(request, context, blocked, typed)


@router.post("/import")
async def add_file(
    request: Request, context: CurrentOrganization, form: Annotated[FormData, Depends(uploaded_list)]
) -> Response:
    """Add the numbers of a file."""
    file = form.get("file")
    try:
        if not isinstance(file, UploadFile) or not file.filename:
            raise InvalidInput("No file selected", {"file": "select a CSV, XLSX or text file"})
        content = await file.read()
        async with context.transaction() as connection:
            blocked = await do_not_call.block_file(
                connection,
                context=context,
                content=content,
                default_region=region_of(form),
                purpose=_purpose_of(form),
                reason=short_text(form, "reason", 500),
            )
    except InvalidInput as error:
        return await _list(request, context, error=error, file_form=form)
    return await _added(request, context, blocked, {name: text(form, name) for name in _FIELDS})


@router.post("/remove")
async def remove(context: CurrentOrganization, form: Form) -> Response:
    """Remove one number from the list."""
    context.require("admin")
    async with context.transaction() as connection:
        result = await do_not_call.unblock_numbers(connection, context, [text(form, "phone")], _purpose_of(form))
    message = "Number removed. It can be called again." if result.removed else "The number was not on the list."
    kind: FlashKind = "good" if result.removed else "info"
    undo = undo_url(context, result.act_id)
    return redirect(back_of(form, f"/o/{context.organization_id}/do-not-call"), message, kind, undo=undo)


def _purpose_of(form: FormData) -> Scope:
    given = text(form, "purpose")
    if given and given not in set(Scope):
        raise InvalidInput("Unknown purpose", {"purpose": f"choose one of {', '.join(Scope)}"})
    return Scope(given or Scope.ANY)


async def _added(
    request: Request,
    context: OrganizationContext,
    blocked: Blocked,
    typed: Mapping[str, str],
) -> Response:
    """Show the numbers that were refused in the form to add numbers, also those of a file, to be corrected there."""
    if blocked.rejected:
        kept = blocked.rejected[:_MAX_LINES]
        lengths = accumulate(len(quote_plus(f"{number.value}\r\n")) for number in kept)
        kept = kept[: sum(length <= _MAX_KEPT_BYTES for length in lengths)]
        typed = {**typed, "numbers": "\n".join(number.value for number in kept)}
        return await _list(request, context, blocked=Blocked(blocked.result, kept), typed=typed)
    result = blocked.result
    message = f"{result.added:,} added, {result.already_listed:,} already on the list."
    return redirect(f"/o/{context.organization_id}/do-not-call", message, undo=undo_url(context, result.act_id))


async def _list(
    request: Request,
    context: OrganizationContext,
    *,
    blocked: Blocked | None = None,
    error: StudioError | None = None,
    typed: Mapping[str, str] | None = None,
    file_form: FormData | None = None,
) -> HTMLResponse:
    query, url = request.query_params, f"/o/{context.organization_id}/do-not-call"
    phone = query.get("phone", "").strip()[:40]
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    found: Page[BlockedPhone] = Page(items=[])
    search_error: str | None = None
    retell = None
    try:
        async with context.transaction() as connection:
            retell = await do_not_call.retell_list(connection, context)
            found = await do_not_call.list_blocked(connection, context, page_request, phone)
    except InvalidInput as invalid:
        search_error = "; ".join(invalid.fields.values()) or invalid.message
    return page(
        request,
        "do_not_call/list.html",
        context,
        status=error.status if error is not None else 400 if search_error else 200,
        url=url,
        numbers=found.items,
        phone=phone,
        search_error=search_error,
        result=None if blocked is None else blocked.result,
        kept=0 if blocked is None else len(blocked.rejected),
        curable=0 if blocked is None else sum(number.lacks_country_code for number in blocked.rejected),
        countries=country_options(),
        likely=likely_country(request.headers.get("accept-language", ""), viewer_zone(request).key),
        max_workbook_mib=MAX_FILE_BYTES >> 20,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        is_of_file=file_form is not None,
        typed=typed or dict.fromkeys(_FIELDS, ""),
        typed_with_file={
            name: "" if file_form is None else text(file_form, name) for name in ("region", "purpose", "reason")
        },
        purposes=PURPOSES,
        retell=retell,
        **page_links(url, {"phone": phone}, page_request, found.next),
    )
