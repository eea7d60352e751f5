"""Imports of contacts from text, and what they store."""

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg

from outdial.campaigns.importing.import_file import ImportReport, import_contacts
from outdial.campaigns.importing.refusals import Refusal
from outdial.campaigns.lifecycle import Actor
from outdial.clock import VirtualClock
from outdial.db.session import Connection, Database
from tests.support.factories import NOW, Campaign

Transaction = Callable[[], AbstractAsyncContextManager[Connection]]


async def run(api: Database, campaign: Campaign, text: str, **options: Any) -> ImportReport:
    """Import `text` into the campaign, as service_role unless `transaction` is given."""
    arguments: dict[str, Any] = {
        "transaction": api.as_service,
        "actor": Actor(),
        "clock": VirtualClock(NOW),
        "default_region": "US",
    } | options
    return await import_contacts(io.BytesIO(text.encode()), campaign.id, **arguments)


async def rows_of(connection: asyncpg.Connection, campaign: Campaign) -> list[asyncpg.Record]:
    """Return the contacts of the campaign, in the order in which they were added."""
    return await connection.fetch(
        """
        select k.*, cc.status, cc.zone_key as campaign_zone_key, cc.next_attempt_at, cc.variables::text as variables
        from campaign_contacts cc join contacts k on k.id = cc.contact_id and k.phone = cc.phone
        where cc.campaign_id = $1 order by cc.id
        """,
        campaign.id,
    )


async def phones_of(connection: asyncpg.Connection, campaign: Campaign) -> list[str]:
    """Return the phones of the campaign, in the order in which they were added."""
    return [row["phone"] for row in await rows_of(connection, campaign)]


def refusals_of(report: ImportReport) -> list[tuple[int, str, Refusal, str]]:
    """Return the line, value, kind and reason of each refused row of a report."""
    return [(row.line, row.value, row.kind, row.reason) for row in report.first_refused]


def phone(number: int) -> str:
    """Return a valid phone, another one for each number up to 9999."""
    return f"+1415555{number:04}"


def claims(user_id: UUID) -> Mapping[str, object]:
    """Return the claims of a signed-in user."""
    return {"role": "authenticated", "sub": str(user_id)}


def as_user(api: Database, user_id: UUID) -> Transaction:
    """Return what opens transactions with a user's rights."""
    return lambda: api.as_caller("authenticated", claims(user_id))
