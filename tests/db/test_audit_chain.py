"""The audit log's chain as it is written: every entry gets its place at commit, and writers do not block each other."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.db.migrate import push
from outdial.db.queries.proofs import audit_chain
from outdial.db.session import Connection, Database
from outdial.evidence.audit_chain import verify_chain
from tests.evidence.test_audit_chain import create_erasure
from tests.support.factories import NOW, Tenant, create_campaign, create_member, create_tenant
from tests.support.postgres import MIGRATIONS, Scratch, until_one_waits
from tests.support.two_organizations import TwoOrganizations, acting

RECORD = "select private.record_audit($1, 'service', 'edit_campaign', 'campaign', $2, '{}')"
PLACES = "select position from audit_chain where organization_id = $1 order by position"
FREE = "select from audit_heads where organization_id = $1 for update nowait"
FIRST_CHAINED = "20261130080000"


async def entries_of(connection: asyncpg.Connection, organization_id: UUID) -> int:
    """Verify the chain of the organization; return the number of its entries."""
    [row] = await audit_chain.chained_organizations(connection, organization_id=organization_id)
    async with connection.transaction():
        chain = await verify_chain(connection, row)
    assert chain.problem is None
    return chain.entries


@pytest.fixture
async def tenants(connection: asyncpg.Connection) -> tuple[Tenant, Tenant]:
    """Two organizations with an entry each, in the order of their ids."""
    made = [await create_tenant(connection, name=name, credential=name) for name in ("one", "two")]
    for tenant in made:
        await connection.execute(RECORD, tenant.organization_id, "first")
    first, second = sorted(made, key=lambda tenant: tenant.organization_id)
    return first, second


@pytest.fixture
async def service(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="test", max_size=8) as api:
        yield api


async def test_the_entries_of_a_transaction_get_places_in_their_order_at_its_commit(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    organization_id = tenants[0].organization_id
    async with connection.transaction():
        for subject in ("a", "b", "c"):
            await connection.execute(RECORD, organization_id, subject)
        assert [row["position"] for row in await connection.fetch(PLACES, organization_id)] == [1, None, None, None]
    rows = await connection.fetch(
        "select a.subject_id from audit_log a join audit_chain c on c.entry_id = a.id where a.organization_id = $1"
        " order by c.position",
        organization_id,
    )
    assert [row["subject_id"] for row in rows] == ["first", "a", "b", "c"]
    assert await entries_of(connection, organization_id) == 4


async def test_a_transaction_that_is_rolled_back_leaves_no_gap(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    organization_id = tenants[0].organization_id
    undone = connection.transaction()
    await undone.start()
    await connection.execute(RECORD, organization_id, "undone")
    await undone.rollback()
    await connection.execute(RECORD, organization_id, "kept")

    assert await entries_of(connection, organization_id) == 2


async def test_many_writers_of_two_organizations_neither_fail_nor_leave_a_gap(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], service: Database
) -> None:
    async def write(number: int) -> None:
        order = tenants if number % 2 else tenants[::-1]
        async with service.as_service() as writing:
            for tenant in order:
                await writing.execute(RECORD, tenant.organization_id, str(number))

    await asyncio.gather(*[write(number) for number in range(60)])

    for tenant in tenants:
        assert await entries_of(connection, tenant.organization_id) == 61


async def commit_waits_only_for_the_first(
    connection: asyncpg.Connection, database: Scratch, tenants: tuple[Tenant, Tenant], committing: asyncio.Task[None]
) -> bool:
    """Return whether a commit that waits for the chain of the first organization has left the other one unlocked."""
    await until_one_waits(connection)
    other = await asyncpg.connect(database.dsn)
    try:
        async with other.transaction():
            await other.execute(FREE, tenants[1].organization_id)
    except asyncpg.LockNotAvailableError:
        return False
    finally:
        await other.close()
    assert not committing.done()
    return True


async def test_a_transaction_of_two_organizations_locks_their_chains_in_the_order_of_ids(
    connection: asyncpg.Connection, database: Scratch, tenants: tuple[Tenant, Tenant], service: Database
) -> None:
    async def write() -> None:
        async with service.as_service() as writing:
            for tenant in tenants[::-1]:
                await writing.execute(RECORD, tenant.organization_id, "both")

    holder = connection.transaction()
    await holder.start()
    await connection.execute(FREE, tenants[0].organization_id)
    task = asyncio.create_task(write())
    assert await commit_waits_only_for_the_first(connection, database, tenants, task)
    await holder.rollback()
    await task
    for tenant in tenants:
        assert await entries_of(connection, tenant.organization_id) == 2


async def test_entries_that_other_triggers_write_at_commit_are_linked_in_the_same_order(
    connection: asyncpg.Connection, database: Scratch, tenants: tuple[Tenant, Tenant], service: Database
) -> None:
    """A member of both organizations records an entry in one, and changes a campaign of the other with SQL."""
    member = await create_member(connection, tenants[0].organization_id, "admin")
    await create_member(connection, tenants[1].organization_id, "admin", user_id=member)
    campaign = await create_campaign(connection, tenants[0])

    async def write() -> None:
        async with service.as_caller("authenticated", {"role": "authenticated", "sub": str(member)}) as writing:
            await writing.execute(RECORD, tenants[1].organization_id, "recorded")
            await writing.execute("update campaigns set name = 'Changed' where id = $1", campaign.id)

    holder = connection.transaction()
    await holder.start()
    await connection.execute(FREE, tenants[0].organization_id)
    task = asyncio.create_task(write())
    assert await commit_waits_only_for_the_first(connection, database, tenants, task)
    await holder.rollback()
    await task
    assert await connection.fetchval("select action from audit_log order by id desc limit 1") == (
        "change_campaign_directly"
    )
    for tenant in tenants:
        assert await entries_of(connection, tenant.organization_id) == 2


async def test_an_open_transaction_that_has_written_an_entry_blocks_no_other_writer(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], service: Database
) -> None:
    organization_id = tenants[0].organization_id
    async with service.as_service() as slow:
        await slow.execute(RECORD, organization_id, "slow")
        async with service.as_service() as fast:
            await fast.execute("set local lock_timeout = '1ms'")
            await fast.execute(RECORD, organization_id, "fast")

    assert await entries_of(connection, organization_id) == 3


async def test_constraints_that_are_checked_at_once_link_each_entry_at_once(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], service: Database
) -> None:
    async with service.as_service() as writing:
        await writing.execute("set constraints all immediate")
        for tenant in tenants:
            await writing.execute(RECORD, tenant.organization_id, "at once")

    for tenant in tenants:
        assert await entries_of(connection, tenant.organization_id) == 2


async def test_an_organization_is_deleted_with_its_chain(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    await connection.execute("delete from organizations where id = $1", tenants[0].organization_id)

    left = await connection.fetch(
        "select organization_id from audit_chain union select organization_id from audit_heads"
    )
    assert [row["organization_id"] for row in left] == [tenants[1].organization_id]
    assert await entries_of(connection, tenants[1].organization_id) == 1


async def test_older_entries_are_linked_by_the_migrations_and_those_written_meanwhile(
    empty_database: Scratch, tmp_path: Path
) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    files = sorted(MIGRATIONS.glob("*.sql"))
    for path in files:
        if path.name < FIRST_CHAINED:
            shutil.copy(path, folder)
    await push(empty_database.dsn, folder)
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(empty_database.dsn)
        stack.push_async_callback(connection.close)
        tenants = [await create_tenant(connection, name=name, credential=name) for name in ("one", "two")]
        for number in range(10):
            await connection.execute(RECORD, tenants[number % 2].organization_id, str(number))
        [linking] = [path for path in files if path.name.startswith(FIRST_CHAINED)]
        shutil.copy(linking, folder)
        await push(empty_database.dsn, folder)
        await connection.execute(RECORD, tenants[0].organization_id, "meanwhile")
        for path in files:
            shutil.copy(path, folder)

        await push(empty_database.dsn, folder)

        await connection.execute(RECORD, tenants[1].organization_id, "afterwards")
        assert [await entries_of(connection, tenant.organization_id) for tenant in tenants] == [6, 6]


REDACT = "select private.redact_audit($1, $2, $3, $4)"
ENTRY = """
insert into audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
values ($1, $2, 'service', 'note', $3, $4, $5)
"""
PHONE = "+12125550123"


async def redact(
    connection: Connection, organization_id: UUID, erasure_id: UUID, numbers: Sequence[str | None] = ()
) -> int:
    number = await connection.fetchval(REDACT, organization_id, erasure_id, list(numbers), NOW)
    assert isinstance(number, int)
    return number


MENTIONS = {
    "phone as subject": (PHONE, "{}"),
    "phone in details": ("1", '{"phone": "+12125550123"}'),
    "phone as it was typed": ("1", '{"note": "call (1) 212-555.0123 again"}'),
    "email": ("Ada@Example.com", "{}"),
    "email in details": ("1", '{"note": "wrote to\\nADA@example.com."}'),
    "email with a quote": ("1", '{"note": "ada\\"l@example.com"}'),
    "contact": ("ada's contact", "{}"),
}


@pytest.mark.parametrize("mention", MENTIONS)
async def test_entries_that_mention_a_person_are_redacted_and_others_kept(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], service: Database, mention: str
) -> None:
    organization_id = tenants[0].organization_id
    await connection.execute(ENTRY, organization_id, NOW, "contact", *MENTIONS[mention])
    other_person = '{"note": "212-555-0124, Ada Lovelace, nada@example.com, ada@example.com.au"}'
    await connection.execute(ENTRY, organization_id, NOW, "contact", "2", other_person)
    await connection.execute(ENTRY, tenants[1].organization_id, NOW, "contact", *MENTIONS[mention])

    terms = ["ada@example.com", 'ada"l@example.com']
    erasure = await create_erasure(connection, organization_id, ["ada's contact"], terms, PHONE)

    async with service.as_service() as writing:
        assert await redact(writing, organization_id, erasure, [PHONE[1:]]) == 1

    rows = await connection.fetch(
        "select subject_id, details::text as details, redacted_at, subject_salt, details_salt from audit_log a"
        " join audit_chain c on c.entry_id = a.id where a.organization_id = $1 and a.action = 'note' order by a.id",
        organization_id,
    )
    assert tuple(rows[0]) == ("erased", '{"erased": true}', NOW, None, None)
    assert rows[1]["details"] == other_person
    assert await entries_of(connection, organization_id) == 4
    other = await connection.fetchval("select count(*) from audit_chain where redacted_at is not null")
    assert other == 1


@pytest.mark.parametrize("number", ["550123", PHONE, None, "2125550124", "12125550123456"])
async def test_a_redaction_looks_only_for_the_phone_of_its_erasure(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], service: Database, number: str | None
) -> None:
    organization_id = tenants[0].organization_id
    erasure = await create_erasure(connection, organization_id, phone=PHONE)
    async with service.as_service() as writing:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="the phone of its erasure"):
            await redact(writing, organization_id, erasure, [number])


@pytest.mark.parametrize("erasure", ["of another organization", "swept", "unknown"])
async def test_without_an_erasure_under_way_nothing_is_redacted(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], service: Database, erasure: str
) -> None:
    organization_id = tenants[0].organization_id
    owner = tenants[1] if erasure == "of another organization" else tenants[0]
    erasure_id = uuid4() if erasure == "unknown" else await create_erasure(connection, owner.organization_id)
    if erasure == "swept":
        await connection.execute("update erasures set swept_at = now() where id = $1", erasure_id)
    async with service.as_service() as writing:
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="has not been swept"):
            await redact(writing, organization_id, erasure_id)


@pytest.fixture
def world(two_organizations: TwoOrganizations) -> TwoOrganizations:
    return two_organizations


@pytest.mark.parametrize("actor", ["owner", "anon", "api", "dialer", "webhook", "undeclared jobs"])
async def test_no_one_else_redacts(world: TwoOrganizations, actor: str) -> None:
    async with acting(world, actor) as acting_connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await redact(acting_connection, world.own.tenant.organization_id, uuid4())


async def test_jobs_redact_in_the_declared_organization_only(
    connection: asyncpg.Connection, world: TwoOrganizations
) -> None:
    own, other = world.own.tenant.organization_id, world.other.tenant.organization_id
    erasures = [await create_erasure(connection, organization, ["1"]) for organization in (own, other)]
    async with acting(world, "jobs") as acting_connection:
        assert await redact(acting_connection, own, erasures[0]) >= 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="has declared"):
            await redact(acting_connection, other, erasures[1])


@pytest.mark.parametrize(
    "change",
    [
        "subject_id = 'erased', action = 'other'",
        "subject_id = 'something else'",
        """details = '{"erased": false}'""",
        "details = details",
    ],
)
async def test_a_superuser_can_change_an_entry_in_no_other_way(
    connection: asyncpg.Connection, tenants: tuple[Tenant, Tenant], change: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="rows of audit_log are never changed"):
        await connection.execute(f"update audit_log set {change}")  # noqa: S608
