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

from outdial.db import studio as db
from outdial.studio.web.change_hub import Subscription
from outdial.studio.web.context import AtWork, Workplace

HEARTBEAT: Final = timedelta(seconds=15)
LEAST_PAUSE: Final = timedelta(seconds=0.5)
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
router = APIRouter()


@router.get("/o/{organization_id}/live")
async def stream(workplace: AtWork) -> StreamingResponse:
    """Tell what changes in the organization, for as long as the caller works there and their token is good."""
    return StreamingResponse(_events(workplace), media_type="text/event-stream", headers=_HEADERS)


async def _events(workplace: Workplace) -> AsyncIterator[bytes]:
    clock = workplace.studio.clock
    with workplace.studio.hub.subscribe(workplace.organization_id) as subscription:
        yield _event("hello")
        looked = checked = clock.now()
        while not subscription.is_over:
            await _change(subscription, HEARTBEAT)
            if _ends_at(workplace) <= clock.now():
                yield _event("renew")
                return
            await clock.sleep_until(looked + LEAST_PAUSE)
            looked = clock.now()
            if looked >= checked + HEARTBEAT:
                if not await _still_works_there(workplace):
                    yield _event("gone")
                    return
                checked = looked
            campaigns, everything = subscription.take()
            seen = await _visible(workplace, campaigns)
            yield _event("changed", {"campaigns": seen, "everything": everything}) if seen or everything else b": .\n\n"


async def _change(subscription: Subscription, longest: timedelta) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(subscription.wake.wait(), longest.total_seconds())


def _ends_at(workplace: Workplace) -> datetime:
    expires = workplace.member.caller.claims.get("exp")
    return (
        datetime.fromtimestamp(expires, UTC) if isinstance(expires, int | float) else datetime.max.replace(tzinfo=UTC)
    )


async def _still_works_there(workplace: Workplace) -> bool:
    async with workplace.transaction() as connection:
        row = await db.FIND_WORKPLACE.maybe(
            connection, organization_id=workplace.organization_id, user_id=workplace.member.user_id
        )
    return row is not None


async def _visible(workplace: Workplace, campaigns: list[UUID]) -> list[UUID]:
    """Return those that the caller may see: a notification names campaigns of everybody."""
    if not campaigns:
        return []
    async with workplace.transaction() as connection:
        rows = await db.VISIBLE_CAMPAIGNS.all(connection, organization_id=workplace.organization_id, ids=campaigns)
    return [row.id for row in rows]


def _event(name: str, data: object = None) -> bytes:
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()
