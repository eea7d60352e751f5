"""What a contact's wish to be called back, and a callback that does not reach the contact, mean for the contact."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from outdial.domain.outcomes import Outcome, RetryClass
from outdial.domain.policies.callback_time import UnreadableTime, read_callback_time
from outdial.domain.policies.callbacks import CallbackPolicy

HOLD: Final = timedelta(minutes=10)
"""The contact of a call that has ended waits so long for the analysis, which has the time asked for."""
MAX_CALLBACKS: Final = 2
RETRY_AFTER: Final = timedelta(minutes=30)
"""A callback that does not reach the contact is repeated once, after this time."""
ASKED_IN: Final = tuple(
    outcome for outcome in Outcome if outcome.retry_class is RetryClass.DONE or outcome is Outcome.CALLBACK_REQUESTED
)
"""Outcomes of calls in which a contact can ask for a callback."""
ASKED: Final = "the contact asked for a callback"
"""The start of the status_reason of a contact in review that asked for a callback. The database looks for it too."""
_LONGEST_QUOTE: Final = 100
_YES: Final = frozenset({"true", "yes", "1"})
_EMPTY: Final = frozenset({"", "none", "null", "n/a", "unknown", "not specified"})


@dataclass(frozen=True, slots=True)
class CallBackAt:
    """The contact asked to be called at this time, in these words."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class UnclearCallback:
    """The contact asked to be called back, but a member must decide when; `reason` has the contact's words."""

    reason: str


CallbackRequest = CallBackAt | UnclearCallback


def may_ask(policy: CallbackPolicy, outcome: Outcome) -> bool:
    """Return whether a call with this outcome is one in which a contact can ask for a callback."""
    return policy.is_on and outcome in ASKED_IN


def read_request(
    policy: CallbackPolicy, outcome: Outcome, analysis: str | None, *, callbacks: int, zone_key: str, ended_at: datetime
) -> CallbackRequest | None:
    """Return what the contact of a call asked for; None without a wish to be called back.

    `analysis` is the provider's JSON. `callbacks` counts the contact's callbacks so far.
    """
    if not may_ask(policy, outcome):
        return None
    fields = _custom_fields(analysis)
    words = _text(fields.get(policy.time_field))
    has_asked = _text(fields.get(policy.request_field)).lower()
    is_wanted = outcome is Outcome.CALLBACK_REQUESTED or has_asked in _YES
    if not is_wanted and (not words or has_asked):
        return None
    if not words:
        return UnclearCallback(f"{ASKED}; decide when to call again")
    quoted = f"{ASKED}: {words[:_LONGEST_QUOTE]!r}"
    if callbacks >= MAX_CALLBACKS:
        return UnclearCallback(f"{quoted}, after {MAX_CALLBACKS} callbacks; decide when to call again")
    try:
        return CallBackAt(read_callback_time(words, zone_key=zone_key, ended_at=ended_at), words[:_LONGEST_QUOTE])
    except UnreadableTime as error:
        return UnclearCallback(f"{quoted}; {error}: decide when to call again")


def _custom_fields(analysis: str | None) -> Mapping[str, object]:
    document = msgspec.json.decode(analysis) if analysis is not None else {}
    fields = document.get("custom_analysis_data") if isinstance(document, dict) else None
    return fields if isinstance(fields, dict) else {}


def _text(value: object) -> str:
    """Return a value of an analysis as text; empty for what agents write when there is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    return "" if text.lower() in _EMPTY else text
