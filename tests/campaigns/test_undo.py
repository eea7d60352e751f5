"""What members do can be undone for an hour, where it is still as they left it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.campaigns import lifecycle
from outdial.campaigns.entries.changing import EntryChanged, retry_entry, skip_entry
from outdial.campaigns.lifecycle import Actor, Changed, NotFound
from outdial.campaigns.operations.never_call import NeverCalled, never_call
from outdial.campaigns.operations.selected import SelectedDone, SelectedRequest, act_on_selected, in_one_line
from outdial.campaigns.review import Decided, Decision, decide_review
from outdial.campaigns.undoing.acts import record_act
from outdial.campaigns.undoing.undo import NOT_YOURS, ActUndone, NotUndone, UndoResult, undo_act
from outdial.db.queries import do_not_call
from outdial.db.session import Connection
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.permission.consent import Scope
from outdial.domain.policies.bulk_action import SelectedContact
from outdial.domain.policies.selection import SelectedAction
from outdial.domain.policies.undo import ActKind
from tests.support.factories import NOW, Campaign, CampaignContact, create_campaign, create_campaign_contact
from tests.support.two_organizations import TwoOrganizations, acting

LATER = NOW + timedelta(minutes=1)
World = TwoOrganizations
# What an act changes about a contact, and an undo restores.
KEPT = (
    "status, status_reason, attempts, faults, earlier_calls, decided_calls, callbacks, callback_at, callback_tries,"
    " callback_late, part_due_since, rank, usual_rank, next_attempt_at, reentered_at, decision, decision_note,"
    " decided_by, decided_at"
)
Act = Callable[[Connection, Campaign, CampaignContact, Actor], Awaitable[UUID | None]]


async def skip(connection: Connection, campaign: Campaign, entry: CampaignContact, actor: Actor) -> UUID | None:
    done = await skip_entry(
        connection,
        campaign_id=campaign.id,
        campaign_contact_id=entry.id,
        by="ann@example.com",
        reason="moved",
        actor=actor,
        now=NOW,
    )
    assert isinstance(done, EntryChanged)
    return done.act_id


async def retry(connection: Connection, campaign: Campaign, entry: CampaignContact, actor: Actor) -> UUID | None:
    done = await retry_entry(
        connection,
        campaign_id=campaign.id,
        campaign_contact_id=entry.id,
        not_before=None,
        reason=None,
        actor=actor,
        now=NOW,
    )
    assert isinstance(done, EntryChanged)
    return done.act_id


def deciding(decision: ReviewDecision) -> Act:
    async def decide(connection: Connection, campaign: Campaign, entry: CampaignContact, actor: Actor) -> UUID | None:
        done = await decide_review(
            connection,
            campaign_id=campaign.id,
            campaign_contact_id=entry.id,
            decision=Decision(decision=decision, note="he called"),
            actor=actor,
            now=NOW,
        )
        assert isinstance(done, Decided)
        return done.act_id

    return decide


async def block(connection: Connection, campaign: Campaign, entry: CampaignContact, actor: Actor) -> UUID | None:
    done = await never_call(
        connection,
        organization_id=campaign.tenant.organization_id,
        campaign_contact_id=entry.id,
        reason="asked by letter",
        by="ann@example.com",
        actor=actor,
        now=NOW,
    )
    assert isinstance(done, NeverCalled)
    return done.act_id


async def undo(
    world: World, act_id: UUID | None, *, role: str = "operator", after: timedelta = LATER - NOW
) -> UndoResult:
    assert act_id is not None
    async with acting(world, role) as connection:
        return await undo_act(
            connection,
            organization_id=world.own.tenant.organization_id,
            act_id=act_id,
            by="ann@example.com",
            actor=Actor(world.own.users[role]),
            now=NOW + after,
        )


async def kept(connection: Connection, entry: CampaignContact) -> dict[str, Any]:
    return dict(await connection.fetchrow(f"select {KEPT} from campaign_contacts where id = $1", entry.id))  # noqa: S608


ACTS: list[tuple[Act, ActKind, dict[str, Any]]] = [
    (
        skip,
        ActKind.SKIP,
        {
            "callback_at": LATER,
            "usual_rank": 5,
            "rank": 0,
            "callback_tries": 1,
            "status_reason": "asked for a callback",
        },
    ),
    (
        retry,
        ActKind.RETRY,
        {"status": "failed", "status_reason": "no answer", "attempts": 3, "call_count": 3, "faults": 1, "rank": 7},
    ),
    *(
        (
            deciding(decision),
            ActKind.BLOCK if decision is ReviewDecision.NEVER_CALL else ActKind.DECIDE,
            {"status": "review", "status_reason": "outcome unknown", "attempts": 1, "call_count": 2, "faults": 2},
        )
        for decision in ReviewDecision
    ),
    (block, ActKind.BLOCK, {"status": "pending", "attempts": 1, "call_count": 1, "callback_at": LATER, "rank": 0}),
    (block, ActKind.BLOCK, {"status": "review", "status_reason": "outcome unknown", "attempts": 1, "call_count": 2}),
]


@pytest.mark.parametrize(
    ("act", "kind", "columns"), ACTS, ids=lambda value: str(value) if isinstance(value, ActKind) else ""
)
async def test_an_undone_act_leaves_a_contact_as_it_was_and_a_touched_one_as_it_is(
    connection: asyncpg.Connection,
    two_organizations: World,
    act: Act,
    kind: ActKind,
    columns: dict[str, Any],
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    entries = [await create_campaign_contact(connection, campaign, **columns) for _ in range(2)]
    actor = Actor(own.users["operator"])
    before = await kept(connection, entries[0])
    async with acting(two_organizations, "operator") as member:
        acts = [await act(member, campaign, entry, actor) for entry in entries]
    assert await kept(connection, entries[0]) != before

    assert await undo(two_organizations, acts[0]) == ActUndone(kind=kind, changed=1)
    assert await kept(connection, entries[0]) == before
    assert await connection.fetchval("select count(*) from do_not_call where phone = $1", entries[0].contact.phone) == 0
    audited = await connection.fetchrow("select subject_id, details from audit_log where action = 'undo'")
    assert audited["subject_id"] == str(entries[0].id)
    assert str(acts[0]) in audited["details"]
    assert await undo(two_organizations, acts[0]) == NotUndone("it has already been undone")

    # Another change at the same moment, or later: the entry on the list goes, the contact stays.
    await connection.execute("update campaign_contacts set updated_at = $2 where id = $1", entries[1].id, LATER)
    touched = await kept(connection, entries[1])
    second = await undo(two_organizations, acts[1])
    assert await kept(connection, entries[1]) == touched
    if kind is ActKind.BLOCK:
        assert second == ActUndone(kind=kind, changed=1)
    else:
        assert isinstance(second, NotUndone)
        assert "has changed since" in second.reason


async def test_undoing_ends_after_an_hour_with_the_campaign_and_at_the_organization(
    connection: asyncpg.Connection, two_organizations: World
) -> None:
    own, other = two_organizations.own, two_organizations.other
    campaign = await create_campaign(connection, own.tenant, status="active")
    entries = [await create_campaign_contact(connection, campaign) for _ in range(2)]
    async with acting(two_organizations, "operator") as member:
        acts = [await skip(member, campaign, entry, Actor(own.users["operator"])) for entry in entries]

    hour = timedelta(hours=1, seconds=1)
    assert await undo(two_organizations, acts[0], after=hour) == NotUndone("more than an hour has passed")
    assert await undo(two_organizations, uuid4()) == NotFound()
    assert isinstance(await undo(two_organizations, acts[0], role="viewer"), lifecycle.Forbidden)
    async with acting(two_organizations, "operator") as member:
        elsewhere = await undo_act(
            member,
            organization_id=other.tenant.organization_id,
            act_id=acts[0] or uuid4(),
            by="ann",
            actor=Actor(own.users["operator"]),
            now=LATER,
        )
    assert isinstance(elsewhere, lifecycle.Forbidden)
    await connection.execute(
        "update campaigns set status = 'completed', finished_at = $2 where id = $1", campaign.id, NOW
    )
    closed = await undo(two_organizations, acts[0])
    assert closed == NotUndone("the campaign is completed and places no more calls")
    assert await connection.fetchval("select status from campaign_contacts where id = $1", entries[0].id) == "skipped"


async def test_a_pause_and_a_resume_are_undone_unless_someone_has_acted_since(
    connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    actor = Actor(own.users["operator"])

    async def run(change: Callable[..., Awaitable[lifecycle.Result]], minute: int) -> UUID | None:
        async with acting(two_organizations, "operator") as member:
            done = await change(member, campaign.id, actor, NOW + timedelta(minutes=minute))
        assert isinstance(done, Changed)
        return done.act_id

    first = await run(lifecycle.pause, 0)
    assert await undo(two_organizations, first) == ActUndone(kind=ActKind.PAUSE, changed=1, campaign_id=campaign.id)
    assert await connection.fetchval("select status from campaigns where id = $1", campaign.id) == "active"
    second = await run(lifecycle.pause, 2)
    third = await run(lifecycle.resume, 3)
    assert await undo(two_organizations, second) == NotUndone("the campaign is active now")
    assert await undo(two_organizations, third) == ActUndone(kind=ActKind.RESUME, changed=1, campaign_id=campaign.id)
    assert await undo(two_organizations, second) == NotUndone("the campaign has been paused or resumed again since")


async def test_selected_contacts_change_at_once_and_the_others_are_named(
    connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    other = await create_campaign(connection, two_organizations.other.tenant, status="active")
    pending = [await create_campaign_contact(connection, campaign) for _ in range(3)]
    failed = await create_campaign_contact(connection, campaign, status="failed", call_count=1)
    review = await create_campaign_contact(connection, campaign, status="review", call_count=1)
    foreign = await create_campaign_contact(connection, other)
    await connection.execute("update contacts set name = 'Ada ' || right(phone, 2)")
    await connection.execute("update campaign_contacts set status = 'calling' where id = $1", pending[2].id)

    async def act(action: SelectedAction, entries: list[CampaignContact], **options: Any) -> SelectedDone:
        request = SelectedRequest(action=action, ids=[entry.id for entry in entries], **options)
        async with acting(two_organizations, "operator") as member:
            done = await act_on_selected(
                member,
                organization_id=own.tenant.organization_id,
                request=request,
                by="ann@example.com",
                actor=Actor(own.users["operator"]),
                now=NOW,
            )
        assert isinstance(done, SelectedDone)
        return done

    seen = {entry.id: SelectedContact(status=ContactStatus.PENDING, calls=0) for entry in pending}
    everyone = [*pending, failed, foreign]
    skipped = await act(SelectedAction.SKIP, everyone, reason="wrong list", seen=seen)
    ada = await connection.fetchval(
        "select 'Ada ' || right(phone, 2) from campaign_contacts where id = $1", pending[2].id
    )
    line = in_one_line(SelectedAction.SKIP, skipped)
    assert line.startswith("2 contacts skipped; 2 had changed: ")
    assert ada in line
    assert "1 left as it is: Ada" in line
    assert "only contacts that are pending can be skipped; this one is failed" in line
    assert await connection.fetchval("select status from campaign_contacts where id = $1", foreign.id) == "pending"

    again = await act(SelectedAction.CALL_AGAIN, [failed, review, pending[0]])
    assert again.changed == 3
    assert await undo(two_organizations, again.act_id) == ActUndone(kind=ActKind.RETRY, changed=3)
    statuses = "select status from campaign_contacts where id = any ($1) order by status"
    ids = [failed.id, review.id, pending[0].id]
    assert [row["status"] for row in await connection.fetch(statuses, ids)] == ["failed", "review", "skipped"]
    assert await undo(two_organizations, skipped.act_id) == ActUndone(kind=ActKind.SKIP, changed=1, kept=1)

    blocked = await act(SelectedAction.DO_NOT_CALL, [pending[0], review])
    assert blocked.changed == 2
    assert await connection.fetchval("select status from campaign_contacts where id = $1", review.id) == "failed"
    assert await undo(two_organizations, blocked.act_id) == ActUndone(kind=ActKind.BLOCK, changed=2)
    assert await connection.fetchval("select count(*) from do_not_call where source = 'manual'") == 0
    assert await connection.fetchval("select status from campaign_contacts where id = $1", review.id) == "review"


async def test_only_who_blocked_a_number_or_an_admin_takes_it_off_the_list(
    connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    entry = await create_campaign_contact(connection, await create_campaign(connection, own.tenant, status="active"))
    async with acting(two_organizations, "operator") as member:
        blocked = await act_on_selected(
            member,
            organization_id=own.tenant.organization_id,
            request=SelectedRequest(action=SelectedAction.DO_NOT_CALL, ids=[entry.id]),
            by="ann@example.com",
            actor=Actor(own.users["operator"]),
            now=NOW,
        )
    assert isinstance(blocked, SelectedDone)
    await connection.execute("update undoable_acts set created_by = $1", own.users["admin"])
    assert await undo(two_organizations, blocked.act_id) == NotUndone(NOT_YOURS)
    async with acting(two_organizations, "operator") as member:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only who added numbers"):
            await member.execute(
                "select private.unlist_contacts($1, $2, null)", own.tenant.organization_id, blocked.act_id
            )
    assert await undo(two_organizations, blocked.act_id, role="admin") == ActUndone(kind=ActKind.BLOCK, changed=1)


async def test_a_number_that_was_added_again_since_stays_on_the_list(
    connection: asyncpg.Connection, two_organizations: World
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    campaign = await create_campaign(connection, own.tenant, status="active")
    entries = [await create_campaign_contact(connection, campaign) for _ in range(2)]
    actor = Actor(own.users["operator"])
    phones = [entry.contact.phone for entry in entries]
    async with acting(two_organizations, "operator") as member:
        blocked = [await block(member, campaign, entry, actor) for entry in entries]
        listed = ["+12125550171", "+12125550172"]
        await do_not_call.block_phones(
            member,
            organization_id=organization_id,
            phones=listed,
            purpose=Scope.ANY,
            source="manual",
            reason=None,
            now=NOW,
        )
        by_hand = await record_act(
            member,
            organization_id=organization_id,
            kind=ActKind.LIST,
            now=NOW,
            former=[{"phone": phone, "purpose": Scope.ANY} for phone in listed],
        )
    # The contact of one asks for it in a call that was on the line, and another member adds one of the others.
    await connection.execute(
        "insert into do_not_call (organization_id, phone, purpose, source, created_at)"
        " values ($1, $2, 'any', 'call', $4), ($1, $3, 'any', 'manual', $4) on conflict do nothing",
        organization_id,
        phones[0],
        listed[0],
        NOW + timedelta(seconds=30),
    )

    assert await undo(two_organizations, by_hand) == ActUndone(kind=ActKind.LIST, changed=1, kept=1)
    for act_id in blocked:
        await undo(two_organizations, act_id)
    numbers = [*phones, *listed]
    kept_numbers = await connection.fetch("select phone from do_not_call where phone = any ($1)", numbers)
    assert {row["phone"] for row in kept_numbers} == {phones[0], listed[0]}
