"""Contacts that programs add to a campaign: what each item becomes, when it is called, and when it may come again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns import lifecycle
from outdial.campaigns.entries.adding import ItemResult, add_contacts
from outdial.campaigns.entries.changing import (
    EntryChanged,
    EntryChanges,
    EntryConflict,
    EntryResult,
    change_entry,
    retry_entry,
    skip_entry,
)
from outdial.campaigns.entries.items import ItemReader
from outdial.campaigns.errors import CampaignClosed, UnknownRegion
from outdial.campaigns.importing.refusals import Refusal
from outdial.campaigns.lifecycle import Actor, Changed, Forbidden, Unchanged
from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus
from tests.support.dialing import Stage, event_body, open_stage
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)
from tests.support.importing import as_user, phone, run
from tests.support.postgres import Scratch

DAY = timedelta(days=1)
BAD_ITEMS: list[tuple[Any, Refusal, str]] = [
    ("+14155550100", Refusal.BAD_ITEM, "is not an object"),
    ({}, Refusal.BAD_PHONE, "phone: "),
    ({"phone": 14155550100}, Refusal.BAD_ITEM, "phone: must be a text"),
    ({"phone": "123"}, Refusal.BAD_PHONE, "phone: "),
    ({"phone": phone(1), "nane": "Ada"}, Refusal.BAD_ITEM, "nane: is not a field"),
    ({"phone": phone(1), "name": "A\0"}, Refusal.BAD_ITEM, "name: must be a text without NUL"),
    ({"phone": phone(1), "name": "\ud800"}, Refusal.BAD_ITEM, "name: must be a text without NUL"),
    ({"phone": phone(1), "name": "A" * 501}, Refusal.TOO_LONG, "name: has 501 characters; at most 500"),
    ({"phone": phone(1), "timezone": "Mars/Olympus"}, Refusal.NO_TIME_ZONE, "timezone: "),
    ({"phone": phone(1), "region": "Atlantis", "country": "US"}, Refusal.BAD_PLACE, "region: "),
    ({"phone": phone(1), "priority": 0}, Refusal.BAD_ITEM, "priority: must be a whole number from 1 to 9"),
    ({"phone": phone(1), "priority": True}, Refusal.BAD_ITEM, "priority: "),
    ({"phone": phone(1), "priority": 5.5}, Refusal.BAD_ITEM, "priority: "),
    ({"phone": phone(1), "not_before": "tomorrow"}, Refusal.BAD_TIME, "not_before: must be a time with a zone"),
    ({"phone": phone(1), "not_before": "2026-04-01T09:00:00"}, Refusal.BAD_TIME, "not_before: must be a time with"),
    ({"phone": phone(1), "not_before": "9999-12-31T23:59:59-14:00"}, Refusal.BAD_TIME, "not_before: may be at most"),
    ({"phone": phone(1), "variables": ["x"]}, Refusal.BAD_ITEM, "variables: must be an object"),
    ({"phone": phone(1), "variables": {"a": {}}}, Refusal.BAD_ITEM, "variables: a must be a text, a number"),
    ({"phone": phone(1), "variables": {"a": float("nan")}}, Refusal.BAD_ITEM, "variables: a is not a number"),
    ({"phone": phone(1), "variables": {" ": "x"}}, Refusal.BAD_ITEM, "variables: ' ' is not a name"),
    ({"phone": phone(1), "variables": {"a": "x" * 10_001}}, Refusal.TOO_LONG, "variables: a has 10,001 characters"),
    ({"phone": phone(1), "consent": {"basis": "oral"}}, Refusal.BAD_CONSENT, "consent: basis is one of"),
    ({"phone": phone(1), "consent": {"basis": "written"}}, Refusal.BAD_CONSENT, "consent: given_at must be"),
    (
        {"phone": phone(1), "consent": {"basis": "written", "given_at": "2026-01-01T00:00:00Z"}},
        Refusal.BAD_CONSENT,
        "consent: source is missing",
    ),
]


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    """The dialer, the webhooks and the simulator around one database."""
    async with open_stage(database, connection) as opened:
        yield opened


async def add(api: Database, campaign: Campaign, *items: object, at: datetime = NOW, **given: Any) -> list[ItemResult]:
    """Add items as service_role, or in the transaction `within`."""
    within = given.pop("within", api.as_service)
    options = {"region": None, "erasure_keys": None, "actor": Actor(), "now": at} | given
    async with within() as opened:
        return await add_contacts(
            opened, organization_id=campaign.tenant.organization_id, campaign_id=campaign.id, items=items, **options
        )


def told(results: list[ItemResult]) -> list[str]:
    return [result.kind or result.status for result in results]


@pytest.mark.parametrize(("item", "kind", "reason"), BAD_ITEMS)
def test_a_bad_item_is_refused_with_its_kind_and_reason_and_the_others_are_read(
    item: Any, kind: Refusal, reason: str
) -> None:
    contacts, refused = ItemReader(None, NOW).read([{"phone": phone(2)}, item, {"phone": phone(3)}])

    assert [contact.phone for contact in contacts] == [phone(2), phone(3)]
    assert [(row.line, row.kind) for row in refused] == [(1, kind)]
    assert refused[0].reason.startswith(reason)


async def test_each_item_is_added_already_there_or_refused(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="active")
    await run(api, campaign, f"phone,tier\n{phone(1)},gold\n")
    await connection.execute(
        "insert into do_not_call (organization_id, phone, purpose, source, created_at)"
        " values ($1, $2, 'any', 'manual', $3)",
        campaign.tenant.organization_id,
        phone(4),
        NOW,
    )
    await connection.execute("update campaigns set next_batch_at = $1", NOW + DAY)
    later = NOW + timedelta(hours=3)

    results = await add(
        api,
        campaign,
        {"phone": phone(1), "name": "Ada", "variables": {"tier": "silver"}},
        {"phone": "(415) 555-0002", "priority": 9, "not_before": later.isoformat(), "variables": {"n": 3, "yes": True}},
        {"phone": phone(2)},
        {"phone": phone(4)},
        {"phone": phone(5), "email": "a@example.com"},
        region="US",
    )

    assert told(results) == ["already_there", "added", "duplicate", "do_not_call", "added"]
    assert results[2].reason == "has the same number as item 1"
    rows = {
        row["phone"]: row
        for row in await connection.fetch(
            "select cc.*, cc.variables::text as given, k.name, k.email"
            " from campaign_contacts cc join contacts k on k.id = cc.contact_id"
        )
    }
    assert [results[index].campaign_contact_id for index in (0, 1, 4)] == [rows[phone(n)]["id"] for n in (1, 2, 5)]
    assert (rows[phone(1)]["name"], rows[phone(1)]["given"]) == ("Ada", '{"tier": "silver"}')
    assert (rows[phone(2)]["rank"], rows[phone(2)]["next_attempt_at"]) == (1, later)
    assert rows[phone(2)]["given"] == '{"n": "3", "yes": "true"}'
    assert (rows[phone(5)]["rank"], rows[phone(5)]["next_attempt_at"]) == (5, NOW)
    assert rows[phone(5)]["email"] == "a@example.com"
    assert await connection.fetchval("select next_batch_at from campaigns") == NOW
    [audited] = await connection.fetch("select details::text from audit_log where action = 'add_contacts'")
    assert audited["details"] == '{"added": 2, "refused": 2, "already_there": 1}'


async def test_a_request_that_cannot_be_served_stores_nothing(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="completed")

    with pytest.raises(CampaignClosed):
        await add(api, campaign, {"phone": phone(1)})
    with pytest.raises(UnknownRegion):
        await add(api, campaign, {"phone": phone(1)}, region="XX")

    assert await connection.fetchval("select count(*) from contacts") == 0


async def test_a_contact_is_dialed_as_soon_as_it_is_added_to_an_open_campaign_which_completes_once_it_is_closed(
    api: Database, stage: Stage
) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), status="active", keep_open=True)
    dialer = stage.dialer()
    await dialer.run_once()
    row = await stage.row("campaigns", campaign.id)
    assert (row["status"], row["waiting_for"]) == ("active", "contacts")

    await add(api, campaign, {"phone": phone(1)}, at=stage.clock.now())
    await dialer.run_once()
    await dialer.settled()

    assert len(stage.asked()) == 1
    stage.clock.advance(timedelta(minutes=10))
    await stage.deliver()
    await dialer.run_once()
    assert (await stage.row("campaigns", campaign.id))["status"] == "active"
    async with api.as_service() as opened:
        closed = [await lifecycle.close(opened, campaign.id, Actor(), stage.clock.now()) for _ in range(2)]
    assert closed == [Changed(CampaignStatus.ACTIVE), Unchanged(CampaignStatus.ACTIVE)]
    await dialer.run_once()
    assert (await stage.row("campaigns", campaign.id))["status"] == "completed"
    async with api.as_service() as opened:
        assert await lifecycle.close(opened, campaign.id, Actor(), NOW) == Unchanged(CampaignStatus.COMPLETED)


async def test_an_open_campaign_starts_without_contacts(api: Database, connection: asyncpg.Connection) -> None:
    tenant = await create_tenant(connection)
    kept_open = await create_campaign(connection, tenant, status="draft", keep_open=True)
    other = await create_campaign(connection, tenant, status="draft")

    async with api.as_service() as opened:
        assert await lifecycle.start(opened, kept_open.id, Actor(), NOW) == Changed(CampaignStatus.ACTIVE)
        refused = await lifecycle.start(opened, other.id, Actor(), NOW)

    assert isinstance(refused, lifecycle.Conflict)
    assert "keep it open" in refused.reason


async def test_a_finished_contact_comes_again_after_reentry_after_with_all_attempts_and_late_events_leave_it(
    api: Database, stage: Stage
) -> None:
    campaign = await create_campaign(
        stage.look, await create_tenant(stage.look), status="active", keep_open=True, reentry_after=DAY
    )
    entry, call_id = await create_calling(stage.look, campaign, status="placed", retell_call_id="call_1")
    item = {"phone": entry.contact.phone, "variables": {"turn": "second"}}
    assert told(await add(api, campaign, item, at=NOW + 9 * DAY)) == ["already_there"]
    await stage.change("campaign_contacts", entry.id, status="failed", attempts=1, faults=2, updated_at=NOW)
    await stage.change("campaign_contacts", entry.id, part_due_since=NOW)

    early = await add(api, campaign, item, at=NOW + DAY - timedelta(seconds=1))
    assert (told(early), early[0].contact_status) == (["already_there"], "failed")
    report = await run(api, campaign, f"phone\n{entry.contact.phone}\n", clock=VirtualClock(NOW + DAY / 2))
    assert (report.added, report.already_there) == (0, 1)
    together = await asyncio.gather(*(add(api, campaign, item, at=NOW + DAY) for _ in range(2)))
    assert sorted(told([*together[0], *together[1]])) == ["added", "already_there"]

    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["attempts"], row["faults"], row["call_count"]) == ("pending", 0, 0, 1)
    assert (row["earlier_calls"], row["reentered_at"], row["part_due_since"]) == (1, NOW + DAY, None)
    await stage.send(event_body("call_ended", "call_1", call_id, disconnection_reason="user_hangup"))
    assert (await stage.row("calls", call_id))["status"] == "ended"
    assert await stage.row("campaign_contacts", entry.id) == row


async def act(api: Database, change: Any, user: UUID | None, campaign: Campaign, id: UUID, **more: Any) -> EntryResult:
    within = api.as_service if user is None else as_user(api, user)
    async with within() as opened:
        result: EntryResult = await change(
            opened, campaign_id=campaign.id, campaign_contact_id=id, actor=Actor(user), now=NOW, **more
        )
        return result


async def test_single_contacts_are_changed_skipped_and_called_again_by_operators_only(
    api: Database, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, status="active")
    entry = await create_campaign_contact(connection, campaign, variables='{"a": "1", "b": "2"}')
    operator = await create_member(connection, tenant.organization_id, "operator")
    viewer = await create_member(connection, tenant.organization_id, "viewer")
    changes = EntryChanges(not_before=NOW + DAY, rank=1, variables={"a": None, "c": "3"})
    skipping = {"by": "ada@example.com", "reason": "moved away"}
    asked: list[tuple[Any, dict[str, Any]]] = [
        (change_entry, {"changes": changes}),
        (skip_entry, skipping),
        (retry_entry, {"not_before": None, "reason": "asked for it"}),
    ]
    for change, more in asked:
        assert await act(api, change, viewer, campaign, entry.id, **more) == Forbidden()

    assert await act(api, change_entry, operator, campaign, entry.id, changes=changes) == EntryChanged(
        ContactStatus.PENDING
    )
    row = await connection.fetchrow("select *, variables::text as given from campaign_contacts")
    assert row is not None
    assert (row["rank"], row["next_attempt_at"], row["given"]) == (1, NOW + DAY, '{"b": "2", "c": "3"}')
    assert await act(api, skip_entry, operator, campaign, entry.id, **skipping) == EntryChanged(ContactStatus.SKIPPED)
    assert await connection.fetchval("select status_reason from campaign_contacts") == (
        "skipped by ada@example.com: moved away"
    )
    again = await act(api, skip_entry, None, campaign, entry.id, **skipping)
    assert again == EntryChanged(ContactStatus.SKIPPED, changed=False)
    retrying = {"not_before": None, "reason": "asked for it"}
    assert await act(api, retry_entry, operator, campaign, entry.id, **retrying) == EntryChanged(ContactStatus.PENDING)
    actions = await connection.fetch("select actor, action, details ->> 'reason' from audit_log order by id")
    assert [tuple(each) for each in actions] == [
        (str(operator), "change_campaign_contact", None),
        (str(operator), "skip_contact", "moved away"),
        (str(operator), "retry_contact", "asked for it"),
    ]


@pytest.mark.parametrize(
    ("change", "more", "from_statuses"),
    [
        (change_entry, {"changes": EntryChanges(rank=1)}, {"pending"}),
        (skip_entry, {"by": "me", "reason": None}, {"pending", "skipped"}),
        (retry_entry, {"not_before": NOW, "reason": None}, {"pending", "completed", "failed", "skipped"}),
    ],
)
async def test_a_change_that_the_status_of_the_contact_does_not_allow_is_refused(
    api: Database, connection: asyncpg.Connection, change: Any, more: Mapping[str, Any], from_statuses: set[str]
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="active")
    allowed = set()
    for status in ContactStatus:
        entry = await create_campaign_contact(connection, campaign, status=status)
        result = await act(api, change, None, campaign, entry.id, **more)
        if isinstance(result, EntryConflict):
            assert result.status == status
            assert await connection.fetchval("select status from campaign_contacts where id = $1", entry.id) == status
        else:
            allowed.add(status.value)

    assert allowed == from_statuses


async def test_a_completed_campaign_calls_no_contact_again(api: Database, connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="completed")
    entry = await create_campaign_contact(connection, campaign, status="failed")

    refused = await act(api, retry_entry, None, campaign, entry.id, not_before=None, reason=None)

    assert isinstance(refused, EntryConflict)
    assert "add the contact to another campaign" in refused.reason


@pytest.mark.parametrize("role", ["outdial_dialer", "outdial_webhook"])
async def test_no_process_brings_a_finished_contact_back(
    database: Scratch, connection: asyncpg.Connection, role: str
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="active")
    entry = await create_campaign_contact(connection, campaign, status="failed")

    async def attempt(change: str) -> None:
        async with (
            await Database.connect(database.dsn_for(role), application_name="tests") as process,
            process.for_organization(campaign.tenant.organization_id) as opened,
        ):
            await opened.execute(change, entry.id)

    with pytest.raises(asyncpg.CheckViolationError, match="without being added or called again"):
        await attempt("update campaign_contacts set status = 'pending' where id = $1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attempt("update campaign_contacts set status = 'pending', reentered_at = now() where id = $1")
