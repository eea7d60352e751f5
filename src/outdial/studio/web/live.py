"""Server-sent events for open pages: each names what has changed, and the pages that show it fetch it again.

A `beat` every HEARTBEAT tells a page that nothing has changed. The studio sends none while its connection to the
database is lost, so that no page shows old numbers as live.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from outdial.db.queries import campaigns as campaign_queries
from outdial.db.queries import organizations
from outdial.studio.web.change_hub import ChangeSubscription
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.error_responses import error_response
from outdial.studio.web.errors import TooManyRequests

HEARTBEAT: Final = timedelta(seconds=15)
MIN_INTERVAL: Final = timedelta(seconds=0.5)
# Per user and process. Hidden tabs close theirs.
MAX_STREAMS: Final = 20
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
router = APIRouter()


@router.get("/o/{organization_id}/live")
async def stream(context: CurrentOrganization) -> Response:
    """Stream the organization's changes until the caller leaves it or their access token expires."""
    return LiveResponse(context)


class LiveResponse(Response):
    """A stream of events, or a 429 for a user who has MAX_STREAMS open; browsers try again later.

    Counting and subscribing happen in one step, so that concurrent requests cannot exceed the limit.
    """

    def __init__(self, context: OrganizationContext) -> None:
        super().__init__()
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = self._context
        hub, user_id = context.studio.hub, context.caller.user_id
        if user_id is not None and hub.streams_of(user_id) >= MAX_STREAMS:
            refusal = TooManyRequests(
                f"You have {MAX_STREAMS} live pages open: close some of them", headers={"retry-after": "30"}
            )
            await error_response(Request(scope), refusal)(scope, receive, send)
            return
        with hub.subscribe(context.organization_id, user_id) as subscription:
            events = StreamingResponse(_events(context, subscription), media_type="text/event-stream", headers=_HEADERS)
            await events(scope, receive, send)


async def _events(context: OrganizationContext, subscription: ChangeSubscription) -> AsyncIterator[bytes]:
    clock = context.studio.clock
    expires = context.caller.identity.claims.get("exp")
    expires_at = datetime.fromtimestamp(expires, UTC) if isinstance(expires, int | float) else None
    yield _event("hello")
    read_at = checked_at = clock.now()
    while not subscription.is_closed:
        with suppress(TimeoutError):
            await asyncio.wait_for(subscription.wake.wait(), HEARTBEAT.total_seconds())
        if expires_at is not None and expires_at <= clock.now():
            yield _event("renew")
            return
        await clock.sleep_until(read_at + MIN_INTERVAL)
        read_at = clock.now()
        if read_at >= checked_at + HEARTBEAT:
            async with context.transaction() as connection:
                membership = await organizations.find_membership(
                    connection, organization_id=context.organization_id, user_id=context.caller.user_id
                )
            if membership is None:
                yield _event("gone")
                return
            checked_at = read_at
        changes = subscription.take()
        campaigns = changes.campaigns
        if changes.unowned:
            # `outdial_campaigns` notifies about every organization.
            async with context.transaction() as connection:
                campaigns += await campaign_queries.visible_campaigns(
                    connection, organization_id=context.organization_id, ids=changes.unowned
                )
        if campaigns or changes.transcripts or changes.jobs or changes.everything:
            changed = {"campaigns": campaigns, "transcripts": changes.transcripts}
            yield _event("changed", changed | {"jobs": changes.jobs, "everything": changes.everything})
        else:
            # The comment keeps proxies from closing the connection.
            yield _event("beat") if context.studio.hub.is_listening else b": .\n\n"


def _event(name: str, data: object = None) -> bytes:
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()
