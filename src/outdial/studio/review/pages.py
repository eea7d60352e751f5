"""The queue of contacts in review, with the decisions beside each."""

from typing import Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response

from outdial.campaigns.errors import InvalidItem
from outdial.db.queries.dialing import callbacks
from outdial.domain.contact import ReviewDecision
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.calls.beside import read_call_beside
from outdial.studio.calls.navigation import filter_query
from outdial.studio.calls.transcript import SPEAKERS
from outdial.studio.campaign_contacts.review import ReviewRequest, decide
from outdial.studio.review import service as review
from outdial.studio.undo.service import undo_url
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import query_values
from outdial.studio.web.forms import Form, redirect, short_text, text
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/review")
LIMIT: Final = 10
"""Each has its forms twice, in the list and beside it, and a page stays below 60 KB."""
_D: Final = ReviewDecision
DECIDED: Final = {
    _D.COMPLETED: "Marked as completed.",
    _D.CALL_AGAIN: "The contact will be called again.",
    _D.FAILED: "Marked as not reached.",
    _D.NEVER_CALL: "Added to the do-not-call list.",
}


@router.get("")
async def queue_page(request: Request, context: CurrentOrganization) -> Response:
    """Show the contacts in review of all campaigns, and the last call of the one that `at` names, else of the first."""
    page_request = PageRequest(request.query_params.get("cursor") or None, LIMIT)
    at = query_values(request.query_params, ("at",), max_length=100)["at"]
    async with context.transaction() as connection:
        found = await review.list_queue(connection, context.organization_id, page_request)
        chosen = next((each for each in found.items if not at or str(each.campaign_contact_id) == at), None)
        beside = await read_call_beside(connection, context, chosen.call_id if chosen else None)
    if page_request.cursor and not found.items:
        return redirect(request.url.path)
    return page(
        request,
        "review/queue.html",
        context,
        url=request.url.path,
        contacts=found.items,
        chosen=chosen,
        beside=beside,
        speakers=SPEAKERS,
        cursor=page_request.cursor or "",
        next_cursor=found.next,
        **page_links(request.url.path, {}, page_request, found.next),
    )


@router.post("/{campaign_contact_id}")
async def decide_page(campaign_contact_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Decide about a contact of the queue, which then shows the next one."""
    context.require("operator")
    queue = _queue(context, form)
    try:
        decision = ReviewDecision(text(form, "decision"))
    except ValueError:
        raise InvalidInput("Choose a decision") from None
    given = ReviewRequest(decision=decision, note=short_text(form, "reason", LONGEST_DECISION_NOTE) or None)
    try:
        async with context.transaction() as connection:
            contact = await callbacks.find_callback(
                connection, organization_id=context.organization_id, campaign_contact_id=campaign_contact_id
            )
            if contact is None:
                raise ResourceNotFound("Contact not found")
            decided = await decide(
                connection,
                context=context,
                campaign_id=contact.campaign_id,
                campaign_contact_id=campaign_contact_id,
                request=given,
            )
    except (ResourceConflict, InvalidItem) as conflict:
        return redirect(queue, f"{conflict}.", "warn")
    name = decided.contact.name or decided.contact.phone
    return redirect(queue, f"{name}: {DECIDED[decision]}", undo=undo_url(context, decided.act_id))


def _queue(context: OrganizationContext, form: Form) -> str:
    """Return the address of the queue at the entry after the decided one."""
    cursor, place = text(form, "cursor"), text(form, "place")
    query = filter_query({"cursor": cursor, "at": place})
    return f"/o/{context.organization_id}/review{query}{'#' + quote(place) if place else ''}"
