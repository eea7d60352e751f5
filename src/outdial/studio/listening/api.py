"""API routes for the sound of live calls."""

from uuid import UUID

from fastapi import Response

from outdial.studio.listening.service import LiveSound, TakeOver, hear_call, take_call_over
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/calls/{call_id}", tags=["calls"])


@router.post("/listen")
async def listen_to_call(call_id: UUID, context: CurrentOrganization) -> LiveSound:
    """Return where a browser hears a call on the line. Each time is recorded in the audit log.

    409 if no one is on the line, or if the call can be heard only in Retell's dashboard.
    """
    context.require("operator")
    return await hear_call(context, call_id)


@router.post("/take-over", status_code=204)
async def take_over_call(call_id: UUID, context: CurrentOrganization, given: TakeOver) -> Response:
    """Stop the agent of a call, which does not come back, and let the listener speak.

    The request is recorded in the audit log before Retell is asked, and then what came of it. 409 if no one is on the
    line, or without a listener of the caller's own.
    """
    context.require("operator")
    await take_call_over(context, call_id, given.listening_id)
    return Response(status_code=204)
