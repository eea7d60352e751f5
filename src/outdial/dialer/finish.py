"""Brings pausing and cancelling campaigns to rest, and says so only when it is true."""

import asyncio
from datetime import timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db import campaigns as db
from outdial.db import settlements
from outdial.db.session import Database
from outdial.domain.campaign import CampaignStatus
from outdial.log import log
from outdial.provider import VoiceProvider

PORTION = 5_000
LOOK_AGAIN = timedelta(seconds=1)
HANG_UP_AT_ONCE = 50


class Finisher:
    """Finishes one campaign at a time; `finish` returns whether it has come to rest."""

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database, self._provider, self._clock = database, provider, clock

    async def finish(self, organization_id: UUID, campaign_id: UUID, status: str) -> bool:
        """Pause or cancel as far as it goes now; a campaign that still waits is due again in a second."""
        if status == CampaignStatus.CANCELLING:
            await self._cancel_contacts(organization_id, campaign_id)
            await self._hang_up(organization_id, campaign_id)
        now = self._clock.now()
        last = db.FINISH_PAUSING if status == CampaignStatus.PAUSING else db.FINISH_CANCELLING
        async with self._database.for_organization(organization_id) as connection:
            await settlements.END_OVERDUE_REQUESTS.run(connection, campaign_id=campaign_id, now=now)
        async with self._database.for_organization(organization_id) as connection:
            if await last.maybe(connection, campaign_id=campaign_id, now=now) is not None:
                return True
            await db.WAIT_FOR_CAMPAIGN.run(connection, campaign_id=campaign_id, next_batch_at=now + LOOK_AGAIN)
        return False

    async def _cancel_contacts(self, organization_id: UUID, campaign_id: UUID) -> None:
        # In portions: a million rows in one statement would hold their locks for tens of seconds.
        cancelled = PORTION
        while cancelled == PORTION:
            async with self._database.for_organization(organization_id) as connection:
                cancelled = await db.CANCEL_PENDING.run(
                    connection, campaign_id=campaign_id, limit=PORTION, now=self._clock.now()
                )

    async def _hang_up(self, organization_id: UUID, campaign_id: UUID) -> None:
        async with self._database.for_organization(organization_id) as connection:
            account = await settlements.ACCOUNT_OF_CAMPAIGN.one(connection, campaign_id=campaign_id)
            if not account.hang_up:
                return
            calls = await settlements.LIVE_CALLS.all(
                connection, provider_account_id=account.id, campaign_id=campaign_id, limit=HANG_UP_AT_ONCE
            )
        if self._provider.has_account(account.credential):
            answers = await asyncio.gather(
                *(self._provider.end_call(account.credential, call.retell_call_id) for call in calls)
            )
            log("dialer.hung_up", campaign_id=str(campaign_id), answers=[type(answer).__name__ for answer in answers])
