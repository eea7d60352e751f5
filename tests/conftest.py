"""Fixtures shared by all tests."""

import gc
import logging
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import hypothesis
import pytest

from outdial.db.embedded import EmbeddedPostgres
from tests.support import postgres
from tests.support.asyncpg_types import introspect_system_types_once
from tests.support.logged import LogLines
from tests.support.postgres import FILLED_TEMPLATE, TEMPLATE, Scratch
from tests.support.two_organizations import TwoOrganizations, create_two_organizations

_TESTS = Path(__file__).parent
# Their files take longest, so they start first: at the end of a parallel run, short files keep all workers busy.
_LONG_FOLDERS = (
    "browser",
    "process",
    "db",
    "simulation",
    "rules",
    "docs",
    "peers",
    "clients",
    "dialer",
    "studio",
    "cli",
    "host",
)

# On a busy machine, a deadline per example would measure other processes.
hypothesis.settings.register_profile("outdial", deadline=None, print_blob=True)
hypothesis.settings.load_profile("outdial")

introspect_system_types_once()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected: almost all of it stays, and looking through it takes 5 seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long folders first. The order within a folder stays."""
    items.sort(key=lambda item: _place(item.path.relative_to(_TESTS).parts[0]))


def _place(folder: str) -> int:
    return _LONG_FOLDERS.index(folder) if folder in _LONG_FOLDERS else len(_LONG_FOLDERS)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server per test process. With pytest-xdist, every worker has its own and needs no coordination."""
    with postgres.server() as running:
        yield running


@pytest.fixture(scope="session")
def _templates() -> set[str]:
    return set()


@pytest.fixture(scope="session")
def _filled() -> list[TwoOrganizations]:
    """What is in the template of `two_organizations`, once it exists."""
    return []


@pytest.fixture
async def template(
    request: pytest.FixtureRequest,
    postgres_server: EmbeddedPostgres,
    _templates: set[str],
    _filled: list[TwoOrganizations],
) -> str:
    """The name of a database with all migrations, created by the first test that needs it.

    For tests that use `two_organizations`, their rows are in it: inserting them for each test takes 120 ms.
    """
    if TEMPLATE not in _templates:
        await postgres.make_template(postgres_server)
        _templates.add(TEMPLATE)
    if "two_organizations" not in request.fixturenames:
        return TEMPLATE
    if not _filled:
        _filled.append(await postgres.make_filled_template(postgres_server, create_two_organizations))
    return FILLED_TEMPLATE


@pytest.fixture
async def database(postgres_server: EmbeddedPostgres, template: str) -> AsyncIterator[Scratch]:
    """A database with all migrations and no rows."""
    async with postgres.scratch(postgres_server, template=template) as clone:
        yield clone


@pytest.fixture
def two_organizations(database: Scratch, _filled: list[TwoOrganizations]) -> TwoOrganizations:
    """Two organizations with people of every role and a row in every table; tests act in `own`."""
    return replace(_filled[0], database=database)


@pytest.fixture
async def empty_database(postgres_server: EmbeddedPostgres) -> AsyncIterator[Scratch]:
    """A fresh Postgres database: no schema auth, no migrations."""
    async with postgres.scratch(postgres_server, template="template0") as clone:
        yield clone


@pytest.fixture
async def connection(database: Scratch) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to `database`, to arrange and inspect rows. Code under test never uses it."""
    opened = await asyncpg.connect(database.dsn)
    yield opened
    await opened.close()


@pytest.fixture
def lines() -> Iterator[LogLines]:
    """Everything logged during the test, from level debug."""
    logger, kept = logging.getLogger("outdial"), LogLines()
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(kept)
