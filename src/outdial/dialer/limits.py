"""Keeps an account's limit at what Retell says that it is, so that a lowered limit is noticed before it refuses."""

from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import accounts
from outdial.db.session import Database
from outdial.dialer.plan import PlannedCall
from outdial.provider import AccountConcurrency, VoiceProvider

EVERY = timedelta(seconds=60)


class LimitReader:
    """Asks get-concurrency for an account at most once a minute."""

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database, self._provider, self._clock = database, provider, clock
        self._next_at: dict[UUID, datetime] = {}

    def is_due(self, call: PlannedCall) -> bool:
        """Return whether to refresh the limits of the account that `call` uses: at most once per EVERY."""
        now = self._clock.now()
        due = self._next_at.get(call.provider_account_id, now) <= now
        if due:
            self._next_at[call.provider_account_id] = now + EVERY
        return due

    async def refresh(self, call: PlannedCall) -> None:
        """Note the limit of the account that `call` goes through."""
        limits = await self._provider.get_concurrency(call.credential)
        if isinstance(limits, AccountConcurrency):
            async with self._database.for_organization(call.organization_id) as connection:
                await accounts.set_provider_limit(
                    connection, provider_account_id=call.provider_account_id, provider_limit=limits.limit
                )
