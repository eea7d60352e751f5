"""Starts, pauses, resumes, closes and cancels campaigns, for the trigger function, the command line and the studio.

Each change is one guarded statement in a transaction with the caller's rights; its result is a value.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from outdial.campaigns.undoing.acts import record_act
from outdial.db.queries import audit, batches, campaign_contacts, campaign_status, campaigns, organizations
from outdial.db.rows import required
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import CAMPAIGN, OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.ids import new_id
from outdial.domain.policies.undo import ActKind

_S = CampaignStatus


class LifecycleAction(StrEnum):
    """The actions of `campaign-trigger`. The audit log has the same names."""

    START = "start_campaign"
    PROCESS_BATCH = "process_batch"
    PAUSE = "pause_campaign"
    RESUME = "resume_campaign"
    CANCEL = "cancel_campaign"
    CLOSE = "close_campaign"
    ADD_CONTACTS = "add_contacts"
    SCHEDULE_CHECK = "schedule_check"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a signed-in user, whose role is checked, or a holder of the service key."""

    user_id: UUID | None = None

    @property
    def name(self) -> str:
        """The actor's name in the audit log."""
        return "service" if self.user_id is None else str(self.user_id)


@dataclass(frozen=True, slots=True)
class Changed:
    """The campaign is now in `status`. `act_id` names what can be undone."""

    status: CampaignStatus
    act_id: UUID | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The campaign was already in `status`: repeating an action is harmless."""

    status: CampaignStatus


@dataclass(frozen=True, slots=True)
class Conflict:
    """The campaign's status does not allow the action; `reason` says what to do."""

    status: CampaignStatus
    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The campaign does not exist, or the caller may not see it."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The caller may view the campaign, but not run it."""


Result = Changed | Unchanged | Conflict | NotFound | Forbidden


@dataclass(frozen=True, slots=True)
class Change:
    """One action on a campaign: the states it is allowed from, and those in which it has nothing to do."""

    action: LifecycleAction
    allowed_from: Collection[CampaignStatus]
    already: Collection[CampaignStatus]


START = Change(LifecycleAction.START, (_S.DRAFT, _S.SCHEDULED), (_S.ACTIVE,))
SCHEDULE = Change(LifecycleAction.START, (_S.DRAFT,), (_S.SCHEDULED,))
RESUME = Change(LifecycleAction.RESUME, (_S.PAUSING, _S.PAUSED), (_S.ACTIVE,))
PAUSE = Change(LifecycleAction.PAUSE, (_S.ACTIVE,), (_S.PAUSING, _S.PAUSED))
CANCEL = Change(LifecycleAction.CANCEL, CAMPAIGN.may_leave(_S.CANCELLING), (_S.CANCELLING, _S.CANCELLED))
CLOSE = Change(LifecycleAction.CLOSE, sorted(OPEN_TO_IMPORT), (_S.COMPLETED,))
_IN_WORDS: Final[Mapping[LifecycleAction, str]] = {
    LifecycleAction.START: "started",
    LifecycleAction.PROCESS_BATCH: "dialed",
    LifecycleAction.PAUSE: "paused",
    LifecycleAction.RESUME: "resumed",
    LifecycleAction.CANCEL: "cancelled",
    LifecycleAction.CLOSE: "closed",
}
HANG_UP = replace(CANCEL, allowed_from=(*CANCEL.allowed_from, _S.CANCELLING))


async def start(connection: Connection, campaign_id: UUID, actor: Actor, now: datetime) -> Result:
    """Start a draft or a scheduled campaign now; a draft with a future start time is scheduled instead."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    if campaign.status in START.already:
        return Unchanged(_S.ACTIVE)
    if (
        campaign.status in START.allowed_from
        and not campaign.keep_open
        and not await campaign_contacts.has_contacts(connection, campaign_id=campaign_id)
    ):
        reason = "the campaign has no contacts: import some first, or keep it open for contacts that come later"
        return Conflict(CampaignStatus(campaign.status), reason)
    detail = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
    if campaign.status == _S.DRAFT and detail.scheduled_at is not None and detail.scheduled_at > now:
        moved = await campaign_status.schedule_campaign(
            connection,
            campaign_id=campaign_id,
            allowed_from=list(SCHEDULE.allowed_from),
            scheduled_at=detail.scheduled_at,
            now=now,
        )
        details = {"scheduled_at": detail.scheduled_at}
        return await _finish_change(
            connection, campaign=campaign, actor=actor, change=SCHEDULE, moved=moved, details=details
        )
    moved = await campaign_status.start_campaign(
        connection, campaign_id=campaign_id, allowed_from=list(START.allowed_from), now=now
    )
    return await _finish_change(connection, campaign=campaign, actor=actor, change=START, moved=moved)


async def resume(connection: Connection, campaign_id: UUID, actor: Actor, now: datetime) -> Result:
    """Resume a paused or pausing campaign."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    moved = await campaign_status.start_campaign(
        connection, campaign_id=campaign_id, allowed_from=list(RESUME.allowed_from), now=now
    )
    act_id = new_id(now)
    result = await _finish_change(
        connection, campaign=campaign, actor=actor, change=RESUME, moved=moved, details={"act": act_id}
    )
    return await _undoable(connection, campaign, ActKind.RESUME, act_id, result, now)


async def pause(
    connection: Connection,
    campaign_id: UUID,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    *,
    shown: str = "paused manually",
) -> Result:
    """Pause an active campaign: it is `pausing` while requests are in flight, then `paused`.

    Without a reason, the campaign shows `shown`, and the audit log has none.
    """
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    moved = await campaign_status.begin_pausing(
        connection,
        campaign_id=campaign_id,
        allowed_from=list(PAUSE.allowed_from),
        reason=reason or shown,
        is_automatic=False,
        now=now,
    )
    act_id = new_id(now)
    details = {"reason": reason, "act": act_id} if reason else {"act": act_id}
    result = await _finish_change(
        connection, campaign=campaign, actor=actor, change=PAUSE, moved=moved, details=details
    )
    if not isinstance(result, Changed):
        return result
    # A separate statement, so that it sees the calls of the claim that the previous statement waited for.
    at_rest = await campaign_status.finish_pausing(connection, campaign_id=campaign_id, now=now)
    result = Changed(_S.PAUSING if at_rest is None else _S.PAUSED)
    return await _undoable(connection, campaign, ActKind.PAUSE, act_id, result, now)


async def cancel(
    connection: Connection, campaign_id: UUID, actor: Actor, now: datetime, *, hang_up: bool = False
) -> Result:
    """Cancel a campaign for good. Live calls run to their end, or are ended with `hang_up`, now or in a second call."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    change = HANG_UP if hang_up else CANCEL
    moved = await campaign_status.begin_cancelling(
        connection, campaign_id=campaign_id, allowed_from=list(change.allowed_from), hang_up=hang_up, now=now
    )
    return await _finish_change(
        connection, campaign=campaign, actor=actor, change=change, moved=moved, details={"hang_up": hang_up}
    )


async def close(connection: Connection, campaign_id: UUID, actor: Actor, now: datetime) -> Result:
    """Let a campaign that is kept open complete, once its contacts are finished."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    if campaign.status in CLOSE.allowed_from and not campaign.keep_open:
        return Unchanged(_S(campaign.status))
    moved = await campaign_status.close_campaign(
        connection, campaign_id=campaign_id, allowed_from=list(CLOSE.allowed_from), now=now
    )
    return await _finish_change(connection, campaign=campaign, actor=actor, change=CLOSE, moved=moved)


async def ask_for_batch(
    connection: Connection, campaign_id: UUID, actor: Actor, now: datetime, batch_size: int | None
) -> Result:
    """Make an active campaign due now; `batch_size`, if given, applies to its next batch only."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    asked = await batches.request_batch(connection, campaign_id=campaign_id, batch_size=batch_size, now=now)
    if asked is None:
        return await _refusal(connection, campaign_id, LifecycleAction.PROCESS_BATCH, (_S.ACTIVE,))
    await record_campaign_action(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        actor=actor,
        action=LifecycleAction.PROCESS_BATCH,
        details={"batch_size": batch_size},
    )
    return Changed(_S.ACTIVE)


async def start_scheduled(
    connection: Connection, actor: Actor, now: datetime, organization_id: UUID | None = None
) -> list[UUID] | NotFound:
    """Start the scheduled campaigns that are due, of one organization or of all that the caller may run."""
    if organization_id is not None:
        found = await organizations.find_organization(connection, organization_id=organization_id)
        if found is None:
            return NotFound()
    rows = await campaign_status.start_scheduled_campaigns(
        connection, now=now, organization_id=organization_id, campaign_id=None
    )
    for row in rows:
        await record_campaign_action(
            connection,
            organization_id=row.organization_id,
            campaign_id=row.id,
            actor=actor,
            action=START.action,
            details={"by": LifecycleAction.SCHEDULE_CHECK},
        )
    return [row.id for row in rows]


async def find_campaign_to_run(
    connection: Connection, campaign_id: UUID, actor: Actor
) -> campaign_status.CampaignState | NotFound | Forbidden:
    """Read the organization and the status of a campaign that `actor` may run."""
    campaign = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if campaign is None:
        return NotFound()
    return campaign if await may_run(connection, campaign.organization_id, actor) else Forbidden()


async def may_run(connection: Connection, organization_id: UUID, actor: Actor) -> bool:
    """Return whether `actor` may run the campaigns of an organization. The service may always."""
    return actor.user_id is None or await organizations.may_operate(connection, organization_id=organization_id)


async def record_campaign_action(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_id: UUID,
    actor: Actor,
    action: str,
    details: Mapping[str, object],
) -> None:
    """Write an entry about a campaign to the audit log, and notify the dialers."""
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="campaign",
        subject_id=str(campaign_id),
        details=encode_json(details),
    )
    await batches.notify_campaigns(connection, ids=[campaign_id])


async def _finish_change(
    connection: Connection,
    campaign: campaign_status.CampaignState,
    actor: Actor,
    change: Change,
    moved: UUID | None,
    details: Mapping[str, object] | None = None,
) -> Result:
    if moved is None:
        return await _refusal(
            connection,
            campaign_id=campaign.id,
            action=change.action,
            allowed_from=change.allowed_from,
            already=change.already,
        )
    await record_campaign_action(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        actor=actor,
        action=change.action,
        details={"from": campaign.status, **(details or {})},
    )
    now_in = required(await campaign_status.campaign_status(connection, campaign_id=campaign.id))
    return Changed(CampaignStatus(now_in.status))


async def _undoable(
    connection: Connection,
    campaign: campaign_status.CampaignState,
    kind: ActKind,
    act_id: UUID,
    result: Result,
    now: datetime,
) -> Result:
    """Store what was done as an act that can be undone, and return the result with its id."""
    if not isinstance(result, Changed):
        return result
    await record_act(
        connection,
        organization_id=campaign.organization_id,
        kind=kind,
        now=now,
        act_id=act_id,
        campaign_id=campaign.id,
    )
    return Changed(result.status, act_id)


async def _refusal(
    connection: Connection,
    campaign_id: UUID,
    action: LifecycleAction,
    allowed_from: Collection[CampaignStatus],
    already: Collection[CampaignStatus] = (),
) -> Result:
    campaign = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if campaign is None:
        return NotFound()
    status = CampaignStatus(campaign.status)
    if status in already:
        return Unchanged(status)
    *others, last = allowed_from
    allowed = f"{', '.join(others)} or {last}" if others else last
    reason = f"a campaign with the status {status} cannot be {_IN_WORDS[action]}, only one that is {allowed}"
    return Conflict(status, reason)
