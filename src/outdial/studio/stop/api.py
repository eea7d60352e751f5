"""API routes that stop all calls of an organization and resume them."""

from outdial.studio.stop import service as stops
from outdial.studio.stop.service import CallStop, ReasonGiven
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}", tags=["organizations"])


@router.get("/stop")
async def get_stop(context: CurrentOrganization) -> CallStop:
    """Return whether all calls are stopped. Once it is `stopped`, no request for a call leaves."""
    async with context.transaction() as connection:
        return await stops.show_stop(connection, context)


@router.post("/stop")
async def stop_all_calls(context: CurrentOrganization, given: ReasonGiven) -> CallStop:
    """Stop all calls at once, of all campaigns. Calls that are live go on."""
    context.require("operator")
    async with context.transaction() as connection:
        return await stops.stop(connection, context, given)


@router.post("/resume")
async def resume_all_calls(context: CurrentOrganization, given: ReasonGiven) -> CallStop:
    """Allow calls again. Active campaigns go on at once."""
    context.require("operator")
    async with context.transaction() as connection:
        return await stops.resume(connection, context, given)
