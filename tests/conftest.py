"""Fixtures that every package's tests share."""

import logging
from collections.abc import AsyncIterator, Iterator

import asyncpg
import hypothesis
import pytest

from outdial.db.embedded import EmbeddedPostgres
from tests.support import postgres
from tests.support.logged import Lines
from tests.support.postgres import TEMPLATE, Scratch

# A deadline per example would measure the neighbours on a busy machine.
hypothesis.settings.register_profile("outdial", deadline=None, print_blob=True)
hypothesis.settings.load_profile("outdial")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server for each test process: with pytest-xdist there is one per worker, and nothing to agree upon."""
    with postgres.server() as running:
        yield running


@pytest.fixture(scope="session")
def _templates() -> set[str]:
    return set()


@pytest.fixture
async def template(postgres_server: EmbeddedPostgres, _templates: set[str]) -> str:
    """The name of a database with every migration applied, made by the first test that asks."""
    if TEMPLATE not in _templates:
        await postgres.make_template(postgres_server)
        _templates.add(TEMPLATE)
    return TEMPLATE


@pytest.fixture
async def database(postgres_server: EmbeddedPostgres, template: str) -> AsyncIterator[Scratch]:
    """A database with every migration applied and no rows."""
    async with postgres.scratch(postgres_server, template=template) as clone:
        yield clone


@pytest.fixture
async def empty_database(postgres_server: EmbeddedPostgres) -> AsyncIterator[Scratch]:
    """A database as Postgres makes it: without a schema auth, and without migrations."""
    async with postgres.scratch(postgres_server, template="template0") as clone:
        yield clone


@pytest.fixture
async def connection(database: Scratch) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to `database`: for arranging and looking, never for what is under test."""
    opened = await asyncpg.connect(database.dsn)
    yield opened
    await opened.close()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged during the test, from debug on."""
    logger, kept = logging.getLogger("outdial"), Lines()
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(kept)
