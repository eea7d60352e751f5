"""Campaign contacts over the API: filters, search, paging and timeline."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.domain.ids import new_id
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.studio import ClientFor
from tests.support.two_organizations import TwoOrganizations

DECISION = {
    "zone_key": "America/New_York",
    "zone_source": "number",
    "local_times": {"America/New_York": "2026-03-10T13:00:00-04:00"},
    "calling_hours": "open",
    "do_not_call": "not listed",
    "attempts": 0,
    "max_attempts": 3,
    "calls_in_24_hours": 1,
    "daily_call_cap": 3,
    "live_calls": 2,
    "concurrency_limit": 20,
    "reserved_inbound": 5,
}
PEOPLE = [
    ("Ada Lovelace", "+12125550134", "crm-1"),
    ("adam", "+12125550135", "crm-2"),
    ("Bob", "+13105550134", None),
    (None, "+442071838750", None),
]


async def people(connection: asyncpg.Connection, campaign: Campaign) -> dict[str | None, CampaignContact]:
    entries = {}
    for name, phone, external_id in PEOPLE:
        contact = await create_contact(
            connection, campaign.tenant.organization_id, name=name, phone=phone, external_id=external_id
        )
        entries[name] = await create_campaign_contact(connection, campaign, contact)
    return entries


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection))


@pytest.fixture
async def viewer(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    return await create_member(connection, campaign.tenant.organization_id, "viewer")


def address(campaign: Campaign, contact: CampaignContact | None = None) -> str:
    base = f"/api/v1/organizations/{campaign.tenant.organization_id}/campaigns/{campaign.id}/contacts"
    return base if contact is None else f"{base}/{contact.id}"


async def names(client: httpx.AsyncClient, campaign: Campaign, **query: Any) -> list[str | None]:
    response = await client.get(address(campaign), params=query)
    assert response.status_code == 200, response.text
    return [item["name"] for item in response.json()["items"]]


SEARCHES: list[tuple[Mapping[str, str], list[str | None]]] = [
    ({"name": "ADA"}, ["Ada Lovelace", "adam"]),
    ({"name": "ada l"}, ["Ada Lovelace"]),
    ({"name": "lovelace"}, []),
    ({"name": "%"}, []),
    ({"phone": "+1 (212)"}, ["Ada Lovelace", "adam"]),
    ({"phone": "1310"}, ["Bob"]),
    ({"phone": "+12125550134"}, ["Ada Lovelace"]),
    ({"phone_ends": "0134"}, ["Ada Lovelace", "Bob"]),
    ({"phone_ends": "212 555-0135"}, ["adam"]),
    ({"external_id": "crm-2"}, ["adam"]),
    ({"external_id": "crm"}, []),
    ({"name": "ada", "status": "failed"}, []),
]


@pytest.mark.parametrize(("query", "found"), SEARCHES, ids=str)
async def test_search_matches_name_prefix_number_prefix_or_suffix_and_exact_external_id(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    campaign: Campaign,
    viewer: UUID,
    query: Mapping[str, str],
    found: list[str | None],
) -> None:
    await people(connection, campaign)
    elsewhere = await create_campaign(connection, campaign.tenant)
    await create_campaign_contact(
        connection,
        elsewhere,
        await create_contact(
            connection, campaign.tenant.organization_id, name="Ada", phone="+12125550934", external_id="crm"
        ),
    )

    assert sorted(await names(await client_for(viewer), campaign, **query), key=str) == sorted(found, key=str)


async def test_contacts_are_filtered_by_status_and_last_outcome(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    entries = await people(connection, campaign)
    await connection.execute(
        "update campaign_contacts set last_outcome = 'busy' where id = any ($1)",
        [entries["Bob"].id, entries["adam"].id],
    )
    await connection.execute(
        "update campaign_contacts set status = 'failed', status_reason = 'busy after 3 attempts' where id = $1",
        entries["Bob"].id,
    )
    client = await client_for(viewer)

    assert await names(client, campaign, status="failed") == ["Bob"]
    assert await names(client, campaign, outcome="busy") == ["adam", "Bob"]
    assert await names(client, campaign, outcome="busy", status="pending") == ["adam"]
    failed = (await client.get(address(campaign), params={"status": "failed"})).json()["items"][0]
    assert failed["status_reason"] == "busy after 3 attempts"
    assert failed["next_attempt_at"] is None


async def test_pending_contacts_are_ordered_by_due_time(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    entries = await people(connection, campaign)
    for minutes, name in enumerate(["Bob", "Ada Lovelace", "adam"]):
        await connection.execute(
            "update campaign_contacts set next_attempt_at = $2 where id = $1",
            entries[name].id,
            NOW + timedelta(minutes=minutes),
        )
    await connection.execute("update campaign_contacts set status = 'skipped' where id = $1", entries[None].id)

    assert await names(await client_for(viewer), campaign, order="next_attempt") == ["Bob", "Ada Lovelace", "adam"]


@pytest.mark.parametrize(
    "query",
    [{}, {"order": "next_attempt"}, {"name": "same"}, {"phone": "+1212"}, {"phone_ends": "5"}, {"status": "pending"}],
)
async def test_paging_in_any_order_returns_each_contact_once(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID, query: dict[str, str]
) -> None:
    wanted = set()
    for number in range(7):
        contact = await create_contact(
            connection, campaign.tenant.organization_id, name="Same", phone=f"+1212555{number}005"
        )
        wanted.add(str((await create_campaign_contact(connection, campaign, contact)).id))
    client, seen, cursor = await client_for(viewer), [], None
    while True:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        response = (await client.get(address(campaign), params={**query, **more, "limit": "3"})).json()
        assert len(response["items"]) <= 3
        seen += [item["id"] for item in response["items"]]
        if (cursor := response["next"]) is None:
            break

    assert sorted(seen) == sorted(wanted)


BAD = [
    {"phone": "abc"},
    {"phone": "1" * 16},
    {"phone_ends": "٣"},
    {"name": "a\x00"},
    {"external_id": "\x00"},
    {"name": "a", "phone": "1"},
    {"order": "next_attempt", "name": "a"},
    {"order": "next_attempt", "status": "failed"},
    {"cursor": "nonsense"},
    {"cursor": "WyJhIiwgImIiXQ"},
    {"name": "a", "cursor": "WyJcdTAwMDAiLCAiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwIl0"},
]


@pytest.mark.parametrize("query", BAD, ids=str)
async def test_invalid_searches_are_rejected_with_a_reason(
    client_for: ClientFor, campaign: Campaign, viewer: UUID, query: dict[str, str]
) -> None:
    response = await (await client_for(viewer)).get(address(campaign), params=query)

    assert response.status_code == 400, response.text
    assert response.json()["code"] == "INVALID_REQUEST"
    assert response.json()["fields"]


async def test_a_timeline_has_attempts_decisions_and_the_next_call(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    entry = await create_campaign_contact(
        connection,
        campaign,
        next_attempt_at=NOW + timedelta(minutes=30),
        attempts=1,
        call_count=1,
        last_outcome="busy",
        variables='{"visits": 2}',
    )
    call_id = await create_call(
        connection,
        entry,
        status="ended",
        outcome="busy",
        disconnection_reason="dial_busy",
        decision=json.dumps(DECISION),
        ended_at=NOW,
        duration_ms=0,
        cost_cents="1.5",
    )
    for subject in (str(campaign.id), str(entry.contact.id), str(new_id(NOW))):
        await insert(
            connection,
            "audit_log",
            organization_id=campaign.tenant.organization_id,
            at=NOW,
            actor="service",
            action="start_campaign",
            subject_type="campaign",
            subject_id=subject,
        )

    timeline = (await (await client_for(viewer)).get(address(campaign, entry))).json()

    assert timeline["contact"]["id"] == str(entry.id)
    assert timeline["variables"] == {"visits": 2}
    assert timeline["planned"]["at"] == "2026-03-10T17:30:00Z"
    assert [entry["subject_id"] for entry in timeline["audit"]] == [str(entry.contact.id), str(campaign.id)]
    [attempt] = timeline["attempts"]
    assert (attempt["call_id"], attempt["outcome"], attempt["cost_cents"]) == (str(call_id), "busy", 1.5)
    assert attempt["reason_in_words"][0] == "The line was busy."
    assert attempt["decision"] == DECISION
    assert attempt["decision_in_words"] == [
        "Time zone: America/New York (from the phone number).",
        "Local time: Tuesday 1:00 PM in New York, within calling hours.",
        "The number was not on the do-not-call list.",
        "0 of 3 attempts had been made.",
        "The number had received 1 call in 24 hours; the limit is 3.",
        "The account was using 2 of 20 lines (5 reserved for inbound calls).",
    ]


PLANS = [
    ({"status": "calling"}, {}, None, "A call is in progress."),
    ({"status": "failed"}, {}, None, "No further call is planned."),
    ({}, {"status": "paused"}, None, "paused"),
    ({}, {"calling_hours": '{"monday": [["09:00", "10:00"]]}'}, "2026-03-16T13:00:00Z", "calling hours to open"),
    ({}, {}, "2026-03-10T17:00:00Z", "line is free"),
    ({"attempts": 3, "call_count": 3}, {}, None, "All attempts have been used"),
]


@pytest.mark.parametrize(("contact", "of_campaign", "at", "reason"), PLANS)
async def test_the_next_call_has_a_reason(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    contact: dict[str, Any],
    of_campaign: dict[str, Any],
    at: str | None,
    reason: str,
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant, **of_campaign)
    entry = await create_campaign_contact(connection, campaign, **contact)
    client = await client_for(await create_member(connection, tenant.organization_id, "viewer"))

    planned = (await client.get(address(campaign, entry))).json()["planned"]

    assert planned["at"] == at
    assert reason in planned["reason"]


async def test_a_number_on_the_do_not_call_list_will_be_skipped(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    entry = await create_campaign_contact(connection, campaign)
    await insert(
        connection,
        "do_not_call",
        organization_id=campaign.tenant.organization_id,
        phone=entry.contact.phone,
        source="manual",
    )

    timeline = (await (await client_for(viewer)).get(address(campaign, entry))).json()

    assert timeline["do_not_call"] is True
    assert timeline["planned"] == {
        "at": None,
        "reason": "The number is on the do-not-call list. The contact will be skipped.",
    }


async def test_contacts_of_another_organization_are_not_found_even_below_an_own_campaign(
    connection: asyncpg.Connection, client_for: ClientFor, two_organizations: TwoOrganizations
) -> None:
    own, other = two_organizations.own, two_organizations.other
    client = await client_for(own.users["owner"])
    mine, theirs = own.tenant.organization_id, other.tenant.organization_id
    my_campaign, their_campaign = own.spare_entry.campaign.id, other.spare_entry.campaign.id
    paths = [
        f"{theirs}/campaigns/{their_campaign}/contacts",
        f"{mine}/campaigns/{their_campaign}/contacts",
        f"{theirs}/campaigns/{their_campaign}/contacts/{other.spare_entry.id}",
        f"{mine}/campaigns/{their_campaign}/contacts/{other.spare_entry.id}",
        f"{mine}/campaigns/{my_campaign}/contacts/{other.spare_entry.id}",
        f"{mine}/campaigns/{own.fresh.id}/contacts/{own.spare_entry.id}",
        f"{mine}/campaigns/{their_campaign}/charts",
    ]

    assert {path: (await client.get(f"/api/v1/organizations/{path}")).status_code for path in paths} == dict.fromkeys(
        paths, 404
    )
    assert (await client.get(address(own.spare_entry.campaign, own.spare_entry))).status_code == 200


async def test_a_secret_key_sees_everything_and_a_request_without_credentials_nothing(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign
) -> None:
    await people(connection, campaign)
    service = await client_for(None)
    assert len((await service.get(address(campaign))).json()["items"]) == len(PEOPLE)

    service.headers.pop("apikey")
    assert (await service.get(address(campaign))).status_code == 401


async def test_a_contact_in_review_is_decided_once(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign
) -> None:
    entry = await create_campaign_contact(connection, campaign, status="review", call_count=1)
    operator = await create_member(connection, campaign.tenant.organization_id, "operator")
    client = await client_for(operator)
    shown = (await client.get(address(campaign, entry))).json()
    assert shown["planned"] == {
        "at": None,
        "reason": "This contact needs a decision and will not be called until then.",
    }
    assert shown["decided"] is None

    tomorrow = NOW + timedelta(days=1)
    body = {"decision": "call_again", "note": " asked for tomorrow ", "call_at": tomorrow.isoformat()}
    decided = await client.post(f"{address(campaign, entry)}/decision", json=body)
    again = await client.post(f"{address(campaign, entry)}/decision", json={"decision": "failed"})

    assert decided.status_code == 200, decided.text
    timeline = decided.json()
    assert timeline["contact"]["status"] == "pending"
    assert timeline["planned"]["at"] == "2026-03-11T17:00:00Z"
    email = await connection.fetchval("select email from auth.users where id = $1", operator)
    assert timeline["decided"] == {
        "decision": "call_again",
        "note": "asked for tomorrow",
        "at": "2026-03-10T17:00:00Z",
        "by": str(operator),
        "by_email": email,
    }
    assert [entry["action"] for entry in timeline["audit"]] == ["decide_review"]
    assert again.status_code == 409
    assert again.json()["status"] == "pending"
    assert again.json()["message"] == "Only contacts in review can be decided; this one is pending"


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "later"}, {"decision": "failed", "note": "x" * 1001}, {"decision": "failed", "note": "\0"}],
)
async def test_an_invalid_decision_is_rejected(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, body: dict[str, str]
) -> None:
    entry = await create_campaign_contact(connection, campaign, status="review", call_count=1)
    client = await client_for(await create_member(connection, campaign.tenant.organization_id, "operator"))

    response = await client.post(f"{address(campaign, entry)}/decision", json=body)

    assert response.status_code == 400, response.text
    assert await connection.fetchval("select status from campaign_contacts") == "review"


ITEMS: list[tuple[Any, str, str]] = [
    ({"phone": "+12125550134", "priority": 8}, "added", ""),
    ({"phone": "x"}, "bad_phone", "phone: "),
    (7, "bad_item", "is not an object such as"),
    ({"phone": "(212) 555-0134"}, "duplicate", "has the same number as item 0"),
    ({"phone": "+12125550136", "priority": 0}, "bad_item", "priority: must be a whole number from 1 to 9"),
    ({"phone": "+12125550136", "priority": 10}, "bad_item", "priority: must be a whole number from 1 to 9"),
    ({"phone": "+12125550136", "priorty": 1}, "bad_item", "priorty: is not a field; agent variables belong under"),
    ({"phone": "+12125550136", "not_before": "soon"}, "bad_time", "not_before: must be a time with a zone, such as"),
    ({"phone": "+12125550136", "not_before": "2028-01-01T00:00:00Z"}, "bad_time", "not_before: may be at most 366"),
    ({"phone": "+12125550137", "not_before": "2020-01-01T00:00:00Z"}, "added", ""),  # called now
]


async def test_contacts_are_added_once_for_each_idempotency_key_and_unreadable_bodies_get_their_place(
    client_for: ClientFor, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    operator = await client_for(await create_member(connection, campaign.tenant.organization_id, "operator"))
    url, key = address(campaign), {"Idempotency-Key": "k1"}
    body = {"contacts": [item for item, _, _ in ITEMS], "default_region": "US"}

    first, repeated = [await operator.post(url, json=body, headers=key) for _ in range(2)]
    other = await operator.post(url, json={"contacts": [{"phone": "+12125550135"}]}, headers=key)
    bad = [
        await operator.post(url, content=content, headers={"content-type": "application/json"})
        for content in (b'{"contacts": [\n  {"phone" "+1"}]}', b'{"contacts": ["\xff"]}', b'{"contacts": []}', b"[]")
    ]
    bad += [
        await operator.post(url, json={"contacts": [{}] * 1001}),
        await operator.post(url, json={"contacts": [{}], "when": 1}),
        await operator.post(url, json={"contacts": [{}], "default_region": "XX"}),
    ]

    assert (first.status_code, repeated.json()) == (200, first.json())
    assert "idempotency-replayed" in repeated.headers
    assert {name: first.json()[name] for name in ("added", "already_there", "refused")} == {
        "added": 2,
        "already_there": 0,
        "refused": len(ITEMS) - 2,
    }
    for (item, expected, reason), found in zip(ITEMS, first.json()["results"], strict=True):
        assert (found["kind"] or found["status"]) == expected, (item, found)
        assert (found["reason"] or "").startswith(reason), (item, found)
    assert other.status_code == 409
    assert [response.status_code for response in bad] == [400] * 7
    assert "line 2, column 12 (character 27)" in bad[0].json()["message"]
    assert "byte 16" in bad[1].json()["message"]
    assert [list(response.json()["fields"]) for response in bad[2:]] == [
        ["contacts"],
        ["body"],
        ["contacts"],
        ["when"],
        ["default_region"],
    ]
    rows = await connection.fetch("select phone, next_attempt_at from campaign_contacts order by phone")
    assert [tuple(row) for row in rows] == [("+12125550134", NOW), ("+12125550137", NOW)]


async def test_a_contact_is_changed_skipped_with_a_reason_and_called_again_over_the_api(
    client_for: ClientFor, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    user_id = await create_member(connection, campaign.tenant.organization_id, "operator")
    operator = await client_for(user_id)
    entry = await create_campaign_contact(connection, campaign)
    url = address(campaign, entry)

    changed = await operator.patch(url, json={"priority": 9, "variables": {"plan": "gold"}})
    wrong = await operator.patch(url, json={"not_before": "soon"})
    skipped = await operator.delete(url, params={"reason": "moved away"})
    late = await operator.patch(url, json={"priority": 1})
    decades = await operator.post(f"{url}/retry", json={"not_before": "2062-01-01T09:00:00Z"})
    again = await operator.post(f"{url}/retry", json={"reason": "asked for it"})

    assert changed.json()["variables"] == {"plan": "gold"}
    assert (wrong.status_code, list(wrong.json()["fields"])) == (400, ["not_before"])
    contact = skipped.json()["contact"]
    assert (contact["status"], contact["status_reason"].endswith(": moved away")) == ("skipped", True)
    assert contact["status_reason"].startswith("skipped by ")
    assert (late.status_code, late.json()["status"]) == (409, "skipped")
    assert (decades.status_code, decades.json()["fields"]["not_before"]) == (400, "may be at most 366 days ahead")
    assert again.json()["contact"]["status"] == "pending"
    retried = "select details ->> 'reason' from audit_log where action = 'retry_contact'"
    assert await connection.fetchval(retried) == "asked for it"
