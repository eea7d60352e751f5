"""The actions of campaign-trigger, which both clients offer as methods."""

from typing import Generic, TypeVar, overload
from uuid import UUID

from outdial_client._request import TriggerAction, campaign_action
from outdial_client.results import CampaignResult, ScheduleResult

CampaignT = TypeVar("CampaignT")
ScheduleT = TypeVar("ScheduleT")


class TriggerActions(Generic[CampaignT, ScheduleT]):
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
    def _send(self, action: TriggerAction[ScheduleResult]) -> ScheduleT: ...
    def _send(self, action: object) -> object:
        raise NotImplementedError
