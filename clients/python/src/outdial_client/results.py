"""Results of campaign-trigger."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressCounts:
    """Counts of a campaign at the time of the response.

    `contacts` and `calls` count by status, `outcomes` counts calls by outcome. The cost is in cents, the talk time in
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """Status of the campaign after the action; `changed` is false if the campaign already had it.

    `status` is draft, scheduled, active, pausing, paused, completed, cancelling or cancelled.
    """

    action: str
    campaign_id: UUID
    status: str
    changed: bool
    progress: ProgressCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactAddition:
    """What became of one contact: `status` is added, already_there or refused.

    A contact in the campaign has its id there and its `contact_status`; a refused one has a `kind` and a `reason`.
    """

    status: str
    campaign_contact_id: UUID | None
    contact_status: str | None
    kind: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsResult:
    """How many contacts were added, and a result for each, in the order of the request."""

    action: str
    campaign_id: UUID
    added: int
    already_there: int
    refused: int
    results: tuple[ContactAddition, ...]


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """Ids of the campaigns that were due and are now started."""

    action: str
    started: tuple[UUID, ...]
