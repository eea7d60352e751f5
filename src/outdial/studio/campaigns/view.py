"""How far a campaign is, as its pages draw it: bars of an SVG, words, and the sentence with its moment cut out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.studio.campaigns.service import CampaignProgress, WaitingReason
from outdial.studio.view.badges import Tone, badge_for_outcome, humanize
from outdial.studio.view.format import duration, iso

# From what went well to what did not, then what is under way; who waits is the rest of the bar.
_CONTACT_TONES: Final[Mapping[str, Tone]] = {
    "completed": "good",
    "review": "warn",
    "failed": "bad",
    "skipped": "neutral",
    "cancelled": "neutral",
    "calling": "live",
}
_TONES: Final[Sequence[Tone]] = ("good", "info", "live", "warn", "bad", "neutral")


@dataclass(frozen=True, slots=True)
class BarSegment:
    """A part of a bar that is 100 wide."""

    x: float
    width: float
    tone: Tone
    title: str


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """A bar, and what it says in words for those who do not see it."""

    segments: Sequence[BarSegment]
    label: str


@dataclass(frozen=True, slots=True)
class WaitingText:
    """The sentence of why a campaign is not dialing, before and after the moment in it."""

    before: str
    after: str
    waiting: WaitingReason


def contacts_bar(progress: CampaignProgress) -> ProgressBar:
    """Draw the contacts by status; the whole is all of them."""
    parts = [(tone, humanize(status), progress.contacts.get(status, 0)) for status, tone in _CONTACT_TONES.items()]
    return _bar(parts, progress.total, f"{progress.finished:,} of {progress.total:,} contacts are done")


def outcomes_bar(progress: CampaignProgress) -> ProgressBar:
    """Draw the outcomes of the calls; the whole is all that have one."""
    looks = [(badge_for_outcome(outcome), calls) for outcome, calls in progress.outcomes.items()]
    parts = [(look.tone, look.label, calls) for look, calls in looks]
    parts.sort(key=lambda part: (_TONES.index(part[0]), -part[2]))
    return _bar(parts, sum(progress.outcomes.values()), "Outcomes")


def by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names with their numbers, the largest first."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: (-item[1], item[0]))


def why(progress: CampaignProgress) -> WaitingText | None:
    """Return the sentence with its moment cut out, so that a page shows that in the viewer's zone."""
    waiting = progress.waiting
    if waiting is None:
        return None
    before, _, after = waiting.sentence.partition(iso(waiting.at)) if waiting.at else (waiting.sentence, "", "")
    return WaitingText(before, after, waiting)


def time_left(progress: CampaignProgress) -> str | None:
    """Return about how long it dials yet; no more exact than it can be."""
    if progress.ms_left is None:
        return None
    minutes = progress.ms_left / 60_000
    if minutes < 1:
        return "under a minute"
    if minutes < 90:
        return f"about {minutes:.0f} min"
    return f"about {duration(round(minutes / 5) * 5 * 60_000)}"


def _bar(parts: Sequence[tuple[Tone, str, int]], whole: int, label: str) -> ProgressBar:
    segments, x = [], 0.0
    for tone, name, count in parts:
        if count:
            width = 100 * count / whole
            segments.append(BarSegment(round(x, 3), round(width, 3), tone, f"{name}: {count:,}"))
            x += width
    said = ", ".join(segment.title for segment in segments)
    return ProgressBar(segments, f"{label}. {said}" if said else label)
