"""What the database refuses whoever asks: a second live call, an early end, a changed log, a value out of bounds."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.db.queries import calls, campaign_status, events
from outdial.db.session import Connection, Database
from outdial.domain.call import LIVE, CallStatus
from outdial.domain.contact import OPEN, ContactStatus
from outdial.domain.limits import (
    BATCH_SIZE,
    CAMPAIGN_LIMITS,
    CONCURRENCY_LIMIT,
    DAILY_CALL_CAP,
    MAX_CONCURRENCY,
    IntRange,
)
from tests.support.factories import (
    CLAIM_DECISION,
    NOW,
    Campaign,
    CampaignContact,
    Contact,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
    insert,
    new_phone,
)
from tests.support.postgres import Scratch, until_one_waits


async def two_campaigns_for_one_phone(connection: Connection) -> tuple[Contact, Campaign, Campaign]:
    tenant = await create_tenant(connection)
    contact = await create_contact(connection, tenant.organization_id)
    return contact, await create_campaign(connection, tenant), await create_campaign(connection, tenant)


@pytest.mark.parametrize("status", CallStatus)
async def test_a_phone_has_one_live_call_over_all_campaigns_of_its_organization(
    connection: asyncpg.Connection, status: CallStatus
) -> None:
    contact, one, other = await two_campaigns_for_one_phone(connection)
    await create_calling(connection, one, contact, status=status)

    if status in LIVE:
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await create_calling(connection, other, contact)
        assert refused.value.constraint_name == "calls_live_phone"
    else:
        await create_calling(connection, other, contact)


async def test_an_ended_call_cannot_become_live_next_to_another(connection: asyncpg.Connection) -> None:
    contact, one, other = await two_campaigns_for_one_phone(connection)
    _, first = await create_calling(connection, one, contact, status="unknown")
    await connection.execute("update calls set status = 'released' where id = $1", first)
    await create_calling(connection, other, contact)

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("update calls set status = 'unknown' where id = $1", first)


async def test_two_organizations_may_call_one_phone_at_the_same_time(connection: asyncpg.Connection) -> None:
    for credential in ("one", "two"):
        tenant = await create_tenant(connection, credential=credential)
        contact = await create_contact(connection, tenant.organization_id, phone="+12125550199")
        await create_calling(connection, await create_campaign(connection, tenant), contact)

    assert await connection.fetchval("select count(*) from calls where phone = '+12125550199'") == 2


async def insert_call(connection: Connection, entry: CampaignContact) -> list[UUID]:
    tenant = entry.campaign.tenant
    rows = await calls.insert_calls(
        connection,
        now=NOW,
        organization_id=tenant.organization_id,
        campaign_id=entry.campaign.id,
        provider_account_id=tenant.provider_account_id,
        from_numbers=["+12125550000"],
        ids=[uuid4()],
        campaign_contact_ids=[entry.id],
        contact_ids=[entry.contact.id],
        attempt_numbers=[1],
        phones=[entry.contact.phone],
        requests=["{}"],
        decisions=[CLAIM_DECISION],
        start_ats=[NOW],
        deadlines=[NOW + timedelta(seconds=35)],
        message_thens=[None],
        reserved_cents=None,
        spent_on=None,
        needs_clearance=False,
        retell_agent_id="agent_1",
        callback_ofs=[None],
        callback_tries=[0],
        callback_lates=[None],
    )
    return rows


@pytest.mark.parametrize("first_commits", [True, False])
async def test_of_two_dialers_that_claim_one_phone_at_once_one_gets_it(
    database: Scratch, connection: asyncpg.Connection, first_commits: bool
) -> None:
    contact, *campaigns = await two_campaigns_for_one_phone(connection)
    entries = [await create_campaign_contact(connection, campaign, contact) for campaign in campaigns]
    async with await Database.connect(database.dsn_for("outdial_dialer"), application_name="race") as dialers:

        async def second() -> list[UUID]:
            async with dialers.for_organization(contact.organization_id) as later:
                return await insert_call(later, entries[1])

        async with dialers.pool.acquire() as raw:
            transaction = raw.transaction()
            await transaction.start()
            await raw.execute("select set_config('outdial.organization_id', $1, true)", str(contact.organization_id))
            first_got = await insert_call(raw, entries[0])
            racing = asyncio.create_task(second())
            await until_one_waits(connection)
            await (transaction.commit() if first_commits else transaction.rollback())
        second_got = await racing

    assert len(first_got) == 1
    assert len(second_got) == (0 if first_commits else 1)
    assert await connection.fetchval("select count(*) from calls") == 1


async def test_an_attempt_of_a_contact_has_one_call(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    entry, _ = await create_calling(connection, campaign, status="ended")

    with pytest.raises(asyncpg.UniqueViolationError, match="calls_campaign_contact_id_attempt_number_key"):
        await create_call(connection, entry, attempt_number=1)
    await create_call(connection, entry, attempt_number=2)


async def test_one_call_at_retell_belongs_to_one_call_of_ours(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    await create_calling(connection, campaign, retell_call_id="call_1")

    with pytest.raises(asyncpg.UniqueViolationError, match="calls_retell_call_id_key"):
        await create_calling(connection, campaign, retell_call_id="call_1")


@pytest.mark.parametrize("status", ContactStatus)
async def test_a_campaign_is_not_completed_while_a_contact_is_pending_or_calling(
    connection: asyncpg.Connection, status: ContactStatus
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    await create_campaign_contact(connection, campaign, status="completed")
    await create_campaign_contact(connection, campaign, status=status)

    if status in OPEN:
        with pytest.raises(asyncpg.CheckViolationError, match="still has contacts to call"):
            await campaign_status.complete_campaign(connection, campaign_id=campaign.id, now=NOW)
    else:
        await campaign_status.complete_campaign(connection, campaign_id=campaign.id, now=NOW)


@pytest.mark.parametrize("import_commits", [True, False])
async def test_a_campaign_does_not_complete_during_an_import(
    database: Scratch, connection: asyncpg.Connection, import_commits: bool
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    contact = await create_contact(connection, campaign.tenant.organization_id)
    importer = await asyncpg.connect(database.dsn)
    transaction = importer.transaction()
    await transaction.start()
    await create_campaign_contact(importer, campaign, contact)

    completing = asyncio.create_task(complete(database, campaign))
    other = await asyncpg.connect(database.dsn)
    waiting = asyncio.create_task(until_one_waits(other))
    done, _ = await asyncio.wait({completing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert done == {waiting}, "completed while contacts are being added"
    await (transaction.commit() if import_commits else transaction.rollback())

    assert await completing is not import_commits
    await importer.close()
    await other.close()


async def complete(database: Scratch, campaign: Campaign) -> bool:
    connection = await asyncpg.connect(database.dsn)
    try:
        await campaign_status.complete_campaign(connection, campaign_id=campaign.id, now=NOW)
    except asyncpg.CheckViolationError:
        return False
    finally:
        await connection.close()
    return True


async def log_entry(connection: Connection) -> UUID:
    tenant = await create_tenant(connection)
    await insert(
        connection,
        "audit_log",
        organization_id=tenant.organization_id,
        at=NOW,
        actor="dialer",
        action="start_campaign",
        subject_type="campaign",
        subject_id="1",
    )
    return tenant.organization_id


async def test_an_audit_entry_is_never_changed_not_even_by_the_superuser(connection: asyncpg.Connection) -> None:
    await log_entry(connection)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="rows of audit_log are never changed"):
        await connection.execute("update audit_log set action = 'nothing'")


async def test_audit_entries_are_only_deleted_with_their_organization(connection: asyncpg.Connection) -> None:
    organization_id = await log_entry(connection)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="rows of audit_log are never changed"):
        await connection.execute("delete from audit_log")
    await connection.execute("delete from organizations where id = $1", organization_id)

    assert await connection.fetchval("select count(*) from audit_log") == 0


async def test_an_organization_is_deleted_with_everything_it_owns(connection: asyncpg.Connection) -> None:
    organization_id = await log_entry(connection)
    tenant = await create_tenant(connection, credential="acme")
    _, call_id = await create_calling(connection, await create_campaign(connection, tenant))
    await store(connection, b"1" * 32)
    await connection.execute(
        "update webhook_events set call_id = $1, organization_id = $2", call_id, tenant.organization_id
    )
    # A job without a campaign.
    await connection.execute(
        "insert into bulk_jobs (id, organization_id, action, reason, selected, other_status, requested_by, created_at,"
        " updated_at) values (gen_random_uuid(), $1, 'mark_reviewed', 'listened', 1, 0, 'ada@acme.test', $2, $2)",
        tenant.organization_id,
        NOW,
    )

    await connection.execute("delete from organizations where id = $1", tenant.organization_id)

    tables = ("calls", "webhook_events", "bulk_jobs")
    left = {table: await connection.fetchval(f"select count(*) from {table}") for table in tables}  # noqa: S608
    assert left == dict.fromkeys(tables, 0)
    assert [row["id"] for row in await connection.fetch("select id from organizations")] == [organization_id]


async def store(connection: Connection, *hashes: bytes, event: str = "call_ended", credential: str = "default") -> int:
    size = len(hashes)
    rows = await events.store_events(
        connection,
        now=NOW,
        credentials=[credential] * size,
        retell_call_ids=["call_1"] * size,
        events=[event] * size,
        bodies=[b"{}"] * size,
        hashes=list(hashes),
        statuses=["pending"] * size,
        received_ats=[NOW] * size,
        organization_ids=[None] * size,
        call_ids=[None] * size,
        errors=[None] * size,
        are_erased=[False] * size,
    )
    return len(rows)


async def test_the_ledger_stores_each_delivery_once(connection: asyncpg.Connection) -> None:
    one, other = b"1" * 32, b"2" * 32

    assert await store(connection, one, other, one) == 2
    assert await store(connection, one) == 0
    assert await store(connection, one, event="call_analyzed") == 1
    assert await store(connection, one, credential="acme") == 1
    with pytest.raises(asyncpg.CheckViolationError, match="body_sha256"):
        await store(connection, b"short")


@pytest.mark.parametrize(
    ("table", "column", "refused", "taken"),
    [
        ("organizations", "name", ["", "  ", "x" * 201], ["x" * 200]),
        ("provider_accounts", "credential", ["", "Acme", "a-b", "1a"], ["acme_2"]),
        ("provider_accounts", "calls_per_second", [0.0, -1.0], [0.1]),
        ("provider_accounts", "rate_factor", [0.0, 1.1], [0.5]),
        ("provider_accounts", "concurrency_limit", [-1], [0]),
        ("contacts", "zone_key", [""], ["Europe/Berlin|Europe/Paris"]),
        ("contacts", "attributes", ["[]", '"x"', "1"], ['{"a": 1}']),
        ("campaigns", "calling_hours", ["[]", "null"], ["{}"]),
        ("campaigns", "from_number", ["12125550100"], ["+4912345"]),
        ("campaign_contacts", "attempts", [-1, 2], [0, 1]),
        ("calls", "attempt_number", [0], [2]),
        ("calls", "duration_ms", [-1], [0]),
        ("calls", "requests", [0], [2]),
    ],
)
async def test_a_value_out_of_bounds_is_refused(
    connection: asyncpg.Connection, table: str, column: str, refused: list[object], taken: list[object]
) -> None:
    await create_calling(connection, await create_campaign(connection, await create_tenant(connection)))
    statement = f"update {table} set {column} = $1"  # noqa: S608

    for value in refused:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(statement, value)
    for value in taken:
        await connection.execute(statement, value)


# The schema leaves these open upwards: the features check the upper bound.
OPEN_UPWARDS = {("provider_accounts", "concurrency_limit"), ("campaigns", MAX_CONCURRENCY.name)}
RANGES = [
    ("organizations", "daily_call_cap", DAILY_CALL_CAP),
    ("provider_accounts", "concurrency_limit", CONCURRENCY_LIMIT),
    *(("campaigns", limit.name, limit.range) for limit in CAMPAIGN_LIMITS),
    ("campaigns", "next_batch_size", BATCH_SIZE.range),
]


@pytest.mark.parametrize(("table", "column", "limits"), RANGES)
async def test_the_schema_has_the_bounds_of_the_domain(
    connection: asyncpg.Connection, table: str, column: str, limits: IntRange
) -> None:
    await create_campaign(connection, await create_tenant(connection))
    statement = f"update {table} set {column} = $1"  # noqa: S608

    for value in (limits.least, limits.most):
        await connection.execute(statement, value)
    for value in (limits.least - 1, limits.most + 1):
        if value > limits.most and (table, column) in OPEN_UPWARDS:
            continue
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(statement, value)


async def test_the_schema_has_the_defaults_of_the_domain(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    row = await connection.fetchrow("select * from campaigns where id = $1", campaign.id)

    assert {limit.name: row[limit.name] for limit in CAMPAIGN_LIMITS} == {
        limit.name: limit.default for limit in CAMPAIGN_LIMITS
    }


@pytest.mark.parametrize("phone", ["2125550100", "+0125550100", "+1 2125550100", "+12125550100\n", "+12125"])
async def test_a_phone_that_is_not_e164_is_refused(connection: asyncpg.Connection, phone: str) -> None:
    tenant = await create_tenant(connection)

    with pytest.raises(asyncpg.CheckViolationError):
        await create_contact(connection, tenant.organization_id, phone=phone)


async def test_a_phone_is_one_contact_of_its_organization(connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    contact = await create_contact(connection, tenant.organization_id)

    with pytest.raises(asyncpg.UniqueViolationError):
        await create_contact(connection, tenant.organization_id, phone=contact.phone)


async def test_no_row_refers_to_another_organization(connection: asyncpg.Connection) -> None:
    one = await create_tenant(connection, credential="one")
    other = await create_tenant(connection, credential="two")
    theirs = await create_contact(connection, other.organization_id)
    campaign = await create_campaign(connection, one)
    entry = await create_campaign_contact(connection, campaign)

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await create_campaign(connection, one, provider_account_id=other.provider_account_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await create_campaign_contact(connection, campaign, theirs, organization_id=one.organization_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await create_campaign_contact(connection, campaign, theirs, organization_id=other.organization_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await create_call(connection, entry, organization_id=other.organization_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await create_call(connection, entry, provider_account_id=other.provider_account_id)


async def test_a_campaign_contact_is_called_at_the_number_of_its_contact(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await create_campaign_contact(connection, campaign, phone=new_phone())
    entry = await create_campaign_contact(connection, campaign)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute("update contacts set phone = $1 where id = $2", new_phone(), entry.contact.id)


async def test_a_corrected_zone_applies_in_the_campaigns_of_the_contact(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    entry = await create_campaign_contact(connection, campaign)

    await connection.execute("update contacts set zone_key = 'America/Denver' where id = $1", entry.contact.id)

    zone = await connection.fetchval("select zone_key from campaign_contacts where id = $1", entry.id)
    assert zone == "America/Denver"
