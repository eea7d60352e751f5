"""Campaign actions: start, pause, resume, cancel, archive and process batch; most are those of `campaign-trigger`."""

from datetime import UTC
from typing import Annotated, Final, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel, Field

from outdial.campaigns import drafts, lifecycle
from outdial.campaigns.errors import CampaignsError
from outdial.campaigns.lifecycle import Changed, Unchanged
from outdial.campaigns.operations import archive as archiving
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.domain.errors import DomainError
from outdial.studio.campaigns.service import Campaign, as_studio_error, find_campaign
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound, StudioError

CampaignAction = Literal["start", "pause", "resume", "cancel", "process-batch", "close", "archive", "unarchive"]

_S = CampaignStatus
_ACTIONS_BY_STATUS: Final[dict[CampaignStatus, tuple[CampaignAction, ...]]] = {
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
    """The campaign's status after an action. `changed` is false when it already had that status."""

    id: UUID
    status: CampaignStatus
    changed: bool
    act_id: Annotated[UUID | None, Field(description="What can be undone for an hour: a pause, or a resume")] = None


def allowed_actions(status: CampaignStatus) -> tuple[CampaignAction, ...]:
    """Return the actions available in `status`."""
    return _ACTIONS_BY_STATUS[status]


async def run_action(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    action: CampaignAction,
    *,
    hang_up: bool = False,
    batch_size: int | None = None,
) -> CampaignActionResult:
    """Run an action; raises ResourceNotFound, PermissionDenied, or ResourceConflict with the current status."""
    # `lifecycle` finds campaigns by id alone: check that this one belongs to the organization in the URL.
    await find_campaign(connection, context.organization_id, campaign_id)
    actor = context.actor
    now = context.studio.clock.now()
    match action:
        case "start":
            result = await lifecycle.start(connection, campaign_id, actor, now)
        case "pause":
            # Pages show the time in the viewer's zone.
            paused = f"paused by {context.caller.display_name}, {now.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"
            result = await lifecycle.pause(connection, campaign_id, actor, now, shown=paused)
        case "resume":
            result = await lifecycle.resume(connection, campaign_id, actor, now)
        case "cancel":
            result = await lifecycle.cancel(connection, campaign_id, actor, now, hang_up=hang_up)
        case "close":
            result = await lifecycle.close(connection, campaign_id, actor, now)
        case "archive":
            result = await archiving.archive(connection, campaign_id, actor, now)
        case "unarchive":
            result = await archiving.unarchive(connection, campaign_id, actor, now)
        case "process-batch":
            result = await lifecycle.ask_for_batch(
                connection, campaign_id=campaign_id, actor=actor, now=now, batch_size=batch_size
            )
        case _:
            assert_never(action)
    match result:
        case Changed() | Unchanged():
            is_changed = isinstance(result, Changed)
            return CampaignActionResult(id=campaign_id, status=result.status, changed=is_changed, act_id=act_of(result))
        case refused:
            raise _refusal(refused)


def act_of(result: Changed | Unchanged) -> UUID | None:
    """Return the act of a change; None without one."""
    return result.act_id if isinstance(result, Changed) else None


async def delete_campaign(connection: Connection, context: OrganizationContext, campaign_id: UUID) -> None:
    """Delete a draft; raises ResourceNotFound, PermissionDenied, or ResourceConflict with the current status."""
    await find_campaign(connection, context.organization_id, campaign_id)
    match await drafts.delete_draft(connection, campaign_id, context.actor):
        case drafts.Deleted():
            return
        case refused:
            raise _refusal(refused)


async def duplicate_campaign(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    *,
    name: str | None = None,
    reason: str | None = None,
) -> Campaign:
    """Create a draft with the settings of a campaign; raises ResourceNotFound, PermissionDenied and InvalidInput."""
    await find_campaign(connection, context.organization_id, campaign_id)
    now = context.studio.clock.now()
    try:
        result = await drafts.duplicate_campaign(connection, campaign_id, context.actor, now, name=name, reason=reason)
    except (CampaignsError, DomainError) as error:
        raise as_studio_error(error) from error
    match result:
        case drafts.Duplicated(copy_id):
            return await find_campaign(connection, context.organization_id, copy_id)
        case refused:
            raise _refusal(refused)


def _refusal(result: lifecycle.Conflict | lifecycle.NotFound | lifecycle.Forbidden) -> StudioError:
    match result:
        case lifecycle.Conflict(status, reason):
            return ResourceConflict(sentence_case(reason), status=status)
        case lifecycle.NotFound():
            return ResourceNotFound("Campaign not found")
        case lifecycle.Forbidden():
            return PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
