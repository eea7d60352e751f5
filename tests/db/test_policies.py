"""Who may do what with whose rows: each role, each table, each verb, as the real login roles never as a superuser."""

import asyncio
import json
from enum import StrEnum
from typing import Literal, NamedTuple
from uuid import uuid4

import asyncpg
import pytest

from outdial.db.session import Connection
from outdial.domain.ids import new_id
from tests.support.factories import NOW, add_factor, create_campaign, create_member, insert
from tests.support.postgres import Scratch, until_one_waits
from tests.support.two_organizations import (
    ACTORS,
    MEMBERS,
    FilledOrganization,
    TwoOrganizations,
    acting,
    new_row,
)

LOGINS = ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_jobs", "outdial_auth")
Verb = Literal["read", "insert", "update", "delete"]
VERBS: tuple[Verb, ...] = ("read", "insert", "update", "delete")


class Rights(NamedTuple):
    """For members the least role that may, else nobody; for processes the first letters of what they may."""

    read: str | None
    insert: str | None
    update: str | None
    delete: str | None
    dialer: str
    webhook: str
    service: str = "riud"
    jobs: str = ""


# The rights of the dialer and of jobs hold for the organization that they have declared; those of the others for all.
MATRIX = {
    "organizations": Rights("viewer", None, "admin", None, "r", "", jobs="r"),
    # Below admin only oneself: whoever works there may leave.
    # Members come from invitations that they accept.
    "organization_members": Rights("viewer", None, "admin", "viewer", "", ""),
    "invitations": Rights("admin", "admin", None, "admin", "", "", "rid"),
    "provider_accounts": Rights("viewer", None, "admin", None, "ru", "r", jobs="r"),
    "phone_numbers": Rights("viewer", "admin", "admin", "admin", "riu", "", jobs="r"),
    "number_health": Rights("viewer", "operator", "operator", None, "riu", "", jobs="r"),
    "agents": Rights("viewer", None, None, None, "riud", ""),
    "number_imports": Rights("viewer", "admin", "admin", None, "ru", ""),
    # Processes read keys through a function alone. The service stores keys that it has tested.
    "provider_keys": Rights("viewer", None, "admin", None, "", "", "riu"),
    # Written by functions.
    "provider_workspaces": Rights("viewer", None, None, None, "", "", "r"),
    "contacts": Rights("viewer", "operator", "operator", None, "ru", "", jobs="riu"),
    "do_not_call": Rights("viewer", "operator", "operator", "admin", "r", "ri", jobs="r"),
    "consents": Rights("viewer", "operator", "operator", None, "r", "", jobs="riu"),
    "screening_lists": Rights("viewer", "operator", "operator", None, "r", "", jobs="ru"),
    "screened_numbers": Rights("viewer", "operator", None, None, "r", "", jobs="rd"),
    # Only drafts are deleted, and there is none here.
    "campaigns": Rights("viewer", "operator", "operator", "draft", "ru", "ru", jobs="ru"),
    "campaign_contacts": Rights("viewer", "operator", "operator", None, "ru", "ru", jobs="riu"),
    "calls": Rights("viewer", None, None, None, "riu", "ru", jobs="r"),
    "webhook_events": Rights("viewer", None, None, None, "ri", "riu"),
    # Until the next release, for processes of the version before.
    "audit_log": Rights("viewer", "operator", None, None, "i", "", "ri", jobs="i"),
    "calling_rules": Rights("viewer", "admin", None, None, "ri", "", "ri", jobs="r"),
    "rule_switches": Rights("viewer", "admin", None, None, "r", "", "ri", jobs="r"),
    # Written by triggers.
    "audit_chain": Rights("viewer", None, None, None, "", "", "r"),
    "audit_heads": Rights("viewer", None, None, None, "", "", "r"),
    # Written by triggers.
    "opt_out_syncs": Rights("viewer", None, None, None, "ru", ""),
    "opt_out_reads": Rights("viewer", None, None, None, "riu", ""),
    # Written by functions.
    "opt_out_restarts": Rights("viewer", None, None, None, "r", "", "r"),
    "environment_keys": Rights("viewer", None, None, None, "", "", "r"),
    "organization_budgets": Rights("viewer", "admin", "admin", None, "ru", "", "riu", jobs="r"),
    # A trigger of calls writes it.
    "spending": Rights("viewer", None, None, None, "r", "", "r", jobs="r"),
    "pre_dial_hooks": Rights("viewer", "admin", "admin", "admin", "ru", "", jobs="r"),
    "launch_checks": Rights("viewer", "operator", "operator", None, "ru", ""),
    "call_reviews": Rights("viewer", "operator", "operator", "operator", "", "", jobs="r"),
    # What ends a call removes the row.
    "live_transcripts": Rights("viewer", None, None, None, "", "riu"),
    "test_calls": Rights("viewer", None, None, None, "ru", "ru"),
    # Members go through functions that show each only their own.
    "listen_requests": Rights(None, None, None, None, "rud", ""),
    "campaign_forecasts": Rights("viewer", "operator", None, None, "", "", jobs="riud"),
    "campaign_reports": Rights("viewer", None, None, None, "", "", jobs="riu"),
    "report_links": Rights("viewer", "operator", None, "operator", "", ""),
    "imports": Rights("viewer", "operator", "operator", None, "", "", jobs="ru"),
    "import_chunks": Rights("operator", "operator", None, "operator", "", "", jobs="rid"),
    "import_refusals": Rights("viewer", None, None, None, "", "", jobs="rid"),
    "exports": Rights("viewer", "operator", "operator", None, "", "", jobs="ru"),
    "export_chunks": Rights("viewer", None, None, None, "", "", jobs="rid"),
    "bulk_jobs": Rights("viewer", "operator", "operator", None, "", "", jobs="ru"),
    "bulk_job_portions": Rights(None, "operator", None, None, "", "", jobs="rd"),
    "bulk_job_left_out": Rights("viewer", None, None, None, "", "", jobs="ri"),
    # Written by functions that check the caller.
    "undoable_acts": Rights("viewer", None, None, None, "", "", "r"),
    "undo_contacts": Rights("viewer", None, None, None, "", "", "r"),
    "erasures": Rights("viewer", None, None, None, "r", "", jobs="ru"),
    "erasure_calls": Rights("viewer", None, None, None, "riu", "", jobs="r"),
    "retention_progress": Rights(None, None, None, None, "", "", jobs="r"),
    # Each caller's own, and what others share.
    "saved_views": Rights("viewer", "viewer", "viewer", "viewer", "", ""),
    # Each caller's own alone.
    "idempotency_keys": Rights("viewer", "viewer", "viewer", "viewer", "", ""),
}


class Answer(StrEnum):
    """What became of an attempt."""

    DENIED = "no grant"
    REFUSED = "no policy allows the new row"
    NOTHING = "no row is visible"
    DONE = "done"


@pytest.fixture
def world(two_organizations: TwoOrganizations) -> TwoOrganizations:
    return two_organizations


COLUMNS_TO_UPDATE = {
    "organizations": "name",
    "organization_members": "role",
    "invitations": "role",
    "provider_accounts": "name",
    "phone_numbers": "nickname",
    "number_health": "rests_since",
    "number_imports": "next_try_at",
    "provider_keys": "accepted_until",
    "provider_workspaces": "workspace_name",
    "do_not_call": "reason",
    "consents": "revoked_at",
    "screened_numbers": "phone",
    "webhook_events": "tries",
    "audit_log": "action",
    "calling_rules": "body",
    "rule_switches": "reason",
    "audit_chain": "ready",
    "audit_heads": "position",
    "organization_budgets": "day_alerted_on",
    "spending": "spent_cents",
    "pre_dial_hooks": "failures",
    "opt_out_syncs": "tries",
    "opt_out_reads": "next_read_at",
    "opt_out_restarts": "requested_at",
    "environment_keys": "workspace_name",
    "campaign_forecasts": "finished_at",
    "campaign_reports": "computed_at",
    "report_links": "expires_at",
    "launch_checks": "taken_at",
    "test_calls": "checks",
    "listen_requests": "reason",
    "call_reviews": "note",
    "agents": "is_suspended",
    "import_chunks": "number",
    "import_refusals": "reason",
    "export_chunks": "number",
    "bulk_job_portions": "number",
    "bulk_job_left_out": "reason",
    "undoable_acts": "undone_at",
    "undo_contacts": "status",
    "saved_views": "name",
    "idempotency_keys": "answer_status",
    "erasures": "waiting_for",
    "erasure_calls": "tries",
    "retention_progress": "last_event_id",
}


def column_to_update(table: str, actor: str) -> str:
    if (table, actor) == ("provider_accounts", "dialer"):
        return "backoff_until"
    if table == "contacts" and actor.endswith("dialer"):
        return "keys_version"
    if table == "phone_numbers" and actor.endswith("dialer"):
        return "imported_at"
    if (table, actor) == ("campaigns", "jobs"):
        return "next_batch_at"
    return COLUMNS_TO_UPDATE.get(table, "updated_at")


def expected(actor: str, table: str, verb: Verb, own: bool) -> Answer:
    rights = MATRIX[table]
    unseen = Answer.REFUSED if verb == "insert" else Answer.NOTHING
    if actor in ("anon", "api"):
        return Answer.DENIED
    if actor in MEMBERS or actor in ("outsider", "nobody"):
        least = getattr(rights, verb)
        if least is None:
            return Answer.DENIED
        if least == "draft":
            return Answer.NOTHING
        return Answer.DONE if own and actor in MEMBERS[MEMBERS.index(least) :] else unseen
    letters = getattr(rights, actor.split()[-1])
    if verb[0] not in letters:
        return Answer.DENIED
    return Answer.DONE if actor in ("webhook", "service") or (actor in ("dialer", "jobs") and own) else unseen


async def attempt(
    connection: Connection, table: str, verb: Verb, house: FilledOrganization, actor: str, own: FilledOrganization
) -> Answer:
    """Try the verb on the rows of `house`, undo it, and tell what became of it."""
    key = "id" if table == "organizations" else "organization_id"
    column = column_to_update(table, actor.split()[-1])
    statements = {
        "read": f"select {key} from {table} where {key} = $1",  # noqa: S608
        "update": f"update {table} set {column} = {column} where {key} = $1",  # noqa: S608
        "delete": f"delete from {table} where {key} = $1",  # noqa: S608
    }
    undone = connection.transaction()
    await undone.start()
    try:
        if verb == "insert":
            user_id = own.users.get(actor)
            await insert(connection, table, **new_row(table, house, actor=actor.split()[-1], user_id=user_id))
            return Answer.DONE
        tag = await connection.execute(statements[verb], house.tenant.organization_id)
        return Answer.NOTHING if tag.endswith(" 0") else Answer.DONE
    except asyncpg.InsufficientPrivilegeError as error:
        return Answer.REFUSED if "row-level security" in str(error) else Answer.DENIED
    except asyncpg.IntegrityConstraintViolationError:
        return Answer.DONE  # It was allowed to, and other rows stood in its way.
    finally:
        await undone.rollback()


@pytest.mark.parametrize("actor", ACTORS)
async def test_an_actor_has_exactly_the_rights_of_the_matrix(world: TwoOrganizations, actor: str) -> None:
    found, wanted = {}, {}
    async with acting(world, actor) as connection:
        for table in MATRIX:
            for verb in VERBS:
                for house in (world.own, world.other):
                    key = f"{table}, {verb}, {'own' if house is world.own else 'other'}"
                    found[key] = await attempt(connection, table, verb, house, actor, world.own)
                    wanted[key] = expected(actor, table, verb, house is world.own)

    assert found == wanted


@pytest.mark.parametrize("actor", [*MEMBERS, "dialer", "jobs"])
async def test_without_a_condition_only_rows_of_the_organization_are_returned(
    world: TwoOrganizations, actor: str
) -> None:
    async with acting(world, actor) as connection:
        for table in MATRIX:
            if expected(actor, table, "read", own=True) is Answer.DONE:
                key = "id" if table == "organizations" else "organization_id"
                seen = await connection.fetch(f"select distinct {key} from {table}")  # noqa: S608
                assert [row[0] for row in seen] == [world.own.tenant.organization_id], table


async def test_every_table_is_in_the_matrix_with_row_security_enabled_and_forced(
    connection: asyncpg.Connection,
) -> None:
    tables = await connection.fetch(
        "select relname::text, relrowsecurity, relforcerowsecurity from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')"
    )

    assert {tuple(row) for row in tables} == {(table, True, True) for table in MATRIX}


async def test_no_policy_lets_callers_or_the_dialer_see_everything(connection: asyncpg.Connection) -> None:
    policies = await connection.fetch(
        "select tablename, policyname, roles::text[], qual, with_check from pg_policies where schemaname = 'public'"
    )
    callers = [row for row in policies if row["roles"] != ["outdial_webhook"]]

    assert {tuple(row["roles"]) for row in callers} == {("authenticated",), ("outdial_dialer",), ("outdial_jobs",)}
    # Whoever leaves names themselves; an event that has found no call is its account's.
    columns = {"organizations": "id", "members_leave": "user_id", "admins_read_unmatched": "a.organization_id"}
    for row in callers:
        column = columns.get(row["policyname"]) or columns.get(row["tablename"]) or "organization_id"
        own = ("auth.uid()",) if column == "user_id" else ("private.my_organizations(", "private.current_organization(")
        for condition in filter(None, (row["qual"], row["with_check"])):
            assert f"({column} = " in condition, row["policyname"]
            assert any(name in condition for name in own)


async def test_the_receiver_only_reads_the_owner_of_an_account(world: TwoOrganizations) -> None:
    async with acting(world, "webhook") as connection:
        rows = await connection.fetch("select id, organization_id, credential from provider_accounts")
        assert len(rows) == 2
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select name from provider_accounts")


# Columns.

IDENTITY = {
    "id",
    "organization_id",
    "user_id",
    "campaign_id",
    "contact_id",
    "campaign_contact_id",
    "phone",
    "credential",
}
IDENTITY |= {"created_at", "received_at", "attempt_number", "request", "decision", "body", "body_sha256"}
CALLERS_NEVER_SET = {
    "provider_accounts": {"credential", "provider_limit", "rate_factor", "next_start_at", "backoff_until"},
    "campaign_contacts": {"status", "attempts", "faults", "call_count", "next_attempt_at", "last_outcome", "zone_key"}
    | {"decision", "decision_note", "decided_by", "decided_at", "decided_calls"},
    "campaigns": {"provider_account_id"},
}


async def updatable(connection: Connection, role: str) -> set[tuple[str, str]]:
    rows = await connection.fetch(
        "select table_name::text, column_name::text from information_schema.columns where table_schema = 'public'"
        " and has_column_privilege($1, 'public.' || table_name, column_name, 'update')",
        role,
    )
    return {(row[0], row[1]) for row in rows}


async def test_no_row_changes_its_identity_or_its_organization(connection: asyncpg.Connection) -> None:
    for role in ("anon", "authenticated", *LOGINS):
        changeable = {(table, column) for table, column in await updatable(connection, role) if column in IDENTITY}
        allowed = {
            # An event learns whose it is when it has found its call.
            "outdial_webhook": {("webhook_events", "organization_id")},
            # A requested test call gets its request when a dialer sends it, which happens once.
            "outdial_dialer": {("test_calls", "request")},
        }
        assert changeable == allowed.get(role, set()), role


async def test_callers_cannot_set_columns_of_the_dialer_and_of_events(connection: asyncpg.Connection) -> None:
    columns = await updatable(connection, "authenticated")

    assert {table for table, _ in columns}.isdisjoint({"calls", "webhook_events", "audit_log"})
    assert {(table, column) for table, names in CALLERS_NEVER_SET.items() for column in names}.isdisjoint(columns)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("campaigns", "status", "active"),
        ("campaign_contacts", "status", "completed"),
        ("campaign_contacts", "attempts", 0),
        ("campaign_contacts", "call_count", 0),
    ],
)
async def test_an_operator_creates_drafts_and_contacts_without_calls(
    world: TwoOrganizations, table: str, column: str, value: object
) -> None:
    row = new_row(table, world.own, actor="operator") | {column: value}
    async with acting(world, "operator") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await insert(connection, table, **row)


@pytest.mark.parametrize("actor", ["operator", "owner", "service", "dialer"])
@pytest.mark.parametrize(
    ("status", "at_rest"), [("pausing", "paused"), ("cancelling", "cancelled"), ("active", "completed")]
)
async def test_no_one_marks_a_running_campaign_as_paused_or_completed(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str, status: str, at_rest: str
) -> None:
    await connection.execute("update campaigns set status = $1 where status <> $1", status)
    campaign_id = world.own.spare_entry.campaign.id
    async with acting(world, actor) as acting_connection:
        with pytest.raises(asyncpg.CheckViolationError, match="still has"):
            # As PostgREST does it for a PATCH.
            await acting_connection.execute(f"update campaigns set status = '{at_rest}' where id = $1", campaign_id)  # noqa: S608


async def test_a_running_campaign_cannot_be_hidden_from_the_dialers(world: TwoOrganizations) -> None:
    for change in ("next_batch_at = null", "status = 'pausing', next_batch_at = null"):
        async with acting(world, "operator") as connection:
            with pytest.raises(asyncpg.CheckViolationError, match="campaigns_looked_at"):
                await connection.execute(f"update campaigns set {change}")  # noqa: S608


# People.


async def change_members(world: TwoOrganizations, actor: str, statement: str, *arguments: object) -> int:
    async with acting(world, actor) as connection:
        tag = await connection.execute(statement, *arguments, world.own.tenant.organization_id)
        return int(tag.rpartition(" ")[2])


ADD = "insert into organization_members (user_id, role, organization_id) values ($1, $2, $3)"
INVITE = "insert into invitations (email, role, created_at, organization_id) values ($1, $2, now(), $3)"
WITHDRAW = "delete from invitations where email = $1 and organization_id = $2"
PROMOTE = "update organization_members set role = $2 where user_id = $1 and organization_id = $3"
REMOVE = "delete from organization_members where user_id = $1 and organization_id = $2"


async def test_an_admin_neither_adds_nor_removes_owners(world: TwoOrganizations) -> None:
    users = world.own.users
    for user_id in (users["admin"], users["viewer"]):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await change_members(world, "admin", PROMOTE, user_id, "owner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await change_members(world, "admin", INVITE, "ada@example.com", "owner")
    assert await change_members(world, "owner", INVITE, "ada@example.com", "owner") == 1
    assert await change_members(world, "admin", WITHDRAW, "ada@example.com") == 0
    assert await change_members(world, "owner", WITHDRAW, "ada@example.com") == 1

    assert await change_members(world, "admin", PROMOTE, users["owner"], "viewer") == 0
    assert await change_members(world, "admin", REMOVE, users["owner"]) == 0


async def test_an_admin_manages_everyone_else_and_an_owner_everyone(world: TwoOrganizations) -> None:
    users = world.own.users

    assert await change_members(world, "admin", INVITE, "ada@example.com", "admin") == 1
    assert await change_members(world, "admin", PROMOTE, users["viewer"], "operator") == 1
    assert await change_members(world, "admin", REMOVE, users["viewer"]) == 1
    assert await change_members(world, "owner", PROMOTE, users["admin"], "owner") == 1
    assert await change_members(world, "owner", PROMOTE, users["owner"], "viewer") == 1


@pytest.mark.parametrize("actor", ["owner", "service"])
async def test_the_last_owner_can_neither_leave_nor_be_demoted_or_removed(world: TwoOrganizations, actor: str) -> None:
    owner, admin = world.own.users["owner"], world.own.users["admin"]
    for statement, arguments in ((PROMOTE, (owner, "admin")), (REMOVE, (owner,))):
        with pytest.raises(asyncpg.CheckViolationError, match="would be left without an owner"):
            await change_members(world, actor, statement, *arguments)

    assert await change_members(world, actor, PROMOTE, owner, "owner") == 1
    assert await change_members(world, actor, PROMOTE, admin, "owner") == 1
    assert await change_members(world, actor, REMOVE, owner) == 1


async def test_of_two_owners_who_leave_at_once_one_stays(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    owner, admin = world.own.users["owner"], world.own.users["admin"]
    await change_members(world, "service", PROMOTE, admin, "owner")
    async with acting(world, "owner") as first:
        await first.execute(REMOVE, owner, world.own.tenant.organization_id)
        second = asyncio.create_task(change_members(world, "service", REMOVE, admin))
        await until_one_waits(connection)
    with pytest.raises(asyncpg.CheckViolationError, match="would be left without an owner"):
        await second


async def test_the_last_owner_is_removed_with_the_organization(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await connection.execute("delete from organizations where id = $1", world.own.tenant.organization_id)

    assert await connection.fetchval("select count(distinct organization_id) from organization_members") == 1


async def test_no_one_adds_members_past_an_invitation(world: TwoOrganizations) -> None:
    """An admin who adds a user by id could then read the email address of any user."""
    for actor in ("outsider", "viewer", "operator", "admin", "owner"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await change_members(world, actor, ADD, world.own.users["outsider"], "viewer")
    for actor in ("outsider", "viewer", "operator"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await change_members(world, actor, INVITE, "ada@example.com", "viewer")
        assert await change_members(world, actor, PROMOTE, world.own.users["viewer"], "admin") == 0


async def test_rights_end_with_the_membership(world: TwoOrganizations, connection: asyncpg.Connection) -> None:
    await connection.execute("delete from organization_members where user_id = $1", world.own.users["viewer"])

    async with acting(world, "viewer") as viewing:
        assert await viewing.fetch("select id from calls") == []


async def test_a_caller_of_two_organizations_sees_both_with_the_role_of_each(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await create_member(connection, world.other.tenant.organization_id, "viewer", user_id=world.own.users["admin"])

    async with acting(world, "admin") as acting_connection:
        assert len(await acting_connection.fetch("select id from organizations")) == 2
        changed = await acting_connection.fetch("update organizations set name = 'Mine' returning id")
        assert [row["id"] for row in changed] == [world.own.tenant.organization_id]
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await acting_connection.execute(
                "update phone_numbers set organization_id = $1", world.other.tenant.organization_id
            )


async def test_only_drafts_are_deleted_and_by_operators(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    draft = await create_campaign(connection, world.own.tenant, status="draft", next_batch_at=None)
    for actor in ("viewer", "outsider", "operator"):
        async with acting(world, actor) as acting_connection:
            gone = await acting_connection.fetch("delete from campaigns returning id")
            assert [row["id"] for row in gone] == ([draft.id] if actor == "operator" else []), actor


RECORD = "select private.record_audit($1, $2, 'start_campaign', 'campaign', '1', '{}')"
AUTHORS = [
    ("operator", "someone else", "operator"),
    ("owner", "dialer", "owner"),
    ("service", "service", "service"),
    ("dialer", "dialer", "dialer"),
    ("jobs", "jobs", "jobs"),
]


@pytest.mark.parametrize(("actor", "said", "author"), AUTHORS)
async def test_an_audit_entry_names_its_author_and_the_time_of_the_database(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str, said: str, author: str
) -> None:
    before = await connection.fetchval("select clock_timestamp()")
    async with acting(world, actor) as acting_connection:
        await acting_connection.execute(RECORD, world.own.tenant.organization_id, said)

    row = await connection.fetchrow("select actor, at from audit_log order by id desc limit 1")
    assert row is not None
    assert row["actor"] == str(world.own.users.get(author, author))
    assert before <= row["at"] <= await connection.fetchval("select clock_timestamp()")


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        ("viewer", "service"),
        ("outsider", "service"),
        ("nobody", "service"),
        ("anon", "service"),
        ("api", "service"),
        ("webhook", "webhook"),
        ("dialer", "service"),
        ("undeclared dialer", "dialer"),
        ("jobs", "dialer"),
        ("undeclared jobs", "jobs"),
    ],
)
async def test_no_one_else_writes_the_audit_log(world: TwoOrganizations, actor: str, said: str) -> None:
    async with acting(world, actor) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(RECORD, world.own.tenant.organization_id, said)
    if actor in MEMBERS or actor in ("dialer", "jobs"):
        async with acting(world, actor) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(RECORD, world.other.tenant.organization_id, "dialer")


# As in version 1e35b21 of outdial.db.queries.audit.
FORMER_RECORD = """
insert into audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
values ($1, $2, $3, 'start_campaign', 'campaign', $4, $5::text::jsonb)
"""
FORMER_AUTHORS = [
    ("operator", "operator", "operator"),
    ("owner", "owner", "owner"),
    ("service", "service", "service"),
    ("dialer", "dialer", "dialer"),
    ("jobs", "jobs", "jobs"),
    ("jobs", "service", "service"),
    ("jobs", "operator", "operator"),
    # What is forged is corrected.
    ("operator", "owner", "operator"),
    ("operator", "dialer", "operator"),
    ("operator", "service", "operator"),
    ("service", "owner", "service"),
]


@pytest.mark.parametrize(("actor", "said", "author"), FORMER_AUTHORS)
async def test_a_process_of_the_version_before_writes_the_audit_log_with_its_own_author_and_the_time_of_the_database(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str, said: str, author: str
) -> None:
    own = world.own
    await insert(
        connection,
        "imports",
        **new_row("imports", own, actor="", user_id=own.users["operator"]),
    )
    before = await connection.fetchval("select clock_timestamp()")
    async with acting(world, actor) as former:
        name, subject = str(own.users.get(said, said)), str(own.fresh.id)
        if actor in ("operator", "owner"):
            await former.execute("update campaigns set name = 'Mine' where id = $1", own.fresh.id)
        await former.execute(FORMER_RECORD, own.tenant.organization_id, NOW, name, subject, '{"from": "draft"}')

    rows = await connection.fetch("select * from audit_log where subject_id = $1", subject)
    assert [(row["actor"], row["action"], row["details"]) for row in rows] == [
        (str(own.users.get(author, author)), "start_campaign", '{"from": "draft"}')
    ]
    assert before <= rows[0]["at"] <= await connection.fetchval("select clock_timestamp()")


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        ("viewer", "viewer"),
        ("outsider", "outsider"),
        ("nobody", "service"),
        ("anon", "service"),
        ("api", "service"),
        ("webhook", "webhook"),
        ("dialer", "service"),
        ("dialer", "owner"),
        ("undeclared dialer", "dialer"),
        ("jobs", "dialer"),
        ("jobs", "owner"),
        ("undeclared jobs", "jobs"),
    ],
)
async def test_no_one_else_inserts_into_the_audit_log(world: TwoOrganizations, actor: str, said: str) -> None:
    organization_id, name = world.own.tenant.organization_id, str(world.own.users.get(said, said))
    async with acting(world, actor) as former:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await former.execute(FORMER_RECORD, organization_id, NOW, name, "1", "{}")


@pytest.mark.parametrize("actor", ["operator", "service", "dialer", "jobs"])
async def test_no_one_chooses_the_id_of_an_audit_entry(world: TwoOrganizations, actor: str) -> None:
    row = new_row("audit_log", world.own, actor=actor, user_id=world.own.users.get(actor))
    async with acting(world, actor) as forging:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await forging.execute(
                "insert into audit_log (id, organization_id, at, actor, action, subject_type, subject_id)"
                " overriding system value values (2 ^ 62, $1, now(), $2, 'start_campaign', 'campaign', '1')",
                row["organization_id"],
                row["actor"],
            )


@pytest.mark.parametrize(("role", "said"), [("outdial_dialer", "dialer"), ("outdial_jobs", "jobs")])
async def test_a_login_with_the_roles_of_several_processes_writes_audit_entries_as_the_one_that_it_has_assumed(
    world: TwoOrganizations, connection: asyncpg.Connection, role: str, said: str
) -> None:
    login = f"shared_{uuid4().hex}"
    await connection.execute(
        f"create role {login} inherit; grant outdial_dialer, outdial_jobs, outdial_webhook to {login};"
        f"set session authorization {login}; set role {role}"
    )
    try:
        for author in ("dialer", "jobs"):
            async with connection.transaction():
                organization_id = world.own.tenant.organization_id
                await connection.execute("select set_config('outdial.organization_id', $1, true)", str(organization_id))
                if author == said:
                    await connection.execute(RECORD, organization_id, author)
                else:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only as itself"):
                        async with connection.transaction():
                            await connection.execute(RECORD, organization_id, author)
    finally:
        await connection.execute(f"reset session authorization; reset role; drop role {login}")

    assert await connection.fetchval("select actor from audit_log order by id desc limit 1") == said


async def test_a_campaign_that_is_changed_past_the_studio_leaves_an_audit_entry(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    last = "select actor, action, details::text from audit_log order by id desc limit 1"
    campaign_id, operator = world.own.fresh.id, world.own.users["operator"]
    async with acting(world, "operator") as operating:
        await operating.execute("update campaigns set name = 'Mine', batch_size = 7 where id = $1", campaign_id)
    direct = await connection.fetchrow(last)
    async with acting(world, "operator") as operating:
        await operating.execute("update campaigns set name = 'Yours' where id = $1", campaign_id)
        await operating.execute(
            "select private.record_audit($1, '', 'edit_campaign', 'campaign', $2, '{}')",
            world.own.tenant.organization_id,
            str(campaign_id),
        )
    recorded = await connection.fetchrow(last)
    async with acting(world, "operator") as operating:
        await operating.execute("update campaigns set next_batch_at = now(), updated_at = now()")

    assert direct is not None
    assert tuple(direct)[:2] == (str(operator), "change_campaign_directly")
    assert json.loads(direct["details"]) == {"changed": ["batch_size", "name"], "operation": "update"}
    assert recorded is not None
    assert recorded["action"] == "edit_campaign"
    assert await connection.fetchrow(last) == recorded


DIRECT: list[tuple[str, str, str, str]] = [
    ("owner", "update organizations set name = 'Mine'", "organization", "update"),
    ("admin", "update provider_accounts set concurrency_limit = 1", "provider_account", "update"),
    ("admin", "delete from phone_numbers", "phone_number", "delete"),
    ("admin", "update organization_members set role = 'admin' where role = 'operator'", "member", "update"),
    ("viewer", "delete from organization_members where user_id = auth.uid()", "member", "delete"),
]


@pytest.mark.parametrize(("actor", "statement", "subject", "operation"), DIRECT)
async def test_settings_that_are_changed_past_the_studio_leave_an_audit_entry(
    world: TwoOrganizations, connection: asyncpg.Connection, actor: str, statement: str, subject: str, operation: str
) -> None:
    async with acting(world, actor) as acting_connection:
        await acting_connection.execute(statement)

    row = await connection.fetchrow("select * from audit_log order by id desc limit 1")
    assert row is not None
    assert (row["actor"], row["action"]) == (str(world.own.users[actor]), f"change_{subject}_directly")
    assert (row["subject_type"], json.loads(row["details"])["operation"]) == (subject, operation)
    assert row["organization_id"] == world.own.tenant.organization_id


async def test_a_function_with_the_rights_of_its_owner_believes_no_claim(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    theirs = world.other.tenant.organization_id
    event = new_row("webhook_events", world.other, actor="webhook") | {"status": "applied", "applied_at": NOW}
    await insert(connection, "webhook_events", **event)
    async with acting(world, "viewer") as viewing:
        claims = f'{{"sub": "{world.own.users["viewer"]}", "role": "service_role"}}'
        await viewing.execute("select set_config('request.jwt.claims', $1, true)", claims)
        assert await viewing.fetch("select * from private.people_of($1)", theirs) == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="requires the role operator"):
            await viewing.fetch("select private.replay_events($1, 0, 9e9::bigint, null, null, 9, $2)", theirs, NOW)

    believing = await connection.fetch(
        "select proname from pg_proc where prosecdef and pronamespace in ('private'::regnamespace,"
        " 'public'::regnamespace) and prosrc ~ 'auth[.](role|jwt)|request[.]jwt' order by proname"
    )
    # These read how the caller has signed in (aal) and in which session: claims as good as `sub`, which say nothing of
    # a role.
    believed = ["lacks_second_factor", "my_organizations", "my_sessions_and_pending"]
    assert [row["proname"] for row in believing] == believed


async def test_without_the_second_factor_a_session_opens_and_ends_nothing(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    own, viewer, session = world.own.tenant.organization_id, world.own.users["viewer"], new_id(NOW)
    email = await connection.fetchval("select email from auth.users where id = $1", viewer)
    await connection.execute(
        "insert into auth.sessions (id, user_id, created_at, refreshed_at) values ($1, $2, $3, $3)",
        session,
        viewer,
        NOW,
    )
    theirs, token = world.other.tenant.organization_id, b"t" * 32
    invitation = {"organization_id": theirs, "email": email, "role": "viewer", "created_at": NOW}
    await insert(connection, "invitations", **invitation, token_sha256=token)
    attempts: list[tuple[str, tuple[object, ...]]] = [
        ("select * from private.my_sessions_and_pending($1)", (NOW,)),
        ("select * from private.my_sessions($1)", (NOW,)),
        ("select * from private.my_open_invitations($1)", (NOW,)),
        ("select * from private.answer_invitation($1, true, $2) as done where done", (theirs, NOW)),
        ("select * from private.answer_invitation_link($1, true, $2) as id where id is not null", (token, NOW)),
        ("select * from private.end_my_session($1, $2) as done where done", (session, NOW)),
        ("delete from organization_members where user_id = $1 and organization_id = $2 returning 1", (viewer, own)),
    ]

    async def done() -> list[bool]:
        results = []
        for statement, values in attempts:
            # Each attempt alone: an accepted invitation is gone for the next.
            async with acting(world, "viewer") as acting_connection:
                transaction = acting_connection.transaction()
                await transaction.start()
                results.append(bool(await acting_connection.fetch(statement, *values)))
                await transaction.rollback()
        return results

    assert await done() == [True] * len(attempts)
    await add_factor(connection, viewer)
    assert await done() == [False] * len(attempts)


async def test_the_dialer_writes_into_the_ledger_as_the_reconciler_only(world: TwoOrganizations) -> None:
    forged = new_row("webhook_events", world.own, actor="webhook")
    async with acting(world, "dialer") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await insert(connection, "webhook_events", **forged)


async def test_an_event_may_only_block_a_phone_with_the_source_call(world: TwoOrganizations) -> None:
    row = new_row("do_not_call", world.own, actor="webhook") | {"source": "manual"}
    async with acting(world, "webhook") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await insert(connection, "do_not_call", **row)


async def test_the_dialer_cannot_link_a_call_to_rows_of_another_organization(world: TwoOrganizations) -> None:
    row = new_row("calls", world.other, actor="dialer")
    mine = {"organization_id": world.own.tenant.organization_id, "retell_call_id": None}
    async with acting(world, "dialer") as connection:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await insert(connection, "calls", **(row | mine))


# Ways around.


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_role_only_assumes_the_intended_roles(database: Scratch, login: str) -> None:
    connection = await asyncpg.connect(database.dsn_for(login))
    roles = [
        "postgres",
        "anon",
        "authenticated",
        "service_role",
        *LOGINS,
        "pg_read_all_data",
        "pg_execute_server_program",
    ]
    assumed = set()
    for role in roles:
        try:
            await connection.execute(f"set role {role}")
            assumed.add(role)
        except asyncpg.InsufficientPrivilegeError:
            continue
    await connection.close()

    assert assumed == {login} | ({"anon", "authenticated", "service_role"} if login == "outdial_api" else set())


async def test_no_role_of_ours_bypasses_row_security(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select rolname::text from pg_roles where rolname = any ($1) and not (rolsuper or rolcreaterole"
        " or rolcreatedb or rolreplication or rolbypassrls or rolinherit)",
        [*LOGINS, "anon", "authenticated"],
    )

    assert {row["rolname"] for row in rows} == {*LOGINS, "anon", "authenticated"}


async def test_claims_do_not_affect_the_dialer_and_its_organization_does_not_affect_callers(
    world: TwoOrganizations,
) -> None:
    theirs = world.other.tenant.organization_id
    async with acting(world, "undeclared dialer") as connection:
        claims = f'{{"sub": "{world.other.users["owner"]}", "role": "service_role"}}'
        await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
        assert await connection.fetch("select id from campaigns") == []
    async with acting(world, "viewer") as connection:
        await connection.execute("select set_config('outdial.organization_id', $1, true)", str(theirs))
        assert await connection.fetch("select id from campaigns where organization_id = $1", theirs) == []


@pytest.mark.parametrize("actor", ["owner", "anon", "dialer", "webhook", "api"])
async def test_row_security_cannot_be_turned_off_nor_can_triggers(world: TwoOrganizations, actor: str) -> None:
    async with acting(world, actor) as connection:
        await connection.execute("set local row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select id from organizations")
    async with acting(world, actor) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("set local session_replication_role = replica")


@pytest.mark.parametrize("actor", ["owner", "anon", "dialer", "webhook", "api"])
@pytest.mark.parametrize(
    "statement",
    [
        "create table public.mine (id int)",
        "create function private.mine() returns int language sql as 'select 1'",
        "select * from auth.users",
        "select * from supabase_migrations.schema_migrations",
        "truncate organizations cascade",
        "alter table calls no force row level security",
        "lock table calls in access exclusive mode",
        "create temp table t (id uuid, status text);"
        " create trigger t before update on t for each row execute function private.check_completed()",
        "copy (select 1) to program 'true'",
    ],
)
async def test_rights_that_no_process_needs_are_denied(world: TwoOrganizations, actor: str, statement: str) -> None:
    async with acting(world, actor) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
