"""Routes of the API for calls."""

from uuid import UUID

from fastapi import APIRouter

from outdial.studio.calls import service as calls
from outdial.studio.calls.service import AskedCalls, CallDetail, CallEvent, CallSummary
from outdial.studio.web.context import AtWork
from outdial.studio.web.paging import AskedPage, Page

router = APIRouter(tags=["calls"])


@router.get("/organizations/{organization_id}/calls")
async def list_calls(workplace: AtWork, page: AskedPage, filters: AskedCalls) -> Page[CallSummary]:
    """List calls, the newest first."""
    async with workplace.transaction() as connection:
        return await calls.list_calls(connection, workplace.organization_id, page, filters)


@router.get("/organizations/{organization_id}/calls/{call_id}")
async def show_call(call_id: UUID, workplace: AtWork) -> CallDetail:
    """Show a call with its transcript, its analysis, and the decision behind it."""
    async with workplace.transaction() as connection:
        return await calls.show_call(connection, workplace.organization_id, call_id)


@router.get("/organizations/{organization_id}/calls/{call_id}/events")
async def list_call_events(call_id: UUID, workplace: AtWork) -> list[CallEvent]:
    """List the webhook events of a call as they came."""
    async with workplace.transaction() as connection:
        return await calls.list_call_events(connection, workplace.organization_id, call_id)
