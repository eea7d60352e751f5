"""At 50,000 contacts and calls, counting a campaign reads an index and no table."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.db.embedded import EmbeddedPostgres
from tests.support import postgres
from tests.support.factories import NOW, create_campaign, create_tenant, fill_campaign
from tests.support.postgres import Scratch

CONTACTS, CAMPAIGNS = 50_000, 10
CALLS = """
insert into calls (id, organization_id, campaign_id, campaign_contact_id, contact_id, provider_account_id,
  attempt_number, phone, from_number, request, decision, requested_at, created_at, updated_at, status, outcome)
select gen_random_uuid(), organization_id, campaign_id, id, contact_id, $2, 1, phone, '+12125550000',
  jsonb_build_object('body', repeat('x', 500)), jsonb_build_object('decision', repeat('x', 400)),
  $1, $1, $1, 'ended', case when attempts % 2 = 0 then 'answered' else 'busy' end
from campaign_contacts
"""


@pytest.fixture(scope="module")
def filled(postgres_server: EmbeddedPostgres, _templates: set[str]) -> Iterator[tuple[Scratch, list[UUID]]]:
    """Fill one clone for all tests of this module: they only look."""
    with postgres.scratch_for_module(postgres_server, _templates) as (runner, database):
        yield database, runner.run(fill(database))


async def fill(database: Scratch) -> list[UUID]:
    connection = await asyncpg.connect(database.dsn)
    # Vacuum takes no row for one that everybody sees whose commit is not written yet.
    await connection.execute("set synchronous_commit = on")
    tenant = await create_tenant(connection)
    campaigns = [await create_campaign(connection, tenant) for _ in range(CAMPAIGNS)]
    for campaign in campaigns:
        await fill_campaign(connection, campaign, CONTACTS // CAMPAIGNS)
    await connection.execute(CALLS, NOW, tenant.provider_account_id)
    await connection.execute("vacuum analyze")
    await connection.close()
    return [campaign.id for campaign in campaigns]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize(
    ("function", "index"),
    [("count_campaign_contacts", "campaign_contacts_listed"), ("count_ended_calls", "calls_ended")],
)
async def test_a_campaign_is_counted_from_an_index_alone(
    filled: tuple[Scratch, list[UUID]], function: str, index: str
) -> None:
    database, campaigns = filled
    connection = await asyncpg.connect(database.dsn)
    body = await connection.fetchval("select prosrc from pg_proc where proname = $1", function)
    assert "visible uuid[] := array(select private.visible_campaigns(p_campaign_ids))" in body
    query = body.partition("return query")[2].partition(";")[0]

    raw = await connection.fetchval(
        "explain (analyze, format json, timing off) " + query.replace("any (visible)", "any ($1::uuid[])"),
        campaigns[:1],
    )
    await connection.close()

    plan = json.loads(raw)[0]["Plan"]
    reads = [node for node in nodes(plan) if node.get("Relation Name") in ("campaign_contacts", "calls")]
    assert [(node["Node Type"], node["Index Name"]) for node in reads] == [("Index Only Scan", index)]
    assert reads[0]["Heap Fetches"] == 0
    assert reads[0]["Actual Rows"] == CONTACTS / CAMPAIGNS
