"""API route that undoes acts."""

from uuid import UUID

from outdial.studio.undo import service as undoing
from outdial.studio.undo.service import UndoneAct
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(tags=["campaign contacts"])


@router.post("/organizations/{organization_id}/acts/{act_id}/undo")
async def undo_act(context: CurrentOrganization, act_id: UUID) -> UndoneAct:
    """Undo an act, within an hour, where what it has changed is still as it left it.

    Responses about skips, retries, decisions, ended callbacks, pauses, the do-not-call list and selected rows name
    their act, and a bulk job is an act. Returns 409 with the reason when nothing can be undone.
    """
    context.require("operator")
    async with context.transaction() as connection:
        return await undoing.undo(connection, context, act_id)
