"""Template filters that render campaign progress: bars, and the reason for not dialing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.studio.campaigns.service import CampaignProgress, WaitingReason
from outdial.studio.view.badges import Tone, badge_for_outcome, humanize
from outdial.studio.view.format import iso

# From completed to failed, then calls in progress; pending contacts are the rest of the bar.
_CONTACT_TONES: Final[Mapping[str, Tone]] = {
    "completed": "good",
    "review": "warn",
    "failed": "bad",
    "skipped": "neutral",
    "cancelled": "neutral",
    "calling": "live",
}
_TONES: Final[Sequence[Tone]] = ("good", "machine", "info", "live", "warn", "neutral", "bad")


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
    parts = [(tone, humanize(status), progress.contacts.get(status, 0)) for status, tone in _CONTACT_TONES.items()]
    return _bar(parts, progress.total, f"{progress.finished:,} of {progress.total:,} contacts finished")


def outcomes_bar(progress: CampaignProgress) -> ProgressBar:
    """Render the finished calls by outcome."""
    badges = [(badge_for_outcome(outcome), calls) for outcome, calls in progress.outcomes.items()]
    parts = [(badge.tone, badge.label, calls) for badge, calls in badges]
    parts.sort(key=lambda part: (_TONES.index(part[0]), -part[2]))
    return _bar(parts, sum(progress.outcomes.values()), "Outcomes")


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


def _bar(parts: Sequence[tuple[Tone, str, int]], whole: int, label: str) -> ProgressBar:
    segments, x = [], 0.0
    for tone, name, count in parts:
        if count:
            width = 100 * count / whole
            segments.append(BarSegment(round(x, 3), round(width, 3), tone, f"{name}: {count:,}"))
            x += width
    text = ", ".join(segment.title for segment in segments)
    return ProgressBar(segments, f"{label}. {text}" if text else label)
