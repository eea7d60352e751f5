"""campaign-trigger served for real on a free port, with the rows of every case; and a server that misbehaves."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import VirtualClock
from outdial.functions import Runtime
from outdial.functions.loading import load_functions
from outdial.functions.server import build_app, serving
from tests.clients.misbehaving import Misbehaving, misbehaving
from tests.clients.table import Arranged, arranged
from tests.support.factories import NOW
from tests.support.postgres import Scratch

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SLUG = "campaign-trigger"


@pytest.fixture
async def project_url(database: Scratch) -> AsyncIterator[str]:
    """The address of a project whose one function is campaign-trigger."""
    env = {
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_DB_URL": database.dsn,
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
        "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY,
        "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
    }
    app = build_app({SLUG: load_functions(FUNCTIONS)[SLUG]}, Runtime.from_env(env, VirtualClock(NOW)))
    async with serving(app) as url:
        yield url


@pytest.fixture
async def cases(connection: asyncpg.Connection, project_url: str) -> list[Arranged]:
    """Every case of the table, ready to be run."""
    return await arranged(connection, project_url)


@pytest.fixture
async def faults() -> AsyncIterator[Misbehaving]:
    """The server that misbehaves."""
    async with misbehaving() as server:
        yield server
