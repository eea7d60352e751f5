"""Reads the concurrency limit of accounts from Retell, so that a lowered limit takes effect before calls fail."""

from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import accounts, batches, campaign_status
from outdial.db.session import Database
from outdial.log import log
from outdial.provider import AccountConcurrency, VoiceProvider

EVERY = timedelta(seconds=60)


class LimitReader:
    """Reads the limit of each account with due campaigns, at most once every EVERY.

    It also reads while no call may start: a limit of 0 must not stay in force once Retell has raised it.
    """

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._next_at: dict[UUID, datetime] = {}

    def is_due(self, provider_account_id: UUID) -> bool:
        """Return whether to refresh the limit of an account: at most once per EVERY."""
        now = self._clock.now()
        due = self._next_at.get(provider_account_id, now) <= now
        if due:
            self._next_at[provider_account_id] = now + EVERY
        return due

    async def refresh(self, due: batches.DueCampaign) -> None:
        """Store the limit of a campaign's account, and wake the campaigns that wait for a slot.

        A failure is logged, and the last known limit stays in force.
        """
        try:
            async with self._database.for_organization(due.organization_id) as connection:
                account = await campaign_status.campaign_account(connection, campaign_id=due.campaign_id)
            limits = await self._provider.get_concurrency(account.credential)
            if isinstance(limits, AccountConcurrency):
                async with self._database.for_organization(due.organization_id) as connection:
                    changed = await accounts.set_provider_limit(
                        connection, provider_account_id=account.id, provider_limit=limits.limit
                    )
                    if changed:
                        await batches.wake_campaigns(
                            connection, now=self._clock.now(), ids=[], provider_account_ids=[account.id]
                        )
        except Exception as error:
            log("dialer.limits_failed", level="warning", error=error)
