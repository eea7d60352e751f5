"""Each page takes a fixed number of SQL statements, however many rows it shows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from outdial.studio.calls.pages import LIMIT
from tests.support.factories import (
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
)
from tests.support.studio import BrowserFor, StudioServer, app_without_database
from tests.support.studio_routes import routes_of
from tests.support.two_organizations import TwoOrganizations

MOST_STATEMENTS = 22
"""Statements of a page with its session and its caller. Two count what waits for members, for the menu."""
NO_PAGES = ("/live", "/file", ".csv", "/functions")
PATHS = [route.path for route in routes_of(app_without_database()) if route.is_page]
PAGES = [
    path.removeprefix("/o/{organization_id}/")
    for path in PATHS
    if path.startswith("/o/{organization_id}/") and path.count("{") == 1 and not path.endswith(NO_PAGES)
]


@pytest.fixture
def statements(studio_app: StudioServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives every statement the studio sends."""
    sent: list[str] = []
    database = studio_app.studio.database
    open_transaction = database.transaction

    @asynccontextmanager
    async def transaction() -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        async with open_transaction() as connection:
            with connection.query_logger(lambda logged: sent.append(logged.query)):
                yield connection

    monkeypatch.setattr(database, "transaction", transaction)
    return sent


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_takes_as_many_statements_for_25_active_campaigns_as_for_one(
    path: str,
    statements: list[str],
    browser_for: BrowserFor,
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
) -> None:
    own = two_organizations.own
    admin = await browser_for(own.users["admin"])

    async def count() -> int:
        statements.clear()
        response = await admin.get(f"/o/{own.tenant.organization_id}/{path}")
        await asyncio.sleep(0)
        assert response.status_code == 200, (path, response.status_code)
        return len(statements)

    await count()  # asyncpg asks for the types of a new connection first
    before = await count()
    for _ in range(24):
        campaign = await create_campaign(connection, own.tenant)
        await create_campaign_contact(connection, campaign)
        await create_campaign_contact(connection, campaign, zone_key="Europe/Paris")
        await create_calling(connection, campaign, status="ongoing")
    after = await count()

    assert after <= MOST_STATEMENTS, "\n".join(each[:150] for each in statements)
    assert after == before, "\n".join(statements)


async def test_the_list_of_calls_looks_up_the_contacts_of_a_search_once(
    statements: list[str],
    browser_for: BrowserFor,
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    for _ in range(LIMIT + 1):
        contact = await create_contact(connection, own.tenant.organization_id, name="Grace")
        entry = await create_campaign_contact(connection, campaign, contact)
        await create_call(connection, entry, status="ended", outcome="busy")
    operator = await browser_for(own.users["operator"])
    statements.clear()

    response = await operator.get(f"/o/{own.tenant.organization_id}/calls?q=grace")

    assert f"All {LIMIT + 1} that match" in response.text
    assert sum("search_contacts(" in each for each in statements) == 1
