"""Members decide about contacts in review: who may, what follows, and what later events no longer change."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.review import Decided, Decision, ReviewConflict, ReviewResult, decide_review
from outdial.db.session import Connection, Database
from outdial.domain.contact import AFTER_REVIEW, ContactStatus, ReviewDecision
from tests.support.dialing import Stage, event_body, open_stage
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)
from tests.support.postgres import Scratch, until_one_waits

CALL_AGAIN, NEVER_CALL = ReviewDecision.CALL_AGAIN, ReviewDecision.NEVER_CALL


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    """The dialer, the webhooks and the simulator around one database."""
    async with open_stage(database, connection) as opened:
        yield opened


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    """Connections as the functions and the studio have them."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="tests:api") as opened:
        yield opened


async def in_review(connection: asyncpg.Connection, campaign: Campaign, **columns: Any) -> CampaignContact:
    """Create a contact in review, after one call whose outcome no one knows."""
    held = {"status": "review", "call_count": 1, "status_reason": "callback requested"}
    entry = await create_campaign_contact(connection, campaign, **(held | columns))
    await create_call(
        connection,
        entry,
        status="ended",
        outcome="unknown",
        retell_call_id=f"call_{entry.id}",
        request_deadline=None,
        next_check_at=None,
    )
    return entry


async def decide(
    api: Database, entry: CampaignContact, decision: ReviewDecision, *, user: UUID | None = None, **more: Any
) -> ReviewResult:
    """Decide as a user, or with the service key without one."""
    opened = (
        api.as_service()
        if user is None
        else api.as_caller("authenticated", {"sub": str(user), "role": "authenticated"})
    )
    async with opened as connection:
        return await decide_review(
            connection,
            campaign_id=entry.campaign.id,
            campaign_contact_id=entry.id,
            decision=Decision(decision=decision, **more),
            actor=Actor(user),
            now=NOW,
        )


@pytest.mark.parametrize("decision", ReviewDecision)
async def test_a_decision_is_stored_with_its_person_note_and_time(
    api: Database, connection: asyncpg.Connection, decision: ReviewDecision
) -> None:
    tenant = await create_tenant(connection)
    entry = await in_review(connection, await create_campaign(connection, tenant), faults=9)
    user = await create_member(connection, tenant.organization_id, "operator")

    assert await decide(api, entry, decision, user=user, note="she wrote to us") == Decided(AFTER_REVIEW[decision])

    row = await connection.fetchrow("select * from campaign_contacts")
    assert row is not None
    assert row["status"] == AFTER_REVIEW[decision]
    assert (row["decision"], row["decision_note"], row["decided_by"]) == (decision, "she wrote to us", str(user))
    assert row["decided_at"] == NOW
    assert "she wrote" not in row["status_reason"]
    entries = await connection.fetch("select actor, action, subject_id, details->>'decision' from audit_log")
    assert [tuple(each) for each in entries] == [(str(user), "decide_review", str(entry.id), decision)]
    blocked = await connection.fetchval("select array_agg(phone || ' ' || source) from do_not_call")
    assert blocked == ([f"{entry.contact.phone} manual"] if decision is NEVER_CALL else None)


@pytest.mark.parametrize("decision", ReviewDecision)
@pytest.mark.parametrize("reason", ["user_hangup", "dial_no_answer", "invalid_destination", "error_unknown"])
async def test_a_later_event_does_not_overturn_a_decision(
    api: Database, stage: Stage, decision: ReviewDecision, reason: str
) -> None:
    entry = await in_review(stage.look, await create_campaign(stage.look, await create_tenant(stage.look)))
    await decide(api, entry, decision)
    before = await stage.row("campaign_contacts", entry.id)
    [call] = await stage.rows("calls")

    await stage.send(event_body("call_ended", call["retell_call_id"], call["id"], disconnection_reason=reason))

    [call] = await stage.rows("calls")
    assert call["disconnection_reason"] == reason
    assert await stage.row("campaign_contacts", entry.id) == before


async def test_a_contact_to_be_called_again_keeps_its_campaign_open_and_is_called(api: Database, stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry = await in_review(stage.look, campaign, attempts=1, faults=9)

    assert await decide(api, entry, CALL_AGAIN) == Decided(ContactStatus.PENDING)
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()

    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["attempts"], row["faults"], row["call_count"]) == ("calling", 1, 0, 2)
    assert (await stage.row("campaigns", campaign.id))["status"] == "active"
    assert len(stage.asked()) == 1
    stage.clock.advance(timedelta(minutes=10))
    await stage.deliver()
    await dialer.run_once()
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "completed"
    assert (await stage.row("campaigns", campaign.id))["status"] == "completed"


async def test_a_contact_is_called_again_from_the_time_that_was_decided(api: Database, stage: Stage) -> None:
    entry = await in_review(stage.look, await create_campaign(stage.look, await create_tenant(stage.look)))
    await decide(api, entry, CALL_AGAIN, call_at=NOW + timedelta(hours=2))
    dialer = stage.dialer()

    await dialer.run_once()
    assert stage.asked() == []

    stage.clock.advance(timedelta(hours=2))
    await dialer.run_once()
    await dialer.settled()
    assert len(stage.asked()) == 1


async def test_an_event_of_the_new_call_changes_the_contact(api: Database, stage: Stage) -> None:
    entry = await in_review(stage.look, await create_campaign(stage.look, await create_tenant(stage.look)))
    await decide(api, entry, CALL_AGAIN)
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    [_, call] = await stage.rows("calls")

    await stage.send(
        event_body("call_ended", call["retell_call_id"], call["id"], disconnection_reason="marked_as_spam")
    )

    assert (await stage.row("campaign_contacts", entry.id))["status"] == "review"
    assert await decide(api, entry, ReviewDecision.FAILED) == Decided(ContactStatus.FAILED)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], ReviewDecision, str]] = [
    (
        {"status": "pending"},
        {},
        ReviewDecision.COMPLETED,
        "only contacts in review can be decided; this one is pending",
    ),
    ({"status": "completed"}, {}, NEVER_CALL, "only contacts in review"),
    ({}, {"status": "completed"}, CALL_AGAIN, "the campaign is completed and places no more calls"),
    ({}, {"status": "cancelling"}, CALL_AGAIN, "the campaign is cancelling"),
    ({"attempts": 3, "call_count": 3}, {}, CALL_AGAIN, "all 3 attempts have been used"),
]


@pytest.mark.parametrize(("contact", "of_campaign", "decision", "reason"), REFUSED)
async def test_a_decision_that_cannot_be_followed_is_refused_with_the_reason(
    api: Database,
    connection: asyncpg.Connection,
    contact: dict[str, Any],
    of_campaign: dict[str, Any],
    decision: ReviewDecision,
    reason: str,
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), **of_campaign)
    entry = await create_campaign_contact(connection, campaign, **({"status": "review", "call_count": 1} | contact))
    before = await connection.fetchrow("select * from campaign_contacts")

    result = await decide(api, entry, decision)

    assert isinstance(result, ReviewConflict)
    assert reason in result.reason
    assert await connection.fetchrow("select * from campaign_contacts") == before
    assert await connection.fetchval("select count(*) from audit_log") == 0


async def test_two_operators_decide_about_contacts_of_a_campaign_at_once(
    api: Database, database: Scratch, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(
        connection, await create_tenant(connection), next_batch_at=NOW + timedelta(hours=1)
    )
    first, second = await in_review(connection, campaign), await in_review(connection, campaign)
    async with api.as_service() as acting:
        await decide_call_again(acting, first)
        beside = asyncio.create_task(decide(api, second, CALL_AGAIN))
        await until_one_waits(connection)
        await acting.execute("update campaigns set next_batch_at = $1", NOW)
    assert await beside == Decided(ContactStatus.PENDING)


async def decide_call_again(acting: Connection, entry: CampaignContact, organization_id: UUID | None = None) -> bool:
    """Decide with SQL; return whether the contact was decided."""
    organization_id = organization_id or entry.campaign.tenant.organization_id
    sql = "select private.decide_review($1, $2, 'call_again', null, 'x', 'r', $3, $3)"
    return await acting.fetchval(sql, organization_id, entry.id, NOW) is not None


async def test_an_operator_locks_no_campaign_of_another_organization(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    entry = await in_review(connection, await create_campaign(connection, tenant))
    elsewhere = (await create_tenant(connection, credential="other")).organization_id
    outsider = await create_member(connection, elsewhere, "operator")
    async with api.as_caller("authenticated", {"sub": str(outsider), "role": "authenticated"}) as acting:
        assert not await decide_call_again(acting, entry, elsewhere)
        await connection.execute("set lock_timeout = 1")
        await connection.execute("update campaigns set updated_at = updated_at where id = $1", entry.campaign.id)


@pytest.mark.parametrize(
    ("change", "decision", "expected"),
    [
        ("update campaign_contacts set status = 'failed'", CALL_AGAIN, (ContactStatus.FAILED, "this one is failed")),
        ("update campaigns set status = 'cancelling'", CALL_AGAIN, (ContactStatus.REVIEW, "campaign is cancelling")),
    ],
)
async def test_a_decision_that_another_overtakes_is_refused_with_the_reason(
    api: Database,
    database: Scratch,
    connection: asyncpg.Connection,
    change: str,
    decision: ReviewDecision,
    expected: tuple[ContactStatus, str],
) -> None:
    entry = await in_review(connection, await create_campaign(connection, await create_tenant(connection)))
    beside = await asyncpg.connect(database.dsn)
    async with beside.transaction():
        await beside.execute(change)
        deciding = asyncio.create_task(decide(api, entry, decision))
        await until_one_waits(connection)
    await beside.close()
    result = await deciding
    assert isinstance(result, ReviewConflict)
    assert result.status is expected[0]
    assert expected[1] in result.reason


async def test_a_number_on_the_do_not_call_list_is_not_called_again(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    first = await in_review(connection, await create_campaign(connection, tenant))
    second = await create_campaign_contact(
        connection, await create_campaign(connection, tenant), first.contact, status="review", call_count=1
    )
    await decide(api, first, NEVER_CALL)

    result = await decide(api, second, CALL_AGAIN)

    assert result == ReviewConflict(ContactStatus.REVIEW, "the number is on the do-not-call list")
    assert await decide(api, second, NEVER_CALL) == Decided(ContactStatus.FAILED)


async def test_contacts_of_ended_campaigns_can_still_be_decided(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="completed")
    entry = await create_campaign_contact(connection, campaign, status="review", call_count=1)

    assert await decide(api, entry, ReviewDecision.COMPLETED) == Decided(ContactStatus.COMPLETED)


async def test_a_viewer_is_forbidden_and_an_outsider_finds_nothing(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    entry = await in_review(connection, await create_campaign(connection, tenant))
    viewer = await create_member(connection, tenant.organization_id, "viewer")
    elsewhere = await create_tenant(connection, credential="other")
    outsider = await create_member(connection, elsewhere.organization_id, "owner")

    assert await decide(api, entry, CALL_AGAIN, user=viewer) == Forbidden()
    assert await decide(api, entry, CALL_AGAIN, user=outsider) == NotFound()
    assert await decide(api, CampaignContact(uuid4(), entry.campaign, entry.contact), CALL_AGAIN) == NotFound()
    assert await connection.fetchval("select status from campaign_contacts") == "review"


@pytest.mark.parametrize("role", ["outdial_dialer", "outdial_webhook"])
async def test_only_a_member_takes_a_contact_out_of_review_to_be_called(
    database: Scratch, connection: asyncpg.Connection, role: str
) -> None:
    tenant = await create_tenant(connection)
    entry = await in_review(connection, await create_campaign(connection, tenant))
    async with await Database.connect(database.dsn_for(role), application_name="tests", max_size=1) as pool:
        async with pool.for_organization(tenant.organization_id) as acting:
            with pytest.raises(asyncpg.CheckViolationError, match="without a decision"):
                await acting.execute("update campaign_contacts set status = 'pending' where id = $1", entry.id)
        for column in ("decision = 'call_again'", "decided_calls = 1", "decided_by = 'x'"):
            async with pool.for_organization(tenant.organization_id) as acting:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await acting.execute(
                        f"update campaign_contacts set status = 'pending', {column} where id = $1",  # noqa: S608
                        entry.id,
                    )


async def test_an_earlier_decision_does_not_open_the_arrow_again(api: Database, connection: asyncpg.Connection) -> None:
    entry = await in_review(connection, await create_campaign(connection, await create_tenant(connection)))
    await decide(api, entry, CALL_AGAIN)
    await connection.execute("update campaign_contacts set status = 'calling', call_count = 2")
    await connection.execute("update campaign_contacts set status = 'review'")

    with pytest.raises(asyncpg.CheckViolationError, match="without a decision"):
        await connection.execute("update campaign_contacts set status = 'pending'")


async def test_the_person_of_a_decision_is_the_caller_whatever_is_claimed(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    entry = await in_review(connection, await create_campaign(connection, tenant))
    user = await create_member(connection, tenant.organization_id, "operator")

    async with api.as_caller("authenticated", {"sub": str(user), "role": "service_role"}) as acting:
        await acting.execute(
            "select private.decide_review($1, $2, 'failed', null, 'someone else', 'r', $3, $3)",
            tenant.organization_id,
            entry.id,
            NOW,
        )

    assert await connection.fetchval("select decided_by from campaign_contacts") == str(user)
