"""Simulated calls, and their JSON in Retell's API (PhoneCallResponse)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from outdial.retell.simulator.agents import DEFAULT_AGENT
from outdial.retell.simulator.recording import SPOKEN_S, TURN_S
from outdial.retell.simulator.script import CALLBACK_AT, ScriptStep, WebhookHabit, connects

_LINES: Final = (
    "Yes, that works for me.",
    "Could you tell me a little more about it?",
    "I am in a meeting right now.",
    "Who is calling, please?",
    "Can you send me the details by email?",
    "No, thank you, I am not interested.",
    "Okay, next week would be fine.",
)
_PRICE_PER_SECOND: Final = 0.1167  # cents
# Where recordings and logs are, when no server serves them.
FILES_URL: Final = "https://simulator.invalid"


@dataclass(slots=True)
class SimulatedCall:
    """One call; times are Unix milliseconds of simulated time, which is `ahead_ms` ahead of the real time.

    Reported times count from the real time of the request: those of a fast simulation are not hours ahead.
    """

    call_id: str
    request: "CreateCall"
    created_ms: int
    step: ScriptStep
    talk_ms: int = 0
    habit: WebhookHabit = field(default_factory=WebhookHabit)
    status: str = "registered"
    reason: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    analyzed: bool = False
    counts_as_live: bool = True  # towards the concurrency limit
    call_type: str = "phone_call"
    direction: str = "outbound"
    # The agent when the call was created, as Retell's JSON.
    agent: Mapping[str, Any] = field(default_factory=dict)
    data_storage_setting: str = "everything"
    override_variables: dict[str, str] | None = None
    files_url: str = FILES_URL
    ahead_ms: int = 0
    # The participants of listen-live-call, and which of them has taken the call over.
    listeners: list[str] = field(default_factory=list)
    taken_over_by: str | None = None
    held_back: list["tuple[str, bytes, bool]"] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Whether the call is ringing or connected."""
        return self.status in ("registered", "ongoing")

    @property
    def voicemail_message(self) -> str | None:
        """The message that the call has left: the text of its request for a voicemail, once it has reached one."""
        override = self.request.agent_override
        agent = None if override is None else override.agent
        if self.reason != "voicemail_reached" or agent is None or agent.voicemail_option is None:
            return None
        return agent.voicemail_option.action.text


class OverriddenAction(Struct):
    """What the agent does on voicemail; a static text is left as a message."""

    type: str
    text: str | None = None


class OverriddenVoicemail(Struct):
    """The voicemail option of an agent."""

    action: OverriddenAction


class OverriddenAgent(Struct):
    """What a request changes about its agent, as far as the simulator follows it."""

    voicemail_option: OverriddenVoicemail | None = None


class AgentOverride(Struct):
    """The changes of a request to its agent, for this call only."""

    agent: OverriddenAgent | None = None


class CreateCall(Struct, kw_only=True):
    """The validated part of the body of create-phone-call (Retell API)."""

    from_number: str
    to_number: str
    override_agent_id: str | None = None
    override_agent_version: int | str | None = None
    agent_override: AgentOverride | None = None
    metadata: Any = None
    retell_llm_dynamic_variables: dict[str, str] | None = None
    custom_sip_headers: dict[str, str] | None = None
    ignore_e164_validation: bool = False
    idempotency_key: str | None = None
    honor_internal_dnc: bool = False
    # Set by the simulator: the batch that the call belongs to.
    batch_call_id: str | None = None


class CallObject(Struct, kw_only=True, omit_defaults=True):
    """A call in Retell's JSON. Unknown fields are left out, as Retell does."""

    call_id: str
    call_type: str
    agent_id: str
    agent_version: int
    agent_name: str
    call_status: str
    data_storage_setting: str
    opt_in_signed_url: bool
    direction: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    telephony_identifier: dict[str, str] | None = None
    access_token: str | None = None
    metadata: Any = None
    retell_llm_dynamic_variables: dict[str, str] | None = None
    custom_sip_headers: dict[str, str] | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    duration_ms: int | None = None
    disconnection_reason: str | None = None
    transfer_destination: str | None = None
    collected_dynamic_variables: dict[str, str] | None = None
    transcript: str | None = None
    transcript_object: list[dict[str, Any]] | None = None
    recording_url: str | None = None
    public_log_url: str | None = None
    latency: dict[str, Any] | None = None
    llm_token_usage: dict[str, Any] | None = None
    call_cost: dict[str, Any] | None = None
    call_analysis: dict[str, Any] | None = None


def describe(call: SimulatedCall, *, with_transcript: bool = True) -> CallObject:
    """Return the call's JSON object. The same state always gives the same object."""
    request, agent = call.request, call.agent
    version = request.override_agent_version
    described = CallObject(
        call_id=call.call_id,
        call_type=call.call_type,
        agent_id=agent.get("agent_id") or request.override_agent_id or DEFAULT_AGENT,
        agent_version=version if isinstance(version, int) else agent.get("version", 0),
        agent_name=agent.get("agent_name", "Simulated agent"),
        call_status=call.status,
        data_storage_setting=call.data_storage_setting,
        opt_in_signed_url=False,
        metadata=request.metadata,
        retell_llm_dynamic_variables=request.retell_llm_dynamic_variables,
        custom_sip_headers=request.custom_sip_headers,
        start_timestamp=None if call.start_ms is None else call.start_ms - call.ahead_ms,
        end_timestamp=None if call.end_ms is None else call.end_ms - call.ahead_ms,
        disconnection_reason=call.reason,
    )
    if call.call_type == "web_call":
        described.access_token = f"token_{call.call_id[5:]}"
    else:
        described.direction = call.direction
        described.from_number = request.from_number or None
        described.to_number = request.to_number or None
        described.telephony_identifier = {"twilio_call_sid": f"CA{call.call_id[5:]}"}
    if call.override_variables is not None:
        described.retell_llm_dynamic_variables = {
            **(request.retell_llm_dynamic_variables or {}),
            **call.override_variables,
        }
    if call.reason is not None:
        _describe_end(call, described, with_transcript)
    return described


def describe_so_far(call: SimulatedCall, at_ms: int) -> CallObject:
    """Return the JSON object of a call as transcript_updated has it, with the turns that have begun by then."""
    described = describe(call)
    if call.start_ms is not None and call.reason is None:
        # The turns of the course of the call: it may be stopped before.
        _add_turns(described, _conversation(_chance_of(call)[1], call.talk_ms / 1000)[: turns_by(call, at_ms)])
    return described


def turns_by(call: SimulatedCall, at_ms: int) -> int:
    """Return how many turns of a connected call have begun by a time."""
    return 0 if call.start_ms is None else int((at_ms - call.start_ms) / 1000 / TURN_S) + 1


def turns_of(call: SimulatedCall) -> int:
    """Return how many turns the conversation of a call has, if nothing ends it earlier."""
    return min(len(_conversation(_chance_of(call)[1], call.talk_ms / 1000)), int(call.talk_ms / 1000 / TURN_S) + 1)


def _chance_of(call: SimulatedCall) -> tuple[int, random.Random]:
    """Return the latency of a call, and what decides about its conversation."""
    chance = random.Random(call.call_id)
    return chance.randint(700, 1300), chance


def _conversation(chance: random.Random, seconds: float) -> list[str]:
    """Return the turns of a call of this length. A longer one begins with the turns of a shorter one."""
    lines = chance.sample(_LINES, k=max(1, min(5, int(seconds / 10))))
    return ["Hello, this is the simulated agent. Do you have a minute?", *lines]


def _add_turns(described: CallObject, lines: Sequence[str]) -> None:
    spoken = [
        {
            "role": "user" if index % 2 else "agent",
            "content": line,
            "words": _words(line, index * TURN_S),
        }
        for index, line in enumerate(lines)
    ]
    described.transcript_object = spoken
    described.transcript = "".join(f"{str(part['role']).capitalize()}: {part['content']}\n" for part in spoken)


def _words(line: str, start: float) -> list[dict[str, Any]]:
    """Return the words of a line with their times, as the voices of the recording take turns."""
    words = line.split()
    step = SPOKEN_S / len(words)
    return [
        {"word": word, "start": round(start + number * step, 3), "end": round(start + (number + 1) * step, 3)}
        for number, word in enumerate(words)
    ]


def _describe_end(call: SimulatedCall, described: CallObject, with_transcript: bool) -> None:
    middle, chance = _chance_of(call)
    described.public_log_url = f"{call.files_url}/logs/{call.call_id}.txt"
    described.collected_dynamic_variables = {}
    if call.start_ms is not None and call.end_ms is not None:
        described.duration_ms = call.end_ms - call.start_ms
        described.recording_url = f"{call.files_url}/recordings/{call.call_id}.wav"
        described.latency = {
            "e2e": {"p50": middle, "p90": middle + 310, "min": middle - 120, "max": middle + 420, "num": 3}
        }
        described.llm_token_usage = {"average": 412, "num_requests": 3, "values": [380, 410, 446]}
        seconds = described.duration_ms / 1000
        cost = round(seconds * _PRICE_PER_SECOND, 4)
        described.call_cost = {
            "combined_cost": cost,
            "total_duration_seconds": round(seconds, 3),
            "total_duration_unit_price": _PRICE_PER_SECOND,
            "product_costs": [{"product": "elevenlabs_tts", "unit_price": _PRICE_PER_SECOND, "cost": cost}],
        }
        if with_transcript:
            _add_turns(described, _conversation(chance, seconds))
    if call.reason == "call_transfer":
        described.transfer_destination = "+14155550100"
    if call.analyzed:
        reason = call.reason or ""
        answered = connects(reason) and call.start_ms is not None
        talked = answered and reason not in ("voicemail_reached", "ivr_reached")
        callback_at = call.step.callback_at or (CALLBACK_AT if reason == "user_requested_callback" else None)
        described.call_analysis = {
            "call_summary": f"The call ended with {reason}." if answered else "The call was not connected.",
            "in_voicemail": reason == "voicemail_reached",
            "user_sentiment": "Neutral" if talked else "Unknown",
            "call_successful": reason in ("user_hangup", "agent_hangup", "call_transfer"),
            "custom_analysis_data": {"callback_requested": True, "callback_at": callback_at} if callback_at else {},
        }
