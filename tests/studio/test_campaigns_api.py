"""Campaigns over the API: list, create, edit, actions, rights and progress."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.domain.limits import MAX_CONCURRENCY
from tests.support.factories import (
    NOW,
    create_calling,
    create_campaign,
    create_campaign_contact,
)
from tests.support.two_organizations import TwoOrganizations

ClientFor = Callable[[UUID | None], Any]
NEW = {"name": "Spring", "retell_agent_id": "agent_1", "from_number": "+12125550123"}


@pytest.fixture
def base(two_organizations: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/campaigns"


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> Any:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
async def viewer(two_organizations: TwoOrganizations, client_for: ClientFor) -> Any:
    return await client_for(two_organizations.own.users["viewer"])


async def test_a_campaign_is_created_as_an_audited_draft_with_defaults(
    operator: Any, base: str, connection: asyncpg.Connection
) -> None:
    created = await operator.post(base, json=NEW)

    assert created.status_code == 201, created.text
    campaign = created.json()
    assert (campaign["status"], campaign["batch_size"], campaign["max_attempts"]) == ("draft", 10, 3)
    found = await operator.get(f"{base}/{campaign['id']}")
    assert found.json() == campaign
    assert found.headers["etag"]
    audit = await connection.fetchrow(
        "select action, details::text from audit_log where subject_id = $1", campaign["id"]
    )
    assert tuple(audit) == ("create_campaign", '{"name": "Spring"}')


async def test_one_idempotency_key_creates_one_campaign(
    operator: Any, base: str, connection: asyncpg.Connection
) -> None:
    answers = [await operator.post(base, json=NEW, headers={"idempotency-key": "once"}) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert await connection.fetchval("select count(*) from campaigns where name = 'Spring' and status = 'draft'") == 1


@pytest.mark.parametrize(
    ("fields", "named", "words"),
    [
        ({"name": ""}, "name", "at least 1"),
        ({"name": "  "}, "name", "Must have 1 to 200"),
        ({"from_number": "12"}, "from_number", "E.164"),
        ({"batch_size": 0}, "batch_size", "greater"),
        ({"calling_hours": {"funday": []}}, "calling_hours", "Unknown key"),
        ({"retry_policy": {"busy": {"delays": ["soon"]}}}, "retry_policy", "not a duration"),
        ({"scheduled_at": "2026-12-01T09:00:00"}, "scheduled_at", "timezone"),
        ({"purpose": "war"}, "purpose", "sales"),
        ({"consent_required": "spoken"}, "consent_required", "written"),
        ({"lists_required": ["naughty"]}, "lists_required.0", "national"),
        ({"more_numbers": ["12"]}, "more_numbers", "E.164"),
        ({"callback_policy": {"time_field": ""}}, "callback_policy", "analysis field"),
        ({"voicemail_policy": {"action": "leave_message"}}, "voicemail_policy", "write what"),
        ({"day_parts": ["night"]}, "day_parts.0", "evening"),
        ({"reentry_after": "soon"}, "reentry_after", "30d"),
        ({"budget_cents": -1}, "budget_cents", "greater"),
        ({"priority": 10}, "priority", "9"),
        ({"colour": "red"}, "colour", "not permitted"),
        ({"provider_account_id": None, "max_attempts": 51}, "max_attempts", "50"),
    ],
)
async def test_invalid_fields_are_named(
    operator: Any, base: str, fields: dict[str, Any], named: str, words: str
) -> None:
    refused = await operator.post(base, json=NEW | fields)

    assert refused.status_code == 400, refused.text
    assert words in refused.json()["fields"][named]


async def test_the_account_is_required_when_there_are_two(
    operator: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    await connection.execute(
        "insert into provider_accounts (organization_id, name, credential) values ($1, 'Second', 'second')",
        two_organizations.own.tenant.organization_id,
    )

    refused = await operator.post(base, json=NEW)
    account_id = str(two_organizations.own.tenant.provider_account_id)
    created = await operator.post(base, json=NEW | {"provider_account_id": account_id})
    foreign = str(two_organizations.other.tenant.provider_account_id)
    others = await operator.post(base, json=NEW | {"provider_account_id": foreign})

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["provider_account_id"])
    assert created.json()["provider_account_id"] == account_id
    assert others.status_code == 409


async def test_a_change_keeps_other_settings_and_an_outdated_one_is_rejected(
    operator: Any, base: str, connection: asyncpg.Connection
) -> None:
    campaign = (await operator.post(base, json=NEW)).json()
    url = f"{base}/{campaign['id']}"
    seen = (await operator.get(url)).headers["etag"]

    changed = await operator.patch(url, json={"name": "Summer"}, headers={"if-match": seen})
    late = await operator.patch(url, json={"batch_size": 5}, headers={"if-match": seen})
    unconditional = await operator.patch(url, json={"batch_size": 5, MAX_CONCURRENCY.name: None})

    assert changed.json() == campaign | {"name": "Summer"}
    assert changed.headers["etag"] != seen
    assert (late.status_code, late.json()["code"]) == (412, "OUTDATED")
    assert (unconditional.status_code, unconditional.json()["batch_size"]) == (200, 5)
    audit = await connection.fetch(
        "select details::text from audit_log where subject_id = $1 and action = 'edit_campaign' order by id",
        campaign["id"],
    )
    assert [json.loads(row["details"]) for row in audit] == [
        {"changes": {"name": {"before": NEW["name"], "after": "Summer"}}},
        {"changes": {"batch_size": {"before": campaign["batch_size"], "after": 5}}},
    ]


async def test_purpose_and_duties_are_created_and_changed(operator: Any, base: str) -> None:
    duties = {"purpose": "survey", "consent_required": "express", "lists_required": ["national"]}

    campaign = (await operator.post(base, json=NEW | duties)).json()
    changed = await operator.patch(f"{base}/{campaign['id']}", json={"lists_required": ["litigator", "national"]})
    copy = await operator.post(f"{base}/{campaign['id']}/duplicate")
    default = (await operator.post(base, json=NEW)).json()

    assert {key: campaign[key] for key in duties} == duties
    assert changed.json()["lists_required"] == ["national", "litigator"]
    assert {key: copy.json()[key] for key in duties} == duties | {"lists_required": ["national", "litigator"]}
    assert {key: default[key] for key in duties} == {
        "purpose": "sales",
        "consent_required": "none",
        "lists_required": [],
    }


async def test_an_invalid_change_changes_nothing(operator: Any, base: str) -> None:
    campaign = (await operator.post(base, json=NEW)).json()
    url = f"{base}/{campaign['id']}"

    for changes, named in [
        ({"name": None}, "name"),
        ({"name": "Fine", "from_number": "nobody"}, "from_number"),
        ({"calling_hours": {"monday": [["20:00", "09:00"]]}}, "calling_hours"),
        ({"status": "active"}, "status"),
    ]:
        refused = await operator.patch(url, json=changes)
        assert (refused.status_code, named in refused.json()["fields"]) == (400, True), refused.text
    assert (await operator.get(url)).json() == campaign


async def test_an_active_campaign_takes_a_new_pace_but_no_new_agent(
    operator: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)

    changed = await operator.patch(f"{base}/{campaign.id}", json={"batch_size": 5})
    refused = await operator.patch(f"{base}/{campaign.id}", json={"batch_size": 6, "retell_agent_id": "agent_9"})

    assert (changed.status_code, changed.json()["batch_size"]) == (200, 5)
    assert (refused.status_code, refused.json()["status"]) == (409, "active")
    assert "pause it first" in refused.json()["message"]


async def test_a_scheduled_campaign_requires_a_start_time(
    operator: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    later = NOW + timedelta(days=1)
    campaign = await create_campaign(
        connection, two_organizations.own.tenant, status="scheduled", scheduled_at=later, next_batch_at=None
    )

    moved = await operator.patch(f"{base}/{campaign.id}", json={"scheduled_at": "2026-03-12T09:00:00+01:00"})
    removed = await operator.patch(f"{base}/{campaign.id}", json={"scheduled_at": None})

    assert moved.json()["scheduled_at"] == "2026-03-12T08:00:00Z"
    assert list(removed.json()["fields"]) == ["scheduled_at"]


async def test_campaigns_are_listed_newest_first_and_filtered_by_status_and_name(
    viewer: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    for number, status in enumerate(["draft", "draft", "paused"]):
        await create_campaign(
            connection, tenant, name=f"Autumn {number}", status=status, created_at=NOW + timedelta(minutes=number)
        )

    first = (await viewer.get(base, params={"limit": 2, "name": "AUTUMN"})).json()
    second = (await viewer.get(base, params={"limit": 2, "name": "autumn", "cursor": first["next"]})).json()
    drafts = (await viewer.get(base, params={"status": "draft"})).json()
    everything = (await viewer.get(base)).json()

    assert [campaign["name"] for campaign in first["items"]] == ["Autumn 2", "Autumn 1"]
    assert [campaign["name"] for campaign in second["items"]] == ["Autumn 0"]
    assert second["next"] is None
    assert {campaign["name"] for campaign in drafts["items"]} == {"Autumn 0", "Autumn 1"}
    assert len(everything["items"]) == 5
    assert (await viewer.get(base, params={"status": "asleep"})).status_code == 400
    assert (await viewer.get(base, params={"cursor": "nonsense"})).status_code == 400


async def test_progress_has_counts_and_rate(
    viewer: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(connection, tenant, started_at=NOW - timedelta(minutes=2))
    for outcome, cost in (("answered", 7.5), ("busy", None), ("busy", 1)):
        await create_calling(
            connection, campaign, status="ended", outcome=outcome, cost_cents=cost, duration_ms=1000, created_at=NOW
        )
    await create_calling(connection, campaign, status="ongoing", created_at=NOW)
    await create_campaign_contact(connection, campaign, status="completed")
    await create_campaign_contact(connection, campaign, next_attempt_at=NOW)

    progress = (await viewer.get(f"{base}/{campaign.id}/progress")).json()
    listed = {item["id"]: item for item in (await viewer.get(base)).json()["items"]}

    assert listed[str(campaign.id)]["progress"] == progress
    budgets = progress.pop("budgets")
    assert [(each["budget"], each["spent_cents"], each["level"]) for each in budgets] == [("day", 8.5, "open")]
    assert progress == {
        "total": 6,
        "finished": 1,
        "live_calls": 1,
        "ended_calls": 3,
        "reached": 1,
        "contacts": {"calling": 4, "completed": 1, "pending": 1},
        "outcomes": {"answered": 1, "busy": 2},
        "cost_cents": 8.5,
        "talk_ms": 3000,
        "calls_per_minute": 2.0,
        "waiting": None,
    }


async def test_a_campaign_that_is_not_dialing_explains_why(
    viewer: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    later = NOW + timedelta(days=1)
    campaign = await create_campaign(
        connection, two_organizations.own.tenant, status="scheduled", scheduled_at=later, next_batch_at=None
    )

    waiting = (await viewer.get(f"{base}/{campaign.id}/progress")).json()["waiting"]

    assert waiting == {
        "code": "scheduled",
        "sentence": "Starts 2026-03-11T17:00:00.000Z",
        "at": "2026-03-11T17:00:00Z",
        "zone": None,
    }


async def test_a_campaign_is_started_paused_resumed_and_cancelled(
    operator: Any, base: str, connection: asyncpg.Connection
) -> None:
    campaign = (await operator.post(base, json=NEW)).json()
    url = f"{base}/{campaign['id']}"
    empty = await operator.post(f"{url}/start")
    assert (empty.status_code, empty.json()["status"]) == (409, "draft")
    assert "import some first" in empty.json()["message"]
    row = await connection.fetchrow(
        "select id from contacts where organization_id = $1 and erased_at is null order by id limit 1",
        UUID(campaign["organization_id"]),
    )
    await connection.execute(
        "insert into campaign_contacts (organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at)"
        " select organization_id, $1, id, phone, zone_key, $2 from contacts where id = $3",
        UUID(campaign["id"]),
        NOW,
        row["id"],
    )

    assert (await operator.post(f"{url}/pause")).status_code == 409
    steps = [
        (await operator.post(f"{url}/{step}", **options)).json()
        for step, options in [
            ("start", {}),
            ("start", {}),
            ("process-batch", {"json": {"batch_size": 3}}),
            ("pause", {}),
            ("resume", {}),
            ("cancel", {"json": {"hang_up": True}}),
        ]
    ]

    assert [(step["status"], step["changed"]) for step in steps] == [
        ("active", True),
        ("active", False),
        ("active", True),
        ("paused", True),
        ("active", True),
        ("cancelling", True),
    ]
    stored = await connection.fetchrow(
        "select hang_up, next_batch_size from campaigns where id = $1", UUID(campaign["id"])
    )
    assert tuple(stored) == (True, 3)
    assert (await operator.post(f"{url}/process-batch", json={"batch_size": 1001})).status_code == 400


async def test_a_viewer_reads_campaigns_and_changes_none(
    viewer: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)
    url = f"{base}/{campaign.id}"

    looks = [await viewer.get(path) for path in (base, url, f"{url}/progress")]
    tries = [
        await viewer.post(base, json=NEW),
        await viewer.patch(url, json={"name": "Mine"}),
        *[await viewer.post(f"{url}/{step}") for step in ("start", "pause", "resume", "cancel", "process-batch")],
    ]

    assert [answer.status_code for answer in looks] == [200, 200, 200]
    assert [answer.status_code for answer in tries] == [403] * 7
    assert await connection.fetchval("select status from campaigns where id = $1", campaign.id) == "active"


async def test_campaigns_of_another_organization_are_not_found(
    operator: Any, base: str, client_for: ClientFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    theirs = await create_campaign(connection, two_organizations.other.tenant)
    organization_id = two_organizations.other.tenant.organization_id
    outsider = await client_for(two_organizations.own.users["outsider"])
    service = await client_for(None)

    for url in (
        f"{base}/{theirs.id}",
        f"/api/v1/organizations/{organization_id}/campaigns/{theirs.id}",
        f"{base}/{uuid4()}",
    ):
        answers = [
            await operator.get(url),
            await operator.get(f"{url}/progress"),
            await operator.patch(url, json={"name": "Mine"}),
            *[await operator.post(f"{url}/{step}") for step in ("start", "pause", "resume", "cancel", "process-batch")],
        ]
        assert [answer.status_code for answer in answers] == [404] * 8
    # The secret key may do everything, and the address must name the right organization all the same.
    assert (await service.post(f"{base}/{theirs.id}/pause")).status_code == 404
    assert (await outsider.get(base)).status_code == 404
    assert (await (await client_for(None)).get(base)).status_code == 200
    assert await connection.fetchval("select status from campaigns where id = $1", theirs.id) == "active"


async def test_a_draft_is_deleted_and_a_campaign_that_was_started_is_not(
    operator: Any, viewer: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    draft = (await operator.post(base, json=NEW)).json()["id"]
    started = str(two_organizations.own.fresh.id)

    assert (await viewer.delete(f"{base}/{draft}")).status_code == 403
    assert (await operator.delete(f"{base}/{two_organizations.other.fresh.id}")).status_code == 404
    refused = await operator.delete(f"{base}/{started}")
    assert (refused.status_code, refused.json()["status"]) == (409, "active")
    assert refused.json()["message"] == "Only a draft can be deleted; this campaign is active"
    assert (await operator.delete(f"{base}/{draft}")).status_code == 204
    assert (await operator.delete(f"{base}/{draft}")).status_code == 404
    entries = await connection.fetch(
        "select subject_id, details->>'name' from audit_log where action = 'delete_campaign'"
    )
    assert [tuple(entry) for entry in entries] == [(draft, NEW["name"])]


async def test_an_archived_campaign_leaves_the_list_until_it_is_taken_out_or_started(
    operator: Any, viewer: Any, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    done, running = [await create_campaign(connection, tenant) for _ in range(2)]
    for outcome in ("answered", "do_not_call", "busy"):
        await create_calling(connection, done, status="ended", outcome=outcome)
    await connection.execute("update campaign_contacts set status = 'completed' where campaign_id = $1", done.id)
    await connection.execute("update campaigns set status = 'completed' where id = $1", done.id)
    draft = (await operator.post(base, json=NEW)).json()["id"]

    async def listed(**query: str) -> set[str]:
        return {item["id"] for item in (await viewer.get(base, params=query)).json()["items"]}

    assert {str(done.id), draft} <= await listed()
    archived = [await operator.post(f"{base}/{id}/archive") for id in (done.id, done.id, draft, running.id)]
    assert [(each.status_code, each.json().get("changed")) for each in archived] == [
        (200, True),
        (200, False),
        (200, True),
        (409, None),
    ]
    assert "Only a draft or a finished campaign" in archived[-1].json()["message"]
    assert await listed() & {str(done.id), draft, str(running.id)} == {str(running.id)}
    assert await listed(archived="true") == {str(done.id), draft}
    shown = (await viewer.get(base, params={"archived": "true", "status": "completed"})).json()["items"][0]
    assert (shown["archived_at"] is None, shown["progress"]["reached"], shown["progress"]["ended_calls"]) == (
        False,
        2,
        3,
    )

    assert (await operator.post(f"{base}/{done.id}/unarchive")).json()["changed"] is True
    await operator.patch(f"{base}/{draft}", json={"keep_open": True})
    assert (await operator.post(f"{base}/{draft}/start")).json()["status"] == "active"
    assert await listed(archived="true") == set()
    audit = "select action from audit_log where subject_id = $1 and action like '%archive%' order by id"
    assert [row[0] for row in await connection.fetch(audit, str(done.id))] == ["archive_campaign", "unarchive_campaign"]
    # Not even the database archives a campaign that has work to do.
    with pytest.raises(asyncpg.CheckViolationError, match="campaigns_archived"):
        await connection.execute("update campaigns set archived_at = now() where id = $1", running.id)


async def test_a_campaign_is_duplicated_as_a_draft_without_contacts_and_start_time(
    operator: Any, base: str, connection: asyncpg.Connection
) -> None:
    settings = NEW | {
        "name": "x" * 200,
        "calling_hours": {"monday": [["10:00", "12:00"]]},
        "retry_policy": {"busy": {"delays": ["10m"]}},
        "dynamic_variables": {"offer": "spring"},
        "scheduled_at": "2026-12-01T09:00:00Z",
        "reentry_after": "30d",
        "day_parts": ["evening", "morning"],
        "voicemail_policy": {"action": "leave_message", "message": "Hello", "on_attempt": "last"},
    }
    campaign = (await operator.post(base, json=settings)).json()

    first = await operator.post(f"{base}/{campaign['id']}/duplicate", headers={"idempotency-key": "k"})
    again = await operator.post(f"{base}/{campaign['id']}/duplicate", headers={"idempotency-key": "k"})
    named = await operator.post(f"{base}/{campaign['id']}/duplicate", json={"name": "Autumn", "reason": "new offer"})

    assert (first.status_code, again.json()["id"], named.json()["name"]) == (201, first.json()["id"], "Autumn")
    copy = first.json()
    assert copy["name"] == ("Copy of " + "x" * 200)[:200]
    changed = {name for name in copy if copy[name] != campaign[name]}
    assert changed == {"id", "name", "scheduled_at"}
    assert (copy["status"], copy["scheduled_at"]) == ("draft", None)
    copies = "select details ->> 'reason' from audit_log where details ? 'copy_of' order by id"
    assert [row[0] for row in await connection.fetch(copies)] == [None, "new offer"]

    # An attempt that never leaves the message is refused, but an old campaign that has it can be copied and renamed.
    late = settings["voicemail_policy"] | {"on_attempt": 9}
    refused = await operator.patch(f"{base}/{copy['id']}", json={"voicemail_policy": late})
    assert (refused.status_code, "attempt 9 would never" in refused.text) == (400, True)
    await connection.execute("update campaigns set voicemail_policy = $1 where id = $2", json.dumps(late), copy["id"])
    assert (await operator.post(f"{base}/{copy['id']}/duplicate")).status_code == 201
    assert (await operator.patch(f"{base}/{copy['id']}", json={"name": "Old"})).status_code == 200
    refused = await operator.patch(f"{base}/{copy['id']}", json={"max_attempts": 2})
    assert (refused.status_code, "at most 2 attempts" in refused.text) == (400, True)
