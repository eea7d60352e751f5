"""Progress is counted from rows, and only from those that the caller may see."""

import asyncpg

from outdial.campaigns.progress import progress
from outdial.db.session import Database
from tests.support.factories import (
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)
from tests.support.postgres import Scratch


async def test_contacts_calls_outcomes_and_cost_are_counted_from_their_rows(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant, other = await create_tenant(connection), await create_tenant(connection, credential="other")
    campaign = await create_campaign(connection, tenant)
    await create_calling(connection, await create_campaign(connection, tenant))
    for status, attempts in (("completed", 1), ("review", 2), ("skipped", 0), ("pending", 1)):
        await create_campaign_contact(connection, campaign, status=status, attempts=attempts, call_count=attempts)
    await create_calling(connection, campaign, status="ongoing")
    for outcome, cost in (("answered", 7.5), ("busy", None), ("busy", 1)):
        await create_calling(connection, campaign, status="ended", outcome=outcome, cost_cents=cost, duration_ms=1000)
    seen = []
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as api:
        for organization_id in (tenant.organization_id, other.organization_id):
            user = await create_member(connection, organization_id, "viewer")
            async with api.as_caller("authenticated", {"sub": str(user), "role": "authenticated"}) as caller:
                seen.append((await progress(caller, campaign.id)).as_dict())
    assert seen[0] == {
        "total": 8,
        "finished": 3,
        "live_calls": 1,
        "contacts": {"completed": 1, "review": 1, "skipped": 1, "pending": 1, "calling": 4},
        "calls": {"ongoing": 1, "ended": 3},
        "outcomes": {"answered": 1, "busy": 2},
        "attempts": 4,
        "cost_cents": 8.5,
        "duration_ms": 3000,
    }
    assert (seen[1]["total"], seen[1]["calls"]) == (0, {})
