"""Finishes pausing and cancelling: a campaign reads `paused` or `cancelled` only once nothing is in flight."""

import asyncio
from datetime import timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import batches, campaign_status, due_contacts, settlements
from outdial.db.session import Database
from outdial.domain.call import CallWorkspace
from outdial.domain.campaign import CampaignStatus
from outdial.log import log
from outdial.provider import CallMissing, VoiceProvider

PORTION = 5_000
RETRY_DELAY = timedelta(seconds=1)
MAX_HANG_UPS = 50


class Finisher:
    """Finishes one campaign at a time; `finish` returns whether it is done."""

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._unreached: set[UUID] = set()

    async def finish(self, organization_id: UUID, campaign_id: UUID, status: str) -> bool:
        """Pause or cancel as far as possible now; a campaign with requests in flight is due again after RETRY_DELAY."""
        if status == CampaignStatus.CANCELLING:
            # In portions: a million rows in one statement would hold their locks for tens of seconds.
            cancelled = PORTION
            while cancelled == PORTION:
                async with self._database.for_organization(organization_id) as connection:
                    cancelled = await due_contacts.cancel_pending_contacts(
                        connection, campaign_id=campaign_id, limit=PORTION, now=self._clock.now()
                    )
        now = self._clock.now()
        pausing = status == CampaignStatus.PAUSING
        finish = campaign_status.finish_pausing if pausing else campaign_status.finish_cancelling
        async with self._database.for_organization(organization_id) as connection:
            await settlements.end_overdue_requests(connection, campaign_id=campaign_id, now=now)
        async with self._database.for_organization(organization_id) as connection:
            may_end = pausing or await campaign_status.lock_to_end(connection, campaign_id=campaign_id) is not None
            if may_end and await finish(connection, campaign_id=campaign_id, now=now) is not None:
                return True
            await batches.postpone_batch(connection, campaign_id=campaign_id, next_batch_at=now + RETRY_DELAY)
        return False

    async def hang_up(self, organization_id: UUID, campaign_id: UUID) -> None:
        """End live calls of a campaign that is cancelled with `hang_up`. Takes as long as the provider takes."""
        async with self._database.for_organization(organization_id) as connection:
            account = await campaign_status.campaign_account(connection, campaign_id=campaign_id)
            if not account.hang_up:
                return
            calls = await campaign_status.live_calls(
                connection,
                provider_account_id=account.id,
                campaign_id=campaign_id,
                limit=MAX_HANG_UPS,
                now=self._clock.now(),
            )
        if calls and self._provider.has_account(account.credential):
            reached = [call for call in calls if call.workspace != CallWorkspace.FORMER]
            results = await asyncio.gather(
                *(self._provider.end_call(account.credential, call.retell_call_id) for call in reached)
            )
            if results:
                names = [type(result).__name__ for result in results]
                log("dialer.hung_up", campaign_id=str(campaign_id), results=names)
            missing = {call.id for call in calls if call.workspace == CallWorkspace.FORMER} | {
                call.id
                for call, result in zip(reached, results, strict=True)
                if isinstance(result, CallMissing) and call.workspace != CallWorkspace.CURRENT
            }
            # The campaign is due again each second while they are live.
            if missing - self._unreached:
                log("dialer.hang_up_out_of_reach", level="warning", campaign_id=str(campaign_id), calls=len(missing))
            self._unreached |= missing
