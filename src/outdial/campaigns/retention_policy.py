"""How long an organization keeps personal data."""

from dataclasses import dataclass
from typing import Final

from outdial.domain.limits import IntRange

LONGEST_HOLD_REASON: Final = 1000
"""Characters of the reason of a legal hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedKind:
    """A kind of data with its own retention. `name` is its column, its JSON key and its form field."""

    name: str
    range: IntRange
    label: str
    hint: str
    option: str


_ANY: Final = IntRange(1, 3650)
TRANSCRIPT_DAYS: Final = RetainedKind(
    name="transcript_days",
    range=_ANY,
    label="Transcripts, in days",
    hint="Transcript and analysis of a call",
    option="--transcripts",
)
RECORDING_DAYS: Final = RetainedKind(
    name="recording_days",
    range=_ANY,
    label="Recordings, in days",
    hint="Links to the recording and the log at Retell",
    option="--recordings",
)
CALL_DAYS: Final = RetainedKind(
    name="call_days",
    range=IntRange(31, 3650),
    label="Calls, in days",
    hint="A call loses its number, request, transcript and links; outcome, duration and cost stay. At least 31 days, "
    "because caps count the calls of a month",
    option="--calls",
)
EVENT_DAYS: Final = RetainedKind(
    name="event_days",
    range=_ANY,
    label="Event bodies, in days",
    hint="What Retell sent, word for word. It contains transcripts, links and numbers, so it may not be kept longer "
    "than they are",
    option="--events",
)
KINDS: Final = (TRANSCRIPT_DAYS, RECORDING_DAYS, CALL_DAYS, EVENT_DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Days that an organization keeps data, None to keep it. A legal hold keeps everything while it lasts."""

    transcript_days: int | None = None
    recording_days: int | None = None
    event_days: int | None = None
    call_days: int | None = None
    legal_hold: bool = False
    legal_hold_reason: str | None = None

    def problems(self) -> dict[str, str]:
        """Return what is wrong by field."""
        found = {}
        for kind in KINDS:
            days: int | None = getattr(self, kind.name)
            if days is not None and days not in kind.range:
                found[kind.name] = f"must be {kind.range}, or empty to keep the data"
        shortest = min(filter(None, (self.transcript_days, self.recording_days, self.call_days)), default=None)
        if shortest is not None and (self.event_days is None or self.event_days > shortest):
            found.setdefault(
                "event_days", f"event bodies contain data that is removed after {shortest} days: set at most {shortest}"
            )
        reason = self.legal_hold_reason
        if self.legal_hold and not reason:
            found["legal_hold_reason"] = "say why the data is held"
        elif reason and not self.legal_hold:
            found["legal_hold_reason"] = "belongs to a legal hold: leave it empty without one"
        elif reason and (len(reason) > LONGEST_HOLD_REASON or "\0" in reason):
            found["legal_hold_reason"] = f"must have at most {LONGEST_HOLD_REASON:,} characters"
        return found
