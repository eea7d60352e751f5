"""Forms that add a contact to a campaign, change it, skip it and call it again. The next page shows the result."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from outdial.campaigns.entries.adding import ItemStatus
from outdial.campaigns.errors import InvalidItem
from outdial.db.session import Connection
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.campaign_contacts import changes
from outdial.studio.campaign_contacts.changes import CampaignContactChanges, ContactsRequest, RetryRequest
from outdial.studio.campaign_contacts.service import ContactTimeline, show_contact
from outdial.studio.undo.service import undo_url
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.forms import Form, back_of, redirect, short_text, text

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}/contacts")


@router.post("")
async def add_contact_page(request: Request, campaign_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Add the contact of the form."""
    context.require("operator")
    item = {name: text(form, name) or None for name in ("phone", "name")} | {"priority": _whole(text(form, "priority"))}
    try:
        async with context.transaction() as connection:
            added = await changes.add(connection, context, campaign_id, ContactsRequest(contacts=[item]))
    except ResourceConflict as conflict:
        return redirect(request.url.path, conflict.message, "warn")
    [result] = added.results
    match result.status:
        case ItemStatus.ADDED:
            return redirect(f"{request.url.path}/{result.campaign_contact_id}", "Contact added.")
        case ItemStatus.ALREADY_THERE:
            return redirect(f"{request.url.path}/{result.campaign_contact_id}", "Already in the campaign.")
        case ItemStatus.REFUSED:
            return redirect(request.url.path, sentence_case(result.reason or "refused"), "warn")


@router.post("/{campaign_contact_id}/change")
async def change_contact_page(
    request: Request, campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization, form: Form
) -> Response:
    """Change a pending contact. The time is in the contact's time zone, the first of several."""

    async def save(connection: Connection) -> ContactTimeline:
        not_before = None
        if written := text(form, "not_before"):
            timeline = await show_contact(
                connection,
                organization_id=context.organization_id,
                campaign_id=campaign_id,
                campaign_contact_id=campaign_contact_id,
                rules=context.studio.rules,
                now=context.studio.clock.now(),
            )
            not_before = _with_zone(written, timeline.contact.zone_key)
        changed = CampaignContactChanges.model_construct(
            priority=_whole(text(form, "priority")), not_before=not_before, variables=None
        )
        return await changes.change(connection, context, campaign_id, campaign_contact_id, changed)

    return await _carry_out(request, context, form, save, done="Contact updated.")


@router.post("/{campaign_contact_id}/skip")
async def skip_contact_page(
    request: Request, campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization, form: Form
) -> Response:
    """Skip a pending contact."""
    reason = short_text(form, "reason", LONGEST_DECISION_NOTE)
    return await _carry_out(
        request,
        context,
        form,
        lambda connection: changes.skip(connection, context, campaign_id, campaign_contact_id, reason),
        done="The contact is skipped.",
    )


@router.post("/{campaign_contact_id}/retry")
async def retry_contact_page(
    request: Request, campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization, form: Form
) -> Response:
    """Call a finished contact again."""
    retry = RetryRequest(reason=short_text(form, "reason", LONGEST_DECISION_NOTE) or None)
    return await _carry_out(
        request,
        context,
        form,
        lambda connection: changes.retry(connection, context, campaign_id, campaign_contact_id, retry),
        done="The contact is pending again.",
    )


async def _carry_out(
    request: Request,
    context: OrganizationContext,
    form: FormData,
    change: Callable[[Connection], Awaitable[ContactTimeline]],
    *,
    done: str,
) -> Response:
    """Change the contact and return to the page that the form was sent from, with the undo of the change."""
    context.require("operator")
    url = back_of(form, request.url.path.rpartition("/")[0])
    try:
        async with context.transaction() as connection:
            changed = await change(connection)
    except (ResourceConflict, InvalidItem) as error:
        return redirect(url, sentence_case(str(error)), "warn")
    return redirect(url, done, undo=undo_url(context, changed.act_id))


def _with_zone(written: str, zone_key: str) -> str:
    """Return the local time in a zone as a time with a zone; text that is none stays, and is refused later."""
    try:
        return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone_key.split("|")[0])).isoformat()
    except (ValueError, ZoneInfoNotFoundError):
        return written


def _whole(written: str) -> object:
    """Return a whole number; other text stays, and is refused later."""
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 10 else written or None
