"""The database lets through the arrows of the domain's machines and no other, and each guarded statement its own."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, get_args
from uuid import UUID

import asyncpg
import pytest

from outdial.db.queries import accounts, batches, due_contacts, reviews, settlements
from outdial.db.queries import campaign_status as campaign_status_queries
from outdial.db.queries.dialing import callbacks, day_parts
from outdial.db.session import Connection, Database
from outdial.domain import call
from outdial.domain.call import CALL, CallStatus
from outdial.domain.campaign import CAMPAIGN, OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.contact import AFTER_REVIEW, CONTACT, MEMBERS_ONLY, ContactStatus, ReviewDecision
from outdial.domain.ids import new_id
from outdial.domain.jobs import BULK_JOB, EXPORT, IMPORT, BulkJobStatus, ExportStatus, ImportStatus
from outdial.domain.machine import Machine
from outdial.domain.permission.screening import SCREENING_LIST, ScreeningListStatus
from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.test_calls import TEST_CALL, StatusOfTestCall
from outdial.inbox.deliveries import EventStatus
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    Tenant,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
    create_test_call,
    insert,
)
from tests.support.postgres import Scratch
from tests.support.queries import QueryFunction, parameters_of, sql_of

LATER = NOW + timedelta(minutes=1)
DEADLINE = NOW + timedelta(seconds=35)


@dataclass(frozen=True, slots=True)
class Subject:
    """A row whose status is under test, with all that a statement may ask for."""

    table: str
    id: UUID
    tenant: Tenant
    campaign: Campaign
    entry: CampaignContact | None = None


async def campaign_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign = await create_campaign(connection, tenant, status=status, scheduled_at=NOW)
    return Subject("campaigns", campaign.id, tenant, campaign)


async def contact_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign = await create_campaign(connection, tenant, status="active")
    entry = await create_campaign_contact(connection, campaign, status=status)
    return Subject("campaign_contacts", entry.id, tenant, campaign, entry)


async def call_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign = await create_campaign(connection, tenant, status="active")
    entry, call_id = await create_calling(connection, campaign, status=status)
    return Subject("calls", call_id, tenant, campaign, entry)


async def import_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign, import_id = await create_campaign(connection, tenant), new_id(NOW)
    row = {"id": import_id, "campaign_id": campaign.id, "file_name": "people.csv", "status": status}
    await insert_job(connection, "imports", tenant, row)
    return Subject("imports", import_id, tenant, campaign)


async def export_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign, export_id = await create_campaign(connection, tenant), new_id(NOW)
    await insert_job(connection, "exports", tenant, {"id": export_id, "kind": "calls", "status": status})
    return Subject("exports", export_id, tenant, campaign)


async def bulk_job_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign, job_id = await create_campaign(connection, tenant), new_id(NOW)
    row = {"id": job_id, "campaign_id": campaign.id, "action": "skip", "reason": "wrong list", "status": status}
    counts = {"selected": 1, "other_status": 0, "requested_by": "the service"}
    await insert_job(connection, "bulk_jobs", tenant, row | counts)
    return Subject("bulk_jobs", job_id, tenant, campaign)


async def call_of_test_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign = await create_campaign(connection, tenant)
    return Subject("test_calls", await create_test_call(connection, campaign, status=status), tenant, campaign)


async def screening_list_in(connection: Connection, tenant: Tenant, status: str) -> Subject:
    campaign, list_id = await create_campaign(connection, tenant), new_id(NOW)
    # Only one list of a kind and place is current.
    kind = {"kind": "state", "jurisdiction": f"US-{list_id.hex[-3:].upper()}"}
    row = {"id": list_id, "registry_date": NOW.date(), "file_name": "numbers.csv", "status": status}
    await insert_job(connection, "screening_lists", tenant, row | kind)
    return Subject("screening_lists", list_id, tenant, campaign)


async def insert_job(connection: Connection, table: str, tenant: Tenant, row: Mapping[str, object]) -> None:
    times = {"created_at": NOW, "updated_at": NOW}
    await insert(connection, table, organization_id=tenant.organization_id, **row, **times)


MACHINES: list[tuple[Machine[Any], type[StrEnum], Callable[..., Any]]] = [
    (CAMPAIGN, CampaignStatus, campaign_in),
    (CONTACT, ContactStatus, contact_in),
    (CALL, CallStatus, call_in),
    (IMPORT, ImportStatus, import_in),
    (EXPORT, ExportStatus, export_in),
    (BULK_JOB, BulkJobStatus, bulk_job_in),
    (SCREENING_LIST, ScreeningListStatus, screening_list_in),
    (TEST_CALL, StatusOfTestCall, call_of_test_in),
]
each_machine = pytest.mark.parametrize(
    ("machine", "states", "arrange"), MACHINES, ids=[machine.name for machine, _, _ in MACHINES]
)


@each_machine
async def test_the_trigger_allows_exactly_the_transitions_of_the_state_machine(
    connection: asyncpg.Connection, machine: Machine[Any], states: type[StrEnum], arrange: Callable[..., Any]
) -> None:
    tenant = await create_tenant(connection)
    let_through = set()
    for source in states:
        subject = await arrange(connection, tenant, source)
        for to in set(states) - {source}:
            if await refusal(connection, subject, to) is None:
                let_through.add((source, to))

    assert let_through == machine.pairs() - (MEMBERS_ONLY if machine is CONTACT else frozenset())


async def refusal(connection: Connection, subject: Subject, to: str) -> str | None:
    attempt = connection.transaction()
    await attempt.start()
    try:
        await set_status(connection, subject, to)
    except asyncpg.CheckViolationError as refused:
        return refused.constraint_name
    finally:
        await attempt.rollback()
    return None


async def test_a_refused_change_names_the_rule_and_both_states(connection: asyncpg.Connection) -> None:
    subject = await campaign_in(connection, await create_tenant(connection), "completed")

    assert await refusal(connection, subject, "active") == "campaigns_arrow"
    with pytest.raises(asyncpg.CheckViolationError, match="campaigns cannot go from completed to active"):
        await set_status(connection, subject, "active")


@each_machine
async def test_a_status_may_be_rewritten_but_unknown_statuses_are_rejected(
    connection: asyncpg.Connection, machine: Machine[Any], states: type[StrEnum], arrange: Callable[..., Any]
) -> None:
    tenant = await create_tenant(connection)
    for state in states:
        subject = await arrange(connection, tenant, state)
        await set_status(connection, subject, state)

    with pytest.raises(asyncpg.CheckViolationError):
        await arrange(connection, tenant, "done")


async def set_status(connection: Connection, subject: Subject, status: str) -> None:
    await connection.execute(f"update {subject.table} set status = $1 where id = $2", status, subject.id)  # noqa: S608


async def words_of(connection: Connection, constraint: str) -> set[str]:
    definition = await connection.fetchval(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = $1", constraint
    )
    return set(re.findall(r"'(\w+)'::text", definition))


async def test_check_constraints_list_the_statuses_of_the_code(connection: asyncpg.Connection) -> None:
    assert await words_of(connection, "campaigns_status_check") == set(CampaignStatus)
    assert await words_of(connection, "campaign_contacts_status_check") == set(ContactStatus)
    assert await words_of(connection, "calls_status_check") == set(CallStatus)
    assert await words_of(connection, "imports_status_check") == set(ImportStatus)
    assert await words_of(connection, "exports_status_check") == set(ExportStatus)
    assert await words_of(connection, "bulk_jobs_status_check") == set(BulkJobStatus)
    assert await words_of(connection, "bulk_jobs_action_check") == set(BulkAction)
    assert await words_of(connection, "bulk_jobs_decision_check") == set(ReviewDecision)
    assert await words_of(connection, "screening_lists_status_check") == set(ScreeningListStatus)
    assert await words_of(connection, "test_calls_status_check") == set(StatusOfTestCall)
    assert await words_of(connection, "webhook_events_status_check") == set(get_args(EventStatus))


async def test_indexes_and_queries_agree_with_the_domain_on_live_calls(
    connection: asyncpg.Connection,
) -> None:
    for index in ("calls_live_phone", "calls_live_account"):
        definition = await connection.fetchval("select indexdef from pg_indexes where indexname = $1", index)
        assert set(re.findall(r"'(\w+)'::text", definition)) == call.LIVE
    for statement in (accounts.count_live, due_contacts.due_contacts):
        for words in re.findall(r"status\s+in \(([^)]*)\)", sql_of(statement)):
            if "placing" in words:
                assert set(re.findall(r"'(\w+)'", words)) == call.LIVE


async def test_a_new_call_has_a_rank_for_each_detail(connection: asyncpg.Connection) -> None:
    subject = await call_in(connection, await create_tenant(connection), "placing")

    ranks = await connection.fetchval("select detail_ranks from calls where id = $1", subject.id)
    columns = await connection.fetch("select column_name from information_schema.columns where table_name = 'calls'")

    assert tuple(ranks) == call.NO_RANKS
    assert set(call.DETAIL_FIELDS) <= {row["column_name"] for row in columns}


# Guarded statements.


@dataclass(frozen=True, slots=True)
class Guard:
    """A statement, who runs it, the states that it moves and to where; from all others it changes nothing."""

    statement: QueryFunction
    actor: str
    moves: Mapping[str, str]
    arguments: Callable[[Subject], Mapping[str, object]] = lambda _: {}
    contact_after: str | None = None
    machine: Machine[Any] = field(default=CAMPAIGN)


def moves(machine: Machine[Any], to: StrEnum) -> dict[str, str]:
    return dict.fromkeys(machine.may_leave(to), to)


def stays(*states: str) -> dict[str, str]:
    return {state: state for state in states}


def allowed_from(to: CampaignStatus) -> Callable[[Subject], Mapping[str, object]]:
    return lambda s: {"campaign_id": s.id, "allowed_from": CAMPAIGN.may_leave(to), "reason": "r", "hang_up": False}


def of_account(subject: Subject) -> Mapping[str, object]:
    return {"provider_account_id": subject.tenant.provider_account_id, "reason": "no credit"}


def one(subject: Subject) -> Mapping[str, object]:
    return {"campaign_id": subject.campaign.id, "call_id": subject.id, "ids": [subject.id], "reason": "r"}


def answer_to(subject: Subject, deadline: datetime) -> dict[str, object]:
    return {"ids": [subject.id], "deadlines": [deadline], "errors": ["e"]}


_S = CampaignStatus
ON_CAMPAIGNS = [
    Guard(campaign_status_queries.start_campaign, "operator", moves(CAMPAIGN, _S.ACTIVE), allowed_from(_S.ACTIVE)),
    Guard(
        campaign_status_queries.schedule_campaign, "operator", moves(CAMPAIGN, _S.SCHEDULED), allowed_from(_S.SCHEDULED)
    ),
    Guard(campaign_status_queries.begin_pausing, "operator", moves(CAMPAIGN, _S.PAUSING), allowed_from(_S.PAUSING)),
    Guard(campaign_status_queries.begin_pausing, "dialer", moves(CAMPAIGN, _S.PAUSING), allowed_from(_S.PAUSING)),
    Guard(
        campaign_status_queries.begin_cancelling,
        "operator",
        moves(CAMPAIGN, _S.CANCELLING),
        allowed_from(_S.CANCELLING),
    ),
    Guard(batches.request_batch, "operator", stays("active"), one),
    Guard(campaign_status_queries.start_scheduled_campaigns, "operator", {"scheduled": "active"}, one),
    Guard(campaign_status_queries.start_scheduled_campaigns, "dialer", {"scheduled": "active"}, one),
    Guard(campaign_status_queries.finish_pausing, "dialer", {"pausing": "paused"}, one),
    Guard(campaign_status_queries.finish_cancelling, "dialer", {"cancelling": "cancelled"}, one),
    Guard(batches.set_back_campaign, "dialer", stays("active", "pausing", "cancelling"), one),
    Guard(batches.postpone_batch, "dialer", stays("pausing", "cancelling"), one),
    Guard(campaign_status_queries.complete_campaign, "dialer", {"active": "completed"}, one),
    Guard(campaign_status_queries.pause_account_campaigns, "dialer", {"active": "pausing"}, of_account),
    Guard(campaign_status_queries.pause_account_campaigns, "webhook", {"active": "pausing"}, of_account),
    Guard(
        batches.wake_campaigns,
        "webhook",
        stays("active", "pausing", "cancelling"),
        lambda s: {"ids": [s.id], "provider_account_ids": [], "now": NOW - timedelta(minutes=1)},
    ),
]
ON_CONTACTS = [
    Guard(due_contacts.mark_calling, "dialer", {"pending": "calling"}, one, machine=CONTACT),
    Guard(due_contacts.skip_contacts, "dialer", {"pending": "skipped"}, one, machine=CONTACT),
    Guard(
        due_contacts.skip_places,
        "dialer",
        {"pending": "skipped"},
        lambda s: {
            "campaign_id": s.campaign.id,
            "zone_keys": ["America/New_York"],
            "jurisdiction_keys": [""],
            "reason": "r",
        },
        machine=CONTACT,
    ),
    Guard(
        due_contacts.defer_contacts,
        "dialer",
        stays("pending"),
        lambda s: {"ids": [s.id], "next_attempt_ats": [LATER], "reasons": ["r"]},
        machine=CONTACT,
    ),
    Guard(
        day_parts.hold_contacts,
        "dialer",
        stays("pending"),
        lambda s: {"ids": [s.id], "next_attempt_ats": [LATER], "reasons": ["r"]},
        machine=CONTACT,
    ),
    Guard(due_contacts.cancel_pending_contacts, "dialer", {"pending": "cancelled"}, one, machine=CONTACT),
    Guard(
        callbacks.review_late_requests,
        "webhook",
        {"completed": "review", **stays("review")},
        lambda s: {"ids": [s.id], "reasons": ["r"]},
        machine=CONTACT,
    ),
    *(
        Guard(
            reviews.decide_review,
            "operator",
            {"review": status},
            lambda s, decision=decision: (
                {"campaign_contact_id": s.id, "decision": decision, "decided_by": "", "note": None}
                | {"reason": "r", "call_at": LATER}
            ),
            machine=CONTACT,
        )
        for decision, status in AFTER_REVIEW.items()
    ),
]
ON_CALLS = [
    Guard(
        settlements.settle_placed,
        "dialer",
        {"placing": "placed", "unknown": "placed"},
        lambda s: {"ids": [s.id], "retell_call_ids": [f"call_{s.id}"], "deadlines": [DEADLINE]},
        "calling",
        CALL,
    ),
    Guard(
        settlements.settle_refused,
        "dialer",
        {"placing": "refused", "unknown": "refused"},
        lambda s: answer_to(s, DEADLINE) | {"contact_statuses": ["failed"], "next_attempt_ats": [LATER]},
        "failed",
        CALL,
    ),
    Guard(
        settlements.settle_unknown,
        "dialer",
        {"placing": "unknown", "unknown": "unknown"},
        lambda s: answer_to(s, DEADLINE),
        "calling",
        CALL,
    ),
    Guard(
        settlements.take_call_to_check,
        "dialer",
        {state: "unknown" if state == "placing" else state for state in CallStatus},
        lambda s: {
            "call_id": s.id,
            "rescue_after": timedelta(seconds=5),
            "rescue_most": timedelta(minutes=5),
            "reconcile_after": timedelta(seconds=60),
            "reconcile_most": timedelta(hours=1),
        },
        "calling",
        CALL,
    ),
    Guard(
        settlements.begin_resend,
        "dialer",
        stays("unknown"),
        lambda s: {
            "call_id": s.id,
            "start_at": LATER,
            "deadline": LATER + timedelta(seconds=35),
            "on_time": timedelta(minutes=1),
        },
        "calling",
        CALL,
    ),
    Guard(settlements.release_call, "dialer", {"unknown": "released", "review": "released"}, one, "pending", CALL),
    Guard(settlements.release_unsent, "dialer", {"placing": "released"}, one, "pending", CALL),
    Guard(
        settlements.review_call,
        "dialer",
        {"unknown": "review", "placed": "ended", "ongoing": "ended", "ended": "ended"},
        one,
        "review",
        CALL,
    ),
    Guard(settlements.stop_checking, "dialer", stays("ended", "released", "review"), one, "calling", CALL),
    Guard(settlements.end_requests, "dialer", stays(*CallStatus), lambda s: answer_to(s, DEADLINE), "calling", CALL),
]
ARRANGE = {
    "campaign": (CampaignStatus, campaign_in),
    "contact": (ContactStatus, contact_in),
    "call": (CallStatus, call_in),
}
DEFAULTS: Mapping[str, object] = {
    "rescue_after": timedelta(seconds=5),
    "rescue_most": timedelta(minutes=5),
    "now": LATER,
    "next_check_at": LATER,
    "next_batch_at": LATER,
    "scheduled_at": LATER,
    "batch_size": None,
    "limit": 10,
    "is_automatic": True,
}


@asynccontextmanager
async def acting(database: Scratch, actor: str, organization_id: UUID, user_id: UUID) -> AsyncIterator[Connection]:
    role = "outdial_api" if actor == "operator" else f"outdial_{actor}"
    async with await Database.connect(database.dsn_for(role), application_name="test", max_size=1) as pool:
        if actor == "operator":
            async with pool.as_caller("authenticated", {"sub": str(user_id)}) as connection:
                yield connection
        elif actor == "dialer":
            async with pool.for_organization(organization_id) as connection:
                yield connection
        else:
            async with pool.transaction() as connection:
                yield connection


async def snapshot(connection: Connection, subject: Subject) -> tuple[str, str]:
    row = await connection.fetchrow(
        f"select status, to_jsonb(t)::text from {subject.table} t where id = $1",  # noqa: S608
        subject.id,
    )
    assert row is not None
    return row[0], row[1]


def named_arguments(guard: Guard, subject: Subject) -> dict[str, object]:
    known = {**DEFAULTS, "organization_id": subject.tenant.organization_id, **guard.arguments(subject)}
    return {name: known[name] for name in parameters_of(guard.statement)}


@pytest.mark.parametrize(
    "guard", ON_CAMPAIGNS + ON_CONTACTS + ON_CALLS, ids=lambda guard: f"{guard.statement.__name__}-{guard.actor}"
)
async def test_a_guarded_query_only_moves_from_the_states_it_names(
    database: Scratch, connection: asyncpg.Connection, guard: Guard
) -> None:
    states, arrange = ARRANGE[guard.machine.name]
    moved = {}
    for state in states:
        tenant = await create_tenant(connection, credential=f"account_{state}")
        user_id = await create_member(connection, tenant.organization_id)
        subject = await arrange(connection, tenant, state)
        before, arguments = await snapshot(connection, subject), named_arguments(guard, subject)
        async with acting(database, guard.actor, tenant.organization_id, user_id) as acting_connection:
            # A query whose row has to be there raises for a state that it does not move.
            with suppress(LookupError):
                await guard.statement(acting_connection, **arguments)
        after = await snapshot(connection, subject)
        if after != before:
            moved[state] = after[0]
        if subject.entry and guard.contact_after:
            status = await connection.fetchval("select status from campaign_contacts where id = $1", subject.entry.id)
            assert status == (guard.contact_after if state in guard.moves else "calling"), state

    assert moved == dict(guard.moves)


@pytest.mark.parametrize(
    ("statement", "states"),
    [
        (batches.lock_campaign, {"active"}),
        (campaign_status_queries.share_active_campaign, {"active"}),
        (campaign_status_queries.lock_to_end, {"active", "cancelling"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_the_dialer_locks_campaigns_in_these_states_only(
    connection: asyncpg.Connection, statement: QueryFunction, states: set[str]
) -> None:
    tenant = await create_tenant(connection)
    found = set()
    for state in CampaignStatus:
        subject = await campaign_in(connection, tenant, state)
        if await statement(connection, campaign_id=subject.id) is not None:
            found.add(state)

    assert found == states


async def test_only_live_calls_that_retell_knows_can_be_ended(connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    for state in CallStatus:
        for retell_call_id in (None, f"call_{state}"):
            await create_calling(connection, campaign, status=state, retell_call_id=retell_call_id)

    rows = await campaign_status_queries.live_calls(
        connection, now=NOW, provider_account_id=tenant.provider_account_id, campaign_id=campaign.id, limit=100
    )

    assert {row.retell_call_id for row in rows} == {"call_placed", "call_ongoing"}


async def test_a_contact_under_review_is_not_dialed_again_when_its_call_is_released(
    connection: asyncpg.Connection,
) -> None:
    subject = await call_in(connection, await create_tenant(connection), "unknown")
    await settlements.review_call(connection, call_id=subject.id, reason="nobody could tell", now=NOW)
    await settlements.release_call(connection, call_id=subject.id, reason="Retell has no such call", now=LATER)

    rows = await connection.fetch("select c.status, cc.status from calls c, campaign_contacts cc")

    assert [tuple(row) for row in rows] == [("released", "failed")]


@pytest.mark.parametrize(("campaign_status", "contact"), [("active", "pending"), ("cancelling", "cancelled")])
@pytest.mark.parametrize("query", [settlements.release_call, settlements.release_unsent, settlements.settle_refused])
async def test_a_contact_without_a_call_goes_back_unless_its_campaign_is_cancelled(
    connection: asyncpg.Connection, query: QueryFunction, campaign_status: str, contact: str
) -> None:
    subject = await call_in(connection, await create_tenant(connection), "placing")
    await connection.execute("update campaigns set status = $1", campaign_status)
    if query is settlements.release_call:
        await connection.execute("update calls set status = 'unknown'")
    known = {
        "now": LATER,
        "call_id": subject.id,
        "ids": [subject.id],
        "reason": "r",
        "errors": ["e"],
        "deadlines": [DEADLINE],
        "contact_statuses": ["pending"],
        "next_attempt_ats": [LATER],
    }
    await query(connection, **{parameter: known[parameter] for parameter in parameters_of(query)})

    row = await connection.fetchrow("select status, attempts, call_count, next_attempt_at from campaign_contacts")

    assert row is not None
    assert tuple(row) == (contact, 0, 1, LATER)


@pytest.mark.parametrize("query", [settlements.settle_refused, settlements.settle_unknown, settlements.end_requests])
async def test_a_response_to_a_request_that_was_repeated_settles_nothing(
    connection: asyncpg.Connection, query: QueryFunction
) -> None:
    subject = await call_in(connection, await create_tenant(connection), "unknown")
    before = await snapshot(connection, subject)
    known = answer_to(subject, DEADLINE - timedelta(seconds=30)) | DEFAULTS
    known |= {"contact_statuses": ["failed"], "next_attempt_ats": [LATER]}
    await query(connection, **{parameter: known[parameter] for parameter in parameters_of(query)})

    assert await snapshot(connection, subject) == before
    assert await connection.fetchval("select status from campaign_contacts") == "calling"


@pytest.mark.parametrize("status", CallStatus)
async def test_a_campaign_is_not_paused_while_a_request_may_be_in_flight(
    connection: asyncpg.Connection, status: CallStatus
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="pausing")
    await create_calling(connection, campaign, status=status, request_deadline=LATER)
    await create_calling(connection, campaign, status=status, request_deadline=None)

    ends = []
    for moment in (NOW, LATER):
        await settlements.end_overdue_requests(connection, campaign_id=campaign.id, now=moment)
        ends.append(await campaign_status_queries.finish_pausing(connection, campaign_id=campaign.id, now=moment))

    assert ends == [None, campaign.id]


async def test_a_request_without_a_response_leaves_its_call_unknown(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="pausing")
    for status in CallStatus:
        await create_calling(connection, campaign, status=status, request_deadline=NOW)
    await settlements.end_overdue_requests(connection, campaign_id=campaign.id, now=NOW)

    rows = await connection.fetch("select status, request_deadline from calls order by created_at, id")

    expected = ["unknown" if status == CallStatus.PLACING else status for status in CallStatus]
    assert sorted(tuple(row) for row in rows) == sorted((status, None) for status in expected)


@pytest.mark.parametrize("status", ContactStatus)
async def test_a_campaign_is_cancelled_when_each_contact_has_a_final_status(
    connection: asyncpg.Connection, status: ContactStatus
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    await create_campaign_contact(connection, campaign, status=status)
    await connection.execute("update campaigns set status = 'cancelling' where id = $1", campaign.id)

    done = await campaign_status_queries.finish_cancelling(connection, campaign_id=campaign.id, now=NOW)

    assert (done is None) == (status in {"pending", "calling"})


@pytest.mark.parametrize("status", CampaignStatus)
async def test_a_pending_contact_enters_a_campaign_only_while_it_accepts_contacts(
    connection: asyncpg.Connection, status: CampaignStatus
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status=status)

    if status in OPEN_TO_IMPORT:
        await create_campaign_contact(connection, campaign)
    else:
        with pytest.raises(asyncpg.CheckViolationError, match="takes no contacts"):
            await create_campaign_contact(connection, campaign)
        await create_campaign_contact(connection, campaign, status="completed")
