"""Requests that arrive together share a transaction: each is stored, refused or repeated on its own."""

import asyncio
from collections.abc import Sequence

import asyncpg
import httpx
import pytest

from outdial.db.queries.proofs import audit_chain
from outdial.db.session import Database
from outdial.evidence.audit_chain import verify_chain
from outdial.studio.campaign_contacts import shared_transactions
from outdial.studio.campaign_contacts.shared_transactions import Work, WorkDone, WorkFailed
from outdial.studio.web.context import OrganizationContext
from tests.support.factories import create_campaign, create_contact, create_member, create_tenant
from tests.support.postgres import Scratch
from tests.support.studio import StudioServer

run_together = shared_transactions._run_together


async def test_requests_share_commits_and_none_decides_about_another(
    studio_app: StudioServer,
    database: Scratch,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    held = await create_contact(connection, tenant.organization_id, phone="+14155550100")
    client = await studio_app.client_of(await create_member(connection, tenant.organization_id))
    url = f"/api/v1/organizations/{tenant.organization_id}/campaigns/{campaign.id}/contacts"
    sizes: list[int] = []

    async def measured(context: OrganizationContext, works: Sequence[Work]) -> list[WorkDone | WorkFailed]:
        sizes.append(len(works))
        return await run_together(context, works)

    monkeypatch.setattr(shared_transactions, "_run_together", measured)

    def add(phone: str, key: str, **more: object) -> asyncio.Task[httpx.Response]:
        body = {"contacts": [{"phone": phone, "name": "Ada"}], **more}
        return asyncio.create_task(client.post(url, json=body, headers={"Idempotency-Key": key}))

    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("select from contacts where id = $1 for update", held.id)
    waiting = add(held.phone, "held")
    added = [add(f"+1415555{number:04}", str(number)) for number in range(1000, 1016)]
    refused = add("+14155550199", "no such region", default_region="XX")
    repeats = [add("+14155551000", "0") for _ in range(2)]
    other_body = add("+14155551001", "1000")
    done = await asyncio.gather(*added, refused, *repeats, other_body)
    # The row that another transaction holds keeps only its own request waiting.
    assert not waiting.done()
    await transaction.rollback()

    assert [response.status_code for response in done[:16]] == [200] * 16
    assert {response.json()["added"] for response in done[:16]} == {1}
    assert done[16].status_code == 400
    assert sorted(response.headers.get("idempotency-replayed", "") for response in done[17:19]) == ["", "true"]
    assert done[17].json() == done[18].json()
    assert done[19].status_code == 409
    assert (await waiting).json()["added"] == 1
    assert sum(sizes) == 21
    assert max(sizes) > 1
    assert await connection.fetchval("select count(*) from campaign_contacts") == 17
    assert await connection.fetchval("select count(*) from audit_log where action = 'add_contacts'") == 18
    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="test") as api,
        api.as_service() as acting,
    ):
        [chain] = await audit_chain.chained_organizations(acting, organization_id=tenant.organization_id)
        verified = await verify_chain(acting, chain)
    assert (verified.problem, verified.entries) == (None, 18)
