"""API routes for the pre-dial hook."""

from fastapi import Response

from outdial.studio.pre_dial_hook import service as hooks
from outdial.studio.pre_dial_hook.service import NewPreDialHook, PreDialHook
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/pre-dial-hook", tags=["organizations"])


@router.get("")
async def get_pre_dial_hook(context: CurrentOrganization) -> PreDialHook:
    """Return the pre-dial hook, without its secret."""
    async with context.transaction() as connection:
        return await hooks.show_hook(connection, context)


@router.put("")
async def set_pre_dial_hook(context: CurrentOrganization, new: NewPreDialHook) -> PreDialHook:
    """Set the pre-dial hook. Calls that are claimed from now on are placed only if it allows them."""
    context.require("admin")
    async with context.transaction() as connection:
        return await hooks.set_hook(connection, context, new)


@router.delete("", status_code=204)
async def remove_pre_dial_hook(context: CurrentOrganization) -> Response:
    """Remove the pre-dial hook."""
    context.require("admin")
    async with context.transaction() as connection:
        await hooks.remove_hook(connection, context)
    return Response(status_code=204)
