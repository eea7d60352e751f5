"""Reads the concurrency limit of accounts from Retell, so that a lowered limit takes effect before calls fail."""

from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import accounts
from outdial.db.session import Database
from outdial.dialer.plan import PlannedCall
from outdial.log import log
from outdial.provider import AccountConcurrency, VoiceProvider

EVERY = timedelta(seconds=60)


class LimitReader:
    """Reads the limit of each account at most once every EVERY."""

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._next_at: dict[UUID, datetime] = {}

    def is_due(self, call: PlannedCall) -> bool:
        """Return whether to refresh the limits of the account that `call` uses: at most once per EVERY."""
        now = self._clock.now()
        due = self._next_at.get(call.provider_account_id, now) <= now
        if due:
            self._next_at[call.provider_account_id] = now + EVERY
        return due

    async def refresh(self, call: PlannedCall) -> None:
        """Store the limit of the account of `call`. A failure is logged, and the last known limit stays in force."""
        try:
            limits = await self._provider.get_concurrency(call.credential)
            if isinstance(limits, AccountConcurrency):
                async with self._database.for_organization(call.organization_id) as connection:
                    await accounts.set_provider_limit(
                        connection, provider_account_id=call.provider_account_id, provider_limit=limits.limit
                    )
        except Exception as error:
            log("dialer.limits_failed", level="warning", error=error)
