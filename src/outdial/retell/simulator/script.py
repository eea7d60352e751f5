"""The course of a call: from a script for its number, from a magic number, or from the outcome mix.

The last four digits of a number select a row of this table, whatever the other digits are
(`GET /_sim/magic` returns it as JSON). A script for the number takes precedence.

    9901 user_hangup                    9911 dial_busy              9921 concurrency_limit_reached
    9902 agent_hangup                   9912 dial_no_answer         9922 no_valid_payment
    9903 voicemail_reached              9913 dial_failed            9923 credit_exhausted
    9904 ivr_reached                    9914 user_declined          9924 budget_reached
    9905 call_transfer                  9915 invalid_destination    9925 scam_detected
    9906 inactivity                     9916 ..._permission_denied  9926 error_llm_websocket_open
    9907 max_duration_reached           9917 ..._unavailable        9927 error_no_audio_received
    9908 user_requested_dnc             9918 sip_routing_error      9928 error_retell
    9909 callback in 20 min, answers    9919 marked_as_spam         9929 registered_call_timeout
    9910 stays on the line for hours    9920 network_blocked        9930 an unknown reason

    9931 busy twice, then answers       9941 400                    9951 accepted, connection dropped
    9932 no answer, then answers        9942 401                    9952 accepted, no response
    9933 voicemail, then answers        9943 402                    9953 accepted, responds 500
    9934 platform error, then answers   9944 403                    9954 accepted, responds 201 with HTML
                                        9945 422                    9955 not accepted, connection dropped
    9961 without call_started           9946 429                    9956 not accepted, responds 500
    9962 without call_ended
    9963 without call_analyzed          9966 webhooks in reverse order
    9964 without any webhook            9967 webhooks 30 seconds late
    9965 each webhook twice

9951 to 9954 fail only the request that creates the call: repeating it with the same idempotency key works.
9955 and 9956 fail once per number.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from outdial.retell.simulator.faults import FaultKind

CALLBACK_AT: Final = "in 20 minutes"
"""The time of a callback in the analysis of a call that ends with user_requested_callback, unless its step has one."""
EVENTS: Final = ("call_started", "call_ended", "call_analyzed")
"""The events of an agent without `webhook_events`."""
TRANSCRIPT_UPDATED: Final = "transcript_updated"
"""Sent with each turn of a call, and once more when it has ended, to agents whose `webhook_events` have it."""

NOT_CONNECTED: Final = frozenset(
    {
        "dial_busy",
        "dial_no_answer",
        "dial_failed",
        "user_declined",
        "invalid_destination",
        "telephony_provider_permission_denied",
        "telephony_provider_unavailable",
        "sip_routing_error",
        "marked_as_spam",
        "network_blocked",
    }
)
ERRORS_BEFORE_CONNECTING: Final = frozenset(
    {
        "concurrency_limit_reached",
        "no_valid_payment",
        "credit_exhausted",
        "budget_reached",
        "scam_detected",
        "error_retell",
        "error_unknown",
        "error_user_not_joined",
        "registered_call_timeout",
    }
)
ERRORS_WHILE_TALKING: Final = frozenset(
    {
        "error_llm_websocket_open",
        "error_llm_websocket_lost_connection",
        "error_llm_websocket_runtime",
        "error_llm_websocket_corrupt_payload",
        "error_no_audio_received",
        "error_asr",
    }
)

_RING_S: Final[Mapping[str, float]] = {
    "dial_busy": 2.0,
    "dial_no_answer": 30.0,  # ring_duration_ms of an agent, by default
    "user_declined": 6.0,
    "registered_call_timeout": 300.0,
}
_TALK_S: Final[Mapping[str, float]] = {
    "voicemail_reached": 12.0,
    "ivr_reached": 8.0,
    "inactivity": 40.0,
    "max_duration_reached": 3600.0,
}
MAX_TALK_S: Final = 7200.0


def connects(reason: str) -> bool:
    """Return whether a call that ends with this reason was answered."""
    return reason not in NOT_CONNECTED and reason not in ERRORS_BEFORE_CONNECTING


def status_of(reason: str) -> str:
    """Return the `call_status` that goes with a disconnection reason (Retell docs, debug-call-disconnect)."""
    if reason in NOT_CONNECTED:
        return "not_connected"
    return "error" if reason in ERRORS_BEFORE_CONNECTING | ERRORS_WHILE_TALKING else "ended"


class ScriptStep(Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt of a script: its disconnection reason, and the seconds of ringing and talk.

    `callback_at` is the time at which the contact asks to be called back: the analysis of the call has it.
    """

    reason: str
    ring_s: float | None = None
    talk_s: float | None = None
    callback_at: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookHabit:
    """Faults of the webhooks of one call."""

    withheld: frozenset[str] = frozenset()
    copies: int = 1
    late_s: float = 0.0
    reversed: bool = False


@dataclass(frozen=True, slots=True)
class MagicNumber:
    """The effect of a magic number. `refuses` is an HTTP status, `strikes` a fault of the request or response."""

    does: str
    steps: tuple[ScriptStep, ...] = ()
    refuses: int | None = None
    strikes: FaultKind | None = None
    habit: WebhookHabit = field(default_factory=WebhookHabit)


def _ends(*reasons: str, then: str = "") -> MagicNumber:
    return MagicNumber(then or f"ends with {reasons[0]}", tuple(ScriptStep(reason) for reason in reasons))


def _hides(*events: str, does: str) -> MagicNumber:
    return MagicNumber(does, (ScriptStep("user_hangup"),), habit=WebhookHabit(withheld=frozenset(events)))


def _first_digits(first: int, rows: Sequence[MagicNumber]) -> dict[str, MagicNumber]:
    return {str(first + index): magic for index, magic in enumerate(rows)}


_CONVERSATIONS: Final = [
    *map(_ends, ("user_hangup", "agent_hangup", "voicemail_reached", "ivr_reached", "call_transfer")),
    *map(_ends, ("inactivity", "max_duration_reached", "user_requested_dnc")),
    _ends("user_requested_callback", "user_hangup", then=f"asks for a callback {CALLBACK_AT}, then answers"),
    MagicNumber("stays on the line for hours", (ScriptStep("user_hangup", talk_s=MAX_TALK_S),)),
]
_FAILURES: Final = [
    *map(_ends, ("dial_busy", "dial_no_answer", "dial_failed", "user_declined", "invalid_destination")),
    *map(_ends, ("telephony_provider_permission_denied", "telephony_provider_unavailable")),
    *map(_ends, ("sip_routing_error", "marked_as_spam", "network_blocked", "concurrency_limit_reached")),
    *map(_ends, ("no_valid_payment", "credit_exhausted", "budget_reached", "scam_detected")),
    *map(_ends, ("error_llm_websocket_open", "error_no_audio_received", "error_retell")),
    _ends("registered_call_timeout"),
    _ends("reason_of_tomorrow", then="ends with an unknown reason"),
]
_SEQUENCES: Final = [
    _ends("dial_busy", "dial_busy", "user_hangup", then="busy twice, then answers"),
    _ends("dial_no_answer", "user_hangup", then="no answer once, then answers"),
    _ends("voicemail_reached", "user_hangup", then="voicemail once, then answers"),
    _ends("error_retell", "user_hangup", then="platform error once, then answers"),
]
_LOSSES: Final = [
    MagicNumber("accepted, then the connection drops", strikes=FaultKind.drop_reply),
    MagicNumber("accepted, no response", strikes=FaultKind.hang_reply),
    MagicNumber("accepted, responds 500", strikes=FaultKind.fail_reply),
    MagicNumber("accepted, responds 201 with HTML", strikes=FaultKind.garble_reply),
    MagicNumber("not accepted the first time: the connection drops", strikes=FaultKind.drop_request),
    MagicNumber("not accepted the first time: responds 500", strikes=FaultKind.refuse),
]
_WEBHOOKS: Final = [
    *(_hides(event, does=f"without {event}") for event in EVENTS),
    _hides(*EVENTS, does="without any webhook"),
    MagicNumber("each webhook twice", (ScriptStep("user_hangup"),), habit=WebhookHabit(copies=2)),
    MagicNumber("webhooks in reverse order", (ScriptStep("user_hangup"),), habit=WebhookHabit(reversed=True)),
    MagicNumber("webhooks 30 seconds late", (ScriptStep("user_hangup"),), habit=WebhookHabit(late_s=30.0)),
]

MAGIC: Final[Mapping[str, MagicNumber]] = {
    **_first_digits(9901, _CONVERSATIONS),
    **_first_digits(9911, _FAILURES),
    **_first_digits(9931, _SEQUENCES),
    **_first_digits(
        9941, [MagicNumber(f"refused with {code}", refuses=code) for code in (400, 401, 402, 403, 422, 429)]
    ),
    **_first_digits(9951, _LOSSES),
    **_first_digits(9961, _WEBHOOKS),
}


def choose(attempt: int, steps: Sequence[ScriptStep], mix: Mapping[str, float], chance: random.Random) -> ScriptStep:
    """Return the step of attempt number `attempt` (from 1), repeating the last step, or a random one from the mix."""
    if steps:
        return steps[min(attempt, len(steps)) - 1]
    return ScriptStep(chance.choices(list(mix), list(mix.values()))[0])


def ring_s(step: ScriptStep, usual: float, chance: random.Random) -> float:
    """Return the seconds from the request until the call is answered or given up."""
    if step.ring_s is not None:
        return step.ring_s
    if not connects(step.reason):
        return _RING_S.get(step.reason, 1.0)
    return usual * chance.uniform(0.5, 1.5)


def talk_s(step: ScriptStep, mean: float, chance: random.Random) -> float:
    """Return the seconds of talk: exponentially distributed, unless the reason determines them."""
    if step.talk_s is not None:
        return step.talk_s
    if step.reason in ERRORS_WHILE_TALKING:
        return 2.0
    drawn = chance.expovariate(1 / mean) if mean > 0 else 0.0
    return min(_TALK_S.get(step.reason, drawn), MAX_TALK_S)
