"""What campaign-trigger answers when it has done what it was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign has come, as counted when it was asked.

    `contacts` and `calls` count by status, `outcomes` counts calls by outcome; cost in cents, talk time in
    milliseconds.
    """

    total: int
    finished: int
    live_calls: int
    contacts: Mapping[str, int]
    calls: Mapping[str, int]
    outcomes: Mapping[str, int]
    attempts: int
    cost_cents: float
    duration_ms: int


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """The campaign is in `status` now; `changed` tells whether it was not so before.

    `status` is draft, scheduled, active, pausing, paused, completed, cancelling or cancelled.
    """

    action: str
    campaign_id: UUID
    status: str
    changed: bool
    progress: Progress


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """The campaigns that were due and have been started."""

    action: str
    started: tuple[UUID, ...]
