"""Pages for the contacts of a campaign."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.domain.calling_hours import local_times
from outdial.domain.errors import UnknownZone
from outdial.studio.campaign_contacts.panel import contact_panel
from outdial.studio.campaign_contacts.service import (
    CallAttempt,
    ContactAuditEntry,
    ContactTimeline,
    find_campaign,
    show_contact,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.rendering import page

router = APIRouter()


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A timeline entry: a call attempt or an audit entry."""

    at: datetime
    attempt: CallAttempt | None = None
    audit: ContactAuditEntry | None = None


@router.get("/o/{organization_id}/campaigns/{campaign_id}/contacts")
async def list_campaign_contacts(request: Request, campaign_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Show the contacts of a campaign with filters and search."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        panel = await contact_panel(
            connection,
            organization_id=context.organization_id,
            campaign_id=campaign_id,
            query=request.query_params,
            url=request.url.path,
        )
    status = 400 if panel.problem else 200
    return page(request, "campaign_contacts/list.html", context, status=status, campaign=campaign, contact_panel=panel)


@router.get("/o/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}")
async def show_campaign_contact(
    request: Request, campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization
) -> HTMLResponse:
    """Show the timeline of a campaign contact."""
    now = context.studio.clock.now()
    async with context.transaction() as connection:
        timeline = await show_contact(
            connection,
            organization_id=context.organization_id,
            campaign_id=campaign_id,
            campaign_contact_id=campaign_contact_id,
            now=now,
        )
    return page(
        request,
        "campaign_contacts/show.html",
        context,
        campaign_id=campaign_id,
        timeline=timeline,
        entries=timeline_entries(timeline),
        clocks=local_clocks(timeline.contact.zone_key, now),
    )


def timeline_entries(timeline: ContactTimeline) -> list[TimelineEntry]:
    """Return calls and audit entries, newest first; calls first at the same time."""
    entries = [TimelineEntry(attempt.requested_at, attempt=attempt) for attempt in timeline.attempts]
    entries += [TimelineEntry(entry.at, audit=entry) for entry in timeline.audit]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def local_clocks(zone_key: str, now: datetime) -> list[tuple[str, str]]:
    """Return each time zone of a zone key with its local time."""
    try:
        times = local_times(zone_key, now)
    except UnknownZone:
        return [(zone_key, "unknown")]
    return [(zone.replace("_", " "), f"{datetime.fromisoformat(text):%A, %H:%M}") for zone, text in times.items()]
