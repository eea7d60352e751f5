"""Outcomes of calls, and what each one means for the contact."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RetryClass(StrEnum):
    """What an outcome means for the contact."""

    DONE = "done"
    """A conversation happened: the contact is completed."""
    RETRY = "retry"
    """The attempt is charged and the retry policy decides."""
    FAULT = "fault"
    """Our failure or the provider's: no attempt is charged, and the number of repeats is bounded."""
    FINAL = "final"
    """The contact has failed for good."""
    DO_NOT_CALL = "do_not_call"
    """The contact has failed and its phone goes on the do-not-call list."""
    ACCOUNT = "account"
    """No attempt is charged; the campaigns of the provider account pause."""
    HOLD = "hold"
    """An operator must decide: the contact goes to review."""


class Outcome(StrEnum):
    """The result of a call, in the words that reports and retry policies use."""

    ANSWERED = "answered"
    TRANSFERRED = "transferred"
    VOICEMAIL = "voicemail"
    IVR = "ivr"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    INVALID_NUMBER = "invalid_number"
    DO_NOT_CALL = "do_not_call"
    CALLBACK_REQUESTED = "callback_requested"
    STOPPED = "stopped"
    BLOCKED = "blocked"
    """Marked as spam, or refused by the network: usually because of the caller number, not the contact.

    No attempt is charged, and the contact is not called from this number again. It goes on with another number of the
    campaign, or waits for a member where there is none.
    """
    PROVIDER_FAULT = "provider_fault"
    NO_CAPACITY = "no_capacity"
    ACCOUNT_FAULT = "account_fault"
    UNKNOWN = "unknown"

    @property
    def retry_class(self) -> RetryClass:
        """What this outcome means for the contact."""
        return _RETRY_CLASSES[self]


_RETRY_CLASSES: Final[Mapping[Outcome, RetryClass]] = MappingProxyType(
    {
        Outcome.ANSWERED: RetryClass.DONE,
        Outcome.TRANSFERRED: RetryClass.DONE,
        Outcome.STOPPED: RetryClass.DONE,
        Outcome.VOICEMAIL: RetryClass.RETRY,
        Outcome.IVR: RetryClass.RETRY,
        Outcome.NO_ANSWER: RetryClass.RETRY,
        Outcome.BUSY: RetryClass.RETRY,
        Outcome.DECLINED: RetryClass.RETRY,
        Outcome.INVALID_NUMBER: RetryClass.FINAL,
        Outcome.DO_NOT_CALL: RetryClass.DO_NOT_CALL,
        Outcome.PROVIDER_FAULT: RetryClass.FAULT,
        Outcome.NO_CAPACITY: RetryClass.FAULT,
        Outcome.ACCOUNT_FAULT: RetryClass.ACCOUNT,
        Outcome.CALLBACK_REQUESTED: RetryClass.HOLD,
        Outcome.BLOCKED: RetryClass.HOLD,
        Outcome.UNKNOWN: RetryClass.HOLD,
    }
)

RETRYABLE: Final = frozenset(outcome for outcome in Outcome if outcome.retry_class is RetryClass.RETRY)
"""Outcomes that a retry policy may have rules for."""

RELUCTANCE: Final = (
    RetryClass.FAULT,
    RetryClass.ACCOUNT,
    RetryClass.RETRY,
    RetryClass.HOLD,
    RetryClass.FINAL,
    RetryClass.DONE,
    RetryClass.DO_NOT_CALL,
)
"""Retry classes from the most to the least willing to call again. Of two reasons for one end, the later in this order
wins: it calls the contact less."""


def reluctance(outcome: Outcome) -> int:
    """Return the position of an outcome in RELUCTANCE."""
    return RELUCTANCE.index(outcome.retry_class)
