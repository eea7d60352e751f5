"""Badges for statuses and outcomes. Each has a tone and a mark, so that none depends on color alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["neutral", "info", "live", "good", "machine", "warn", "bad"]
"""What a color says. good: a person was reached; machine: voicemail or a phone menu; neutral: not reached, or over;
warn: needs attention; bad: failed; live: in progress; info: planned."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge: the tone that sets its colors, a mark, and a label."""

    tone: Tone
    mark: str
    label: str


_MARKS: Final[Mapping[Tone, str]] = {
    "neutral": "○",
    "info": "◷",
    "live": "▶",
    "good": "✓",
    "machine": "✉",
    "warn": "!",
    "bad": "✕",
}

# Shared by campaigns, contacts, calls, jobs, events, deployments and log levels.
_STATUSES: Final[Mapping[str, tuple[Tone, str | None]]] = {
    "draft": ("neutral", "✎"),
    "scheduled": ("info", None),
    "active": ("live", None),
    "running": ("live", None),
    "calling": ("live", "☎"),
    "placing": ("info", "…"),
    "placed": ("info", "→"),
    "ongoing": ("live", "☎"),
    "pausing": ("warn", "…"),
    "paused": ("warn", "‖"),
    "cancelling": ("warn", "…"),
    "cancelled": ("neutral", "⊘"),
    "completed": ("good", None),
    "done": ("good", None),
    "applied": ("good", None),
    "ended": ("good", None),
    "requested": ("info", None),
    "sent": ("live", "☎"),
    "pending": ("info", None),
    "queued": ("info", None),
    "waiting": ("info", None),
    "uploaded": ("info", "↑"),
    "uploading": ("info", "↑"),
    "loading": ("info", "↑"),
    "current": ("good", None),
    "replaced": ("neutral", "↷"),
    "removed": ("neutral", "⊘"),
    "ready": ("info", "≡"),
    "expired": ("neutral", "◌"),
    "skipped": ("neutral", "↷"),
    "released": ("neutral", "↩"),
    "refused": ("bad", None),
    "failed": ("bad", None),
    "quarantined": ("bad", "⚠"),
    "unmatched": ("warn", "?"),
    "unknown": ("warn", "?"),
    "review": ("warn", "⚑"),
    "superseded": ("neutral", "↷"),
    "error": ("bad", "⚠"),
    "warning": ("warn", None),
    "info": ("info", "i"),
}

_OUTCOMES: Final[Mapping[str, tuple[Tone, str | None]]] = {
    "answered": ("good", None),
    "transferred": ("good", "⇄"),
    "callback_requested": ("good", "↺"),
    "voicemail": ("machine", "✉"),
    "ivr": ("machine", "#"),
    "no_answer": ("neutral", "∅"),
    "busy": ("neutral", "≋"),
    "declined": ("neutral", "⊘"),
    "stopped": ("neutral", "■"),
    "do_not_call": ("warn", "⊖"),
    "invalid_number": ("bad", None),
    "blocked": ("bad", "⊗"),
    "provider_fault": ("bad", "⚠"),
    "no_capacity": ("neutral", "▲"),
    "account_fault": ("bad", "⚑"),
    "unknown": ("warn", "?"),
}

MACHINES: Final = frozenset({"voicemail", "ivr"})
BAD_OUTCOMES: Final = frozenset({"invalid_number", "blocked", "provider_fault", "account_fault", "unknown"})
"""Outcomes after which something is wrong: with the number, the caller number, Retell or its account."""
_NOT_REACHED: Final = Badge("neutral", _MARKS["neutral"], "Not reached")


def badge_for_status(status: str) -> Badge:
    """Return the badge of a status; unknown statuses get a neutral badge."""
    return _badge(_STATUSES, status)


def badge_for_contact(status: str, last_outcome: str | None = None) -> Badge:
    """Return the badge of a contact in a campaign. After all attempts, one is not reached: that is no failure."""
    if status == "failed" and last_outcome not in BAD_OUTCOMES:
        return _NOT_REACHED
    return badge_for_status(status)


def badge_for_outcome(outcome: str) -> Badge:
    """Return the badge of a call outcome."""
    return _badge(_OUTCOMES, outcome)


def humanize(name: str) -> str:
    """Return `no_answer` as "No answer"."""
    text = "IVR" if name == "ivr" else str(name).replace("_", " ")
    return text[:1].upper() + text[1:]


def _badge(badges: Mapping[str, tuple[Tone, str | None]], name: str) -> Badge:
    tone, mark = badges.get(str(name), ("neutral", None))
    return Badge(tone, mark or _MARKS[tone], humanize(name))
