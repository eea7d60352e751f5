"""The progress of a campaign, always counted from its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.domain.call import LIVE
from outdial.domain.contact import OPEN, ContactStatus


@dataclass(frozen=True, slots=True)
class Progress:
    """Contacts by status, calls by status and by outcome; cost in cents, talk time in milliseconds."""

    contacts: Mapping[str, int]
    calls: Mapping[str, int]
    outcomes: Mapping[str, int]
    attempts: int
    cost_cents: Decimal
    duration_ms: int

    @property
    def total(self) -> int:
        """All contacts of the campaign."""
        return sum(self.contacts.values())

    @property
    def finished(self) -> int:
        """Contacts with a final status."""
        return sum(count for status, count in self.contacts.items() if ContactStatus(status) not in OPEN)

    @property
    def live(self) -> int:
        """Calls that are live or may be."""
        return sum(count for status, count in self.calls.items() if status in LIVE)

    def as_dict(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        return {
            "total": self.total,
            "finished": self.finished,
            "live_calls": self.live,
            "contacts": dict(self.contacts),
            "calls": dict(self.calls),
            "outcomes": dict(self.outcomes),
            "attempts": self.attempts,
            "cost_cents": float(self.cost_cents),
            "duration_ms": self.duration_ms,
        }


async def progress(connection: Connection, campaign_id: UUID) -> Progress:
    """Count the contacts and calls of a campaign that the caller may see."""
    contacts = await reports.count_contacts(connection, campaign_id=campaign_id)
    calls = await reports.count_calls(connection, campaign_id=campaign_id)
    by_status: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    for row in calls:
        by_status[row.status] = by_status.get(row.status, 0) + row.calls
        if row.outcome is not None:
            outcomes[row.outcome] = outcomes.get(row.outcome, 0) + row.calls
    return Progress(
        contacts={row.status: row.contacts for row in contacts},
        calls=by_status,
        outcomes=outcomes,
        attempts=sum(row.attempts for row in contacts),
        cost_cents=sum((row.cost_cents for row in calls), Decimal()),
        duration_ms=sum(row.duration_ms for row in calls),
    )
