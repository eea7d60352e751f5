"""Template filters of the list of campaigns: what happens next with one, or why a member has to act."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from outdial.domain.campaign import CampaignStatus
from outdial.studio.campaign_board.service import BoardRow
from outdial.studio.campaigns.service import CampaignProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class NextEvent:
    """What happens next: words and a time, with the zone of the contacts whose calling hours open then.

    Without words, the sentence of the campaign says it.
    """

    text: str | None = None
    at: datetime | None = None
    zone: str | None = None
    after: str = ""


def next_event(row: BoardRow, progress: CampaignProgress, now: datetime) -> NextEvent:
    """Return what happens next with a campaign."""
    campaign = row.campaign
    match CampaignStatus(campaign.status):
        case CampaignStatus.DRAFT if campaign.scheduled_at is not None:
            return NextEvent(text="Planned to start", at=campaign.scheduled_at, after=", but not scheduled yet.")
        case CampaignStatus.DRAFT:
            return NextEvent(text="Ready to start" if progress.total else "Needs contacts")
        case CampaignStatus.SCHEDULED:
            return NextEvent(text="Starts", at=campaign.scheduled_at)
        case CampaignStatus.COMPLETED:
            return NextEvent(text="Completed", at=campaign.finished_at)
        case CampaignStatus.CANCELLED:
            return NextEvent(text="Cancelled", at=campaign.finished_at)
        case CampaignStatus.CANCELLING | CampaignStatus.PAUSING | CampaignStatus.PAUSED:
            return NextEvent()
        case CampaignStatus.ACTIVE:
            return _next_of_active(row, progress, now)
        case never:
            assert_never(never)


def review_text(progress: CampaignProgress) -> str:
    """Return how many contacts need a decision."""
    reviews = progress.contacts.get("review", 0)
    return "1 contact needs a decision" if reviews == 1 else f"{reviews:,} contacts need a decision"


def _next_of_active(row: BoardRow, progress: CampaignProgress, now: datetime) -> NextEvent:
    finish_at, waiting = row.campaign.finish_at, progress.waiting
    if waiting is not None:
        if waiting.at is None or waiting.at <= now:
            return NextEvent()
        return NextEvent(text="Next call", at=waiting.at, zone=waiting.zone)
    if finish_at is not None and finish_at > now:
        return NextEvent(text="Finishes about", at=finish_at)
    return NextEvent(text="Dialing")
