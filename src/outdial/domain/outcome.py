"""What a call came to, derived from the provider's disconnection reason, and what that means for its contact."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Outcome(StrEnum):
    """What a call came to, in the words that reports and retry policies use."""

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
    """Marked as spam, or refused by the network: a matter of the caller number more than of the contact."""
    PROVIDER_FAULT = "provider_fault"
    NO_CAPACITY = "no_capacity"
    ACCOUNT_FAULT = "account_fault"
    UNKNOWN = "unknown"


class RetryClass(StrEnum):
    """What an outcome asks for."""

    DONE = "done"
    """A conversation happened: the contact is completed."""
    RETRY = "retry"
    """The attempt is charged and the retry policy decides."""
    FAULT = "fault"
    """Ours or the provider's: no attempt is charged, and the number of repeats is bounded."""
    FINAL = "final"
    """The contact has failed for good."""
    DO_NOT_CALL = "do_not_call"
    """The contact has failed and its phone goes on the do-not-call list."""
    ACCOUNT = "account"
    """No attempt is charged; the campaigns of the provider account pause."""
    HOLD = "hold"
    """A person must look: the contact goes to review."""


RELUCTANCE = (
    RetryClass.FAULT,
    RetryClass.ACCOUNT,
    RetryClass.RETRY,
    RetryClass.HOLD,
    RetryClass.FINAL,
    RetryClass.DONE,
    RetryClass.DO_NOT_CALL,
)
"""From what calls the contact again to what never does: of two reasons for one end, the one that calls less holds."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """The outcome of a call and what follows from it."""

    outcome: Outcome
    retry_class: RetryClass


_ANSWERED = Disposition(Outcome.ANSWERED, RetryClass.DONE)
_TRANSFERRED = Disposition(Outcome.TRANSFERRED, RetryClass.DONE)
_VOICEMAIL = Disposition(Outcome.VOICEMAIL, RetryClass.RETRY)
_BLOCKED = Disposition(Outcome.BLOCKED, RetryClass.FAULT)
_PROVIDER_FAULT = Disposition(Outcome.PROVIDER_FAULT, RetryClass.FAULT)
_ACCOUNT_FAULT = Disposition(Outcome.ACCOUNT_FAULT, RetryClass.ACCOUNT)
_UNKNOWN = Disposition(Outcome.UNKNOWN, RetryClass.HOLD)

DISPOSITIONS: Mapping[str, Disposition] = MappingProxyType(
    {
        # A conversation.
        "user_hangup": _ANSWERED,
        "agent_hangup": _ANSWERED,
        "inactivity": _ANSWERED,
        "max_duration_reached": _ANSWERED,
        "call_take_over": _ANSWERED,
        "call_transfer": _TRANSFERRED,
        "transfer_bridged": _TRANSFERRED,
        "transfer_cancelled": _ANSWERED,
        "manual_stopped": Disposition(Outcome.STOPPED, RetryClass.DONE),
        "user_requested_callback": Disposition(Outcome.CALLBACK_REQUESTED, RetryClass.DONE),
        "user_requested_dnc": Disposition(Outcome.DO_NOT_CALL, RetryClass.DO_NOT_CALL),
        # A machine answered, or nobody did.
        "voicemail_reached": _VOICEMAIL,
        "ivr_reached": Disposition(Outcome.IVR, RetryClass.RETRY),
        "dial_no_answer": Disposition(Outcome.NO_ANSWER, RetryClass.RETRY),
        "dial_busy": Disposition(Outcome.BUSY, RetryClass.RETRY),
        "user_declined": Disposition(Outcome.DECLINED, RetryClass.RETRY),
        "invalid_destination": Disposition(Outcome.INVALID_NUMBER, RetryClass.FINAL),
        # The call did not get through, by no doing of the contact.
        "dial_failed": _PROVIDER_FAULT,
        "telephony_provider_unavailable": _PROVIDER_FAULT,
        "sip_routing_error": _PROVIDER_FAULT,
        "registered_call_timeout": _PROVIDER_FAULT,
        "marked_as_spam": _BLOCKED,
        "network_blocked": _BLOCKED,
        "concurrency_limit_reached": Disposition(Outcome.NO_CAPACITY, RetryClass.FAULT),
        # The provider account needs its owner.
        "telephony_provider_permission_denied": _ACCOUNT_FAULT,
        "no_valid_payment": _ACCOUNT_FAULT,
        "credit_exhausted": _ACCOUNT_FAULT,
        "budget_reached": _ACCOUNT_FAULT,
        "scam_detected": _ACCOUNT_FAULT,
        # The platform failed.
        "error_llm_websocket_open": _PROVIDER_FAULT,
        "error_llm_websocket_lost_connection": _PROVIDER_FAULT,
        "error_llm_websocket_runtime": _PROVIDER_FAULT,
        "error_llm_websocket_corrupt_payload": _PROVIDER_FAULT,
        "error_no_audio_received": _PROVIDER_FAULT,
        "error_asr": _PROVIDER_FAULT,
        "error_retell": _PROVIDER_FAULT,
        "error_unknown": _PROVIDER_FAULT,
        "error_user_not_joined": _PROVIDER_FAULT,
        # Of inbound calls only: where it stands on ours, nobody knows what the contact heard.
        "no_concurrency_fallback": _UNKNOWN,
        # No longer in the provider's list, still in old payloads.
        "machine_detected": _VOICEMAIL,
        "error_twilio": _PROVIDER_FAULT,
        "error_inbound_webhook": _PROVIDER_FAULT,
        "error_frontend_corrupted_payload": _PROVIDER_FAULT,
    }
)
"""Every known `disconnection_reason` of Retell: the 39 of retell-sdk 6.2.13 (`PhoneCallResponse`) and four older."""


def disposition_of(reason: str | None) -> Disposition:
    """Return what a `disconnection_reason` means; one not known yet, or none, is held for a person."""
    return _UNKNOWN if reason is None else DISPOSITIONS.get(reason, _UNKNOWN)


def reluctance(reason: str) -> int:
    """Return how little a `disconnection_reason` lets the contact be called again, as a number to compare."""
    return RELUCTANCE.index(disposition_of(reason).retry_class)
