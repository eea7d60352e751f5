"""Contacts that a campaign will not call, shown before it starts."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, Field

from outdial.db.session import Connection
from outdial.dialer.launch import launch_summary
from outdial.domain.campaign import CampaignStatus
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceNotFound

SHOWN_IN: Final = frozenset({CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.PAUSED})
"""The statuses in which the page of a campaign shows its summary."""
COUNTED_AT_ONCE: Final = 100_000
"""With more contacts, counting takes a second or more: the page of the campaign links to the summary."""


class UncalledContacts(BaseModel):
    """Contacts that will not be called for the same reason: a code for programs, and text that follows the count."""

    code: str
    text: str
    contacts: int


class LaunchReport(BaseModel):
    """The pending contacts of a campaign, and those that it will not call, each counted once by its first reason."""

    contacts: Annotated[int, Field(description="Pending contacts")]
    uncalled: int
    callable: Annotated[int, Field(description="Pending contacts that no rule and no list excludes")]
    by_status: Annotated[dict[str, int], Field(description="All contacts by status")]
    sentence: str
    reasons: list[UncalledContacts]
    missing_lists: Annotated[
        list[str], Field(description="Required screening lists to upload before the campaign calls anyone")
    ]
    duties: Annotated[
        list[str], Field(description="Consent and lists that calling rules ask for and the campaign does not require")
    ]


async def launch_report(connection: Connection, context: OrganizationContext, campaign_id: UUID) -> LaunchReport:
    """Count the contacts that a campaign of the organization will not call; raises ResourceNotFound."""
    summary = await launch_summary(
        connection,
        campaign_id=campaign_id,
        organization_id=context.organization_id,
        now=context.studio.clock.now(),
        shipped=context.studio.rules,
    )
    if summary is None:
        raise ResourceNotFound("Campaign not found")
    return LaunchReport(
        contacts=summary.contacts,
        uncalled=summary.uncalled,
        callable=summary.callable_count,
        by_status=summary.by_status,
        sentence=summary.sentence(),
        reasons=[
            UncalledContacts(code=group.code, text=group.text, contacts=group.contacts) for group in summary.groups
        ],
        missing_lists=[sentence_case(each.advice()) for each in summary.missing],
        duties=list(summary.duties),
    )
