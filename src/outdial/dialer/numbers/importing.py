"""Imports the numbers and agents that a provider lists for an account, when a member asks for it."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.dialing import caller_numbers as number_queries
from outdial.db.session import Database
from outdial.dialer.numbers.agents import read_agents, store_agents
from outdial.dialer.numbers.listing import read_pages
from outdial.domain.phone import InvalidPhone, parse_phone, phone_of
from outdial.log import log
from outdial.provider import CallerNumberDirectory, ListedNumber, ProviderUnavailable

EVERY: Final = timedelta(seconds=5)
RETRY_AFTER: Final = timedelta(minutes=1)
BATCH: Final = 20
MAX_NUMBERS: Final = 10_000


class NumberImporter:
    """A background task: `run_once` carries out the imports that are due, and returns how many it tried."""

    def __init__(self, database: Database, provider: CallerNumberDirectory, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock

    async def run_once(self) -> int:
        """Import the numbers of each account that is due. A failed import is repeated a minute later."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            due = await number_queries.imports_due(connection, now=now, limit=BATCH)
        for each in due:
            await self._import(each.organization_id, each.provider_account_id, now)
        return len(due)

    async def _import(self, organization_id: UUID, account_id: UUID, now: datetime) -> None:
        retry_at = now + RETRY_AFTER
        async with self._database.for_organization(organization_id) as connection:
            credential = await number_queries.take_import(
                connection, provider_account_id=account_id, now=now, next_try_at=retry_at
            )
        if credential is None:
            return
        listed = await read_numbers(self._provider, credential)
        agents = listed if isinstance(listed, ProviderUnavailable) else await read_agents(self._provider, credential)
        added, error = 0, agents.reason if isinstance(agents, ProviderUnavailable) else None
        numbers = [] if isinstance(listed, ProviderUnavailable) else listed
        async with self._database.for_organization(organization_id) as connection:
            if not isinstance(agents, ProviderUnavailable):
                await store_agents(connection, organization_id, account_id, agents, now)
                stored = await number_queries.store_listed_numbers(
                    connection,
                    organization_id=organization_id,
                    provider_account_id=account_id,
                    phones=[number.phone for number in numbers],
                    nicknames=[number.nickname for number in numbers],
                    agents=[number.agent_id for number in numbers],
                    countries=[phone_of(number.phone).country for number in numbers],
                    now=now,
                )
                added = sum(stored)
                await number_queries.unmark_unlisted(connection, provider_account_id=account_id, now=now)
            await number_queries.finish_import(
                connection,
                provider_account_id=account_id,
                listed=len(numbers),
                added=added,
                error=error,
                next_try_at=None if error is None else retry_at,
                now=now,
            )
        if error is not None:
            log("dialer.number_import_failed", level="warning", account_id=str(account_id), reason=error)


async def read_numbers(provider: CallerNumberDirectory, credential: str) -> list[ListedNumber] | ProviderUnavailable:
    """Return all numbers of an account, each once, without those that are not in E.164, such as SIP users."""
    if not provider.has_account(credential):
        return ProviderUnavailable(f"this dialer has no API key for the account {credential}")
    return await read_pages(
        lambda page: provider.list_numbers(credential, page),
        lambda number: number.phone if _is_e164(number.phone) else None,
        most=MAX_NUMBERS,
        what="numbers",
    )


def _is_e164(text: str) -> bool:
    phone = parse_phone(text, None)
    return not isinstance(phone, InvalidPhone) and phone.e164 == text
