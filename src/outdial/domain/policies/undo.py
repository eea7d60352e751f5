"""What members can undo, for how long, and why an act cannot be undone any more."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from outdial.domain.campaign import OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.contact import ContactStatus

UNDO_WITHIN: Final = timedelta(hours=1)
FORGOTTEN_AFTER: Final = timedelta(hours=3)
"""Past the end of UNDO_WITHIN, because the job that undoes another one needs time."""
MOST_UNDONE: Final = 50_000
"""Contacts, or calls, that a job may change to be undone: what each was before takes 400 bytes."""


class ActKind(StrEnum):
    """An act of a member that can be undone."""

    SKIP = "skip"
    """Skipped pending contacts."""
    RETRY = "retry"
    """Made finished contacts pending again."""
    DECIDE = "decide"
    """Decided about contacts in review."""
    BLOCK = "block"
    """Put the numbers of contacts of a campaign on the do-not-call list."""
    END_CALLBACK = "end_callback"
    """Ended the callback of a pending contact without a call."""
    PAUSE = "pause"
    RESUME = "resume"
    LIST = "list"
    """Added numbers to the do-not-call list."""
    UNLIST = "unlist"
    """Removed numbers from the do-not-call list."""
    REVIEW = "review"
    """Marked calls as reviewed."""


def too_late(done_at: datetime, undone_at: datetime | None, now: datetime) -> str | None:
    """Return why an act cannot be undone now, whatever it was about; None when it can."""
    if undone_at is not None:
        return "it has already been undone"
    if done_at < now - UNDO_WITHIN:
        return "more than an hour has passed"
    return None


def why_contact_stays(*, name: str, status: ContactStatus, former: ContactStatus, campaign: CampaignStatus) -> str:
    """Return why the only contact of an act is not as it was before."""
    if former is ContactStatus.PENDING and campaign not in OPEN_TO_IMPORT:
        return f"the campaign is {campaign} and places no more calls"
    if status is ContactStatus.CALLING:
        return f"{name} is in a call now"
    return f"{name} has changed since: the status is {status}"


def why_campaign_stays(kind: ActKind, status: CampaignStatus, *, is_latest: bool) -> str | None:
    """Return why a campaign that was paused or resumed stays as it is; None when that can be undone."""
    expected = (CampaignStatus.PAUSING, CampaignStatus.PAUSED) if kind is ActKind.PAUSE else (CampaignStatus.ACTIVE,)
    if status not in expected:
        return f"the campaign is {status} now"
    return None if is_latest else "the campaign has been paused or resumed again since"
