"""API routes for calls."""

from uuid import UUID

from fastapi import Response

from outdial.db.rows import required
from outdial.studio.calls import service as calls
from outdial.studio.calls.hanging_up import hang_up_call
from outdial.studio.calls.reviews import (
    CallReview,
    CallsMarked,
    CallsToReview,
    ReviewNote,
    find_review,
    mark_calls,
    mark_reviewed,
    remove_mark,
)
from outdial.studio.calls.service import CallDetail, CallEvent, CallListItem, CallQuery
from outdial.studio.stop.service import ReasonGiven
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(tags=["calls"])


@router.get("/organizations/{organization_id}/calls")
async def list_calls(context: CurrentOrganization, page: PageQuery, filters: CallQuery) -> Page[CallListItem]:
    """List calls, newest first."""
    async with context.transaction() as connection:
        return await calls.list_calls(connection, context.organization_id, page, filters)


@router.get("/organizations/{organization_id}/calls/{call_id}")
async def get_call(call_id: UUID, context: CurrentOrganization) -> CallDetail:
    """Return a call with its transcript, its analysis and the decision behind it."""
    async with context.transaction() as connection:
        return await calls.show_call(
            connection, context.organization_id, call_id, recordings=context.studio.settings.recordings
        )


@router.post("/organizations/{organization_id}/calls/{call_id}/hang-up", status_code=202)
async def hang_up(call_id: UUID, context: CurrentOrganization, given: ReasonGiven) -> Response:
    """Hang up a live call. The dialer ends it within seconds; 409 if it is not live."""
    context.require("operator")
    async with context.transaction() as connection:
        await hang_up_call(connection, context, call_id, given.text)
    return Response(status_code=202)


@router.put("/organizations/{organization_id}/calls/{call_id}/review")
async def review_call(call_id: UUID, context: CurrentOrganization, given: ReviewNote) -> CallReview:
    """Mark a call as reviewed, with a note. A later mark replaces an earlier one."""
    context.require("operator")
    async with context.transaction() as connection:
        await mark_reviewed(connection, context, call_id, given.note)
        review = await find_review(connection, context.organization_id, call_id)
    return required(review)


@router.post("/organizations/{organization_id}/calls/reviews")
async def review_calls(context: CurrentOrganization, given: CallsToReview) -> CallsMarked:
    """Mark up to 1,000 calls as reviewed that no one has marked yet, with a note.

    For all calls that match a filter, request a bulk job of the organization.
    """
    context.require("operator")
    async with context.transaction() as connection:
        return await mark_calls(connection, context, given)


@router.delete("/organizations/{organization_id}/calls/{call_id}/review", status_code=204)
async def unreview_call(call_id: UUID, context: CurrentOrganization) -> Response:
    """Remove the mark of a call, with its note."""
    context.require("operator")
    async with context.transaction() as connection:
        await remove_mark(connection, context, call_id)
    return Response(status_code=204)


@router.get("/organizations/{organization_id}/calls/{call_id}/events")
async def list_call_events(call_id: UUID, context: CurrentOrganization) -> list[CallEvent]:
    """List the webhook events of a call, oldest first."""
    async with context.transaction() as connection:
        return await calls.list_call_events(connection, context.organization_id, call_id)
