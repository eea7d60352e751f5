"""Settings of a simulated Retell workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

DEFAULT_MIX: Final[Mapping[str, float]] = MappingProxyType(
    {
        "user_hangup": 24,
        "agent_hangup": 18,
        "voicemail_reached": 20,
        "dial_no_answer": 20,
        "dial_busy": 6,
        "user_declined": 4,
        "dial_failed": 2,
        "invalid_destination": 2,
        "inactivity": 1,
        "call_transfer": 1,
        "user_requested_dnc": 1,
        "error_llm_websocket_open": 1,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Keys and limits of the workspace, and the behavior of the people it calls.

    `outcome_mix` gives a weight to each disconnection reason. Seconds are simulated time except
    `create_latency_s` and the webhook times, which are real. `calls_per_second` of None means no limit.

    A `seed` makes outcomes, call ids and bodies repeatable. Without one, outcomes are those of seed 0 and call ids
    never repeat, so that a simulator may be restarted next to a database that keeps the calls of earlier runs.
    """

    api_keys: tuple[str, ...] = ("key_simulator",)
    webhook_url: str | None = None
    webhook_key: str = "key_simulator"
    seed: int | None = None
    start: datetime | None = None  # of the simulated clock; None for now
    speed: float = 1.0  # simulated seconds per real second

    concurrency_limit: int = 20
    calls_per_second: float | None = 1.0
    rate_tolerance_s: float = 0.05  # tolerance of the rate for jitter: starts may arrive this much closer together
    over_concurrency: Literal["reject", "record"] = (
        "reject"  # respond 429, or create a call that ends with concurrency_limit_reached
    )

    outcome_mix: Mapping[str, float] = field(default_factory=lambda: DEFAULT_MIX)
    magic_numbers: bool = True
    spam_numbers: tuple[str, ...] = ()  # caller numbers whose calls end with marked_as_spam
    ring_s: float = 8.0
    mean_talk_s: float = 60.0
    analysis_s: float = 3.0
    create_latency_s: float = 0.0  # between accepting a call and responding

    live_transcripts: bool = False  # send transcript_updated for agents without webhook_events, too

    silent: bool = False  # no webhooks, no lifecycle: to benchmark the caller
    hold_s: float | None = 0.0  # duration of a silent call; None for unlimited

    webhook_timeout_s: float = 10.0
    webhook_retries: int = 3
    webhook_backoff_s: float = 1.0  # doubled for each retry
    webhook_concurrency: int = 64

    keep_calls: int = 200_000  # limit of finished calls; the oldest are dropped
    keep_requests: int = 200_000  # limit of ledger entries

    def __post_init__(self) -> None:
        if not all(self.api_keys) or not self.api_keys or not self.webhook_key:
            raise ValueError("the simulator needs an API key and a webhook key, and none may be empty")
        if self.speed <= 0 or self.concurrency_limit < 0 or min(self.keep_calls, self.keep_requests) < 1:
            raise ValueError("speed and sizes must be positive")
        if self.calls_per_second is not None and self.calls_per_second <= 0:
            raise ValueError("calls_per_second must be positive, or None for no limit")
        weights = self.outcome_mix.values()
        if min(weights, default=-1) < 0 or not any(weights):
            raise ValueError("the outcome mix needs at least one positive weight and no negative weights")
