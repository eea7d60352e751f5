"""Keeps an account's limit at what Retell says that it is, so that a lowered limit is noticed before it refuses."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db import settlements as db
from outdial.db.session import Database
from outdial.retell.answers import Concurrency
from outdial.retell.client import RetellClient

EVERY = timedelta(seconds=60)


class LimitReader:
    """Asks get-concurrency for an account at most once a minute."""

    def __init__(self, database: Database, clients: Mapping[str, RetellClient], clock: Clock) -> None:
        self._database, self._clients, self._clock = database, clients, clock
        self._asked: dict[UUID, datetime] = {}

    async def refresh(self, organization_id: UUID, campaign_id: UUID) -> None:
        """Note the limit of the account that the campaign calls through, if it has not been asked lately."""
        now = self._clock.now()
        if now - self._asked.get(campaign_id, datetime.min.replace(tzinfo=now.tzinfo)) < EVERY:
            return
        self._asked[campaign_id] = now
        async with self._database.for_organization(organization_id) as connection:
            account = await db.ACCOUNT_OF_CAMPAIGN.one(connection, campaign_id=campaign_id)
        client = self._clients.get(account.credential)
        answer = None if client is None else await client.get_concurrency()
        if isinstance(answer, Concurrency):
            async with self._database.for_organization(organization_id) as connection:
                await db.SET_PROVIDER_LIMIT.run(connection, provider_account_id=account.id, provider_limit=answer.limit)
