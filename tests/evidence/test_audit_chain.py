"""Whatever a superuser does to the audit log, the check of its chain names the entry."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.db.queries.proofs import audit_chain
from outdial.db.session import Database
from outdial.evidence.audit_chain import ChainFault, VerifiedChain, verify_chain
from outdial.evidence.entry_hash import HashedEntry, entry_hash, salted_digest
from tests.support.factories import NOW, create_tenant, insert
from tests.support.postgres import Scratch

ENTRIES = 7
INSERT = """
insert into audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
values ($1, $2, 'service', 'edit_campaign', 'campaign', $3, $4)
"""


@pytest.fixture
async def organization(connection: asyncpg.Connection) -> UUID:
    """An organization whose log has seven entries, beside one whose log has one."""
    organization_id = (await create_tenant(connection)).organization_id
    other = (await create_tenant(connection, name="Other", credential="other")).organization_id
    await connection.execute(INSERT, other, NOW, "other", "{}")
    for number in range(ENTRIES):
        await connection.execute(INSERT, organization_id, NOW, f"campaign-{number}", f'{{"name": "Spring {number}"}}')
    return organization_id


async def verify(database: Scratch, organization_id: UUID, *, expected: Sequence[str] = ()) -> VerifiedChain:
    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="test") as api,
        api.as_service() as connection,
    ):
        [row] = await audit_chain.chained_organizations(connection, organization_id=organization_id)
        return await verify_chain(connection, row, expected=frozenset(expected))


async def tamper(connection: asyncpg.Connection, *statements: str) -> None:
    """Run statements as a superuser who has switched all triggers and foreign keys off."""
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("set local constraint_exclusion = off")
        for statement in statements:
            await connection.execute(statement)


async def entry_at(connection: asyncpg.Connection, organization_id: UUID, position: int) -> int:
    found = await connection.fetchval(
        "select entry_id from audit_chain where organization_id = $1 and position = $2", organization_id, position
    )
    assert isinstance(found, int)
    return found


async def problem_after(
    database: Scratch, connection: asyncpg.Connection, organization_id: UUID, *statements: str
) -> tuple[ChainFault, int | None, int | None]:
    before = await verify(database, organization_id)
    assert (before.problem, before.entries) == (None, ENTRIES)
    await tamper(connection, *statements)
    found = (await verify(database, organization_id)).problem
    assert found is not None
    return found.fault, found.position, found.entry_id


async def test_an_untouched_chain_is_verified_to_its_head(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    chain = await verify(database, organization)

    head = await connection.fetchrow("select position, hash from audit_heads where organization_id = $1", organization)
    assert head is not None
    assert (chain.entries, chain.hash) == (head["position"], head["hash"].hex())
    assert (chain.problem, chain.redacted, chain.entries) == (None, 0, ENTRIES)


CHANGES = {
    "time": "at = at + interval '1 microsecond'",
    "actor": "actor = 'someone else'",
    "action": "action = 'start_campaign'",
    "subject type": "subject_type = 'contact'",
    "subject": "subject_id = 'campaign-9'",
    "details": """details = '{"name": "Summer"}'""",
    # Moves a byte from one text to the next.
    "boundary": "actor = 'servic', action = 'eedit_campaign'",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_entry_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID, change: str
) -> None:
    entry = await entry_at(connection, organization, 3)
    statement = f"update audit_log set {CHANGES[change]} where id = {entry}"  # noqa: S608
    assert await problem_after(database, connection, organization, statement) == (ChainFault.CHANGED, 3, entry)


async def test_a_changed_entry_is_found_when_its_digest_is_changed_with_it(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    entry = await entry_at(connection, organization, 3)
    assert await problem_after(
        database,
        connection,
        organization,
        f"update audit_log set subject_id = 'x' where id = {entry}",  # noqa: S608
        f"update audit_chain set subject_digest = sha256(subject_salt || 'x') where entry_id = {entry}",  # noqa: S608
    ) == (ChainFault.CHANGED, 3, entry)


@pytest.mark.parametrize("position", [1, 3, ENTRIES])
async def test_a_deleted_entry_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID, position: int
) -> None:
    entry = await entry_at(connection, organization, position)
    statement = f"delete from audit_log where id = {entry}"  # noqa: S608
    assert await problem_after(database, connection, organization, statement) == (ChainFault.MISSING, position, entry)


@pytest.mark.parametrize("position", [1, 3, ENTRIES])
async def test_an_entry_deleted_with_its_place_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID, position: int
) -> None:
    entry = await entry_at(connection, organization, position)
    assert await problem_after(
        database,
        connection,
        organization,
        f"delete from audit_log where id = {entry}",  # noqa: S608
        f"delete from audit_chain where entry_id = {entry}",  # noqa: S608
    ) == (ChainFault.MISSING, position, None)


def renumber(organization_id: UUID, after: int, by: int) -> list[str]:
    """Statements that move all places after one, in two steps because positions are unique."""
    where = f"where organization_id = '{organization_id}' and position"
    return [
        f"update audit_chain set position = position + 1000 {where} > {after}",  # noqa: S608
        f"update audit_chain set position = position - 1000 + {by} {where} > 1000",  # noqa: S608
        f"update audit_heads set position = position + {by} where organization_id = '{organization_id}'",  # noqa: S608
    ]


async def test_a_deleted_entry_is_found_when_the_later_ones_move_up(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    entry = await entry_at(connection, organization, 3)
    assert await problem_after(
        database,
        connection,
        organization,
        f"delete from audit_log where id = {entry}",  # noqa: S608
        f"delete from audit_chain where entry_id = {entry}",  # noqa: S608
        *renumber(organization, 3, -1),
    ) == (ChainFault.MISSING, 3, None)


async def test_an_entry_inserted_past_the_chain_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    statement = INSERT.replace("$1", f"'{organization}'").replace("$2", "now()").replace("$3", "'x'")
    found = await problem_after(database, connection, organization, statement.replace("$4", "'{}'"))

    inserted = await connection.fetchval("select max(id) from audit_log")
    assert found == (ChainFault.INSERTED, None, inserted)


async def insert_at(
    connection: asyncpg.Connection, organization_id: UUID, position: int, *, fits: bool
) -> tuple[int, list[str]]:
    """Return the id of a new entry, and the statements that give it a place; with `fits`, its hash is right."""
    before = await connection.fetchrow(
        "select hash from audit_chain where organization_id = $1 and position = $2", organization_id, position - 1
    )
    assert before is not None
    salt, subject, details = b"1" * 16, "forged", "{}"
    entry = HashedEntry(
        organization_id=organization_id,
        entry_id=9_000,
        at=NOW,
        actor="service",
        action="edit_campaign",
        subject_type="campaign",
        subject_digest=salted_digest(salt, subject),
        details_digest=salted_digest(salt, details),
    )
    hash_ = entry_hash(entry, position=position, previous=before["hash"]) if fits else sha256(b"?").digest()
    values = ", ".join(
        f"'\\x{value.hex()}'"
        for value in (before["hash"], hash_, salt, entry.subject_digest, salt, entry.details_digest)
    )
    return 9_000, [
        *renumber(organization_id, position - 1, 1),
        f"""insert into audit_log (id, organization_id, at, actor, action, subject_type, subject_id)
        overriding system value
        values (9000, '{organization_id}', '{NOW.isoformat()}', 'service', 'edit_campaign', 'campaign', 'forged')""",  # noqa: S608
        f"""insert into audit_chain (entry_id, organization_id, position, previous_hash, hash, subject_salt,
          subject_digest, details_salt, details_digest, ready)
        values (9000, '{organization_id}', {position}, {values}, true)""",  # noqa: S608
    ]


@pytest.mark.parametrize("fits", [False, True])
async def test_an_entry_inserted_into_the_chain_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID, fits: bool
) -> None:
    entry, statements = await insert_at(connection, organization, 3, fits=fits)
    assert await problem_after(database, connection, organization, *statements) == (ChainFault.INSERTED, 3, entry)


@pytest.mark.parametrize(("one", "two"), [(3, 4), (2, 6)])
async def test_two_swapped_places_are_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID, one: int, two: int
) -> None:
    moved = await entry_at(connection, organization, two)
    where = f"where organization_id = '{organization}' and position ="
    assert await problem_after(
        database,
        connection,
        organization,
        f"update audit_chain set position = 1000 {where} {one}",  # noqa: S608
        f"update audit_chain set position = {one} {where} {two}",  # noqa: S608
        f"update audit_chain set position = {two} {where} 1000",  # noqa: S608
    ) == (ChainFault.REORDERED, one, moved)


async def test_two_entries_that_swapped_their_texts_are_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    three, four = await entry_at(connection, organization, 3), await entry_at(connection, organization, 4)
    assert await problem_after(
        database,
        connection,
        organization,
        "update audit_log a set at = b.at, subject_id = b.subject_id, details = b.details from audit_log b"  # noqa: S608
        f" where a.id in ({three}, {four}) and b.id in ({three}, {four}) and a.id <> b.id",
    ) == (ChainFault.CHANGED, 3, three)


async def test_an_entry_moved_to_another_organization_is_missing(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    entry = await entry_at(connection, organization, 3)
    other = await connection.fetchval("select id from organizations where id <> $1", organization)
    statement = f"update audit_log set organization_id = '{other}' where id = {entry}"  # noqa: S608
    assert await problem_after(database, connection, organization, statement) == (ChainFault.MISSING, 3, entry)
    foreign = (await verify(database, other)).problem
    assert foreign is not None
    assert (foreign.fault, foreign.entry_id) == (ChainFault.INSERTED, entry)


def cut(organization_id: UUID, last: int) -> list[str]:
    """Statements that remove the end of a log, with its places."""
    where = f"organization_id = '{organization_id}' and position > {last}"
    return [
        f"delete from audit_log where id in (select entry_id from audit_chain where {where})",  # noqa: S608
        f"delete from audit_chain where {where}",  # noqa: S608
    ]


def turn_back(organization_id: UUID, last: int) -> str:
    """The statement that makes an earlier entry the head."""
    return (
        "update audit_heads h set position = c.position, hash = c.hash from audit_chain c"  # noqa: S608
        f" where h.organization_id = '{organization_id}' and c.organization_id = h.organization_id"
        f" and c.position = {last}"
    )


async def test_a_truncated_tail_is_found_by_the_head(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    assert await problem_after(database, connection, organization, *cut(organization, 5)) == (
        ChainFault.MISSING,
        6,
        None,
    )


async def test_a_tail_truncated_with_its_head_is_found_by_a_head_kept_outside(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    kept = (await verify(database, organization)).hash
    await connection.execute(INSERT, organization, NOW, "later", "{}")
    grown = await verify(database, organization, expected=[kept])
    assert (grown.problem, grown.passed, grown.entries) == (None, {kept}, ENTRIES + 1)

    await tamper(connection, *cut(organization, 5), turn_back(organization, 5))

    chain = await verify(database, organization, expected=[kept])
    assert (chain.problem, chain.entries, chain.passed) == (None, 5, frozenset())


async def test_a_log_that_was_emptied_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    assert await problem_after(database, connection, organization, *cut(organization, 0)) == (
        ChainFault.MISSING,
        1,
        None,
    )


async def test_places_removed_without_their_entries_are_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    first = await entry_at(connection, organization, 1)
    assert await problem_after(
        database,
        connection,
        organization,
        f"delete from audit_chain where organization_id = '{organization}'",  # noqa: S608
        f"delete from audit_heads where organization_id = '{organization}'",  # noqa: S608
    ) == (ChainFault.INSERTED, None, first)


async def create_erasure(
    connection: asyncpg.Connection,
    organization_id: UUID,
    subjects: Sequence[str] = (),
    terms: Sequence[str] = (),
    phone: str = "+12125550123",
) -> UUID:
    """Create an erasure that is to be swept. Return its id."""
    erasure_id = uuid4()
    await insert(
        connection,
        "erasures",
        id=erasure_id,
        organization_id=organization_id,
        phone_hash=sha256(erasure_id.bytes).digest(),
        key_id=b"12345678",
        requested_by="service",
        requested_at=NOW,
        phone=phone,
        subjects=list(subjects),
        terms=list(terms),
    )
    return erasure_id


async def redact(database: Scratch, organization_id: UUID, erasure_id: UUID) -> int:
    async with (
        await Database.connect(database.dsn_for("outdial_jobs"), application_name="test") as jobs,
        jobs.for_organization(organization_id) as connection,
    ):
        number = await connection.fetchval(
            "select private.redact_audit($1, $2, '{}', $3)", organization_id, erasure_id, NOW
        )
    assert isinstance(number, int)
    return number


async def test_a_redacted_entry_is_counted_and_the_chain_holds(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    kept = (await verify(database, organization)).hash
    erasure = await create_erasure(connection, organization, ["campaign-2", "campaign-4"])

    assert await redact(database, organization, erasure) == 2
    assert await redact(database, organization, erasure) == 0

    chain = await verify(database, organization, expected=[kept])
    assert (chain.problem, chain.redacted, chain.entries) == (None, 2, ENTRIES + 1)
    assert chain.passed == {kept}


REDACT = """
update audit_log set subject_id = 'erased', details = '{{"erased": true}}' where id = {entry};
update audit_chain set subject_salt = null, details_salt = null, redacted_at = now(), erasure_id = '{erasure}'
where entry_id = {entry}
"""


@pytest.mark.parametrize("borrows", [False, True])
async def test_an_entry_redacted_without_an_erasure_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID, borrows: bool
) -> None:
    """With `borrows`, the redaction claims an erasure that redacted another entry."""
    erasure = await create_erasure(connection, organization, ["campaign-4"])
    if borrows:
        await redact(database, organization, erasure)
    entry = await entry_at(connection, organization, 3)

    await tamper(connection, REDACT.format(entry=entry, erasure=erasure))

    found = (await verify(database, organization)).problem
    assert found is not None
    assert (found.fault, found.position, found.entry_id) == (ChainFault.REDACTED, 3, entry)


async def test_an_erasure_that_does_not_exist_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    erasure = await create_erasure(connection, organization, ["campaign-2", "campaign-4"])
    await redact(database, organization, erasure)
    await connection.execute("delete from erasures where id = $1", erasure)

    found = (await verify(database, organization)).problem
    assert found is not None
    assert (found.fault, found.position) == (ChainFault.REDACTED, 3)
    assert "does not exist" in found.reason


async def test_a_text_in_a_redacted_entry_is_found(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    await redact(database, organization, await create_erasure(connection, organization, ["campaign-2"]))
    entry = await entry_at(connection, organization, 3)

    await tamper(connection, f"update audit_log set subject_id = 'campaign-9' where id = {entry}")  # noqa: S608

    found = (await verify(database, organization)).problem
    assert found is not None
    assert (found.fault, found.position, found.entry_id) == (ChainFault.CHANGED, 3, entry)


async def test_a_log_rewritten_as_a_whole_is_found_by_a_head_kept_outside(
    database: Scratch, connection: asyncpg.Connection, organization: UUID
) -> None:
    """A user who can change the log can also compute its hashes: only a head kept elsewhere shows it."""
    kept = (await verify(database, organization)).hash
    rows = await connection.fetch(
        "select a.*, a.details::text as text, c.subject_salt, c.details_salt from audit_log a"
        " join audit_chain c on c.entry_id = a.id where a.organization_id = $1 order by c.position",
        organization,
    )
    statements, previous = [], bytes(32)
    for position, row in enumerate(rows, start=1):
        action = "forged" if position == 3 else row["action"]
        entry = HashedEntry(
            organization_id=organization,
            entry_id=row["id"],
            at=row["at"],
            actor=row["actor"],
            action=action,
            subject_type=row["subject_type"],
            subject_digest=salted_digest(row["subject_salt"], row["subject_id"]),
            details_digest=salted_digest(row["details_salt"], row["text"]),
        )
        hash_ = entry_hash(entry, position=position, previous=previous)
        statements += [
            f"update audit_log set action = '{action}' where id = {row['id']}",  # noqa: S608
            f"update audit_chain set previous_hash = '\\x{previous.hex()}', hash = '\\x{hash_.hex()}'"  # noqa: S608
            f" where entry_id = {row['id']}",
        ]
        previous = hash_
    await tamper(connection, *statements, turn_back(organization, ENTRIES))

    chain = await verify(database, organization, expected=[kept])
    assert (chain.problem, chain.passed) == (None, frozenset())
