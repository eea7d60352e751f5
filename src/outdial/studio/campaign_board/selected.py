"""Acts on several campaigns of the list: each as the menu of its row does, with one message about all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never, cast
from uuid import UUID

from outdial.domain.campaign import ARCHIVABLE, CampaignStatus
from outdial.studio.campaigns.actions import CampaignAction, CampaignActionResult, delete_campaign, run_action
from outdial.studio.campaigns.service import Campaign, find_campaign
from outdial.studio.undo.service import undo
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceConflict, ResourceNotFound

MOST_CAMPAIGNS: Final = 40
"""Campaigns that can be selected: more than a page lists. The cookie with the undo has room for their ids."""
_NAMED: Final = 3
_LONGEST_NAME: Final = 40
_S = CampaignStatus


class BoardAction(StrEnum):
    """An action on selected campaigns: those that the menus of their rows have in common."""

    PAUSE = "pause"
    RESUME = "resume"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    DELETE = "delete"

    @property
    def done(self) -> str:
        """What the campaigns are afterwards, after their number."""
        return _DONE[self]


_DONE: Final = {
    BoardAction.PAUSE: "paused",
    BoardAction.RESUME: "resumed",
    BoardAction.ARCHIVE: "archived",
    BoardAction.UNARCHIVE: "unarchived",
    BoardAction.DELETE: "deleted",
}
OPPOSITES: Final = {BoardAction.ARCHIVE: BoardAction.UNARCHIVE, BoardAction.UNARCHIVE: BoardAction.ARCHIVE}


@dataclass(frozen=True, slots=True)
class UnchangedCampaign:
    """A selected campaign that stays as it is, with the end of a sentence that begins with its name."""

    name: str
    why: str


@dataclass(slots=True, kw_only=True)
class CampaignsChanged:
    """What an action has done so far. `acts` and `ids` are those of the changed campaigns."""

    action: BoardAction
    ids: list[UUID] = field(default_factory=list)
    acts: list[UUID] = field(default_factory=list)
    unchanged: list[UnchangedCampaign] = field(default_factory=list)
    gone: int = 0
    has_calls: bool = False

    def in_one_line(self) -> str:
        """Return how many campaigns were changed, and the names of the others with the reason."""
        goes_on = ", and calls in progress continue" if self.has_calls else ""
        noun = "draft" if self.action is BoardAction.DELETE else "campaign"
        changed = f"{len(self.ids)} {noun}{'s' * (len(self.ids) != 1)}"
        parts = [f"{changed} {self.action.done}{goes_on}"] if self.ids else []
        parts += left_out_lines(self.unchanged)
        if self.gone:
            parts.append(f"{self.gone} {'was' if self.gone == 1 else 'were'} deleted meanwhile")
        return f"{'; '.join(parts)}."


async def act_on_campaigns(
    context: OrganizationContext, action: BoardAction, ids: Collection[UUID]
) -> CampaignsChanged:
    """Act on campaigns one after the other, each in a transaction of its own; raises PermissionDenied."""
    done = CampaignsChanged(action=action)
    for campaign_id in ids:
        try:
            await _act_on(context, campaign_id, done)
        except ResourceNotFound:
            done.gone += 1
    return done


async def _act_on(context: OrganizationContext, campaign_id: UUID, done: CampaignsChanged) -> None:
    action = done.action
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
    try:
        async with context.transaction() as connection:
            if action is BoardAction.DELETE:
                await delete_campaign(connection, context, campaign_id)
                done.ids.append(campaign_id)
                return
            result = await run_action(connection, context, campaign_id, cast("CampaignAction", action.value))
    except ResourceConflict as conflict:
        status = CampaignStatus(conflict.details.get("status", campaign.status))
        done.unchanged.append(UnchangedCampaign(campaign.name, why_not(action, status)))
        return
    _note(result, campaign, done)


def _note(result: CampaignActionResult, campaign: Campaign, done: CampaignsChanged) -> None:
    if not result.changed:
        state = done.action.done if done.action in OPPOSITES else str(result.status)
        done.unchanged.append(UnchangedCampaign(campaign.name, f"already {state}"))
        return
    done.ids.append(campaign.id)
    done.acts += [result.act_id] if result.act_id is not None else []
    done.has_calls = done.has_calls or result.status is _S.PAUSING


def why_not(action: BoardAction, status: CampaignStatus) -> str:
    """Return why a campaign with a status stays as it is, after "is" or "are"."""
    state = "a draft" if status is _S.DRAFT else str(status)
    return f"{state} and cannot be {action.done}"


def applies_to(action: BoardAction, campaign: Campaign) -> bool:
    """Return whether the menu of a campaign's row offers an action."""
    match action:
        case BoardAction.PAUSE:
            return campaign.status is _S.ACTIVE
        case BoardAction.RESUME:
            return campaign.status in (_S.PAUSING, _S.PAUSED)
        case BoardAction.ARCHIVE:
            return campaign.status in ARCHIVABLE and campaign.archived_at is None
        case BoardAction.UNARCHIVE:
            return campaign.archived_at is not None
        case BoardAction.DELETE:
            return campaign.status is _S.DRAFT
        case never:
            assert_never(never)


def left_out_lines(unchanged: Sequence[UnchangedCampaign]) -> list[str]:
    """Return a line for each reason, with the first names."""
    reasons: dict[str, list[str]] = {}
    for each in unchanged:
        short = each.name if len(each.name) <= _LONGEST_NAME else f"{each.name[:_LONGEST_NAME]}…"
        reasons.setdefault(each.why, []).append(short)
    return [_line(names, why) for why, names in reasons.items()]


def _line(names: Sequence[str], why: str) -> str:
    if len(names) == 1:
        return f"{names[0]} is {why}"
    *most, last = [*names[:_NAMED], f"{len(names) - _NAMED} more"] if len(names) > _NAMED else names
    return f"{', '.join(most)} and {last} are {why.replace('a draft and', 'drafts and')}"


@dataclass(frozen=True, slots=True)
class CampaignsUndone:
    """How many acts on campaigns were undone, and why the others were not."""

    changed: int
    reasons: Sequence[str]

    def in_one_line(self) -> str:
        """Return what is as before."""
        parts = [f"Undone for {campaigns_in_words(self.changed)}"] if self.changed else []
        for why in dict.fromkeys(self.reasons):
            count = self.reasons.count(why)
            parts.append(f"{campaigns_in_words(count)} {'stays' if count == 1 else 'stay'} unchanged: {why}")
        return f"{'. '.join(parts)}."


async def undo_acts(context: OrganizationContext, acts: Collection[UUID]) -> CampaignsUndone:
    """Undo the pauses or resumes of campaigns, each in a transaction of its own; raises PermissionDenied."""
    changed, reasons = 0, []
    for act_id in acts:
        try:
            async with context.transaction() as connection:
                await undo(connection, context, act_id)
            changed += 1
        except ResourceConflict as conflict:
            reasons.append(conflict.message.removeprefix("This cannot be undone: "))
        except ResourceNotFound:
            reasons.append("an undo works for an hour")
    return CampaignsUndone(changed, reasons)


def campaigns_in_words(count: int) -> str:
    """Return a number of campaigns in words."""
    return "1 campaign" if count == 1 else f"{count} campaigns"
