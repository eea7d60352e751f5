"""What all pages of a campaign share: its name and status, its actions, and the tabs with their counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from outdial.campaigns.edit import RESTING, RUNNING
from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.studio.campaigns.actions import CampaignAction, allowed_actions
from outdial.studio.campaigns.counts import CampaignCounter
from outdial.studio.campaigns.service import Campaign, CampaignProgress, find_campaign
from outdial.studio.web.context import OrganizationContext


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFrame:
    """The variable `frame` of `campaigns/frame.html`: the campaign, its counts and what the member may do with it.

    `contacts` are those of each status.
    """

    campaign: Campaign
    contacts: Mapping[str, int]
    ended_calls: int
    live_calls: int
    actions: Sequence[CampaignAction]
    may_edit: bool

    @property
    def total(self) -> int:
        """All contacts."""
        return sum(self.contacts.values())

    @property
    def url(self) -> str:
        return f"/o/{self.campaign.organization_id}/campaigns/{self.campaign.id}"

    @property
    def tabs(self) -> list[tuple[str, str, int | None]]:
        """The tabs as triples of label, URL and count."""
        return [
            ("Overview", self.url, None),
            ("Live", f"{self.url}/live-calls", self.live_calls),
            ("Contacts", f"{self.url}/contacts", self.total),
            ("Calls", f"{self.url}/calls", self.ended_calls + self.live_calls),
            ("Callbacks", f"{self.url}/callbacks", None),
            ("Settings", f"{self.url}/settings", None),
            ("Activity", f"{self.url}/activity", None),
        ]


async def campaign_frame(
    connection: Connection, context: OrganizationContext, counter: CampaignCounter, campaign_id: UUID
) -> CampaignFrame:
    """Return the frame of a campaign of the organization; raises ResourceNotFound."""
    campaign = await find_campaign(connection, context.organization_id, campaign_id)
    counts = (await counter.count(connection, {campaign_id: campaign.status}))[campaign_id]
    live = await reports.count_live_calls(connection, campaign_ids=[campaign_id])
    return _frame(context, campaign, counts.contacts, counts.ended_calls, sum(row.calls for row in live))


def frame_of(context: OrganizationContext, campaign: Campaign, progress: CampaignProgress) -> CampaignFrame:
    """Return the frame of a campaign whose progress is known."""
    return _frame(context, campaign, progress.contacts, progress.ended_calls, progress.live_calls)


def _frame(
    context: OrganizationContext, campaign: Campaign, contacts: Mapping[str, int], ended_calls: int, live_calls: int
) -> CampaignFrame:
    operates = context.may("operator")
    return CampaignFrame(
        campaign=campaign,
        contacts=contacts,
        ended_calls=ended_calls,
        live_calls=live_calls,
        actions=allowed_actions(campaign.status) if operates else (),
        may_edit=operates and campaign.status in RESTING + RUNNING,
    )
