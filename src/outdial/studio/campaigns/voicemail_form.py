"""The voicemail section of the campaign form, converted from and to the domain's voicemail policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData

from outdial.domain.policies.voicemail import LAST_ATTEMPT, AfterMessage, VoicemailAction, parse_voicemail_policy
from outdial.studio.web.forms import text

ACTIONS: Final[Mapping[str, str]] = {
    VoicemailAction.AGENT_SETTING: "Use the agent's setting at Retell",
    VoicemailAction.HANG_UP: "Hang up",
    VoicemailAction.LEAVE_MESSAGE: "Leave a message",
}
THEN: Final[Mapping[str, str]] = {
    AfterMessage.CONTINUE: "Continue with the retries, without another message",
    AfterMessage.STOP: "Stop: the contact is completed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicemailForm:
    """The form values of the policy."""

    action: str = VoicemailAction.AGENT_SETTING
    message: str = ""
    on_attempt: str = "1"
    then: str = AfterMessage.CONTINUE

    def policy(self) -> dict[str, Any]:
        """Return the values in the domain's JSON form. Invalid ones are kept, for the domain to reject."""
        if self.action == VoicemailAction.AGENT_SETTING:
            return {}
        if self.action == VoicemailAction.HANG_UP:
            return {"action": self.action}
        # No limit has more than 9 digits.
        is_number = self.on_attempt.isascii() and self.on_attempt.isdecimal() and len(self.on_attempt) <= 9
        return {
            "action": self.action,
            "message": self.message,
            "on_attempt": int(self.on_attempt) if is_number else self.on_attempt,
            "then": self.then,
        }


def voicemail_from_policy(stored: Mapping[str, object]) -> VoicemailForm:
    """Return the form values of a stored policy; raise InvalidVoicemailPolicy."""
    policy = parse_voicemail_policy(stored)
    return VoicemailForm(
        action=policy.action,
        message=policy.message,
        on_attempt=LAST_ATTEMPT if policy.on_attempt is None else str(policy.on_attempt),
        then=policy.then,
    )


def voicemail_from_request(form: FormData) -> VoicemailForm:
    """Return the submitted form values."""
    return VoicemailForm(
        action=text(form, "voicemail_action", VoicemailAction.AGENT_SETTING),
        message=text(form, "voicemail_message"),
        on_attempt=text(form, "voicemail_attempt", "1"),
        then=text(form, "voicemail_then", AfterMessage.CONTINUE),
    )
