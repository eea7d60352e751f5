"""Pages for contacts: list, search, detail and edit."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.db.session import Connection
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from outdial.domain.permission.consent import LONGEST_REVOCATION, Basis, Scope
from outdial.domain.policies.bulk_action import BulkAction
from outdial.studio.bulk_jobs.organization import count_contacts
from outdial.studio.bulk_jobs.organization_words import job_in_one_line
from outdial.studio.bulk_jobs.service import latest_change
from outdial.studio.contacts import consents
from outdial.studio.contacts import service as contacts
from outdial.studio.contacts.consents import NewConsent
from outdial.studio.contacts.service import ContactChanges, ContactSearch, ContactSummary, contact_search
from outdial.studio.saved_views.service import ViewList, opened_query, read_bar
from outdial.studio.view.badges import humanize
from outdial.studio.web.appearance import LIST_COLUMNS, shown_columns
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, StudioError
from outdial.studio.web.filters import parse_day, viewer_zone
from outdial.studio.web.forms import Form, redirect, short_text, text
from outdial.studio.web.paging import MOST_COUNTED, Page, PageRequest, at_most, has_more_pages, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/contacts")

LIMIT: Final = 50
_CONSENT_FIELDS: Final = ("basis", "scope", "source", "text", "url", "given_at")
_BASES: Final = [("", "Select one"), *((each.value, humanize(each)) for each in Basis)]
_SCOPES: Final = [(scope.value, "All calls" if scope is Scope.ANY else f"{humanize(scope)} calls") for scope in Scope]


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the contacts with their search."""
    query, url = request.query_params, request.url.path
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    problem: str | None = None
    matching: str | None = None
    found: Page[ContactSummary] = Page(items=[])
    async with context.transaction() as connection:
        opened = await opened_query(connection, context, ViewList.CONTACTS, query)
        term = opened.get("q", "").strip()[:200]
        bar = await read_bar(
            connection, context, ViewList.CONTACTS, url=url, form={"q": term}, opened=query.get("view", "")
        )
        change = await latest_change(connection, context, BulkAction.DO_NOT_CALL)
        try:
            found = await contacts.list_contacts(connection, context, page_request, contact_search(search=term))
            if context.may("operator"):
                matching = await _matching(connection, context, page_request, term, found)
        except InvalidInput as error:
            problem = "; ".join(error.fields.values()) or error.message
    return page(
        request,
        "contacts/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        contacts=found.items,
        views=bar,
        matching=matching,
        change=change,
        change_text=job_in_one_line(change) if change else None,
        term=term,
        columns=LIST_COLUMNS["contacts"],
        shown=shown_columns(request, "contacts"),
        problem=problem,
        **page_links(url, {"q": term}, page_request, found.next),
    )


async def _matching(
    connection: Connection,
    context: OrganizationContext,
    page_request: PageRequest,
    term: str,
    found: Page[ContactSummary],
) -> str | None:
    """Return how many contacts match; None when the page has all of them.

    What a search matches is counted only when an action asks about it: that takes seconds with a million contacts.
    """
    most = page_request.limit if term else MOST_COUNTED
    count = most + 1 if term else await count_contacts(connection, context, ContactSearch(), limit=most + 1)
    return at_most(count, most) if has_more_pages(found, page_request) else None


@router.get("/{contact_id}")
async def show_page(request: Request, context: CurrentOrganization, contact_id: UUID) -> HTMLResponse:
    """Show a contact with campaigns, calls and the edit form."""
    return await _show(request, context, contact_id)


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
        return await _show(
            request,
            context,
            contact_id,
            typed=typed,
            error=InvalidInput("Please fix the fields below", fields),
        )
    except (InvalidInput, PreconditionFailed) as error:
        return await _show(request, context, contact_id, typed=typed, error=error)
    return redirect(f"/o/{context.organization_id}/contacts/{contact_id}", "Contact saved.")


@router.post("/{contact_id}/consents")
async def record_consent(request: Request, context: CurrentOrganization, contact_id: UUID, form: Form) -> Response:
    """Record a consent of a contact, given on a day in the viewer's zone."""
    context.require("operator")
    typed = {name: text(form, name) for name in _CONSENT_FIELDS}
    try:
        given_at = parse_day("given_at", typed["given_at"], viewer_zone(request))
        if given_at is None:
            raise InvalidInput("No day entered", {"given_at": "enter the day on which consent was given"})
        new = NewConsent.model_validate(typed | {"scope": typed["scope"] or Scope.ANY, "given_at": given_at})
        async with context.transaction() as connection:
            await consents.record_consent(connection, context, contact_id, new)
    except ValidationError as error:
        fields = {str(problem["loc"][-1]): "is not valid or too long" for problem in error.errors()}
        invalid = InvalidInput("The consent cannot be recorded", fields)
        return await _show(request, context, contact_id, consent=typed, error=invalid)
    except InvalidInput as error:
        return await _show(request, context, contact_id, consent=typed, error=error)
    return redirect(f"/o/{context.organization_id}/contacts/{contact_id}", "Consent recorded.")


@router.post("/{contact_id}/consents/{consent_id}/revoke")
async def revoke_consent(context: CurrentOrganization, contact_id: UUID, consent_id: UUID, form: Form) -> Response:
    """Revoke a consent of a contact."""
    context.require("operator")
    url = f"/o/{context.organization_id}/contacts/{contact_id}"
    reason = short_text(form, "reason", LONGEST_REVOCATION, "revoked by a member")
    try:
        async with context.transaction() as connection:
            await consents.revoke_consent(connection, context, contact_id, consent_id, reason)
    except ResourceConflict as error:
        return redirect(url, f"{error.message}.", "warn")
    return redirect(url, "Consent revoked.", "info")


async def _show(
    request: Request,
    context: OrganizationContext,
    contact_id: UUID,
    *,
    typed: dict[str, str] | None = None,
    consent: dict[str, str] | None = None,
    error: StudioError | None = None,
) -> HTMLResponse:
    async with context.transaction() as connection:
        contact = await contacts.find_contact(connection, context, contact_id)
        given = await consents.list_consents(connection, context, contact_id)
    return page(
        request,
        "contacts/show.html",
        context,
        status=200 if error is None else error.status,
        contact=contact,
        consents=given.items,
        bases=_BASES,
        scopes=_SCOPES,
        consent=consent or dict.fromkeys(_CONSENT_FIELDS, ""),
        is_consent=consent is not None,
        now=context.studio.clock.now(),
        values=typed or {name: getattr(contact, name) or "" for name in CONTACT_FIELD_NAMES},
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
    )
