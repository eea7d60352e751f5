"""Fixtures of the tests of campaigns: the pool of functions, and a draft without contacts."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from outdial.db.session import Database
from tests.support.factories import Campaign, create_campaign, create_tenant
from tests.support.postgres import Scratch


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="test") as opened:
        yield opened


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection), status="draft", next_batch_at=None)
