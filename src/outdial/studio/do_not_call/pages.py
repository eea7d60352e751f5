"""Pages for the do-not-call list."""

from collections.abc import AsyncIterator
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData, UploadFile

from outdial.studio.do_not_call import service as resource
from outdial.studio.do_not_call.service import LARGEST_FILE, BlockedNumber, BlockResult, NewBlockedNumbers
from outdial.studio.imports.pages import form_of_at_most, region_of
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, StudioError
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.paging import Page, PageRequest
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/do-not-call")

LIMIT: Final = 50
_MOST_LINES: Final = 10_000


async def uploaded_list(request: Request, context: CurrentOrganization) -> AsyncIterator[FormData]:
    """Give a form with a file of numbers, from an operator."""
    context.require("operator")
    async with form_of_at_most(request, LARGEST_FILE) as form:
        yield form


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the list with a search, and forms to add to it."""
    return await _list(request, context)


@router.post("")
async def add(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Add the numbers of a text area, a number in each line."""
    context.require("operator")
    lines = [line.strip() for line in text(form, "numbers").splitlines() if line.strip()]
    if not lines or len(lines) > _MOST_LINES:
        wrong = {"numbers": f"give 1 to {_MOST_LINES:,} numbers, one in each line"}
        message = "Too many numbers for this form: import them as a file" if lines else "No numbers were given"
        return await _list(request, context, error=InvalidInput(message, wrong), form=form)
    try:
        new = NewBlockedNumbers(
            numbers=[line[:100] for line in lines],
            default_region=region_of(form),
            reason=text(form, "reason")[:500].replace("\0", "") or None,
        )
        async with context.transaction() as connection:
            result = await resource.block_numbers(connection, context, new)
    except InvalidInput as error:
        return await _list(request, context, error=error, form=form)
    return await _told(request, context, result)


@router.post("/import")
async def add_file(
    request: Request, context: CurrentOrganization, form: Annotated[FormData, Depends(uploaded_list)]
) -> Response:
    """Add the numbers of a file."""
    file = form.get("file")
    try:
        if not isinstance(file, UploadFile) or not file.filename:
            raise InvalidInput("No file was chosen", {"file": "choose a CSV file"})
        content = await file.read()
        async with context.transaction() as connection:
            result = await resource.block_file(
                connection, context, content, region_of(form), text(form, "reason")[:500].replace("\0", "")
            )
    except InvalidInput as error:
        return await _list(request, context, error=error)
    return await _told(request, context, result)


@router.post("/remove")
async def remove(context: CurrentOrganization, form: Form) -> Response:
    """Take one number off the list."""
    context.require("admin")
    async with context.transaction() as connection:
        result = await resource.unblock_numbers(connection, context, [text(form, "phone")])
    said = "The number may be called again." if result.removed else "The number was not on the list."
    return redirect(f"/o/{context.organization_id}/do-not-call", said, "good" if result.removed else "info")


async def _told(request: Request, context: OrganizationContext, result: BlockResult) -> Response:
    if result.refused:
        return await _list(request, context, result=result)
    said = f"{result.added:,} added, {result.already_listed:,} were listed already."
    return redirect(f"/o/{context.organization_id}/do-not-call", said)


async def _list(
    request: Request,
    context: OrganizationContext,
    *,
    result: BlockResult | None = None,
    error: StudioError | None = None,
    form: FormData | None = None,
) -> HTMLResponse:
    query, url = request.query_params, f"/o/{context.organization_id}/do-not-call"
    phone, cursor = query.get("phone", "").strip()[:40], query.get("cursor") or None
    found: Page[BlockedNumber] = Page(items=[])
    searched: str | None = None
    try:
        async with context.transaction() as connection:
            found = await resource.list_blocked(connection, context, PageRequest(cursor, LIMIT), phone)
    except InvalidInput as wrong:
        searched = "; ".join(wrong.fields.values()) or wrong.message
    kept = {"phone": phone} if phone else {}
    return page(
        request,
        "do_not_call/list.html",
        context,
        status=error.status if error is not None else 400 if searched else 200,
        url=url,
        numbers=found.items,
        phone=phone,
        searched=searched,
        next_url=f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        first_url=f"{url}?{urlencode(kept)}" if cursor else None,
        result=result,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        typed={name: "" if form is None else text(form, name) for name in ("numbers", "region", "reason")},
    )
