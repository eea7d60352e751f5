"""Pages for the contacts of a campaign."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from outdial.campaigns.errors import InvalidItem
from outdial.db.session import Connection
from outdial.domain.calling_hours import local_times
from outdial.domain.contact import ReviewDecision
from outdial.domain.errors import UnknownZone
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.callbacks.actions import read_actions
from outdial.studio.campaign_contacts.panel import contact_panel
from outdial.studio.campaign_contacts.review import ReviewRequest, decide
from outdial.studio.campaign_contacts.service import (
    CallAttempt,
    ContactAuditEntry,
    ContactTimeline,
    show_contact,
)
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.tabs import campaign_frame
from outdial.studio.saved_views.service import UNFIT, ViewList, opened_query, read_bar
from outdial.studio.undo.service import undo_url
from outdial.studio.view.format import clock, place_name
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.forms import Form, redirect, short_text, text
from outdial.studio.web.rendering import page

router = APIRouter()
_D = ReviewDecision
DECISIONS: Final = [
    (_D.COMPLETED, "Completed: the contact was reached"),
    (_D.FAILED, "Not reached: do not call again in this campaign"),
    (_D.CALL_AGAIN, "Call again"),
    (_D.NEVER_CALL, "Never call: add the number to the do-not-call list"),
]
DECIDED: Final = {
    _D.COMPLETED: "Marked as completed.",
    _D.FAILED: "Marked as not reached.",
    _D.CALL_AGAIN: "The contact will be called again.",
    _D.NEVER_CALL: "The number is on the do-not-call list. It will not be called again.",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A timeline entry: a call attempt or an audit entry."""

    at: datetime
    attempt: CallAttempt | None = None
    audit: ContactAuditEntry | None = None


@router.get("/o/{organization_id}/campaigns/{campaign_id}/contacts")
async def list_campaign_contacts(
    request: Request, campaign_id: UUID, context: CurrentOrganization, counter: Counter
) -> HTMLResponse:
    """Show the contacts of a campaign with filters and search."""
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
        read = partial(
            contact_panel,
            connection,
            organization_id=context.organization_id,
            campaign_id=campaign_id,
            rules=context.studio.rules,
            now=context.studio.clock.now(),
        )
        query = await opened_query(connection, context, ViewList.CAMPAIGN_CONTACTS, request.query_params)
        panel, opened = await read(query=query), query.get("view")
        bar = await read_bar(
            connection,
            context,
            ViewList.CAMPAIGN_CONTACTS,
            url=request.url.path,
            form=panel.form,
            opened=opened or "",
        )
        is_unfit = panel.problem is not None and opened is not None and bar.is_as_saved
        if is_unfit:
            panel = await read(query={})
    status = 400 if panel.problem else 200
    return page(
        request,
        "campaign_contacts/list.html",
        context,
        status=status,
        frame=frame,
        tab="Contacts",
        campaign=frame.campaign,
        contact_panel=panel,
        views=bar,
        unfit=UNFIT if is_unfit else None,
    )


@router.get("/o/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}")
async def show_campaign_contact(
    request: Request, campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization
) -> HTMLResponse:
    """Show the timeline of a campaign contact."""
    return await _show(request, context, campaign_id, campaign_contact_id)


@router.post("/o/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}/decision")
async def decide_page(
    request: Request, campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization, form: Form
) -> Response:
    """Decide about a contact in review. The time to call again is in the contact's time zone, the first of several."""
    context.require("operator")
    try:
        decision = ReviewDecision(text(form, "decision"))
    except ValueError:
        error = InvalidInput("Choose a decision", {"decision": "choose one from the list"})
        return await _show(request, context, campaign_id, campaign_contact_id, form=form, error=error)
    call_at: datetime | None = None
    try:
        if decision is ReviewDecision.CALL_AGAIN and (written := text(form, "call_at")):
            async with context.transaction() as connection:
                timeline = await _timeline(connection, context, campaign_id, campaign_contact_id)
            zone = ZoneInfo(timeline.contact.zone_key.split("|")[0])
            call_at = datetime.fromisoformat(written).replace(tzinfo=zone)
        decided = ReviewRequest(
            decision=decision, note=short_text(form, "note", LONGEST_DECISION_NOTE), call_at=call_at
        )
    except (ValueError, ZoneInfoNotFoundError):
        error = InvalidInput("Check the time", {"call_at": "use a date and a time, such as 2026-12-24 15:30"})
        return await _show(request, context, campaign_id, campaign_contact_id, form=form, error=error)
    try:
        async with context.transaction() as connection:
            timeline = await decide(
                connection,
                context=context,
                campaign_id=campaign_id,
                campaign_contact_id=campaign_contact_id,
                request=decided,
            )
    except ResourceConflict as conflict:
        return await _show(request, context, campaign_id, campaign_contact_id, form=form, error=conflict)
    except InvalidItem as invalid:
        error = InvalidInput("Check the time", {"call_at": str(invalid).removeprefix("call_at: ")})
        return await _show(request, context, campaign_id, campaign_contact_id, form=form, error=error)
    undo = undo_url(context, timeline.act_id)
    return redirect(request.url.path.removesuffix("/decision"), DECIDED[decision], undo=undo)


async def _show(
    request: Request,
    context: CurrentOrganization,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    *,
    form: FormData | None = None,
    error: InvalidInput | ResourceConflict | None = None,
) -> HTMLResponse:
    now = context.studio.clock.now()
    async with context.transaction() as connection:
        timeline = await _timeline(connection, context, campaign_id, campaign_contact_id)
        actions = await read_actions(connection, context, campaign_contact_id)
    return page(
        request,
        "campaign_contacts/show.html",
        context,
        status=200 if error is None else error.status,
        campaign_id=campaign_id,
        timeline=timeline,
        actions=actions,
        decisions=DECISIONS,
        typed={name: "" if form is None else text(form, name) for name in ("decision", "note", "call_at")},
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        entries=timeline_entries(timeline),
        now=now,
        contact_place=place_name(timeline.contact.zone_key.split("|")[0]),
        clocks=local_clocks(timeline.contact.zone_key, now),
    )


async def _timeline(
    connection: Connection, context: CurrentOrganization, campaign_id: UUID, campaign_contact_id: UUID
) -> ContactTimeline:
    return await show_contact(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        campaign_contact_id=campaign_contact_id,
        rules=context.studio.rules,
        now=context.studio.clock.now(),
    )


def timeline_entries(timeline: ContactTimeline) -> list[TimelineEntry]:
    """Return calls and audit entries, newest first; calls first at the same time.

    What happened to the campaign before the contact was in it is left out.
    """
    entries = [TimelineEntry(attempt.requested_at, attempt=attempt) for attempt in timeline.attempts]
    entries += [
        TimelineEntry(entry.at, audit=entry)
        for entry in timeline.audit
        if entry.subject_type != "campaign" or entry.at >= timeline.entered_at
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def local_clocks(zone_key: str, now: datetime) -> list[tuple[str, str]]:
    """Return each time zone of a zone key with its local time."""
    try:
        times = local_times(zone_key, now)
    except UnknownZone:
        return [(zone_key, "unknown")]
    local = {zone: datetime.fromisoformat(text) for zone, text in times.items()}
    return [(place_name(zone), f"{time:%A}, {clock(time)}") for zone, time in local.items()]
