"""How states and outcomes look: each has a tone and a mark, so that no difference rests on colour alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["neutral", "info", "live", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge: the colours of its tone, a mark, and words."""

    tone: Tone
    mark: str
    label: str


_MARKS: Final[Mapping[Tone, str]] = {
    "neutral": "○",
    "info": "◷",
    "live": "▶",
    "good": "✓",
    "warn": "!",
    "bad": "✕",
}

# Of campaigns, contacts, calls, jobs, events, deployments and lines of a log: a word means the same for all of them.
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
    "pending": ("info", None),
    "queued": ("info", None),
    "waiting": ("info", None),
    "uploaded": ("info", "↑"),
    "uploading": ("info", "↑"),
    "ready": ("info", "≡"),
    "expired": ("neutral", "⌛"),
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
    "callback_requested": ("info", "↺"),
    "voicemail": ("info", "✉"),
    "ivr": ("info", "#"),
    "no_answer": ("warn", "∅"),
    "busy": ("warn", "≋"),
    "declined": ("warn", "⊘"),
    "stopped": ("neutral", "■"),
    "do_not_call": ("bad", "⛔"),
    "invalid_number": ("bad", None),
    "blocked": ("bad", "⊗"),
    "provider_fault": ("bad", "⚠"),
    "no_capacity": ("warn", "▲"),
    "account_fault": ("bad", "⚑"),
    "unknown": ("warn", "?"),
}


def badge_for_status(status: str) -> Badge:
    """Return how a state is shown; one that is not known here is shown plainly."""
    return _look(_STATUSES, status)


def badge_for_outcome(outcome: str) -> Badge:
    """Return how the outcome of a call is shown."""
    return _look(_OUTCOMES, outcome)


def humanize(name: str) -> str:
    """Return `no_answer` as "No answer"."""
    text = str(name).replace("_", " ")
    return text[:1].upper() + text[1:]


def _look(known: Mapping[str, tuple[Tone, str | None]], name: str) -> Badge:
    tone, mark = known.get(str(name), ("neutral", None))
    return Badge(tone, mark or _MARKS[tone], "IVR" if name == "ivr" else humanize(name))
