"""Retell's disconnection reasons, and the outcome each one means."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from outdial.domain.call import DisconnectionReason
from outdial.domain.outcomes import Outcome

DISPOSITIONS: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        # A conversation.
        "user_hangup": Outcome.ANSWERED,
        "agent_hangup": Outcome.ANSWERED,
        "inactivity": Outcome.ANSWERED,
        "max_duration_reached": Outcome.ANSWERED,
        "call_take_over": Outcome.ANSWERED,
        "call_transfer": Outcome.TRANSFERRED,
        "transfer_bridged": Outcome.TRANSFERRED,
        "transfer_cancelled": Outcome.ANSWERED,
        "manual_stopped": Outcome.STOPPED,
        "user_requested_callback": Outcome.CALLBACK_REQUESTED,
        "user_requested_dnc": Outcome.DO_NOT_CALL,
        # A machine picked up, or no one did.
        "voicemail_reached": Outcome.VOICEMAIL,
        "ivr_reached": Outcome.IVR,
        "dial_no_answer": Outcome.NO_ANSWER,
        "dial_busy": Outcome.BUSY,
        "user_declined": Outcome.DECLINED,
        "invalid_destination": Outcome.INVALID_NUMBER,
        # The call did not get through, and the contact is not the cause.
        "dial_failed": Outcome.PROVIDER_FAULT,
        "telephony_provider_unavailable": Outcome.PROVIDER_FAULT,
        "sip_routing_error": Outcome.PROVIDER_FAULT,
        "registered_call_timeout": Outcome.PROVIDER_FAULT,
        "marked_as_spam": Outcome.BLOCKED,
        "network_blocked": Outcome.BLOCKED,
        "concurrency_limit_reached": Outcome.NO_CAPACITY,
        # The owner of the Retell account must act.
        "telephony_provider_permission_denied": Outcome.ACCOUNT_FAULT,
        "no_valid_payment": Outcome.ACCOUNT_FAULT,
        "credit_exhausted": Outcome.ACCOUNT_FAULT,
        "budget_reached": Outcome.ACCOUNT_FAULT,
        "scam_detected": Outcome.ACCOUNT_FAULT,
        # The platform failed.
        "error_llm_websocket_open": Outcome.PROVIDER_FAULT,
        "error_llm_websocket_lost_connection": Outcome.PROVIDER_FAULT,
        "error_llm_websocket_runtime": Outcome.PROVIDER_FAULT,
        "error_llm_websocket_corrupt_payload": Outcome.PROVIDER_FAULT,
        "error_no_audio_received": Outcome.PROVIDER_FAULT,
        "error_asr": Outcome.PROVIDER_FAULT,
        "error_retell": Outcome.PROVIDER_FAULT,
        "error_unknown": Outcome.PROVIDER_FAULT,
        "error_user_not_joined": Outcome.PROVIDER_FAULT,
        # Documented for inbound calls only. On an outbound call we cannot know what the contact heard.
        "no_concurrency_fallback": Outcome.UNKNOWN,
        # No longer in Retell's list, but present in old payloads.
        "machine_detected": Outcome.VOICEMAIL,
        "error_twilio": Outcome.PROVIDER_FAULT,
        "error_inbound_webhook": Outcome.PROVIDER_FAULT,
        "error_frontend_corrupted_payload": Outcome.PROVIDER_FAULT,
    }
)
"""Every known `disconnection_reason`: the 39 of retell-sdk 6.2.13 (`PhoneCallResponse`) and four older ones."""

_REASONS: Final = {code: DisconnectionReason(code, outcome) for code, outcome in DISPOSITIONS.items()}


def outcome_of(code: str | None) -> Outcome:
    """Return the outcome of a `disconnection_reason`; UNKNOWN for None and for a reason that is not in the table."""
    return Outcome.UNKNOWN if code is None else DISPOSITIONS.get(code, Outcome.UNKNOWN)


def read_reason(code: str | None) -> DisconnectionReason | None:
    """Return a `disconnection_reason` with its outcome; None for None."""
    if code is None:
        return None
    return _REASONS.get(code) or DisconnectionReason(code, Outcome.UNKNOWN)
