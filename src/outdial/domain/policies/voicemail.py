"""The voicemail policy of a campaign: hang up or leave a message, on which attempt, and what comes after it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from outdial.domain.errors import InvalidVoicemailPolicy
from outdial.domain.limits import MAX_ATTEMPTS

LONGEST_MESSAGE: Final = 1000
"""Characters of the message that is left."""
LAST_ATTEMPT: Final = "last"
MESSAGE_LEFT: Final = "a voicemail message was left"
"""The status_reason of a contact whose last call left the message."""
_VARIABLE: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


class VoicemailAction(StrEnum):
    """What the agent does when it reaches a voicemail."""

    AGENT_SETTING = "agent_setting"
    """What the agent is configured for at Retell."""
    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"


class AfterMessage(StrEnum):
    """What happens to a contact whose voicemail has the message."""

    STOP = "stop"
    """The contact is completed."""
    CONTINUE = "continue"
    """The retry policy goes on, without another message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicemailPolicy:
    """What to do on voicemail. `on_attempt` is the attempt that leaves the message; None means the last one."""

    action: VoicemailAction = VoicemailAction.AGENT_SETTING
    message: str = ""
    on_attempt: int | None = 1
    then: AfterMessage = AfterMessage.CONTINUE


@dataclass(frozen=True, slots=True)
class HangUpOnVoicemail:
    """The agent hangs up when it detects a voicemail."""


@dataclass(frozen=True, slots=True)
class LeaveMessage:
    """The agent says `text` on the voicemail; `then` follows for the contact."""

    text: str
    then: AfterMessage


VoicemailOrder: TypeAlias = HangUpOnVoicemail | LeaveMessage


def voicemail_order(
    policy: VoicemailPolicy, *, attempts: int, max_attempts: int, has_message: bool, variables: Mapping[str, str]
) -> VoicemailOrder | None:
    """Return what the agent does on voicemail in the attempt after `attempts`; None leaves it to the agent's setting.

    A contact that `has_message` gets no other one. `{{name}}` becomes the variable of that name; unknown names are
    kept, because Retell fills in some itself.
    """
    match policy.action:
        case VoicemailAction.AGENT_SETTING:
            return None
        case VoicemailAction.HANG_UP:
            return HangUpOnVoicemail()
        case VoicemailAction.LEAVE_MESSAGE:
            if has_message or attempts + 1 != (policy.on_attempt or max_attempts):
                return HangUpOnVoicemail()
            text = _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), policy.message)
            return LeaveMessage(text, policy.then)
        case never:
            assert_never(never)


def parse_voicemail_policy(raw: Mapping[str, object]) -> VoicemailPolicy:
    """Return the policy in `campaigns.voicemail_policy`; raise InvalidVoicemailPolicy naming the key.

    The form is `{"action": "leave_message", "message": "Hello {{name}}", "on_attempt": 1, "then": "stop"}`, where
    `on_attempt` may be "last". Omitted keys have their default, and `{}` leaves it to the agent's setting at Retell.
    """
    unknown = raw.keys() - {"action", "message", "on_attempt", "then"}
    if unknown:
        raise InvalidVoicemailPolicy(f"unknown key {min(unknown)!r}; use action, message, on_attempt, then")
    try:
        action = VoicemailAction(str(raw.get("action", VoicemailAction.AGENT_SETTING)))
    except ValueError:
        raise InvalidVoicemailPolicy(f"action: must be one of {', '.join(VoicemailAction)}") from None
    try:
        then = AfterMessage(str(raw.get("then", AfterMessage.CONTINUE)))
    except ValueError:
        raise InvalidVoicemailPolicy(f"then: must be one of {', '.join(AfterMessage)}") from None
    message = raw.get("message", "")
    if not isinstance(message, str) or len(message) > LONGEST_MESSAGE:
        raise InvalidVoicemailPolicy(f"message: must be text of at most {LONGEST_MESSAGE} characters")
    if action is VoicemailAction.LEAVE_MESSAGE and not message.strip():
        raise InvalidVoicemailPolicy("message: write what the agent says on the voicemail")
    return VoicemailPolicy(action=action, message=message.strip(), on_attempt=_attempt(raw), then=then)


def _attempt(raw: Mapping[str, object]) -> int | None:
    attempt = raw.get("on_attempt", 1)
    if attempt == LAST_ATTEMPT:
        return None
    if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt not in MAX_ATTEMPTS.range:
        raise InvalidVoicemailPolicy(f"on_attempt: must be {LAST_ATTEMPT!r} or a whole number {MAX_ATTEMPTS.range}")
    return attempt
