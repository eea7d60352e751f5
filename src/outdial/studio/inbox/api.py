"""Routes of the API for the inbox."""

from typing import Annotated

from fastapi import APIRouter, Path

from outdial.studio.inbox import service as inbox
from outdial.studio.inbox.service import (
    AskedEvents,
    LedgerEvent,
    LedgerEventWithBody,
    OddEvents,
    Replay,
    Replayed,
)
from outdial.studio.web.context import AtWork
from outdial.studio.web.paging import AskedPage, Page

router = APIRouter(prefix="/organizations/{organization_id}/inbox", tags=["inbox"])
EventId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("")
async def list_events(at: AtWork, page: AskedPage, narrowed: AskedEvents) -> Page[LedgerEvent]:
    """List events, the newest first; those that found no call are shown to admins."""
    async with at.transaction() as connection:
        return await inbox.list_events(connection, at.organization_id, page, narrowed)


@router.get("/odd")
async def count_odd_events(at: AtWork) -> OddEvents:
    """Count the events that wait for a person: unmatched and quarantined."""
    async with at.transaction() as connection:
        return await inbox.count_odd_events(connection, at.organization_id)


@router.post("/replay")
async def replay_events(at: AtWork, asked: Replay) -> Replayed:
    """Send events through apply once more; what has been applied changes nothing the second time."""
    at.require("operator")
    async with at.transaction() as connection:
        return await inbox.replay(connection, at, asked)


@router.get("/{event_id}")
async def show_event(at: AtWork, event_id: EventId) -> LedgerEventWithBody:
    """Show one event with its body."""
    async with at.transaction() as connection:
        return await inbox.show_event(connection, at.organization_id, event_id)
