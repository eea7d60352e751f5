"""API routes for the health of caller numbers, and for the agents of the workspaces."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Query

from outdial.studio.campaigns.service import find_campaign
from outdial.studio.numbers import service as numbers
from outdial.studio.numbers.service import (
    CallerNumberHealth,
    CallerPhone,
    NumberImport,
    NumberLimits,
    WorkspaceAgent,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}", tags=["organizations"])

OfCampaign = Annotated[UUID | None, Query(description="List the numbers of this campaign, in its order")]


@router.get("/numbers/health")
async def list_number_health(context: CurrentOrganization, campaign_id: OfCampaign = None) -> list[CallerNumberHealth]:
    """List the caller numbers with their calls of 7 days, caps and rests."""
    async with context.transaction() as connection:
        pool: Sequence[str] | None = None
        if campaign_id is not None:
            pool = (await find_campaign(connection, context.organization_id, campaign_id)).caller_numbers
        return await numbers.list_health(connection, context, pool)


@router.put("/numbers/{number_id}/limits")
async def set_number_limits(context: CurrentOrganization, number_id: UUID, new: NumberLimits) -> CallerNumberHealth:
    """Set the daily cap and the warm-up of a caller number. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await numbers.change_limits(connection, context, number_id, new)


@router.post("/numbers/rest")
async def rest_number(context: CurrentOrganization, number: CallerPhone) -> CallerNumberHealth:
    """Let a caller number rest for 24 hours."""
    context.require("operator")
    async with context.transaction() as connection:
        return await numbers.rest(connection, context, number)


@router.post("/numbers/wake")
async def wake_number(context: CurrentOrganization, number: CallerPhone) -> CallerNumberHealth:
    """End the rest of a caller number."""
    context.require("operator")
    async with context.transaction() as connection:
        return await numbers.wake(connection, context, number)


@router.get("/numbers/imports")
async def list_number_imports(context: CurrentOrganization) -> list[NumberImport]:
    """Return the latest import of each Retell workspace."""
    async with context.transaction() as connection:
        return await numbers.list_imports(connection, context)


@router.post("/numbers/imports", status_code=202)
async def import_numbers(context: CurrentOrganization) -> list[NumberImport]:
    """Import the numbers and agents of the Retell workspaces; a dialer does it. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await numbers.request_import(connection, context)


@router.get("/agents")
async def list_agents(context: CurrentOrganization) -> list[WorkspaceAgent]:
    """List the voice agents of the Retell workspaces, by name, as a dialer has read them."""
    async with context.transaction() as connection:
        return await numbers.list_agents(connection, context)
