"""A campaign's settings are read before they are kept."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.campaigns.create import CampaignSettings, NewOrganization, create_campaign, create_organization
from outdial.campaigns.errors import AmbiguousAccount, CredentialTaken, InvalidCampaign, NoProviderAccount
from outdial.db.session import Database
from outdial.domain.errors import InvalidCallingHours, InvalidRetryPolicy
from outdial.domain.limits import CAMPAIGN_LIMITS
from tests.support.factories import NOW, create_member, create_provider_account, create_tenant, insert
from tests.support.postgres import Scratch


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    """Connections as the functions and the command line have them."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as opened:
        yield opened


def new(organization_id: UUID, **changes: Any) -> CampaignSettings:
    """Return a campaign that is in order but for `changes`."""
    good = CampaignSettings(organization_id, " Spring ", "agent_1", "+1 415-555-2671", dynamic_variables={"offer": "a"})
    return replace(good, **changes)


async def test_an_organization_comes_with_its_account_and_a_campaign_finds_it(
    api: Database, connection: asyncpg.Connection
) -> None:
    async with api.as_service() as service:
        organization_id = await create_organization(service, NewOrganization("Acme", concurrency_limit=7), NOW)
        campaign_id = await create_campaign(service, new(organization_id), NOW)
    row = await connection.fetchrow(
        "select m.name, m.status, m.from_number, m.dynamic_variables, m.next_batch_at, a.concurrency_limit"
        " from campaigns m join provider_accounts a on a.id = m.provider_account_id where m.id = $1",
        campaign_id,
    )
    assert tuple(row or ()) == ("Spring", "draft", "+14155552671", '{"offer": "a"}', None, 7)


async def test_a_credential_belongs_to_one_organization(api: Database, connection: asyncpg.Connection) -> None:
    await create_tenant(connection)
    with pytest.raises(CredentialTaken, match="'default'"):
        async with api.as_service() as service:
            await create_organization(service, NewOrganization("Other"), NOW)
    assert await connection.fetchval("select count(*) from organizations") == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"retell_agent_id": " "}, "retell_agent_id"),
        ({"from_number": "12"}, "from_number"),
        *(({limit.name: limit.range.least - 1}, limit.name) for limit in CAMPAIGN_LIMITS),
        *(({limit.name: limit.range.most + 1}, limit.name) for limit in CAMPAIGN_LIMITS),
        ({"scheduled_at": datetime(2026, 1, 1)}, "scheduled_at"),  # noqa: DTZ001
        ({"purpose": "war"}, "purpose"),
        ({"consent_required": "spoken"}, "consent_required"),
        ({"lists_required": ["national", "naughty"]}, "lists_required"),
        ({"more_numbers": ["+14155550100", "12"]}, "more_numbers"),
        ({"more_numbers": ["+14155550100"] * 101}, "more_numbers"),
        ({"day_parts": ["morning", "night"]}, "day_parts"),
        ({"day_parts": ["morning"] * 51}, "day_parts"),
        ({"budget_cents": -1}, "budget_cents"),
        ({"reentry_after": timedelta()}, "reentry_after"),
        ({"reentry_after": timedelta(days=3651)}, "reentry_after"),
    ],
)
async def test_a_field_that_cannot_be_used_is_named(
    api: Database, connection: asyncpg.Connection, changes: dict[str, Any], field: str
) -> None:
    tenant = await create_tenant(connection)
    async with api.as_service() as service:
        with pytest.raises(InvalidCampaign, match=f"^{field}: ") as raised:
            await create_campaign(service, new(tenant.organization_id, **changes), NOW)
    assert raised.value.field == field


async def test_the_number_pool_holds_each_number_once_and_not_the_first_one_again(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    more = ["+1 415-555-0101", "+14155552671", "+14155550101", "+442071838750"]
    async with api.as_service() as service:
        await create_campaign(service, new(tenant.organization_id, more_numbers=more), NOW)
    assert await connection.fetchval("select more_numbers from campaigns") == ["+14155550101", "+442071838750"]


async def test_required_lists_are_stored_once_each_in_the_order_of_their_kinds(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    lists = ["reassigned", "national", "reassigned"]
    async with api.as_service() as service:
        await create_campaign(service, new(tenant.organization_id, purpose="survey", lists_required=lists), NOW)
    row = await connection.fetchrow("select purpose, consent_required, lists_required from campaigns")
    assert tuple(row or ()) == ("survey", "none", ["national", "reassigned"])


async def test_hours_and_policies_that_cannot_be_read_are_not_kept(
    api: Database, connection: asyncpg.Connection
) -> None:
    organization_id = (await create_tenant(connection)).organization_id
    async with api.as_service() as service:
        with pytest.raises(InvalidCallingHours):
            await create_campaign(service, new(organization_id, calling_hours={"someday": []}), NOW)
        with pytest.raises(InvalidRetryPolicy):
            await create_campaign(service, new(organization_id, retry_policy={"busy": 1}), NOW)
    assert await connection.fetchval("select count(*) from campaigns") == 0


async def test_the_account_must_be_clear(api: Database, connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    second = await create_provider_account(connection, tenant.organization_id, credential="second")
    async with api.as_service() as service:
        with pytest.raises(NoProviderAccount):
            await create_campaign(service, new(uuid4()), NOW)
        with pytest.raises(AmbiguousAccount, match="default, second"):
            await create_campaign(service, new(tenant.organization_id), NOW)
        await create_campaign(service, new(tenant.organization_id, provider_account_id=second), NOW)


async def test_an_operator_creates_in_the_own_organization_only(api: Database, connection: asyncpg.Connection) -> None:
    tenant, other = await create_tenant(connection), await create_tenant(connection, credential="other")
    user = await create_member(connection, tenant.organization_id)
    claims = {"sub": str(user), "role": "authenticated"}
    async with api.as_caller("authenticated", claims) as caller:
        await create_campaign(caller, new(tenant.organization_id), NOW)
    foreign = new(other.organization_id, provider_account_id=other.provider_account_id)
    async with api.as_caller("authenticated", claims) as caller:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await create_campaign(caller, foreign, NOW)
    assert await connection.fetchval("select count(*) from campaigns") == 1


async def test_a_number_of_another_workspace_is_refused_and_once_they_are_imported_any_unknown_one(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    other = await create_provider_account(connection, tenant.organization_id, credential="second")
    account_id = tenant.provider_account_id
    for phone, owner in (("+14155550100", account_id), ("+14155550101", other)):
        await insert(
            connection,
            "phone_numbers",
            organization_id=tenant.organization_id,
            provider_account_id=owner,
            phone=phone,
        )

    async def create(*more: str) -> UUID:
        wanted = new(
            tenant.organization_id,
            from_number="+14155550100",
            more_numbers=more,
            provider_account_id=account_id,
        )
        async with api.as_service() as service:
            return await create_campaign(service, wanted, NOW)

    await create("+14155550102")
    with pytest.raises(InvalidCampaign, match=r"more_numbers: \+14155550101 is not a number of this Retell workspace"):
        await create("+14155550101")
    await insert(
        connection,
        "number_imports",
        organization_id=tenant.organization_id,
        provider_account_id=account_id,
        requested_at=NOW,
        finished_at=NOW,
        listed=1,
        added=0,
    )
    await create()
    with pytest.raises(InvalidCampaign, match="import its numbers again, or add the number"):
        await create("+14155550102")
    assert await connection.fetchval("select count(*) from campaigns") == 2
