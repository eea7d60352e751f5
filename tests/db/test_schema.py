"""The migrations keep the house rules, work on Postgres 15, and give no right that the files do not name."""

import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import outdial
from outdial.db import migrate
from outdial.db.embedded import EmbeddedPostgres
from outdial.db.migrate import push, split_statements
from tests.db.test_queries import DOMAIN_TIME
from tests.support.postgres import MIGRATIONS, Scratch, scratch_directory
from tests.support.queries import QueryFunction, all_queries, parameters_of, sql_of
from tests.support.two_organizations import TwoOrganizations, acting, create_two_organizations

FILES = sorted(MIGRATIONS.glob("*.sql"))
LOGINS = ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host", "outdial_jobs", "outdial_auth")
ROLES = ("anon", "authenticated", "service_role", *LOGINS)
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
BOOTSTRAP = Path(migrate.__file__).with_name("bootstrap.sql")
SOURCE = Path(outdial.__file__).parent

each_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def code_of(path: Path) -> list[str]:
    """Return the statements of a file without comments and with single spaces."""
    return [re.sub(r"\s+", " ", re.sub(r"--.*", "", found.sql)).strip() for found in split_statements(path.read_text())]


# The text of the files.


@each_file
def test_a_file_is_named_by_its_timestamp_and_begins_with_a_description(path: Path) -> None:
    assert re.fullmatch(r"20\d{12}_[a-z_]+\.sql", path.name)
    assert re.match(r"-- [A-Z].*[^ ]\n", path.read_text())
    assert path.read_text().endswith("\n")


@each_file
def test_a_table_gets_row_security_in_the_file_that_creates_it(path: Path) -> None:
    statements = code_of(path)
    for statement in statements:
        if created := re.match(r"create table (\w+\.\w+)", statement):
            table = created[1]
            assert f"alter table {table} enable row level security" in statements
            assert f"alter table {table} force row level security" in statements
            assert any(re.match(rf"create policy \w+ on {table} ", s) for s in statements)
            if not table.startswith("public."):
                continue  # Supabase grants rights by default in the schema public only.
            revoked = [s for s in statements if re.match(rf"revoke all on (?!function)[\w., ]*{table}\b", s)]
            assert [s.rpartition(" from ")[2] for s in revoked] == ["anon, authenticated, service_role"]


@each_file
def test_a_file_avoids_fragile_features_and_extensions(path: Path) -> None:
    for statement in code_of(path):
        # Only for speed, and only where Postgres has it.
        optional = ["create extension"] if "from pg_catalog.pg_available_extensions" in statement else []
        for banned in {
            "create type",
            " enum",
            "create extension",
            "pgcrypto",
            "uuid_generate",
            " serial",
            "drop table",
        }.difference(optional):
            assert banned not in f" {statement.lower()}", statement


@each_file
def test_the_clock_of_the_database_is_read_in_column_defaults_only(path: Path) -> None:
    for statement in code_of(path):
        if re.match(
            r"create (?:or replace )?function private"
            r"\.(re(cord|dact)_audit|sign_(audit_entry|call_review|report_link)|audit_direct_\w+|(answer|end)_invitation"
            r"|audit_(account_change|shared_view))\(",
            statement,
        ):
            continue  # What members may write themselves has the time of the database, which no caller can forge.
        rest = re.sub(r"\w+ timestamptz not null default now\(\)", "", statement)
        assert [match[0] for match in DOMAIN_TIME.finditer(rest)] == [], statement


@each_file
def test_a_function_names_its_schema_search_path_and_callers(path: Path) -> None:
    revoked: set[str] = set()
    created: set[str] = set()
    for statement in code_of(path):
        if revoking := re.fullmatch(r"revoke all on function (.+) from public", statement):
            revoked |= set(re.findall(r"(private\.\w+)\(", revoking[1]))
        if creating := re.match(r"create (or replace )?function (\S+?)\(", statement):
            assert creating[2].startswith("private.")
            assert "set search_path = ''" in statement
            # One that is replaced keeps its callers.
            created |= set() if creating[1] else {creating[2]}
    assert created <= revoked


# What the database makes of them.


async def test_no_type_is_an_enum_and_every_time_has_a_zone(connection: asyncpg.Connection) -> None:
    assert (
        await connection.fetch(
            "select typname from pg_type where typtype in ('e', 'd') and typnamespace = 'public'::regnamespace"
        )
        == []
    )
    odd = await connection.fetch(
        "select table_name, column_name from information_schema.columns where table_schema = 'public'"
        " and data_type in ('timestamp without time zone', 'json', 'character varying', 'money')"
    )
    assert odd == []


async def test_every_foreign_key_except_those_to_accounts_has_an_index(
    connection: asyncpg.Connection,
) -> None:
    # An index on organization_id alone would look through all that the organization has.
    rows = await connection.fetch(
        """
        select c.conrelid::regclass::text as "table", c.confrelid::regclass::text as "to"
        from pg_constraint c
        left join pg_attribute o on o.attrelid = c.conrelid and o.attname = 'organization_id'
          and cardinality(c.conkey) > 1
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
          select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
            and i.indkey[0] = any (c.conkey) and i.indkey[0] is distinct from o.attnum)
        """
    )

    # Nobody deletes an account that has called; a full index would cost every call.
    assert {tuple(row) for row in rows} == {("calls", "provider_accounts"), ("campaigns", "provider_accounts")}


_TIME = "timestamp with time zone"
_TIMES = ",".join([_TIME] * 3)
EXECUTE = {
    f"private.stop_organization(uuid,text,text,{_TIME})": {"authenticated", "service_role"},
    "private.resume_organization(uuid)": {"authenticated", "service_role"},
    "private.count_costs()": set[str](),
    "private.unarchive_campaign()": set[str](),
    "private.count_reservations()": set[str](),
    f"private.hang_up_call(uuid,uuid,{_TIME})": {"authenticated", "service_role"},
    f"private.due_hang_ups({_TIME},integer)": {"outdial_dialer"},
    f"private.calls_to_decide({_TIME},integer)": {"outdial_webhook"},
    f"private.calls_to_decide({_TIME},{_TIME},{_TIME},integer)": {"outdial_webhook"},
    f"private.report_late_callbacks({_TIME},{_TIME},integer)": {"outdial_dialer"},
    f"private.move_callback(uuid,uuid,{_TIME},{_TIME})": {"authenticated", "service_role"},
    f"private.set_callback(uuid,uuid,{_TIME},text,{_TIME})": {"authenticated", "service_role"},
    f"private.drop_callback(uuid,uuid,boolean,text,{_TIME})": {"authenticated", "service_role"},
    "private.end_callback()": set[str](),
    "private.forget_words()": set[str](),
    "private.current_organization()": {"outdial_dialer", "outdial_jobs"},
    "private.my_organizations(text)": {"authenticated"},
    "private.find_contacts(uuid,text,text,uuid,text,text,text,integer)": {"authenticated", "service_role"},
    "private.find_contacts(uuid,text,text,uuid,text,text,boolean,text[],text,integer)": {
        "authenticated",
        "service_role",
    },
    "private.search_key(text)": {"authenticated", "service_role", "outdial_jobs", "outdial_dialer"},
    "private.search_contacts(uuid,text[],text,uuid,text,text,boolean,text[],text,integer)": {
        "authenticated",
        "service_role",
    },
    "private.campaigns_in_turn(timestamp with time zone,integer,uuid[])": {"outdial_dialer"},
    # Dialers of the version before.
    "private.due_campaigns(timestamp with time zone,integer,uuid[])": {"outdial_dialer"},
    "private.scheduled_campaigns(timestamp with time zone,integer)": {"outdial_dialer"},
    "private.calls_to_check(timestamp with time zone,integer)": {"outdial_dialer"},
    "private.organizations_with_old_keys(integer)": {"outdial_dialer"},
    "private.reopen_unmatched(text,text[],timestamp with time zone)": {"outdial_dialer"},
    "private.job_organization(text,uuid)": {"outdial_jobs"},
    "private.lost_jobs(timestamp with time zone,integer)": {"outdial_jobs"},
    f"private.outdated_jobs({_TIMES},integer)": {"outdial_jobs"},
    "private.outdated_screening_lists(timestamp with time zone,integer)": {"outdial_jobs"},
    "private.forget_old_keys(timestamp with time zone)": {"outdial_jobs"},
    # Each looks by itself for which organizations the caller may ask.
    "private.people_of(uuid)": {"authenticated", "service_role"},
    "private.my_email()": set[str](),
    "private.my_invitations()": {"authenticated"},
    f"private.my_open_invitations({_TIME})": {"authenticated"},
    f"private.my_sessions({_TIME})": {"authenticated"},
    f"private.my_sessions_and_pending({_TIME})": {"authenticated"},
    "private.lacks_second_factor()": {"authenticated"},
    f"private.end_my_session(uuid,{_TIME})": {"authenticated"},
    "private.audit_account_change(uuid,text)": {"authenticated", "service_role"},
    f"private.end_invitation(uuid,text,boolean,{_TIME})": set[str](),
    f"private.answer_invitation_link(bytea,boolean,{_TIME})": {"authenticated"},
    f"private.answer_invitation(uuid,boolean,{_TIME})": {"authenticated"},
    f"private.replay_events(uuid,bigint,bigint,text,text,integer,{_TIME})": {"authenticated", "service_role"},
    f"private.decide_review(uuid,uuid,text,text,text,text,{_TIME},{_TIME})": {"authenticated", "service_role"},
    f"private.reenter_contacts(uuid,uuid,uuid[],text[],smallint[],{_TIME}[],{_TIME})": {
        "authenticated",
        "service_role",
        "outdial_jobs",
    },
    f"private.retry_contacts(uuid,uuid[],{_TIME},text,{_TIME})": {"authenticated", "service_role", "outdial_jobs"},
    f"private.decide_reviews(uuid,uuid[],text,text,text,text,{_TIME},{_TIME})": {
        "authenticated",
        "service_role",
        "outdial_jobs",
    },
    f"private.record_act(uuid,uuid,text,uuid,boolean,jsonb,{_TIME})": {"authenticated", "service_role"},
    f"private.remember_contacts(uuid,uuid,uuid[],text[],text,{_TIME})": {
        "authenticated",
        "service_role",
        "outdial_jobs",
    },
    "private.lock_act(uuid,uuid)": {"authenticated", "service_role"},
    f"private.mark_act_undone(uuid,uuid,{_TIME})": {"authenticated", "service_role"},
    f"private.undo_contacts(uuid,uuid,uuid[],{_TIME})": {"authenticated", "service_role", "outdial_jobs"},
    "private.unlist_contacts(uuid,uuid,uuid[])": {"authenticated", "service_role", "outdial_jobs"},
    "private.unlist_phones(uuid,uuid)": {"authenticated", "service_role"},
    f"private.block_contacts(uuid,uuid[],text,{_TIME})": {"authenticated", "service_role", "outdial_jobs"},
    f"private.forget_acts({_TIME},integer)": {"outdial_jobs"},
    "private.check_may_unlist(uuid,uuid)": set[str](),
    "private.forget_acts_of_erased()": set[str](),
    "private.check_undone_decision()": set[str](),
    f"private.skip_contacts_by_hand(uuid,uuid[],text,{_TIME})": {"authenticated", "service_role", "outdial_jobs"},
    f"private.change_pending_contact(uuid,uuid,{_TIME},smallint,text,{_TIME})": {"authenticated", "service_role"},
    f"private.undo_import(uuid,uuid,uuid,uuid,integer,{_TIME})": {"authenticated", "service_role"},
    "private.record_audit(uuid,text,text,text,text,jsonb)": {
        "authenticated",
        "service_role",
        "outdial_dialer",
        "outdial_jobs",
    },
    # Each checks the caller, or the organization that a job has declared.
    f"private.erase_phone(uuid,uuid,text,bytea,bytea,text,{_TIME})": {"authenticated", "service_role"},
    "private.erasure_key_ids(uuid)": {"authenticated", "service_role", "outdial_jobs"},
    "private.open_erasures(integer)": {"outdial_jobs"},
    f"private.due_erasure_calls({_TIME},integer)": {"outdial_dialer"},
    f"private.erasure_waits_for(uuid,text[],{_TIME})": {"outdial_jobs"},
    f"private.sweep_events(uuid,text[],{_TIME})": {"outdial_jobs"},
    f"private.sweep_exports(uuid,{_TIME})": {"outdial_jobs"},
    f"private.sweep_opt_outs(uuid,{_TIME})": {"outdial_jobs"},
    "private.sweep_rows(uuid,text[])": {"outdial_jobs"},
    "private.sweep_logs(uuid,text,bigint,integer)": {"outdial_jobs"},
    "private.retaining_organizations()": {"outdial_jobs"},
    f"private.expire_calls(uuid,text,integer,{_TIME})": {"outdial_jobs"},
    f"private.expire_events(uuid,text,integer,{_TIME})": {"outdial_jobs"},
    "private.subject_data(uuid,text,text[])": {"authenticated", "service_role"},
    "private.calls_of_phone(uuid,text)": set[str](),
    "private.check_sweep(uuid)": set[str](),
    "private.address_of_contact(uuid,text)": set[str](),
    "private.keep_erased_out()": set[str](),
    "private.forget_phone()": set[str](),
    "private.keep_removed()": set[str](),
    "private.mentions(text,text[],text[])": set[str](),
    "private.remove_body()": set[str](),
    "private.count_campaign_contacts(uuid[])": {"authenticated", "service_role"},
    "private.count_pending_places(uuid,uuid,integer)": {"authenticated", "service_role"},
    "private.count_contacts_by_outcome(uuid[])": {"authenticated", "service_role"},
    "private.count_ended_calls(uuid[])": {"authenticated", "service_role"},
    "private.visible_campaigns(uuid[])": set[str](),
    "private.sign_audit_entry()": set[str](),
    f"private.redact_audit(uuid,uuid,text[],{_TIME})": {"service_role", "outdial_jobs"},
    "private.audit_digest(bytea,text)": set[str](),
    "private.audit_hash(audit_log,audit_chain,bigint,bytea)": set[str](),
    "private.new_audit_link(audit_log)": set[str](),
    "private.note_audit_entry()": set[str](),
    "private.link_audit_entries()": set[str](),
    "private.refuse_audit_change()": set[str](),
    "private.audit_direct_change()": set[str](),
    "private.calling_hours_problem(jsonb)": set[str](),
    "private.check_campaign_settings()": set[str](),
    "private.check_review_decision()": set[str](),
    "private.check_reentry()": set[str](),
    "private.check_operates(uuid,text)": set[str](),
    "private.dates_problem(jsonb)": set[str](),
    "private.duration_s(jsonb)": set[str](),
    "private.is_retry_count(jsonb)": set[str](),
    "private.notify_lowered_limits()": set[str](),
    "private.retry_policy_problem(jsonb)": set[str](),
    "private.retry_rule_problem(jsonb)": set[str](),
    "private.windows_problem(jsonb)": set[str](),
    "private.check_arrow()": set[str](),
    "private.check_consent()": set[str](),
    "private.audit_direct_switch()": set[str](),
    "private.check_screening_list()": set[str](),
    "private.audit_direct_screening()": set[str](),
    "private.audit_direct_consent()": set[str](),
    "private.check_completed()": set[str](),
    "private.check_clearance()": set[str](),
    "private.check_calls_of_dialer()": set[str](),
    "private.check_repetition()": set[str](),
    "private.check_moved_start()": set[str](),
    "private.caller_name(text)": set[str](),
    "private.sign_bulk_job()": set[str](),
    "private.sign_call_review()": set[str](),
    "private.sign_report_link()": set[str](),
    "private.check_own_portions()": set[str](),
    "private.queue_opt_outs()": set[str](),
    "private.withdraw_opt_outs()": set[str](),
    "private.queue_known_opt_outs()": set[str](),
    f"private.number_imports_due({_TIME},integer)": {"outdial_dialer"},
    f"private.organizations_to_measure({_TIME},integer)": {"outdial_dialer"},
    "private.organizations_with_budgets(numeric,date)": {"outdial_dialer"},
    f"private.opt_outs_to_send({_TIME},integer)": {"outdial_dialer"},
    f"private.opt_out_reads_due({_TIME},integer)": {"outdial_dialer"},
    f"private.import_opt_outs(uuid,uuid,text[],{_TIME},{_TIME})": {"outdial_dialer"},
    f"private.launch_checks_due({_TIME},integer)": {"outdial_dialer"},
    f"private.test_calls_due({_TIME},integer)": {"outdial_dialer"},
    f"private.listen_requests_due({_TIME},{_TIME},integer)": {"outdial_dialer"},
    f"private.grant_listening(uuid,text,bytea,{_TIME})": {"outdial_dialer"},
    f"private.refuse_listening(uuid,text,text,{_TIME})": {"outdial_dialer"},
    f"private.request_listening(uuid,uuid,uuid,bytea,uuid,{_TIME})": {"authenticated", "service_role"},
    "private.read_listening(uuid,uuid)": {"authenticated", "service_role"},
    f"private.provider_keys_in_use({_TIME})": {"outdial_dialer", "outdial_webhook"},
    "private.notify_provider_keys()": set[str](),
    "private.note_workspace_change()": set[str](),
    "private.drop_former_keys()": set[str](),
    "private.reencrypt_provider_key(uuid,bytea,bytea)": {"outdial_dialer"},
    f"private.report_environment_keys(text[],text[],text[],text[],{_TIME})": {"outdial_dialer"},
    f"private.report_key_readings(boolean,uuid[],uuid[],{_TIME})": {"outdial_dialer", "outdial_webhook"},
    f"private.report_stored_keys(uuid[],{_TIME})": {"outdial_dialer"},
    f"private.begin_workspace(uuid,text,text,text,{_TIME},{_TIME})": set[str](),
    f"private.workspace_of_call(uuid,{_TIME},{_TIME},{_TIME})": {"outdial_dialer"},
    f"private.unreachable_calls(uuid,uuid[],{_TIME})": {"authenticated", "service_role"},
    f"private.former_workspace(uuid,{_TIME},{_TIME})": {"outdial_dialer"},
    "private.date_erasure_call()": set[str](),
    f"private.begin_opt_outs(uuid,{_TIME})": set[str](),
    "private.note_new_workspace()": set[str](),
    "private.restart_opt_outs(integer)": {"outdial_dialer"},
    "private.restart_opt_outs_of_erased()": set[str](),
    f"private.environment_keys_differ(uuid,{_TIME})": set[str](),
    f"private.agree_on_workspace(uuid,{_TIME})": set[str](),
    f"private.account_has_key(uuid,{_TIME})": {"outdial_dialer"},
    f"private.workspace_at(uuid,{_TIME})": {"outdial_dialer"},
    f"private.workspace_settles_at(uuid,{_TIME})": {"outdial_dialer"},
    f"private.confirm_erasure_calls(uuid,uuid,text,{_TIME},{_TIME})": {"authenticated", "service_role"},
    f"private.workspace_in_use(uuid,uuid,text,{_TIME})": {"authenticated", "service_role"},
    f"private.request_test_call(uuid,uuid,uuid,text,boolean,uuid,integer,text,integer,{_TIME})": {
        "authenticated",
        "service_role",
    },
    f"private.expire_test_calls(uuid,{_TIME})": {"outdial_jobs"},
    "private.erase_test_calls()": set[str](),
    "private.forget_search()": set[str](),
    "private.forget_call_note()": set[str](),
    "private.end_live_transcripts()": set[str](),
    "private.forget_views_of_person()": set[str](),
    "private.forget_views_of_number()": set[str](),
    "private.finds_number(text,text)": set[str](),
    "private.finds_address(text,text)": set[str](),
    "private.audit_shared_view()": set[str](),
    "private.block_listed_contacts(uuid,uuid,uuid[],text,timestamp with time zone)": {"outdial_jobs"},
    "private.mark_calls_reviewed(uuid,uuid[],text,text,timestamp with time zone)": {
        "authenticated",
        "service_role",
        "outdial_jobs",
    },
    "private.mark_calls_of_act(uuid,uuid,uuid[],text,text,timestamp with time zone)": {
        "authenticated",
        "service_role",
        "outdial_jobs",
    },
    "private.unmark_calls(uuid,uuid)": {"authenticated", "service_role"},
    "private.keep_removed_of_test_call()": set[str](),
    f"private.take_forecasts_to_make({_TIME},{_TIME},{_TIME},integer)": {"outdial_jobs"},
    f"private.take_forecasts_to_renew({_TIME},{_TIME},{_TIME},integer)": {"outdial_jobs"},
    f"private.take_forecasts_to_compare({_TIME},{_TIME},{_TIME},integer)": {"outdial_jobs"},
    f"private.reports_to_compute({_TIME},integer,integer)": {"outdial_jobs"},
    "private.check_paused()": set[str](),
    "private.check_open_campaign()": set[str](),
    "private.keep_an_owner()": set[str](),
    "private.copy_zone_key()": set[str](),
    "private.mark_old_keys()": set[str](),
    "private.reopen_skipped_contacts()": set[str](),
    "private.reopen_forbidden_contacts()": set[str](),
    "private.reopen_consenting_contacts()": set[str](),
    "private.note_repeated_opt_out()": set[str](),
    "private.revoke_consents()": set[str](),
    "private.tell_changed_calls()": set[str](),
    "private.tell_changed_campaigns()": set[str](),
    "private.refuse_change()": set[str](),
}


async def test_each_function_is_executable_by_the_intended_roles_only(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select oid::regprocedure::text as name, proconfig,"
        " array(select r from unnest($1::text[]) r where has_function_privilege(r, oid, 'execute')) as callers"
        " from pg_proc where pronamespace in ('private'::regnamespace, 'public'::regnamespace)",
        list(ROLES),
    )

    assert {row["name"]: set(row["callers"]) for row in rows} == EXECUTE
    assert {tuple(row["proconfig"]) for row in rows} == {('search_path=""',)}


GRANTS = """
select 'table ' || c.relname || coalesce('.' || a.attname, ''), g.grantee::regrole::text, g.privilege_type
from pg_class c
left join lateral (select null::name as attname, c.relacl as acl
  union all select attname, attacl from pg_attribute where attrelid = c.oid and attacl is not null) a on true
cross join lateral aclexplode(a.acl) g
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'm') and g.grantee <> c.relowner
"""


async def grants(connection: asyncpg.Connection) -> set[tuple[str, str, str]]:
    return {(row[0], row[1], row[2]) for row in await connection.fetch(GRANTS)}


async def test_on_a_server_that_grants_everything_by_default_the_rights_are_the_same(
    empty_database: Scratch, connection: asyncpg.Connection
) -> None:
    # As Supabase does it for every new table of the schema public.
    supabase = await asyncpg.connect(empty_database.dsn)
    await supabase.execute(BOOTSTRAP.read_text())
    await supabase.execute(
        "alter default privileges in schema public grant all on tables to anon, authenticated, service_role;"
        "alter default privileges in schema public grant all on functions to anon, authenticated, service_role"
    )
    await push(empty_database.dsn, MIGRATIONS)

    assert await grants(supabase) == await grants(connection) != set()
    await supabase.close()


# The statements as those who run them.

USES_OF_QUERIES = re.compile(r"\b(\w+)\.(\w+)\b")
# Forecasts are made by the jobs process, the studio and commands; these two also show them, with what was edited since.
USERS = {"dialer": "dialer", "dialer/forecasting": "jobs", "inbox": "webhook", "campaigns": "operator", "jobs": "jobs"}
SHOWN_TO_MEMBERS = {"list_forecasts"}


def queries_of(package: str) -> list[QueryFunction]:
    text = "".join(
        path.read_text()
        for path in (SOURCE / package).rglob("*.py")
        if path.stem not in ("replay", "create") and (path.parent.name != "forecasting" or "/" in package)
    )
    found = USES_OF_QUERIES.findall(text)
    uses = {(module.removesuffix("_queries"), name) for module, name in found if name not in SHOWN_TO_MEMBERS}
    return [
        query
        for query in all_queries()
        if any(
            query.__name__ == name and query.__module__.rpartition(".")[2].startswith(module) for module, name in uses
        )
    ]


@pytest.mark.parametrize("package", USERS)
async def test_a_process_has_the_rights_that_its_queries_need(
    database: Scratch, connection: asyncpg.Connection, package: str
) -> None:
    world: TwoOrganizations = await create_two_organizations(database, connection)
    refused = {}
    async with acting(world, USERS[package]) as acting_connection:
        for query in queries_of(package):
            try:
                # The rights are checked as the plan starts, before any row is looked for.
                async with acting_connection.transaction():
                    await acting_connection.fetch(f"explain {sql_of(query)}", *[None for _ in parameters_of(query)])
            except asyncpg.InsufficientPrivilegeError as error:
                refused[query.__name__] = str(error)

    assert len(queries_of(package)) >= 10
    assert refused == {}


# Postgres 15.


@pytest.fixture
def postgres_15(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    if not (POSTGRES_15 / "initdb").exists():
        pytest.skip(f"no Postgres 15 in {POSTGRES_15}")
    monkeypatch.setenv("OUTDIAL_PG_BIN", str(POSTGRES_15))
    with scratch_directory() as path, EmbeddedPostgres(path / "home", durable=False) as server:
        yield server


async def test_the_migrations_and_all_queries_work_on_postgres_15(postgres_15: EmbeddedPostgres) -> None:
    applied = await push(postgres_15.dsn, MIGRATIONS)
    connection = await asyncpg.connect(postgres_15.dsn)
    try:
        assert connection.get_server_version().major == 15
        for query in all_queries():
            await connection.prepare(sql_of(query))
    finally:
        await connection.close()

    assert [found.file for found in applied] == [path.name for path in FILES]
