"""Bulk jobs: what they select, what they leave out and why, and that an interrupted one does nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from outdial.campaigns.errors import InvalidBulkAction
from outdial.campaigns.lifecycle import Actor, Forbidden
from outdial.campaigns.operations import bulk_request
from outdial.campaigns.operations.bulk_request import (
    BulkRefused,
    BulkRequest,
    BulkRequested,
    BulkRequestResult,
    request_bulk_job,
)
from outdial.campaigns.selection import ContactSelection
from outdial.clock import VirtualClock
from outdial.db.queries.dialing import bulk_jobs, bulk_work, entries
from outdial.db.rows import required
from outdial.db.session import Connection, Database
from outdial.domain.contact import ReviewDecision
from outdial.domain.policies.bulk_action import ERASED, CampaignJobAction
from outdial.jobs.bulk_job import MAX_FAILURES, BulkJob
from outdial.jobs.outcomes import JobRunEnd
from outdial.jobs.sweep import LOST_AFTER, LostJobSweeper
from outdial.jobs.worker import JobWorker
from tests.support.factories import (
    NOW,
    Campaign,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
    create_user,
    fill_campaign,
    insert,
)
from tests.support.jobs import working
from tests.support.postgres import Scratch, until_one_waits

_A = CampaignJobAction
SKIP, RETRY, DECIDE, NEW_CAMPAIGN = _A.SKIP, _A.RETRY, _A.DECIDE, _A.NEW_CAMPAIGN


@dataclass(frozen=True, slots=True)
class Desk:
    """A campaign, a member who works on it, and a worker."""

    look: asyncpg.Connection
    api: Database
    worker: JobWorker
    campaign: Campaign
    operator: UUID

    def as_user(self, user: UUID) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction as a user."""
        return self.api.as_caller("authenticated", {"sub": str(user), "role": "authenticated"})

    async def request(
        self, action: CampaignJobAction, *, as_user: UUID | None = None, **given: Any
    ) -> BulkRequestResult:
        """Request a job as the operator, or as another user."""
        user = as_user or self.operator
        request = BulkRequest(action=action, **({"selection": ContactSelection(), "reason": " wrong list "} | given))
        async with self.as_user(user) as connection:
            return await request_bulk_job(
                connection,
                campaign_id=self.campaign.id,
                request=request,
                by="the service",  # The database names the caller.
                actor=Actor(user),
                now=NOW,
            )

    async def requested(self, action: CampaignJobAction, **given: Any) -> BulkRequested:
        """Request a job that is accepted."""
        result = await self.request(action, **given)
        assert isinstance(result, BulkRequested)
        return result

    async def run(self, job_id: UUID) -> JobRunEnd:
        """Run the job as a worker does that has taken it from the queue."""
        job = BulkJob(self.worker._database, VirtualClock(NOW), asyncio.Event())
        return await job.run(job_id, self.campaign.tenant.organization_id)

    async def row(self, job_id: UUID) -> bulk_jobs.BulkJobRow:
        organization_id = self.campaign.tenant.organization_id
        return required(await bulk_jobs.show_bulk_job(self.look, bulk_job_id=job_id, organization_id=organization_id))

    async def counts(self) -> dict[str, int]:
        rows = await self.look.fetch(
            "select status, count(*) from campaign_contacts where campaign_id = $1 group by status", self.campaign.id
        )
        return dict(tuple(row) for row in rows)

    async def left_out(self) -> list[tuple[str, str]]:
        rows = await self.look.fetch("select kind, reason from bulk_job_left_out order by kind, reason")
        return [tuple(row) for row in rows]


@pytest.fixture
async def desk(
    database: Scratch, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    monkeypatch.setattr(bulk_request, "PORTION_SIZE", 3)
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, max_attempts=2)
    ann = await create_user(connection, email="ann@example.com")
    operator = await create_member(connection, tenant.organization_id, user_id=ann)
    async with (
        await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as api,
        working(database) as worker,
    ):
        yield Desk(connection, api, worker, campaign, operator)


async def test_each_action_changes_the_selected_contacts_and_is_audited_once(desk: Desk) -> None:
    for status, number in (("pending", 4), ("failed", 2), ("completed", 1), ("review", 4)):
        for _ in range(number):
            await create_campaign_contact(desk.look, desk.campaign, status=status, last_outcome="no_answer")
    outcome = ContactSelection(outcome="no_answer")

    skipped = await desk.requested(SKIP, selection=outcome)
    await desk.worker.run_once()
    assert await desk.counts() == {"skipped": 4, "failed": 2, "completed": 1, "review": 4}
    decided = await desk.requested(DECIDE, decision=ReviewDecision.NEVER_CALL)
    await desk.worker.run_once()
    assert await desk.counts() == {"skipped": 4, "failed": 6, "completed": 1}
    again = await desk.requested(NEW_CAMPAIGN, selection=ContactSelection(status="skipped"), campaign_name="Second try")
    await desk.worker.run_once()
    retried = await desk.requested(RETRY, selection=ContactSelection(status="failed"), call_at=NOW + timedelta(days=1))
    await desk.worker.run_once()

    rows = [await desk.row(each.job_id) for each in (skipped, decided, again, retried)]
    assert [(row.status, row.selected, row.other_status, row.done, row.left_out) for row in rows] == [
        ("completed", 4, 7, 4, 0),
        ("completed", 4, 7, 4, 0),
        ("completed", 4, 0, 4, 0),
        ("completed", 6, 0, 2, 4),
    ]
    assert await desk.counts() == {"skipped": 4, "failed": 4, "completed": 1, "pending": 2}
    assert {kind for kind, _ in await desk.left_out()} == {"do_not_call"}, "their numbers were blocked by the decision"
    reasons = "select distinct status_reason from campaign_contacts where status = 'skipped' and campaign_id = $1"
    assert await desk.look.fetchval(reasons, desk.campaign.id) == "skipped by ann@example.com: wrong list"
    notes = await desk.look.fetch(
        "select distinct decision, decision_note, decided_by from campaign_contacts where decision is not null"
    )
    assert [tuple(row) for row in notes] == [("never_call", "wrong list", str(desk.operator))]
    copy = (
        "select count(*), min(m.name), min(m.status) from campaign_contacts cc join campaigns m on m.id = campaign_id"
    )
    assert tuple(await desk.look.fetchrow(f"{copy} where m.id = $1", again.copy_id)) == (4, "Second try", "draft")
    due = "select min(next_attempt_at) from campaign_contacts where campaign_id = $1 and status = 'pending'"
    assert await desk.look.fetchval(due, desk.campaign.id) == NOW + timedelta(days=1)
    entries = await desk.look.fetch(
        "select action, actor, details from audit_log where action like 'bulk%' order by id"
    )
    assert [(row["action"], row["actor"]) for row in entries] == [
        (f"bulk_{action}", str(desk.operator)) for action in ("skip", "decide", "new_campaign", "retry")
    ]
    details = msgspec.json.decode(entries[0]["details"])
    assert (details["reason"], details["filters"], details["selected"]) == ("wrong list", {"outcome": "no_answer"}, 4)
    assert await desk.look.fetchval("select count(*) from bulk_job_portions") == 0


async def test_contacts_that_have_changed_since_the_request_are_named_with_the_reason(desk: Desk) -> None:
    entries = [await create_campaign_contact(desk.look, desk.campaign, status="failed", call_count=1) for _ in range(6)]
    job = await desk.requested(RETRY)
    other = await create_campaign(desk.look, desk.campaign.tenant)
    foreign = await create_campaign_contact(desk.look, other, status="failed", call_count=1)
    await desk.look.execute("update bulk_jobs set selected = selected + 1")
    await desk.look.execute(
        "update bulk_job_portions set ids = ids || $1::uuid, statuses = array_append(statuses, 'failed'),"
        " calls = calls || 1 where number = 1",
        foreign.id,
    )
    changes: list[dict[str, Any]] = [
        {},
        {"status": "pending"},
        {"status": "completed", "call_count": 2},
        {"call_count": 3},
    ]
    for entry, change in zip(entries, changes, strict=False):
        for column, value in change.items():
            trigger = "alter table campaign_contacts {} trigger user"
            await desk.look.execute(trigger.format("disable"))
            await desk.look.execute(f"update campaign_contacts set {column} = $2 where id = $1", entry.id, value)  # noqa: S608
            await desk.look.execute(trigger.format("enable"))
    await desk.look.execute("delete from campaign_contacts where id = $1", entries[4].id)
    owner = {"organization_id": desk.campaign.tenant.organization_id}
    await insert(desk.look, "do_not_call", **owner, phone=entries[5].contact.phone, source="manual", created_at=NOW)

    await desk.worker.run_once()

    row = await desk.row(job.job_id)
    assert (row.done, row.left_out, row.selected) == (1, 6, 7)
    assert await desk.left_out() == [
        ("changed", "has changed from failed to completed, after 1 more call"),
        ("changed", "has changed from failed to pending"),
        ("changed", "is failed again, after 2 more calls"),
        ("do_not_call", "the number is on the do-not-call list"),
        ("removed", "has been removed from the campaign"),
        ("removed", "has been removed from the campaign"),
    ]
    status = "select status from campaign_contacts where id = $1"
    assert await desk.look.fetchval(status, foreign.id) == "failed", "it is in another campaign"
    organization_id = desk.campaign.tenant.organization_id
    named = await bulk_jobs.list_left_out(
        desk.look, bulk_job_id=job.job_id, organization_id=organization_id, after_id=None, limit=10
    )
    phones = [None if entry is entries[4] else entry.contact.phone for entry in entries[1:]]
    assert [each.phone for each in named] == [*phones, foreign.contact.phone]


async def test_a_contact_that_is_erased_beside_a_portion_is_not_called_again(desk: Desk, database: Scratch) -> None:
    erased, other = [await create_campaign_contact(desk.look, desk.campaign, status="skipped") for _ in range(2)]
    job = await desk.requested(RETRY, selection=ContactSelection(status="skipped"))
    erasing = await asyncpg.connect(database.dsn)
    async with erasing.transaction():
        await erasing.execute("set local role service_role")
        result = await erasing.fetchval(
            "select result from private.erase_phone($1, $2, $3, $4, $5, 'ann', $6)",
            desk.campaign.tenant.organization_id,
            uuid4(),
            erased.contact.phone,
            bytes(32),
            bytes(8),
            NOW,
        )
        assert result == "requested"
        run = asyncio.create_task(desk.run(job.job_id))
        await until_one_waits(desk.look)
    await run
    await erasing.close()
    statuses = dict(await desk.look.fetch("select id, status from campaign_contacts"))
    assert statuses == {erased.id: "skipped", other.id: "pending"}
    assert await desk.left_out() == [(ERASED.kind, ERASED.reason)]
    # Nor do those call it again who have read it before the erasure.
    async with desk.as_user(desk.operator) as connection:
        assert not await entries.retry_contacts(
            connection,
            organization_id=desk.campaign.tenant.organization_id,
            ids=[erased.id],
            call_at=NOW,
            reason="again",
            now=NOW,
        )


async def test_a_run_after_a_dead_one_goes_on_where_it_stopped_and_does_nothing_twice(
    desk: Desk, database: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill_campaign(desk.look, desk.campaign, 10)
    job = await desk.requested(SKIP)
    record = bulk_work.record_portion
    portions: list[int] = []

    async def dies_at_the_third(connection: Connection, **named: Any) -> UUID | None:
        portions.append(named["done"])
        if len(portions) == 3:
            raise asyncio.CancelledError
        return await record(connection, **named)

    with monkeypatch.context() as patch:
        patch.setattr(bulk_work, "record_portion", dies_at_the_third)
        with pytest.raises(asyncio.CancelledError):
            await desk.run(job.job_id)
    half = await desk.row(job.job_id)
    assert (half.status, half.done, portions) == ("running", 6, [3, 3, 3])
    assert await desk.counts() == {"skipped": 6, "pending": 4}, "the third portion was changed and rolled back"
    assert await desk.run(job.job_id) is JobRunEnd.DONE
    assert (await desk.row(job.job_id)).done == 6, "the run may still be at work"

    clock = VirtualClock(NOW + LOST_AFTER + timedelta(seconds=1))
    await desk.look.execute("delete from pgqueuer.pgqueuer")
    assert await LostJobSweeper(desk.worker._database, clock).run_once() == 1
    async with working(database, clock) as worker:
        await worker.run_once()

    row = await desk.row(job.job_id)
    assert (row.status, row.done, row.left_out) == ("completed", 10, 0)
    assert await desk.counts() == {"skipped": 10}


async def test_a_run_that_was_taken_for_dead_changes_nothing_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill_campaign(desk.look, desk.campaign, 7)
    job = await desk.requested(SKIP)
    record = bulk_work.record_portion
    has_stalled = False

    async def stalls(connection: Connection, **named: Any) -> UUID | None:
        nonlocal has_stalled
        if not has_stalled:
            has_stalled = True
            await desk.look.execute("update bulk_jobs set runs = runs + 1")
        return await record(connection, **named)

    monkeypatch.setattr(bulk_work, "record_portion", stalls)
    await desk.run(job.job_id)
    assert await desk.counts() == {"pending": 7}

    await desk.look.execute("update bulk_jobs set heartbeat_at = null")
    await desk.run(job.job_id)
    assert (await desk.row(job.job_id)).done == 7
    assert await desk.counts() == {"skipped": 7}


async def test_a_cancelled_job_keeps_what_it_has_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill_campaign(desk.look, desk.campaign, 7)
    job = await desk.requested(SKIP)
    record = bulk_work.record_portion
    portions = 0

    async def cancelled_at_the_second(connection: Connection, **named: Any) -> UUID | None:
        nonlocal portions
        portions += 1
        if portions == 2:
            async with desk.as_user(desk.operator) as caller:
                assert await bulk_jobs.cancel_bulk_job(
                    caller, bulk_job_id=job.job_id, organization_id=desk.campaign.tenant.organization_id, now=NOW
                )
        return await record(connection, **named)

    monkeypatch.setattr(bulk_work, "record_portion", cancelled_at_the_second)
    await desk.run(job.job_id)

    row = await desk.row(job.job_id)
    assert (row.status, row.done) == ("cancelled", 3)
    assert await desk.counts() == {"skipped": 3, "pending": 4}
    assert await desk.look.fetchval("select count(*) from bulk_job_portions") == 0


async def test_errors_at_the_same_portion_finally_fail_the_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill_campaign(desk.look, desk.campaign, 4)
    job = await desk.requested(SKIP)

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("+12125550100")

    monkeypatch.setattr(bulk_work, "record_portion", broken)
    ends = [await desk.run(job.job_id) for _ in range(MAX_FAILURES)]

    assert ends == [JobRunEnd.RETRY] * (MAX_FAILURES - 1) + [JobRunEnd.DONE]
    row = await desk.row(job.job_id)
    assert (row.status, row.error) == ("failed", "The job failed (ValueError): request it again")
    assert await desk.counts() == {"pending": 4}
    assert await desk.look.fetchval("select count(*) from bulk_job_portions") == 0


async def test_a_request_that_cannot_be_carried_out_stores_nothing(desk: Desk) -> None:
    viewer = await create_member(desk.look, desk.campaign.tenant.organization_id, "viewer")
    await create_campaign_contact(desk.look, desk.campaign, status="calling", call_count=1)

    assert await desk.request(SKIP, as_user=viewer) == Forbidden()
    assert await desk.request(SKIP) == BulkRefused(
        "1 contact matches, but only contacts that are pending can be skipped: change the filter"
    )
    nothing = await desk.request(NEW_CAMPAIGN, selection=ContactSelection(name="Zoe"))
    assert nothing == BulkRefused("no contact matches: change the filter")
    for given, field in (
        ({"action": SKIP, "reason": "  "}, "reason"),
        ({"action": SKIP, "decision": ReviewDecision.FAILED}, "decision"),
        ({"action": DECIDE}, "decision"),
        ({"action": SKIP, "call_at": NOW}, "call_at"),
        ({"action": RETRY, "campaign_name": "Again"}, "campaign_name"),
    ):
        with pytest.raises(InvalidBulkAction, match=field):
            await desk.request(**given)
    await desk.look.execute("update campaign_contacts set status = 'completed'")
    await desk.look.execute("update campaigns set status = 'completed'")
    closed = await desk.request(RETRY)
    assert isinstance(closed, BulkRefused)
    assert "call the contacts again in a new campaign" in closed.reason
    for table in ("bulk_jobs", "bulk_job_portions", "pgqueuer.pgqueuer"):
        assert await desk.look.fetchval(f"select count(*) from {table}") == 0  # noqa: S608
    assert await desk.look.fetchval("select count(*) from campaigns") == 1
