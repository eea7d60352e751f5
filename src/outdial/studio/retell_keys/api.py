"""API routes for the API keys of Retell workspaces."""

from uuid import UUID

from fastapi import Response

from outdial.studio.retell_keys import service as keys
from outdial.studio.retell_keys.service import AccountKey, NewAccountKey
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/accounts/{account_id}/key", tags=["organizations"])


@router.get("")
async def get_account_key(context: CurrentOrganization, account_id: UUID) -> AccountKey:
    """Return the status of a workspace's key, without the key."""
    async with context.transaction() as connection:
        return await keys.find_key(connection, context, account_id)


@router.put("")
async def set_account_key(context: CurrentOrganization, account_id: UUID, new: NewAccountKey) -> AccountKey:
    """Test an API key at Retell and store it. Dialers and the webhook function use it within seconds."""
    context.require("admin")
    return await keys.enter_key(context, account_id, new)


@router.delete("", status_code=204)
async def remove_account_key(context: CurrentOrganization, account_id: UUID, ends_former: bool = False) -> Response:
    """Remove the key. Campaigns of the workspace then wait.

    Webhooks that it signs are accepted for another 24 hours, unless `ends_former` is true.
    """
    context.require("admin")
    async with context.transaction() as connection:
        await keys.remove_key(connection, context, account_id, ends_former=ends_former)
    return Response(status_code=204)
