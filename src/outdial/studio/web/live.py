"""Server-sent events for open pages: each event names the changed campaigns, and the page fetches itself again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from outdial.db.queries import campaigns as campaign_queries
from outdial.db.queries import organizations
from outdial.studio.web.context import CurrentOrganization, OrganizationContext

HEARTBEAT: Final = timedelta(seconds=15)
MIN_INTERVAL: Final = timedelta(seconds=0.5)
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
router = APIRouter()


@router.get("/o/{organization_id}/live")
async def stream(context: CurrentOrganization) -> StreamingResponse:
    """Stream the organization's changes until the caller leaves it or their access token expires."""
    return StreamingResponse(_events(context), media_type="text/event-stream", headers=_HEADERS)


async def _events(context: OrganizationContext) -> AsyncIterator[bytes]:
    clock = context.studio.clock
    with context.studio.hub.subscribe(context.organization_id) as subscription:
        yield _event("hello")
        read_at = checked_at = clock.now()
        while not subscription.is_closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(subscription.wake.wait(), HEARTBEAT.total_seconds())
            if _token_expires_at(context) <= clock.now():
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
            campaigns, everything = subscription.take()
            visible = await _visible_campaigns(context, campaigns)
            yield (
                _event("changed", {"campaigns": visible, "everything": everything})
                if visible or everything
                else b": .\n\n"
            )


def _token_expires_at(context: OrganizationContext) -> datetime:
    expires = context.caller.identity.claims.get("exp")
    return (
        datetime.fromtimestamp(expires, UTC) if isinstance(expires, int | float) else datetime.max.replace(tzinfo=UTC)
    )


async def _visible_campaigns(context: OrganizationContext, campaigns: list[UUID]) -> list[UUID]:
    """Return the campaigns the caller may see: `outdial_campaigns` notifies about every organization."""
    if not campaigns:
        return []
    async with context.transaction() as connection:
        return await campaign_queries.visible_campaigns(
            connection, organization_id=context.organization_id, ids=campaigns
        )


def _event(name: str, data: object = None) -> bytes:
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()
