"""The actions of campaign-trigger, which both clients offer as methods."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar, overload
from uuid import UUID

from outdial_client._request import TriggerAction, campaign_action
from outdial_client.results import CampaignResult, ContactsResult, ScheduleResult

CampaignT = TypeVar("CampaignT")
ContactsT = TypeVar("ContactsT")
ScheduleT = TypeVar("ScheduleT")


class TriggerActions(Generic[CampaignT, ContactsT, ScheduleT]):
    """One method per action. They return results in the synchronous client, and awaitables in the one for asyncio."""

    def start_campaign(self, campaign_id: UUID | str) -> CampaignT:
        """Start a draft or scheduled campaign. A draft with a later start time becomes scheduled."""
        return self._send(campaign_action("start_campaign", campaign_id))

    def pause_campaign(self, campaign_id: UUID | str) -> CampaignT:
        """Pause an active campaign. Its status is pausing while requests are in flight, then paused."""
        return self._send(campaign_action("pause_campaign", campaign_id))

    def resume_campaign(self, campaign_id: UUID | str) -> CampaignT:
        """Resume a paused campaign."""
        return self._send(campaign_action("resume_campaign", campaign_id))

    def cancel_campaign(self, campaign_id: UUID | str, *, hang_up: bool = False) -> CampaignT:
        """Cancel a campaign permanently; `hang_up` also ends its live calls."""
        return self._send(campaign_action("cancel_campaign", campaign_id, hang_up=hang_up))

    def close_campaign(self, campaign_id: UUID | str) -> CampaignT:
        """Let an open campaign complete once its contacts are finished."""
        return self._send(campaign_action("close_campaign", campaign_id))

    def add_contacts(
        self,
        campaign_id: UUID | str,
        contacts: Sequence[Mapping[str, object]],
        *,
        default_region: str | None = None,
    ) -> ContactsT:
        """Add 1 to 1,000 contacts to a campaign, such as {"phone": "+14155550100", "variables": {"plan": "gold"}}.

        A refused contact does not stop the others. `default_region` is the country of numbers without a country code.
        After a lost response, add them again: those that are already there are not added twice.
        """
        body: dict[str, object] = {"action": "add_contacts", "campaign_id": str(campaign_id)}
        body["contacts"] = [dict(each) for each in contacts]
        if default_region is not None:
            body["default_region"] = default_region
        return self._send(TriggerAction(body, ContactsResult))

    def process_batch(self, campaign_id: UUID | str, size: int | None = None) -> CampaignT:
        """Make an active campaign due now; `size` (1 to 1,000) sets the number of calls in its next batch."""
        fields = {} if size is None else {"batch_size": size}
        return self._send(campaign_action("process_batch", campaign_id, **fields))

    def check_scheduled_campaigns(self, organization_id: UUID | str | None = None) -> ScheduleT:
        """Start the scheduled campaigns that are due: in one organization, or in all where the caller may."""
        only = {} if organization_id is None else {"organization_id": str(organization_id)}
        return self._send(TriggerAction({"action": "schedule_check", **only}, ScheduleResult))

    @overload
    def _send(self, action: TriggerAction[CampaignResult]) -> CampaignT: ...
    @overload
    def _send(self, action: TriggerAction[ContactsResult]) -> ContactsT: ...
    @overload
    def _send(self, action: TriggerAction[ScheduleResult]) -> ScheduleT: ...
    def _send(self, action: object) -> object:
        raise NotImplementedError
