"""API routes for webhook events."""

from typing import Annotated

from fastapi import Path

from outdial.studio.inbox import service as inbox
from outdial.studio.inbox.service import (
    EventQuery,
    EventsToReview,
    LedgerEvent,
    LedgerEventDetail,
    ReplayRequest,
    ReplayResult,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(prefix="/organizations/{organization_id}/inbox", tags=["inbox"])
EventId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("")
async def list_events(context: CurrentOrganization, page: PageQuery, filters: EventQuery) -> Page[LedgerEvent]:
    """List webhook events, newest first. Events that match no call are visible to admins only."""
    async with context.transaction() as connection:
        return await inbox.list_events(connection, context.organization_id, page, filters)


@router.get("/odd")
async def count_events_to_review(context: CurrentOrganization) -> EventsToReview:
    """Count the events that need review: unmatched and quarantined."""
    async with context.transaction() as connection:
        return await inbox.count_events_to_review(connection, context.organization_id)


@router.post("/replay")
async def replay_events(context: CurrentOrganization, replay: ReplayRequest) -> ReplayResult:
    """Apply events again. Replaying an applied event changes nothing."""
    context.require("operator")
    async with context.transaction() as connection:
        return await inbox.replay_events(connection, context, replay)


@router.get("/{event_id}")
async def get_event(context: CurrentOrganization, event_id: EventId) -> LedgerEventDetail:
    """Return an event with its body."""
    async with context.transaction() as connection:
        return await inbox.show_event(connection, context.organization_id, event_id)
