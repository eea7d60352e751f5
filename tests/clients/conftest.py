"""campaign-trigger on a free port, the rows of every case, and a server with broken responses."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import VirtualClock
from outdial.functions import Runtime
from outdial.functions.loading import load_functions
from outdial.functions.server import FunctionApp, serving
from tests.clients.broken_server import BrokenServer, broken_server
from tests.clients.table import PreparedCase, prepare_cases
from tests.support.factories import NOW
from tests.support.postgres import Scratch

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SLUG = "campaign-trigger"


@pytest.fixture
async def project_url(database: Scratch) -> AsyncIterator[str]:
    """URL of a project whose only function is campaign-trigger."""
    env = {
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_DB_URL": database.dsn,
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
        "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY,
        "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
    }
    app = FunctionApp({SLUG: load_functions(FUNCTIONS)[SLUG]}, Runtime.from_env(env, VirtualClock(NOW)))
    async with serving(app) as url:
        yield url


@pytest.fixture
async def cases(connection: asyncpg.Connection, project_url: str) -> list[PreparedCase]:
    """Every case of the table, with its rows in the database."""
    return await prepare_cases(connection, project_url)


@pytest.fixture
async def faults() -> AsyncIterator[BrokenServer]:
    """The server with broken responses."""
    async with broken_server() as server:
        yield server
