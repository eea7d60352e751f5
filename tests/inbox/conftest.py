"""Fixtures of the inbox tests."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.dialing import Stage, open_stage
from tests.support.postgres import Scratch


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    """The webhook and the dial path on a database of their own, at NOW."""
    async with open_stage(database, connection) as opened:
        yield opened
