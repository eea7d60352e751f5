"""Starts, pauses, resumes and cancels campaigns for the studio, with the code of `campaign-trigger`."""

from typing import Final, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Changed, Result, Unchanged
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.studio.campaigns.service import find_campaign
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound

CampaignAction = Literal["start", "pause", "resume", "cancel", "process-batch"]

_S = CampaignStatus
_STEPS: Final[dict[CampaignStatus, tuple[CampaignAction, ...]]] = {
    _S.DRAFT: ("start", "cancel"),
    _S.SCHEDULED: ("start", "cancel"),
    _S.ACTIVE: ("pause", "cancel"),
    _S.PAUSING: ("resume", "cancel"),
    _S.PAUSED: ("resume", "cancel"),
    _S.CANCELLING: (),
    _S.COMPLETED: (),
    _S.CANCELLED: (),
}


class CampaignActionResult(BaseModel):
    """Where the campaign stands after what was asked for; `changed` is false when it stood there already."""

    id: UUID
    status: CampaignStatus
    changed: bool


def allowed_actions(status: CampaignStatus) -> tuple[CampaignAction, ...]:
    """Return what a person may do with a campaign in `status`."""
    return _STEPS[status]


async def run_action(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    step: CampaignAction,
    *,
    hang_up: bool = False,
    batch_size: int | None = None,
) -> CampaignActionResult:
    """Carry out one step; raises NotFound, Forbidden, or Conflict with the status that does not allow it."""
    # The feature knows campaigns by their id alone; the address names the organization too.
    await find_campaign(connection, context.organization_id, campaign_id)
    actor, now = context.actor, context.studio.clock.now()
    match step:
        case "start":
            result = await lifecycle.start(connection, campaign_id, actor, now)
        case "pause":
            result = await lifecycle.pause(connection, campaign_id, actor, now)
        case "resume":
            result = await lifecycle.resume(connection, campaign_id, actor, now)
        case "cancel":
            result = await lifecycle.cancel(connection, campaign_id, actor, now, hang_up=hang_up)
        case "process-batch":
            result = await lifecycle.ask_for_batch(connection, campaign_id, actor, now, batch_size)
        case never:
            assert_never(never)
    return _stepped(campaign_id, result)


def _stepped(campaign_id: UUID, result: Result) -> CampaignActionResult:
    match result:
        case Changed(status) | Unchanged(status):
            return CampaignActionResult(id=campaign_id, status=status, changed=isinstance(result, Changed))
        case lifecycle.Conflict(status, reason):
            raise ResourceConflict(f"{reason[:1].upper()}{reason[1:]}", status=status)
        case lifecycle.NotFound():
            raise ResourceNotFound("There is no such campaign, or it is not yours")
        case lifecycle.Forbidden():
            raise PermissionDenied("Viewers may look at campaigns; running one takes an operator")
        case never:
            assert_never(never)
