"""Pages for contacts: list, search, detail and edit."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from outdial.studio.contacts import service as contacts
from outdial.studio.contacts.service import Contact, ContactChanges, ContactSummary, contact_search
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, StudioError
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/contacts")

LIMIT: Final = 50


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the contacts with their search."""
    query, url = request.query_params, request.url.path
    term = query.get("q", "").strip()[:200]
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    problem: str | None = None
    found: Page[ContactSummary] = Page(items=[])
    try:
        search = contact_search(search=term)
        async with context.transaction() as connection:
            found = await contacts.list_contacts(connection, context, page_request, search)
    except InvalidInput as error:
        problem = "; ".join(error.fields.values()) or error.message
    return page(
        request,
        "contacts/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        contacts=found.items,
        term=term,
        problem=problem,
        **page_links(url, {"q": term}, page_request, found.next),
    )


@router.get("/{contact_id}")
async def show_page(request: Request, context: CurrentOrganization, contact_id: UUID) -> HTMLResponse:
    """Show a contact with campaigns, calls and the edit form."""
    async with context.transaction() as connection:
        contact = await contacts.find_contact(connection, context, contact_id)
    return _show(request, context, contact)


@router.post("/{contact_id}")
async def change(request: Request, context: CurrentOrganization, contact_id: UUID, form: Form) -> Response:
    """Save a contact, unless it has changed since the form was loaded."""
    context.require("operator")
    typed = {name: text(form, name) for name in CONTACT_FIELD_NAMES}
    try:
        changes = ContactChanges.model_validate(typed).changes()
        async with context.transaction() as connection:
            await contacts.change_contact(
                connection,
                context=context,
                contact_id=contact_id,
                changes=changes,
                if_match=text(form, "etag") or None,
            )
    except ValidationError as error:
        fields = {
            str(problem["loc"][-1]): "is too long or contains characters that cannot be stored"
            for problem in error.errors()
        }
        return await _show_again(
            request,
            context=context,
            contact_id=contact_id,
            typed=typed,
            error=InvalidInput("Please fix the fields below", fields),
        )
    except (InvalidInput, PreconditionFailed) as error:
        return await _show_again(request, context=context, contact_id=contact_id, typed=typed, error=error)
    return redirect(f"/o/{context.organization_id}/contacts/{contact_id}", "Contact saved.")


async def _show_again(
    request: Request, context: CurrentOrganization, contact_id: UUID, typed: dict[str, str], error: StudioError
) -> HTMLResponse:
    async with context.transaction() as connection:
        contact = await contacts.find_contact(connection, context, contact_id)
    return _show(request, context=context, contact=contact, typed=typed, error=error)


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
        now=context.studio.clock.now(),
        values=typed or {name: getattr(contact, name) or "" for name in CONTACT_FIELD_NAMES},
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
    )
