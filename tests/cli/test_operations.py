"""Hands on what is under way: stop everything, hang up a call, skip and retry contacts, one by one and many at once."""

import asyncio
import re
import shlex
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.bulk_request import BulkRequested
from outdial.campaigns.operations.organization_bulk_request import OrganizationBulkRequest, block_all_contacts
from outdial.clock import SystemClock
from outdial.db.queries import organizations
from outdial.db.session import Database
from tests.cli.conftest import Outdial, sql
from tests.support.factories import Campaign, Tenant, create_calling, create_campaign_contact, create_contact
from tests.support.jobs import working
from tests.support.postgres import Scratch

ADA, GRACE, ZOE = "+12124440123", "+12124440124", "+12124440125"


@pytest.fixture
def filled(acme: Outdial, campaign: str, database: Scratch) -> str:
    """The draft with three contacts."""

    async def fill() -> None:
        connection = await asyncpg.connect(database.dsn)
        found = await campaign_in(connection)
        for phone in (ADA, GRACE, ZOE):
            contact = await create_contact(connection, found.tenant.organization_id, phone=phone)
            await create_campaign_contact(connection, found, contact)
        await connection.close()

    asyncio.run(fill())
    return campaign


async def campaign_in(connection: asyncpg.Connection) -> Campaign:
    """Return the only campaign."""
    row = await connection.fetchrow("select id, organization_id, provider_account_id from campaigns")
    assert row is not None
    return Campaign(row["id"], Tenant(row["organization_id"], row["provider_account_id"], "default"))


def run_jobs(database: Scratch) -> None:
    """Run the queued jobs, as `outdial jobs` does."""

    async def run() -> None:
        async with working(database, SystemClock()) as worker:
            await worker.run_once()

    asyncio.run(run())


def test_all_calls_of_an_organization_are_stopped_and_resumed(acme: Outdial, database: Scratch) -> None:
    assert "Calls of Acme are allowed." in acme("organization", "status", "Acme")
    stopped = acme("organization", "stop", "Acme", "--reason=wrong list")
    assert "Calls of Acme are stopped by the service: wrong list." in stopped
    again = acme.json("organization", "stop", "Acme", "--reason=another")
    assert (again["status"], again["reason"], again["requests_in_flight"]) == ("stopped", "wrong list", 0)
    assert acme.json("organization", "status", "Acme") == again
    assert acme.json("organization", "resume", "Acme", "--reason=list mended")["status"] == "running"
    acme("organization", "resume", "Acme")

    audited = sql(
        database, "select action, details->>'reason' from audit_log where action like '%all_calls' order by id"
    )
    assert audited == [("stop_all_calls", "wrong list"), ("resume_all_calls", "list mended")]
    for command in ("stop", "resume", "status"):
        assert "unknown organization 'Globex'" in acme.error("organization", command, "Globex")


def test_a_live_call_is_hung_up(acme: Outdial, filled: str, database: Scratch) -> None:
    async def call() -> str:
        connection = await asyncpg.connect(database.dsn)
        found = await campaign_in(connection)
        _, call_id = await create_calling(connection, found, status="ongoing", retell_call_id="c1")
        await connection.close()
        return str(call_id)

    call_id = asyncio.run(call())
    assert f"Hanging up {call_id}." in acme("campaign", "hang-up", call_id, "--reason=wrong person")
    assert sql(database, "select count(*) from calls where hang_up_due_at is not null") == [(1,)]
    audited = sql(database, "select subject_id, details->>'reason' from audit_log where action = 'hang_up_call'")
    assert audited == [(call_id, "wrong person")]

    sql(database, "update calls set status = 'ended', outcome = 'stopped', next_check_at = null")
    assert f"only live calls can be hung up; {call_id} is ended" in acme.error("campaign", "hang-up", call_id)
    missing = str(uuid4())
    assert f"unknown call {missing}" in acme.error("campaign", "hang-up", missing)


def test_single_contacts_are_skipped_and_retried(acme: Outdial, filled: str, database: Scratch) -> None:
    skipped = acme.run("campaign", "skip", filled, ADA, "--reason=moved away")
    assert f"{ADA} is skipped." in skipped.stdout
    undo = re.search(r"To undo it within an hour: outdial (campaign undo .*)", skipped.stderr)
    assert undo
    assert "Undone. As before: 1." in acme(*shlex.split(undo[1]))
    assert f"{ADA} is skipped." in acme("campaign", "skip", filled, ADA, "--reason=moved away")
    assert acme.json("campaign", "skip", filled, ADA) == {"phone": ADA, "status": "skipped", "act": None}
    reasons = sql(database, "select phone, status_reason from campaign_contacts where status = 'skipped'")
    assert reasons == [(ADA, "skipped by the service: moved away")]
    decades = acme.error("campaign", "retry", filled, ADA, "--at=2062-01-01T09:00Z")
    assert "may be at most 366 days ahead" in decades
    at = datetime.now(UTC) + timedelta(days=30)
    assert f"{ADA} is pending again." in acme("campaign", "retry", filled, ADA, f"--at={at.isoformat()}")
    due = sql(database, "select status, next_attempt_at from campaign_contacts where phone = $1", ADA)
    assert due == [("pending", at)]

    sql(database, "update campaign_contacts set status = 'calling', call_count = 1 where phone = $1", GRACE)
    assert "in a call: wait until it has ended" in acme.error("campaign", "skip", filled, GRACE)
    assert "in a call: wait until it has ended" in acme.error("campaign", "retry", filled, GRACE)
    assert "the campaign has no contact +12124440199" in acme.error("campaign", "retry", filled, "+12124440199")
    assert "must be a time with a zone" in acme.error("campaign", "retry", filled, ADA, "--at=2040-01-01T09:00")


def test_contacts_are_called_again_in_a_campaign_of_their_own(acme: Outdial, filled: str, database: Scratch) -> None:
    assert "no contact with a final status matches" in acme.error("campaign", "new-campaign", filled)
    acme("campaign", "skip", filled, ADA)
    created = acme.json("campaign", "new-campaign", filled, "--status=skipped", "--campaign-name=Second try")
    assert (created["name"], created["added"], created["left_out"]) == ("Second try", 1, 0)
    assert "Contacts: 1; left out: 2." in acme("campaign", "new-campaign", filled)
    added = "select status, phone from campaign_contacts where campaign_id = $1"
    assert sql(database, added, created["campaign_id"]) == [("pending", ADA)]


def test_many_contacts_are_changed_by_a_job(acme: Outdial, filled: str, database: Scratch) -> None:
    assert "No bulk jobs yet" in acme.run("campaign", "bulk", "list", filled).stderr
    job = acme.json("campaign", "bulk", "start", filled, "skip", "--reason=wrong list", "--phone=+1 212 444")
    assert (job["selected"], job["other_status"]) == (3, 0)
    sql(database, "update campaign_contacts set status = 'calling', call_count = 1 where phone = $1", GRACE)
    run_jobs(database)

    shown = acme.json("campaign", "bulk", "show", filled, job["job_id"])
    assert (shown["status"], shown["done"], shown["left_out"]) == ("completed", 2, 1)
    assert shown["contacts"] == [{"phone": GRACE, "reason": "has changed from pending to calling, after 1 more call"}]
    assert "has changed from pending to calling" in acme("campaign", "bulk", "show", filled, job["job_id"])
    started = acme("campaign", "bulk", "start", filled, "new_campaign", "--reason=new offer", "--campaign-name=Again")
    assert "Contacts: 2; matching contacts with another status: 1." in started
    newest, oldest = acme.json("campaign", "bulk", "list", filled)
    assert (newest["action"], newest["status"], oldest["status"]) == ("new_campaign", "queued", "completed")
    assert f"Cancelled {newest['id']}." in acme("campaign", "bulk", "cancel", filled, newest["id"])
    assert "the job is already cancelled" in acme.error("campaign", "bulk", "cancel", filled, newest["id"])
    audited = sql(database, "select actor, details->>'job' from audit_log where action = 'cancel_bulk_job'")
    assert audited == [("service", newest["id"])]
    undone = acme.json("campaign", "undo", filled, job["job_id"])
    assert (undone["kind"], undone["changed"]) == ("skip", 2)
    run_jobs(database)
    shown = acme.json("campaign", "bulk", "show", filled, undone["job_id"])
    assert (shown["action"], shown["status"], shown["done"]) == ("undo", "completed", 2)
    statuses = "select phone from campaign_contacts c join campaigns m on m.id = c.campaign_id where m.name <> 'Again'"
    assert len(sql(database, f"{statuses} and c.status = 'pending'")) == 2
    assert "this cannot be undone: it has already been undone" in acme.error("campaign", "undo", filled, job["job_id"])
    assert "unknown act" in acme.error("campaign", "undo", filled, newest["id"])

    for arguments, problem in (
        (("decide", "--reason=x"), "decision: name one"),
        (("retry", "--reason=x", "--at=2062-01-01T09:00Z"), "call_at: may be at most 366 days ahead"),
        (("skip", "--reason= "), "reason: 1 to 1,000 characters"),
        (("skip", "--reason=x", "--phone=ada"), "--phone: up to 15 digits"),
        (("decide", "--reason=x", "--decision=failed"), "only contacts that are review can be decided"),
    ):
        assert problem in acme.error("campaign", "bulk", "start", filled, *arguments)
    assert "the campaign has no job" in acme.error("campaign", "bulk", "show", filled, str(uuid4()))


def test_jobs_without_a_campaign_are_listed_shown_cancelled_and_undone(
    acme: Outdial, filled: str, database: Scratch
) -> None:
    assert "No bulk jobs yet" in acme.run("organization", "bulk", "list", "Acme").stderr

    async def request(search: str) -> str:
        service = await Database.connect(database.dsn_for("outdial_api"), application_name="tests")
        async with service, service.as_service() as connection:
            [row] = await organizations.list_organizations(connection)
            now = SystemClock().now()
            result = await block_all_contacts(
                connection,
                row.id,
                {
                    "contact_ids": None, "first_phone": search, "last_phone": search, "name": None, "last_text": "",
                    "external_id": None, "words": None, "digits": None,
                },
                OrganizationBulkRequest(reason="asked", filters={}, by="the service", actor=Actor(), now=now),
            )  # fmt: skip
        assert isinstance(result, BulkRequested)
        return str(result.job_id)

    sql(database, "insert into do_not_call (organization_id, phone, source, created_at)"
        " select id, $1, 'call', now() from organizations", GRACE)  # fmt: skip
    added, known, waiting = (asyncio.run(request(phone)) for phone in (ADA, GRACE, ZOE))
    assert f"Cancelled {waiting}." in acme("organization", "bulk", "cancel", "Acme", waiting)
    assert "the job is already cancelled" in acme.error("organization", "bulk", "cancel", "Acme", waiting)
    run_jobs(database)

    listed = acme.json("organization", "bulk", "list", "Acme")
    assert {(each["id"], each["status"]) for each in listed} == {
        (added, "completed"), (known, "completed"), (waiting, "cancelled")
    }  # fmt: skip
    assert acme.json("campaign", "bulk", "list", filled) == []
    shown = acme.json("organization", "bulk", "show", "Acme", known)
    assert (shown["done"], shown["left_out"], shown["action"]) == (0, 1, "do_not_call")
    assert shown["contacts"] == [{"phone": GRACE, "reason": "the number was on the do-not-call list already"}]
    assert "Undone. As before: 1." in acme("organization", "bulk", "undo", "Acme", added)
    assert sql(database, "select phone from do_not_call") == [(GRACE,)]
    of_campaign = acme.json("campaign", "bulk", "start", filled, "skip", "--reason=wrong list")["job_id"]
    for command in ("show", "cancel", "undo"):
        assert "the organization has no job" in acme.error("organization", "bulk", command, "Acme", of_campaign)


def test_every_action_by_hand_is_recorded_with_its_reason(acme: Outdial, filled: str, database: Scratch) -> None:
    commands = {
        "skip_contact": ("campaign", "skip", filled, ADA),
        "retry_contact": ("campaign", "retry", filled, ADA),
        "create_campaign": ("campaign", "duplicate", filled, "--name=Copy"),
        "bulk_skip": ("campaign", "bulk", "start", filled, "skip", f"--phone={ZOE}"),
        "stop_all_calls": ("organization", "stop", "Acme"),
        "resume_all_calls": ("organization", "resume", "Acme"),
    }
    for command in commands.values():
        acme(*command, "--reason= wrong list ")
    acme("campaign", "skip", filled, GRACE)
    acme("campaign", "new-campaign", filled, "--status=skipped", "--reason= wrong list ")
    too_long = acme.error("campaign", "retry", filled, ADA, f"--reason={'x' * 1001}")
    assert "--reason: may have at most 1000 characters" in too_long
    found = sql(database, "select distinct action from audit_log where details ->> 'reason' = 'wrong list'")
    assert {row[0] for row in found} == {*commands, "new_campaign"}


def test_live_calls_are_shown_with_their_lines_and_else_the_next_call(
    acme: Outdial, filled: str, database: Scratch
) -> None:
    idle = acme("calls", "live")
    assert "0 of 20 lines in use" in idle
    assert "No one on the line. No campaign is active or scheduled." in idle
    of_draft = acme("calls", "live", "--campaign", filled)
    assert "Not started yet" in of_draft

    async def call() -> None:
        connection = await asyncpg.connect(database.dsn)
        now = datetime.now(UTC)
        begun = {"requested_at": now, "started_at": now - timedelta(seconds=42)}
        await create_calling(connection, await campaign_in(connection), status="ongoing", **begun)
        await connection.close()

    asyncio.run(call())
    busy = acme("calls", "live")
    assert "1 of 20 lines in use" in busy
    assert "talking" in busy
    found = acme.json("calls", "live")
    assert [each["state"] for each in found["calls"]] == ["talking"]
    assert found["lines"] == {"lines": 20, "in_use": 1}
    assert found["next_call"] is None
