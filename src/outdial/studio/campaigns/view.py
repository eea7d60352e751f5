"""Template filters that render campaign progress: bars, and the reason for not dialing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.dialer.admission import SkipReason, WaitReason
from outdial.dialer.doctor import RunReason
from outdial.studio.campaigns.service import CampaignProgress, WaitingReason
from outdial.studio.view.badges import Tone, badge_for_contact
from outdial.studio.view.format import iso

# From completed to failed, then calls in progress; pending contacts are the rest of the bar.
_CONTACT_TONES: Final[Mapping[str, Tone]] = {
    "completed": "good",
    "review": "warn",
    "failed": "neutral",
    "skipped": "neutral",
    "cancelled": "neutral",
    "calling": "live",
}


@dataclass(frozen=True, slots=True)
class BarSegment:
    """A segment of a bar with a total width of 100."""

    x: float
    width: float
    tone: Tone
    title: str


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """A stacked bar with its text alternative."""

    segments: Sequence[BarSegment]
    label: str


@dataclass(frozen=True, slots=True)
class WaitingText:
    """Why a campaign is not dialing: the sentence, split around the time in it."""

    before: str
    after: str
    waiting: WaitingReason


def contacts_bar(progress: CampaignProgress) -> ProgressBar:
    """Render the contacts by status."""
    parts = [
        (tone, badge_for_contact(status).label, progress.contacts.get(status, 0))
        for status, tone in _CONTACT_TONES.items()
    ]
    return _bar(parts, progress.total, f"{progress.finished:,} of {progress.total:,} contacts finished")


def sorted_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names and counts, largest first."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: (-item[1], item[0]))


def waiting_text(progress: CampaignProgress) -> WaitingText | None:
    """Split the sentence around its time, so that the page shows the time in the viewer's time zone."""
    waiting = progress.waiting
    if waiting is None:
        return None
    before, _, after = waiting.sentence.partition(iso(waiting.at)) if waiting.at else (waiting.sentence, "", "")
    return WaitingText(before, after, waiting)


@dataclass(frozen=True, slots=True)
class BannerLook:
    """The tone and the icon of the banner that says why a campaign calls or not."""

    tone: Tone
    icon: str


_LOOKS: Final[Mapping[str, BannerLook]] = {
    WaitReason.DRAFT: BannerLook("neutral", "pencil"),
    WaitReason.SCHEDULED: BannerLook("info", "calendar-clock"),
    WaitReason.PAUSED: BannerLook("warn", "pause"),
    WaitReason.RETRY_DUE: BannerLook("info", "clock"),
    WaitReason.DAY_PART: BannerLook("info", "clock"),
    WaitReason.ZONE_OPENS: BannerLook("info", "clock"),
    WaitReason.LAW_OPENS: BannerLook("info", "scale"),
    WaitReason.CALLS_UNDER_WAY: BannerLook("live", "phone-call"),
    WaitReason.CAMPAIGN_FULL: BannerLook("live", "phone-call"),
    WaitReason.ACCOUNT_FULL: BannerLook("live", "phone-call"),
    WaitReason.SHARE_TAKEN: BannerLook("live", "phone-call"),
    WaitReason.PACING: BannerLook("live", "phone-call"),
    WaitReason.NO_CONTACTS: BannerLook("info", "users"),
    WaitReason.STOPPED: BannerLook("bad", "octagon-x"),
    WaitReason.BUDGET: BannerLook("warn", "wallet"),
    WaitReason.NO_API_KEY: BannerLook("warn", "key-round"),
    SkipReason.FINISHED: BannerLook("neutral", "circle-check"),
    SkipReason.CANCELLED: BannerLook("neutral", "ban"),
    SkipReason.NOTHING_TO_DO: BannerLook("info", "circle-check"),
    RunReason.NO_DIALER: BannerLook("bad", "circle-alert"),
    RunReason.FAILING: BannerLook("bad", "circle-alert"),
}
"""By the code of the reason; the others need attention."""


def banner_look(progress: CampaignProgress) -> BannerLook:
    """Return how the banner of a campaign looks."""
    if progress.waiting is None:
        return BannerLook("live", "phone-call")
    return _LOOKS.get(progress.waiting.code, BannerLook("warn", "triangle-alert"))


def _bar(parts: Sequence[tuple[Tone, str, int]], whole: int, label: str) -> ProgressBar:
    segments, x = [], 0.0
    for tone, name, count in parts:
        if count:
            width = 100 * count / whole
            segments.append(BarSegment(round(x, 3), round(width, 3), tone, f"{name}: {count:,}"))
            x += width
    text = ", ".join(segment.title for segment in segments)
    return ProgressBar(segments, f"{label}. {text}" if text else label)
