"""Filters of webhook events and the audit log, replay of selected events, and bodies that are hard to show."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from outdial.studio.view.payloads import readable_body
from tests.support.factories import NOW, insert
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import FilledOrganization, TwoOrganizations


def api(house: FilledOrganization, name: str) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}/{name}"


def page(house: FilledOrganization, name: str) -> str:
    return f"/o/{house.tenant.organization_id}/{name}"


async def add_event(connection: asyncpg.Connection, house: FilledOrganization, name: str, **columns: Any) -> int:
    """Add an event that has been applied; return its id."""
    row = {
        "organization_id": house.tenant.organization_id,
        "source": "webhook",
        "credential": house.tenant.credential,
        "retell_call_id": name,
        "event": "call_ended",
        "body": b"{}",
        "body_sha256": b"3" * 32,
        "received_at": NOW,
        "next_try_at": NOW,
        "status": "quarantined",
    }
    await insert(connection, "webhook_events", **(row | columns))
    found = await connection.fetchval("select id from webhook_events where retell_call_id = $1", name)
    assert isinstance(found, int)
    return found


async def pending(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch(
        "select retell_call_id from webhook_events where status = 'pending' and retell_call_id like 'my %'"
    )
    return {row["retell_call_id"] for row in rows}


async def test_events_are_filtered_by_source_call_and_time(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    call_id = await connection.fetchval(
        "select id from calls where organization_id = $1 limit 1", own.tenant.organization_id
    )
    asked = await add_event(connection, own, "my asked", source="reconciler", call_id=call_id)
    old = await add_event(connection, own, "my old", received_at=NOW - timedelta(days=3))
    client = await client_for(own.users["viewer"])

    async def ids(**params: str) -> list[int]:
        response = await client.get(api(own, "inbox"), params=params)
        assert response.status_code == 200, response.text
        return [event["id"] for event in response.json()["items"]]

    before = (NOW - timedelta(days=2)).isoformat()
    assert await ids(source="reconciler") == [asked]
    assert await ids(call_id=str(call_id)) == [asked]
    assert await ids(until=before) == [old]
    assert old not in await ids(since=before)
    day = f"{NOW - timedelta(days=3):%Y-%m-%d}"
    shown = await (await browser_for(own.users["viewer"])).get(f"{page(own, 'inbox')}?from={day}&to={day}")
    assert (shown.status_code, "my old" in shown.text, "my asked" in shown.text) == (200, True, False)


@pytest.mark.parametrize("name", ["inbox", "audit"])
async def test_an_invalid_date_is_explained(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, name: str
) -> None:
    own = two_organizations.own
    client, browser = await client_for(own.users["viewer"]), await browser_for(own.users["viewer"])

    for since in ("2026-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "yesterday"):
        response = await client.get(api(own, name), params={"since": since})
        assert (response.status_code, list(response.json()["fields"])) == (400, ["since"]), since
    shown = await browser.get(f"{page(own, name)}?from=yesterday")
    assert (shown.status_code, "use the format 2026-12-24" in shown.text) == (400, True)


async def test_selected_events_are_replayed_and_no_others(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    one, two, three = [await add_event(connection, own, f"my {name}") for name in ("one", "two", "three")]
    theirs = await add_event(connection, other, "my neighbour's")
    client, browser = await client_for(own.users["operator"]), await browser_for(own.users["operator"])

    done = await client.post(f"{api(own, 'inbox')}/replay", json={"ids": [three, one, one, theirs, 2**62]})
    assert done.json() == {"replayed": 2, "without_body": 0}
    assert await pending(connection) == {"my one", "my three"}

    listed = await browser.get(page(own, "inbox"))
    assert f'name="ids" value="{two}"' in listed.text
    assert f'name="ids" value="{one}"' not in listed.text
    form = {"selected": "yes", "ids": [str(two), str(theirs)]}
    posted = await browser.post_form(f"{page(own, 'inbox')}/replay", form, page=page(own, "inbox"))
    assert posted.status_code == 303
    assert await pending(connection) == {"my one", "my two", "my three"}
    details = await connection.fetchval("select details ->> 'replayed' from audit_log order by id desc limit 1")
    assert details == "1"


async def test_a_form_without_selected_events_replays_nothing(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    event_id = await add_event(connection, own, "my one")
    client, browser = await client_for(own.users["operator"]), await browser_for(own.users["operator"])

    posted = await browser.post_form(f"{page(own, 'inbox')}/replay", {"selected": "yes"})
    wrong = [{"ids": []}, {"ids": [1], "first_id": 1}, {"ids": ["x"]}, {"ids": list(range(201))}]
    statuses = [(await client.post(f"{api(own, 'inbox')}/replay", json=body)).status_code for body in wrong]

    assert (posted.status_code, statuses) == (303, [400] * 4)
    assert "No events selected" in (await browser.get(posted.headers["location"])).text
    assert await connection.fetchval("select status from webhook_events where id = $1", event_id) == "quarantined"


async def test_viewers_cannot_select_events(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> None:
    own = two_organizations.own
    shown = await (await browser_for(own.users["viewer"])).get(page(own, "inbox"))
    assert (shown.status_code, 'name="ids"' in shown.text) == (200, False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": [1]}', '{\n  "a": [\n    1\n  ]\n}'),
        (b'"\\ud800"', '"\\ud800"'),
        (b"\xff", "\ufffd"),
        (b"[" * 5000, "[" * 5000),
        (b"1" * 5000, "1" * 5000),
        (b"", ""),
    ],
)
def test_a_body_becomes_valid_text(body: bytes, expected: str) -> None:
    readable = readable_body(body)
    assert readable == expected
    assert readable.encode().decode() == expected


def test_a_deeply_nested_body_is_not_indented() -> None:
    body = b"[" * 200 + b"1," * 5000 + b"1" + b"]" * 200
    assert readable_body(body) == body.decode()


async def test_a_lone_surrogate_in_a_body_breaks_neither_page_nor_response(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    event_id = await add_event(connection, own, "my odd", body=b'{"text": "\\ud83d"}')

    told = await (await client_for(own.users["viewer"])).get(f"{api(own, 'inbox')}/{event_id}")
    shown = await (await browser_for(own.users["viewer"])).get(f"{page(own, 'inbox')}/{event_id}")

    assert (told.status_code, shown.status_code) == (200, 200)
    assert "\\ud83d" in told.json()["body"]


async def test_the_audit_log_is_filtered_by_object_type_and_time(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    for action, days in (("pause_campaign", 3), ("change_settings", 0)):
        await insert(
            connection,
            "audit_log",
            organization_id=own.tenant.organization_id,
            at=NOW - timedelta(days=days),
            actor="dialer",
            action=action,
            subject_type=action.partition("_")[2],
            subject_id="1",
        )
    client, browser = await client_for(own.users["viewer"]), await browser_for(own.users["viewer"])
    before = (NOW - timedelta(days=2)).isoformat()

    old = (await client.get(api(own, "audit"), params={"until": before})).json()["items"]
    kind = (await client.get(api(own, "audit"), params={"subject_type": "settings", "since": before})).json()["items"]
    shown = await browser.get(f"{page(own, 'audit')}?action=Pause+campaign&actor=dialer")

    assert [entry["action"] for entry in old] == ["pause_campaign"]
    assert [entry["action"] for entry in kind] == ["change_settings"]
    assert (shown.status_code, "Change settings" in shown.text, "Pause campaign</th>" in shown.text) == (
        200,
        False,
        True,
    )
    assert '<option value="dialer" selected>' in shown.text
