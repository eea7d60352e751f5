"""The stream that keeps a page up to date: it says which campaigns have changed, and the page fetches itself again."""

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
from outdial.studio.web.change_hub import ChangeSubscription
from outdial.studio.web.context import CurrentOrganization, OrganizationContext

HEARTBEAT: Final = timedelta(seconds=15)
LEAST_PAUSE: Final = timedelta(seconds=0.5)
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
router = APIRouter()


@router.get("/o/{organization_id}/live")
async def stream(context: CurrentOrganization) -> StreamingResponse:
    """Tell what changes in the organization, for as long as the caller works there and their token is good."""
    return StreamingResponse(_events(context), media_type="text/event-stream", headers=_HEADERS)


async def _events(context: OrganizationContext) -> AsyncIterator[bytes]:
    clock = context.studio.clock
    with context.studio.hub.subscribe(context.organization_id) as subscription:
        yield _event("hello")
        looked = checked = clock.now()
        while not subscription.is_over:
            await _change(subscription, HEARTBEAT)
            if _ends_at(context) <= clock.now():
                yield _event("renew")
                return
            await clock.sleep_until(looked + LEAST_PAUSE)
            looked = clock.now()
            if looked >= checked + HEARTBEAT:
                if not await _still_works_there(context):
                    yield _event("gone")
                    return
                checked = looked
            campaigns, everything = subscription.take()
            seen = await _visible(context, campaigns)
            yield _event("changed", {"campaigns": seen, "everything": everything}) if seen or everything else b": .\n\n"


async def _change(subscription: ChangeSubscription, longest: timedelta) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(subscription.wake.wait(), longest.total_seconds())


def _ends_at(context: OrganizationContext) -> datetime:
    expires = context.caller.identity.claims.get("exp")
    return (
        datetime.fromtimestamp(expires, UTC) if isinstance(expires, int | float) else datetime.max.replace(tzinfo=UTC)
    )


async def _still_works_there(context: OrganizationContext) -> bool:
    async with context.transaction() as connection:
        row = await organizations.find_workplace(
            connection, organization_id=context.organization_id, user_id=context.caller.user_id
        )
    return row is not None


async def _visible(context: OrganizationContext, campaigns: list[UUID]) -> list[UUID]:
    """Return those that the caller may see: a notification names campaigns of everybody."""
    if not campaigns:
        return []
    async with context.transaction() as connection:
        return await campaign_queries.visible_campaigns(
            connection, organization_id=context.organization_id, ids=campaigns
        )


def _event(name: str, data: object = None) -> bytes:
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()
