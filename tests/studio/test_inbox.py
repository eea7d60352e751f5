"""Webhook events: those of one organization, unmatched ones for admins, and replay."""

from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from tests.support.factories import NOW, insert
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import FilledOrganization, TwoOrganizations


def base(house: FilledOrganization) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}/inbox"


def page_of(house: FilledOrganization) -> str:
    return f"/o/{house.tenant.organization_id}/inbox"


async def add_event(connection: asyncpg.Connection, house: FilledOrganization, **columns: Any) -> int:
    """Add an event of the house's account; return its id."""
    row = {
        "organization_id": house.tenant.organization_id,
        "source": "webhook",
        "credential": house.tenant.credential,
        "retell_call_id": "call_x",
        "event": "call_ended",
        "body": b'{"event": "call_ended", "<b>": "<script>"}',
        "body_sha256": sha256(str(columns).encode()).digest(),
        "received_at": NOW,
        "next_try_at": NOW,
        "status": "applied",
    }
    await insert(connection, "webhook_events", **(row | columns))
    return int(await connection.fetchval("select max(id) from webhook_events"))


async def status_of(connection: asyncpg.Connection, event_id: int) -> str:
    return str(await connection.fetchval("select status from webhook_events where id = $1", event_id))


async def test_events_are_paged_and_filtered(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own = two_organizations.own
    odd = await add_event(connection, own, status="quarantined", error="no JSON", event="call_started")
    client = await client_for(own.users["viewer"])

    first = (await client.get(base(own), params={"limit": 1})).json()
    second = (await client.get(base(own), params={"limit": 1, "cursor": first["next"]})).json()
    narrowed = (await client.get(base(own), params={"status": "quarantined"})).json()
    by_call = (await client.get(base(own), params={"retell_call_id": "nobody"})).json()

    assert [event["id"] for event in first["items"]] == [odd]
    assert second["next"] is None
    assert second["items"][0]["id"] < odd
    assert [(event["id"], event["error"]) for event in narrowed["items"]] == [(odd, "no JSON")]
    assert by_call["items"] == []
    counted = (await client.get(f"{base(own)}/odd")).json()
    assert (counted["quarantined"], counted["unmatched"]) == (1, 0)


async def test_an_event_is_shown_with_its_body(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    event_id = await add_event(connection, own, body=b"\xff not JSON <script>alert(1)</script>")

    told = (await (await client_for(own.users["viewer"])).get(f"{base(own)}/{event_id}")).json()
    shown = await (await browser_for(own.users["viewer"])).get(f"{page_of(own)}/{event_id}")

    assert told["body"] == "\ufffd not JSON <script>alert(1)</script>"
    assert shown.status_code == 200
    assert "<script>alert" not in shown.text
    assert "&lt;script&gt;alert" in shown.text
    assert "Replay" not in shown.text


@pytest.mark.parametrize(("role", "sees"), [("viewer", False), ("operator", False), ("admin", True), ("owner", True)])
async def test_unmatched_events_are_visible_to_admins_of_their_account(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, role: str, sees: bool
) -> None:
    own, other = two_organizations.own, two_organizations.other
    lost = await add_event(connection, own, organization_id=None, status="unmatched")
    theirs = await add_event(connection, other, organization_id=None, status="unmatched", retell_call_id="theirs")
    client = await client_for(own.users[role])

    ids = [event["id"] for event in (await client.get(base(own))).json()["items"]]

    assert (lost in ids) is sees
    assert theirs not in ids
    assert (await client.get(f"{base(own)}/{lost}")).status_code == (200 if sees else 404)
    assert (await client.get(f"{base(own)}/{theirs}")).status_code == 404


async def test_replay_resets_a_range_of_events_and_is_audited(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own = two_organizations.own
    wanted = await add_event(connection, own, status="quarantined", tries=9)
    spared = await add_event(connection, own, status="applied", retell_call_id="call_y")
    client = await client_for(own.users["operator"])

    done = await client.post(f"{base(own)}/replay", json={"first_id": wanted, "status": "quarantined"})

    assert done.json() == {"replayed": 1, "without_body": 0}
    assert await status_of(connection, wanted) == "pending"
    assert await status_of(connection, spared) == "applied"
    entry = await connection.fetchrow("select actor, action from audit_log order by id desc limit 1")
    assert dict(entry or {}) == {"actor": str(own.users["operator"]), "action": "replay_events"}


async def test_replay_leaves_events_of_other_organizations_alone(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    theirs = await add_event(connection, other, status="quarantined")
    unowned = await add_event(connection, other, organization_id=None, status="unmatched", retell_call_id="theirs")
    client = await client_for(own.users["owner"])

    await client.post(f"{base(own)}/replay", json={})
    elsewhere = await client.post(f"{base(other)}/replay", json={})

    assert elsewhere.status_code == 404
    assert await status_of(connection, theirs) == "quarantined"
    assert await status_of(connection, unowned) == "unmatched"


async def test_a_viewer_cannot_replay_not_even_by_sql(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    event_id = await add_event(connection, own, status="quarantined")
    viewer = own.users["viewer"]

    assert (await (await client_for(viewer)).post(f"{base(own)}/replay", json={})).status_code == 403
    browser = await browser_for(viewer)
    posted = await browser.post_form(f"{page_of(own)}/replay", {"status": "quarantined"}, page=page_of(own))
    assert posted.status_code == 403
    claims = f'{{"sub": "{viewer}", "role": "authenticated"}}'
    for house in (own, other):
        async with connection.transaction():
            await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
            await connection.execute("set local role authenticated")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.fetch(
                        "select private.replay_events($1, 0, 9223372036854775807, null, null, 10, now())",
                        house.tenant.organization_id,
                    )
    assert await status_of(connection, event_id) == "quarantined"


async def test_the_page_replays_one_event_and_shows_it(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    event_id = await add_event(connection, own, status="quarantined", error="no call")
    browser = await browser_for(own.users["operator"])

    listed = await browser.get(page_of(own))
    done = await browser.post_form(
        f"{page_of(own)}/replay", {"first_id": event_id, "last_id": event_id}, page=f"{page_of(own)}/{event_id}"
    )

    assert "Replay quarantined" in listed.text
    assert (done.status_code, done.headers["location"]) == (303, f"{page_of(own)}/{event_id}")
    assert await status_of(connection, event_id) == "pending"
