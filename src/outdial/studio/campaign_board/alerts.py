"""Which campaigns need the attention of a member, and why."""

from typing import assert_never

from outdial.db.queries.dialing.campaign_board import BoardCampaign
from outdial.dialer.admission import SkipReason, WaitReason
from outdial.dialer.doctor import Diagnosis, RunReason
from outdial.domain.campaign import CampaignStatus
from outdial.studio.campaigns.cures import WaitCode


def needs_member(reason: WaitCode) -> bool:
    """Return whether a campaign goes on sooner, or at all, only if someone does something about the reason."""
    match reason:
        case WaitReason():
            return reason in (
                WaitReason.BUDGET,
                WaitReason.NO_API_KEY,
                WaitReason.NO_RULES,
                WaitReason.NOT_SCREENED,
                WaitReason.NUMBERS,
                WaitReason.PRE_DIAL_HOOK,
                WaitReason.STOPPED,
            )
        case SkipReason():
            # No place of the campaign may ever be called as it is.
            return reason in (SkipReason.NEVER_OPENS, SkipReason.LAW_NEVER_OPENS, SkipReason.PROHIBITED)
        case RunReason.NO_DIALER | RunReason.FAILING:
            return True
        case RunReason.BACKED_OFF:
            return False
        case never:
            assert_never(never)


def is_held_up(campaign: BoardCampaign, diagnosis: Diagnosis | None) -> bool:
    """Return whether a campaign has stopped calling for a reason that a member has to end."""
    match CampaignStatus(campaign.status):
        case CampaignStatus.PAUSING | CampaignStatus.PAUSED:
            return campaign.paused_automatically
        case CampaignStatus.ACTIVE:
            return diagnosis is not None and needs_member(diagnosis.reason)
        case _:
            return False
