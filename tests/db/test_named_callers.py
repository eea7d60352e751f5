"""No member names another one: in no column that callers may write, and in no argument of a function."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.db.session import Connection
from outdial.studio.end_reports.links import LONGEST_DAYS
from tests.support.factories import NOW, new_phone
from tests.support.two_organizations import TwoOrganizations, acting, erasure_of, job_of, new_row

NAMES = "(_by|actor|caller|author|member|user|user_id)$"
ACTOR = "owner"

# How each function that takes a name is called: with $1 for the organization, $2 for the name, and ids of the world.
FUNCTIONS = {
    "stop_organization": "private.stop_organization($1, $2, 'wrong prompt', now())",
    "request_test_call": "private.request_test_call($1, '{new}', '{campaign}', '{phone}', true, null, 1, $2, 9, now())",
    "decide_review": "private.decide_review($1, '{entry}', 'completed', null, $2, 'decided', now(), now())",
    "decide_reviews": "private.decide_reviews($1, '{{{entry}}}', 'completed', null, $2, 'decided', now(), now())",
    "mark_calls_reviewed": "private.mark_calls_reviewed($1, '{{{call}}}', $2, null, now())",
    "mark_calls_of_act": "private.mark_calls_of_act($1, '{new}', '{{{call}}}', $2, null, now())",
    "set_callback": "private.set_callback($1, '{entry}', now() + interval '1 day', $2, now())",
    "erase_phone": "private.erase_phone($1, '{new}', '{phone}', sha256('a'), '12345678', $2, now())",
    "confirm_erasure_calls": "private.confirm_erasure_calls($1, '{erasure}', $2, now(), now())",
    "record_audit": "private.record_audit($1, $2, 'start_campaign', 'campaign', 'named', '{{}}')",
}
STORED = {
    "stop_organization": "select stopped_by from organizations where id = $1",
    "request_test_call": "select requested_by from test_calls where organization_id = $1 order by requested_at desc",
    "decide_review": "select decided_by from campaign_contacts where organization_id = $1 and decision is not null",
    "decide_reviews": "select decided_by from campaign_contacts where organization_id = $1 and decision = 'completed'",
    "mark_calls_reviewed": "select reviewed_by from call_reviews where organization_id = $1 order by reviewed_at desc",
    "mark_calls_of_act": "select reviewed_by from call_reviews where organization_id = $1 order by reviewed_at desc",
    "set_callback": "select decided_by from campaign_contacts where organization_id = $1 and decision = 'call_again'",
    "erase_phone": "select requested_by from erasures where organization_id = $1 order by requested_at desc",
    "confirm_erasure_calls": "select max(confirmed_by) from erasure_calls where organization_id = $1",
    "record_audit": "select actor from audit_log where organization_id = $1 and subject_id = 'named'",
}


@pytest.fixture
def world(two_organizations: TwoOrganizations) -> TwoOrganizations:
    return two_organizations


async def own_names(connection: Connection, user_id: UUID) -> set[str]:
    email = await connection.fetchval("select email from auth.users where id = $1", user_id)
    return {str(user_id), email}


async def test_no_column_that_callers_write_names_another_member(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    columns = await connection.fetch(
        "select table_name::text as table, column_name::text as column, data_type from information_schema.columns"
        " where table_schema = 'public' and column_name ~ $1 and has_column_privilege('authenticated',"
        " 'public.' || table_name, column_name, 'insert')",
        NAMES,
    )
    changeable = await connection.fetch(
        "select table_name::text, column_name::text from information_schema.columns where table_schema = 'public'"
        " and column_name ~ $1"
        " and has_column_privilege('authenticated', 'public.' || table_name, column_name, 'update')",
        NAMES,
    )
    assert {("bulk_jobs", "requested_by"), ("rule_switches", "actor")} <= {(row[0], row[1]) for row in columns}
    mine, theirs = world.own.users[ACTOR], world.own.users["admin"]
    allowed = await own_names(connection, mine)
    forged = {}
    for table, column in changeable:
        async with acting(world, ACTOR) as caller:
            name = await caller.fetchval(f"update {table} set {column} = $1 returning {column}", str(theirs))  # noqa: S608
        if name not in allowed:
            forged[f"update {table}.{column}"] = name
    for table, column, kind in columns:
        row = new_row(table, world.own, actor=ACTOR, user_id=mine) | {column: theirs if kind == "uuid" else str(theirs)}
        names, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
        try:
            async with acting(world, ACTOR) as caller:
                name = await caller.fetchval(
                    f"insert into {table} ({names}) values ({places}) returning {column}",  # noqa: S608
                    *row.values(),
                )
        except asyncpg.InsufficientPrivilegeError:
            continue
        if str(name) not in allowed:
            forged[f"{table}.{column}"] = name
    assert forged == {}


async def test_no_function_that_callers_execute_names_another_member(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    taking = await connection.fetch(
        "select p.proname::text from pg_proc p"
        " where p.pronamespace in ('private'::regnamespace, 'public'::regnamespace)"
        " and has_function_privilege('authenticated', p.oid, 'execute')"
        " and exists (select from unnest(p.proargnames) a where a ~ $1)",
        f"^p.*{NAMES}",
    )
    assert {row[0] for row in taking} == {*FUNCTIONS, "audit_account_change"}
    entry, mine, theirs = world.own.spare_entry, world.own.users[ACTOR], world.own.users["admin"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only about the own account"):
        async with acting(world, ACTOR) as caller:
            await caller.execute("select private.audit_account_change($1, 'change_password')", theirs)
    await connection.execute("update calls set status = 'ended'")
    await connection.execute("update erasure_calls set out_of_reach_at = now()")
    ids = {"campaign": entry.campaign.id, "entry": entry.id, "new": uuid4(), "phone": new_phone()}
    ids |= {"erasure": erasure_of(world.own)}
    await connection.execute("delete from call_reviews")
    ids |= {"call": await connection.fetchval("select id from calls where campaign_contact_id = $1", entry.id)}
    allowed, found = await own_names(connection, mine), {}
    for name, call in FUNCTIONS.items():
        await connection.execute("update campaign_contacts set status = 'review' where id = $1", entry.id)
        async with acting(world, ACTOR) as caller:
            await caller.fetch(f"select from {call.format(**ids)}", world.own.tenant.organization_id, str(theirs))
        found[name] = await connection.fetchval(STORED[name], world.own.tenant.organization_id)
    assert {name: stored for name, stored in found.items() if stored not in allowed} == {}


async def test_a_bulk_job_past_the_studio_is_recorded_and_only_its_requester_adds_portions(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    mine = world.own.users["operator"]
    job = new_row("bulk_jobs", world.own, actor="operator", user_id=mine)
    portion = new_row("bulk_job_portions", world.own, actor="operator") | {"bulk_job_id": job["id"]}

    async def add(actor: str, table: str, row: dict[str, object]) -> None:
        names, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
        async with acting(world, actor) as caller:
            await caller.execute(f"insert into {table} ({names}) values ({places})", *row.values())  # noqa: S608

    await add("operator", "bulk_jobs", job)
    entry = await connection.fetchrow("select * from audit_log order by id desc limit 1")
    assert entry is not None
    assert (entry["actor"], entry["action"]) == (str(mine), "change_bulk_job_directly")
    assert (entry["subject_type"], entry["subject_id"]) == ("campaign", str(job["campaign_id"]))

    await add("operator", "bulk_job_portions", portion)
    for actor, id in (("admin", job["id"]), ("operator", job_of(world.own))):
        with pytest.raises(asyncpg.CheckViolationError, match="only to a bulk job of your own that is queued"):
            await add(actor, "bulk_job_portions", portion | {"bulk_job_id": id, "number": 7})
    await connection.execute("update bulk_jobs set status = 'running', updated_at = $1", NOW)
    with pytest.raises(asyncpg.CheckViolationError, match="that is queued"):
        await add("operator", "bulk_job_portions", portion | {"number": 8})


async def test_a_review_past_the_studio_has_its_time_and_no_note_of_an_erased_call(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    call_id = new_row("call_reviews", world.own, actor=ACTOR)["call_id"]

    async def review() -> asyncpg.Record:
        async with acting(world, ACTOR) as caller:
            row = await caller.fetchrow(
                "insert into call_reviews (organization_id, call_id, reviewed_by, reviewed_at, note)"
                " values ($1, $2, 'ada@example.com', $3, 'Ask Grace') on conflict (organization_id, call_id)"
                " do update set reviewed_at = excluded.reviewed_at, note = excluded.note"
                " returning note, abs(extract(epoch from reviewed_at - now())) < 60 as is_now",
                world.own.tenant.organization_id,
                call_id,
                NOW,
            )
        assert row is not None
        return row

    assert tuple(await review()) == ("Ask Grace", True)
    for column in ("erased_at", "transcript_removed_at"):
        await connection.execute(f"update calls set {column} = now() where id = $1", call_id)  # noqa: S608
        assert tuple(await review()) == (None, True)
        await connection.execute(f"update calls set {column} = null where id = $1", call_id)  # noqa: S608


async def test_a_report_link_past_the_studio_is_recorded_and_ends_within_the_most_days(
    world: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    async def link(days: int) -> dict[str, object]:
        row = new_row("report_links", world.own, actor=ACTOR)
        made_at = datetime.now(UTC) + timedelta(days=36_500)
        row |= {"created_at": made_at, "expires_at": datetime.now(UTC) + timedelta(days=days)}
        names, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
        async with acting(world, ACTOR) as caller:
            await caller.execute(f"insert into report_links ({names}) values ({places})", *row.values())  # noqa: S608
        return row

    async def last_entry() -> tuple[object, ...]:
        entry = await connection.fetchrow(
            "select actor, action, subject_id, details ->> 'operation' as operation from audit_log order by id desc"
        )
        assert entry is not None
        return tuple(entry)

    with pytest.raises(asyncpg.CheckViolationError):
        await link(36_501)
    row = await link(LONGEST_DAYS - 1)
    recorded = (str(world.own.users[ACTOR]), "change_report_link_directly", str(row["campaign_id"]))
    assert await last_entry() == (*recorded, "insert")
    async with acting(world, ACTOR) as caller:
        await caller.execute("delete from report_links where id = $1", row["id"])
    assert await last_entry() == (*recorded, "delete")
