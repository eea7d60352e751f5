"""A new campaign calls contacts of another one, and the first one stays as it is."""

import asyncpg

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.new_campaign import ContactsCopied, NothingToCall, copy_to_new_campaign
from outdial.campaigns.selection import ContactSelection
from outdial.db.session import Database
from tests.support.factories import NOW, create_campaign, create_campaign_contact, create_tenant
from tests.support.postgres import Scratch


async def test_selected_contacts_with_a_final_status_are_called_again_in_their_own_campaign(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, max_attempts=4)
    for status in ("failed", "failed", "completed", "skipped"):
        await create_campaign_contact(
            connection, campaign, status=status, last_outcome="no_answer", variables='{"city": "Rome"}', rank=2
        )
    await create_campaign_contact(connection, campaign, last_outcome="no_answer")
    dsn = database.dsn_for("outdial_api")
    async with await Database.connect(dsn, application_name="tests:api") as api, api.as_service() as service:
        again = [
            await copy_to_new_campaign(
                service,
                campaign_id=campaign.id,
                selection=selection,
                name=name,
                reason="new offer",
                actor=Actor(),
                now=NOW,
            )
            for selection, name in (
                (ContactSelection(status="failed"), "Second try"),
                (ContactSelection(outcome="no_answer"), None),
                (ContactSelection(status="pending"), None),
                (ContactSelection(status="review"), None),
            )
        ]

    first, second, pending, none = again
    assert isinstance(first, ContactsCopied)
    assert isinstance(second, ContactsCopied)
    assert (first.name, first.added, first.left_out) == ("Second try", 2, 0)
    assert (second.added, second.left_out) == (4, 1)
    assert isinstance(pending, NothingToCall)
    assert isinstance(none, NothingToCall)
    rows = await connection.fetch(
        "select m.status, m.max_attempts, cc.status as contact, cc.attempts, cc.rank, cc.variables ->> 'city' as city"
        " from campaign_contacts cc join campaigns m on m.id = cc.campaign_id where m.id = $1",
        first.campaign_id,
    )
    assert [tuple(row) for row in rows] == [("draft", 4, "pending", 0, 2, "Rome")] * 2
    kept = "select status, count(*) from campaign_contacts where campaign_id = $1 group by status order by status"
    assert [tuple(row) for row in await connection.fetch(kept, campaign.id)] == [
        ("completed", 1),
        ("failed", 2),
        ("pending", 1),
        ("skipped", 1),
    ]
    audited = await connection.fetch(
        "select details ->> 'added' from audit_log where action = 'new_campaign' order by id"
    )
    assert [row[0] for row in audited] == ["2", "4"]
    assert await connection.fetchval("select count(*) from campaigns") == 3
