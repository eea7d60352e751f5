"""Statements that find what a person has named (`queries/lookup.sql`)."""

from dataclasses import dataclass
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class FoundCampaign:
    """A campaign that fits what was given."""

    id: UUID
    organization_id: UUID
    name: str
    status: str


FIND_CAMPAIGNS = Statement("find_campaigns", FoundCampaign)
LAST_EVENT_ID = Statement("last_event_id", Touched)
