"""What the calls of a campaign came to, as the counts behind its figures and charts.

The chart counts contacts by their last outcome, as the lists behind it do. A contact is reached, as in the end report,
if a person was reached in one of its calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from outdial.db.queries import reports
from outdial.db.queries.results import analytics
from outdial.db.session import Connection
from outdial.studio.view.decisions import REACHED

NEWEST_RATED: Final = 20_000
"""Answer rates are those of the newest calls, so that the page of a large campaign stays fast."""
LAST_ATTEMPT: Final = 5
"""Later attempts count as this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResults:
    """Contacts by last outcome, those reached in any call, conversations with a verdict, and answer rates."""

    last_outcomes: Mapping[str, int] = field(default_factory=dict)
    reached: int = 0
    judged: int = 0
    successful: int = 0
    rates: Sequence[analytics.AnswerRate] = ()


async def read_results(connection: Connection, campaign_id: UUID) -> CampaignResults:
    """Count what a campaign came to."""
    outcomes = await reports.count_contacts_by_outcome(connection, campaign_ids=[campaign_id])
    conversations = await analytics.count_conversations(connection, campaign_id=campaign_id, reached=REACHED)
    rates = await analytics.answer_rates(
        connection, campaign_id=campaign_id, reached=REACHED, last_attempt=LAST_ATTEMPT, newest=NEWEST_RATED
    )
    return CampaignResults(
        last_outcomes={row.outcome: row.contacts for row in outcomes},
        reached=conversations.reached,
        judged=conversations.judged,
        successful=conversations.successful,
        rates=rates,
    )
