"""Every bound of the domain, once: checks, API models, forms, commands and the tests of the schema read it here."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar


@dataclass(frozen=True, slots=True)
class IntRange:
    """The whole numbers from `least` to `most`, both included."""

    least: int
    most: int

    def __contains__(self, value: int) -> bool:
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"from {self.least} to {self.most}"


Default = TypeVar("Default", int, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignLimit(Generic[Default]):
    """A limit that a campaign sets for its calls.

    `name` is its column, its JSON key and its form field; `default` is None where the limit may be left out. `label`,
    `hint` and `unit` are how pages name it.
    """

    name: str
    range: IntRange
    default: Default
    label: str
    hint: str
    unit: str

    @property
    def is_required(self) -> bool:
        """Whether a campaign always has a value."""
        return self.default is not None


MAX_CONCURRENCY: Final = CampaignLimit(
    name="max_concurrency",
    range=IntRange(1, 100_000),
    default=None,
    label="Concurrent calls",
    hint="Leave empty to use the account's limit",
    unit="calls",
)
BATCH_SIZE: Final = CampaignLimit(
    name="batch_size",
    range=IntRange(1, 1000),
    default=10,
    label="Calls per batch",
    hint="Limits are re-checked between batches",
    unit="calls",
)
MAX_ATTEMPTS: Final = CampaignLimit(
    name="max_attempts",
    range=IntRange(1, 50),
    default=3,
    label="Attempts per contact",
    hint="Answered contacts are not called again; network and Retell faults do not count as attempts",
    unit="attempts",
)
PRIORITY: Final = CampaignLimit(
    name="priority",
    range=IntRange(1, 9),
    default=5,
    label="Priority",
    hint="Each step gives the campaign twice the calls, compared with others on its Retell account",
    unit="priority",
)
SHARE: Final = CampaignLimit(
    name="share",
    range=IntRange(1, 100),
    default=1,
    label="Share of the account",
    hint="A campaign with share 2 gets twice the calls of one with share 1 and the same priority",
    unit="shares",
)
CAMPAIGN_LIMITS: Final = (MAX_CONCURRENCY, BATCH_SIZE, MAX_ATTEMPTS, PRIORITY, SHARE)

DAILY_CALL_CAP: Final = IntRange(1, 100)
"""Calls to one phone in 24 hours, over all campaigns of an organization."""
CONCURRENCY_LIMIT: Final = IntRange(0, 100_000)
"""Concurrent calls of a provider account; also the bound of the slots reserved for inbound calls."""
MOST_CALLS_PER_SECOND: Final = 1000
BUDGET_CENTS: Final = IntRange(0, 10**12)
"""The budget of a campaign or an organization, in cents."""
MORE_NUMBERS: Final = 100
"""Caller numbers of a campaign besides its first."""
NUMBER_DAILY_CAP: Final = IntRange(1, 100_000)
"""Calls of a caller number in 24 hours."""
WARM_UP_DAYS: Final = IntRange(0, 90)
"""Days in which the daily cap of a caller number grows to its full height."""
LONGEST_REENTRY_DAYS: Final = 3650
"""The longest time before a contact with a final status may be added again."""
RETRY_ATTEMPTS: Final = IntRange(1, 100)
"""Attempts and faults in a retry policy."""
LONGEST_DELAY_DAYS: Final = 30
"""The longest delay in a retry policy."""

LONGEST_NAME: Final = 200
"""Characters of the name of an organization, an account, a campaign or an agent."""
LONGEST_DECISION_NOTE: Final = 1000
"""Characters of the note about a decision in review."""
LONGEST_LIVE_TRANSCRIPT: Final = 20_000
"""Characters that are kept of the transcript of a live call: the end of it, some twenty minutes of talk."""
LONGEST_PHONE_INPUT: Final = 40
"""Characters of a phone number as typed, with spaces and dashes."""
LONGEST_VIEW_NAME: Final = 60
"""Characters of the name of a saved view."""
MOST_VIEWS: Final = 20
"""Views that a member saves of one list."""
