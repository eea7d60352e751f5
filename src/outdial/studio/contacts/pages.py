"""Pages for contacts: found, looked at, corrected."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.studio.contacts import service as resource
from outdial.studio.contacts.service import Contact, ContactChanges, ContactSummary, contact_search
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, StudioError
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.paging import Page, PageRequest
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/contacts")

LIMIT: Final = 50
FIELDS: Final = ("name", "email", "company", "external_id", "timezone", "notes")
_SEARCHES: Final = (("phone", "Number begins with"), ("name", "Name begins with"), ("external_id", "External id"))


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the people of the organization, with a search."""
    query, url = request.query_params, request.url.path
    by = query.get("by", "phone") if query.get("by") in dict(_SEARCHES) else "phone"
    term, cursor = query.get("q", "").strip()[:200], query.get("cursor") or None
    problem: str | None = None
    found: Page[ContactSummary] = Page(items=[])
    try:
        filters = contact_search(**{name: term if name == by else None for name, _ in _SEARCHES})
        async with context.transaction() as connection:
            found = await resource.list_contacts(connection, context, PageRequest(cursor, LIMIT), filters)
    except InvalidInput as error:
        problem = "; ".join(error.fields.values()) or error.message
    kept = {"by": by, "q": term} if term else {}
    return page(
        request,
        "contacts/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        contacts=found.items,
        by=by,
        term=term,
        searches=_SEARCHES,
        problem=problem,
        next_url=f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        first_url=f"{url}?{urlencode(kept)}" if cursor else None,
    )


@router.get("/{contact_id}")
async def show_page(request: Request, context: CurrentOrganization, contact_id: UUID) -> HTMLResponse:
    """Show a contact with their campaigns and calls, and a form to correct them."""
    async with context.transaction() as connection:
        contact = await resource.find_contact(connection, context, contact_id)
    return _show(request, context, contact)


@router.post("/{contact_id}")
async def change(request: Request, context: CurrentOrganization, contact_id: UUID, form: Form) -> Response:
    """Correct a contact, unless somebody else has done so since the form was loaded."""
    context.require("operator")
    typed = {name: text(form, name) for name in FIELDS}
    try:
        changes = ContactChanges.model_validate(typed).changes()
        async with context.transaction() as connection:
            await resource.change_contact(connection, context, contact_id, changes, text(form, "etag") or None)
    except ValidationError as error:
        fields = {
            str(problem["loc"][-1]): "is too long, or has characters that cannot be kept" for problem in error.errors()
        }
        return await _again(request, context, contact_id, typed, InvalidInput("This cannot be kept", fields))
    except (InvalidInput, PreconditionFailed) as error:
        return await _again(request, context, contact_id, typed, error)
    return redirect(f"/o/{context.organization_id}/contacts/{contact_id}", "The contact is corrected.")


async def _again(
    request: Request, context: CurrentOrganization, contact_id: UUID, typed: dict[str, str], error: StudioError
) -> HTMLResponse:
    async with context.transaction() as connection:
        contact = await resource.find_contact(connection, context, contact_id)
    return _show(request, context, contact, typed, error)


def _show(
    request: Request,
    context: CurrentOrganization,
    contact: Contact,
    typed: dict[str, str] | None = None,
    error: StudioError | None = None,
) -> HTMLResponse:
    return page(
        request,
        "contacts/show.html",
        context,
        status=200 if error is None else error.status,
        contact=contact,
        values=typed or {name: getattr(contact, name) or "" for name in FIELDS},
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
    )
