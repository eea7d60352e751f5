"""Retention, erasures and the export of what is known about a phone, over the API and on pages."""

import json
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.jobs.retention import UPLOADS_KEPT
from tests.support.factories import create_call, create_member
from tests.support.jobs import working
from tests.support.person import NAME, PHONE, SAID, SPELLINGS, SeededPerson, create_person
from tests.support.studio import StudioServer


@pytest.fixture
async def person(connection: asyncpg.Connection) -> SeededPerson:
    return await create_person(connection)


async def admin_of(studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson) -> UUID:
    return await create_member(connection, person.tenant.organization_id, "admin")


async def test_an_admin_sets_how_long_data_is_kept(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    client = await studio_app.client_of(await admin_of(studio_app, connection, person))
    url = f"/api/v1/organizations/{person.tenant.organization_id}/retention"
    before = await client.get(url)
    assert before.json() | {"etag": ""} == {
        "transcript_days": None,
        "recording_days": None,
        "event_days": None,
        "call_days": None,
        "legal_hold": False,
        "legal_hold_reason": None,
        "etag": "",
    }

    changed = await client.patch(
        url, json={"transcript_days": 90, "event_days": 30}, headers={"if-match": before.headers["etag"]}
    )
    assert (changed.status_code, changed.json()["transcript_days"]) == (200, 90)
    stale = await client.patch(url, json={"event_days": 20}, headers={"if-match": before.headers["etag"]})
    assert stale.status_code == 412
    held = await client.patch(url, json={"legal_hold": True, "legal_hold_reason": "Smith v. Acme"})
    assert held.json()["legal_hold"] is True
    released = await client.patch(url, json={"legal_hold": False})
    assert (released.json()["legal_hold_reason"], released.json()["event_days"]) == (None, 30)

    entries = await connection.fetch("select details from audit_log where action = 'change_retention' order by id")
    assert json.loads(entries[0]["details"]) == {"transcript_days": 90, "event_days": 30}
    assert json.loads(entries[1]["details"]) == {"legal_hold": True, "legal_hold_reason": "Smith v. Acme"}


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"transcript_days": 30}, "event_days", "event bodies contain data that is removed after 30 days"),
        ({"transcript_days": 30, "event_days": 31}, "event_days", "event bodies contain"),
        ({"call_days": 7, "event_days": 7}, "call_days", "must be from 31 to 3650"),
        ({"event_days": 0}, "event_days", "must be from 1 to 3650"),
        ({"legal_hold": True}, "legal_hold_reason", "say why"),
    ],
)
async def test_days_that_would_not_be_true_are_refused_with_the_reason(
    studio_app: StudioServer,
    connection: asyncpg.Connection,
    person: SeededPerson,
    changes: dict[str, object],
    field: str,
    reason: str,
) -> None:
    client = await studio_app.client_of(await admin_of(studio_app, connection, person))

    refused = await client.patch(f"/api/v1/organizations/{person.tenant.organization_id}/retention", json=changes)

    assert refused.status_code == 400
    assert reason in refused.json()["fields"][field]


async def erase(client: httpx.AsyncClient, person: SeededPerson, phone: str = PHONE) -> httpx.Response:
    return await client.post(
        f"/api/v1/organizations/{person.tenant.organization_id}/erasures",
        json={"phone": phone, "default_region": "US"},
    )


async def test_a_person_is_exported_and_then_erased(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    client = await studio_app.client_of(await admin_of(studio_app, connection, person))
    url = f"/api/v1/organizations/{person.tenant.organization_id}"

    known = (await client.post(f"{url}/subject-export", json={"phone": PHONE})).json()
    assert {name: len(records) for name, records in known.items() if isinstance(records, list)} == {
        "contacts": 1,
        "do_not_call": 1,
        "consents": 1,
        "screening_lists": 1,
        "opt_outs_at_provider": 1,
        "campaigns": 2,
        "calls": 2,
        "call_reviews": 1,
        "test_calls": 2,
        "events": 4,
        "refused_rows": 1,
        "exports": 1,
        "audit": 2,
    }
    assert known["contacts"][0]["name"] == NAME
    assert known["calls"][0]["transcript"] == f"User: {SAID}"
    assert known["events"][0]["body"] == {"call": {"to_number": PHONE, "transcript": SAID}}
    assert known["campaigns"][0]["variables"] == {"horse": "Rocinante Quixote"}
    assert [call["contact_id"] for call in known["test_calls"] if call["phone"] != PHONE] == [str(person.contact.id)]
    assert known["erasure_id"] is None

    erased = await erase(client, person, "(415) 555-0123")
    assert erased.status_code == 201
    assert erased.json()["finished_at"] is None
    assert not any(spelling in erased.text for spelling in SPELLINGS)
    listed = (await client.get(f"{url}/erasures")).json()["items"]
    assert [row["id"] for row in listed] == [erased.json()["id"]]

    studio_app.clock.advance(UPLOADS_KEPT * 2)
    client = await studio_app.client_of(None)
    async with working(studio_app.database, studio_app.clock) as worker:
        await worker.retention.run_once()
        await worker.erasures.run_once()
    shown = (await client.get(f"{url}/erasures/{erased.json()['id']}")).json()
    assert shown["swept_at"] is not None
    assert (shown["calls"], shown["calls_deleted"], shown["finished_at"]) == (4, 0, None)
    after = (await client.post(f"{url}/subject-export", json={"phone": PHONE})).json()
    assert {name: value for name, value in after.items() if value} == {
        "phone": PHONE,
        "erasure_id": erased.json()["id"],
    }


async def test_calls_of_a_former_workspace_are_listed_until_an_admin_confirms_their_deletion(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    client = await studio_app.client_of(await admin_of(studio_app, connection, person))
    url = f"/api/v1/organizations/{person.tenant.organization_id}"
    assert (await erase(client, person)).status_code == 201
    page = f"/o/{person.tenant.organization_id}/privacy"
    assert "Outdial cannot delete" not in (await client.get(page)).text
    await connection.execute(
        "update erasure_calls set out_of_reach_at = $1, workspace_name = 'Sales EU',"
        " out_of_reach_reason = 'former_workspace' where call_id is not null",
        studio_app.clock.now(),
    )
    unreached = (await client.get(f"{url}/erasures")).json()["items"][0]
    assert (unreached["calls_out_of_reach"], unreached["finished_at"]) == (2, None)
    assert {(call["workspace_name"], call["call_id"]) for call in unreached["out_of_reach"]} == {
        ("Sales EU", str(call_id)) for call_id in person.call_ids
    }
    shown_page = (await client.get(page)).text
    assert "Outdial cannot delete 2 calls at Retell" in shown_page
    assert "The key of Sales EU is no longer in Outdial." in shown_page
    assert all(
        f"<code>{call['retell_call_id'] or call['call_id']}</code>" in shown_page for call in unreached["out_of_reach"]
    )
    # The page names the first of many, and the API more.
    await connection.execute(
        """insert into erasure_calls (organization_id, erasure_id, provider_account_id, retell_call_id, next_try_at,
          out_of_reach_at, workspace_name)
        select organization_id, erasure_id, provider_account_id, 'call_' || md5(n::text), next_try_at, out_of_reach_at,
          repeat('Sales ', 20)
        from (select * from erasure_calls where call_id is not null limit 1) of_person, generate_series(1, 450) n"""
    )
    shown_page = (await client.get(page)).text
    assert "352 more: outdial contacts erasures --json lists them." in shown_page
    assert len(shown_page) < 60_000
    assert len((await client.get(f"{url}/erasures")).json()["items"][0]["out_of_reach"]) == 452
    # One call gets out of reach after the page was read.
    await connection.execute(
        "update erasure_calls set out_of_reach_at = out_of_reach_at + interval '1 second',"
        " out_of_reach_reason = 'no_key'"
        " where retell_call_id = 'call_' || md5('7')"
    )
    browser = await studio_app.browser_of(await admin_of(studio_app, connection, person))
    confirm = f"{page}/erasures/{unreached['id']}/confirm"
    wrong = await browser.post_form(confirm, {"until": "soon"}, page=page)
    assert (wrong.status_code, "Nothing was confirmed" in wrong.text) == (400, True)
    done = await browser.post_form(confirm, {"until": unreached["out_of_reach_until"]}, page=page)
    assert done.status_code == 303
    shown_page = (await browser.get(page)).text
    for text in ("Confirmed. 1 other call is still", "Outdial cannot delete 1 call at", "Retell is not connected"):
        assert text in shown_page
    # Another admin, who has seen the page before, confirms nothing.
    await browser.post_form(confirm, {"until": unreached["out_of_reach_until"]}, page=page)
    assert "Nothing more was confirmed: the calls are confirmed already" in (await browser.get(page)).text
    latest = (await client.get(f"{url}/erasures")).json()["items"][0]
    assert (latest["calls_out_of_reach"], latest["calls_deleted"]) == (1, 451)
    until = {"until": latest["out_of_reach_until"]}
    confirmed = (await client.post(f"{url}/erasures/{unreached['id']}/confirm", json=until)).json()
    assert (confirmed["calls_out_of_reach"], confirmed["calls_deleted"]) == (0, 452)
    assert (await client.post(f"{url}/erasures/{unreached['id']}/confirm")).status_code == 400
    pack = (await client.post(f"{url}/evidence", json={"kind": "call", "id": str(person.call_ids[0])})).json()["pack"]
    [attempt] = [
        attempt
        for contact in pack["contacts"]
        for attempt in contact["attempts"]
        if attempt["id"] == str(person.call_ids[0])
    ]
    [deletion] = attempt["deletions"]
    assert deletion["confirmed_by"] not in (None, "service")
    assert (deletion["workspace_name"], deletion["out_of_reach_at"] is None) == ("Sales EU", False)


async def test_pages_of_an_erased_person_still_work_and_do_not_name_them(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    browser = await studio_app.browser_of(await admin_of(studio_app, connection, person))
    base = f"/o/{person.tenant.organization_id}"
    contact = f"{base}/contacts/{person.contact.id}"
    assert 'name="confirmed" value="true"' in (await browser.get(contact)).text

    wrong = await browser.post_form(f"{base}/privacy/erase", {"phone": "12"}, page=contact)
    assert (wrong.status_code, 'value="12"' in wrong.text) == (400, True)
    asked = await browser.post_form(f"{base}/privacy/erase", {"phone": PHONE}, page=contact)
    assert (asked.status_code, "Erase +1 (415) 555-0123?" in asked.text) == (200, True)
    assert (await browser.get(contact)).status_code == 200
    done = await browser.post_form(f"{base}/privacy/erase", {"phone": PHONE, "confirmed": "true"}, page=contact)

    assert (done.status_code, done.headers["location"]) == (303, f"{base}/privacy")
    assert (await browser.get(contact)).status_code == 404
    pages = [
        f"{base}/privacy",
        f"{base}/contacts",
        f"{base}/calls",
        f"{base}/calls/{person.call_ids[0]}",
        f"{base}/campaigns/{person.campaign.id}/contacts",
        f"{base}/campaigns/{person.campaign.id}/contacts/{person.entries[0].id}",
    ]
    for url in pages:
        page = await browser.get(url)
        assert page.status_code == 200, url
        assert [trace for trace in (*SPELLINGS, NAME, SAID) if trace in page.text] == [], url


async def test_what_cannot_be_erased_is_refused_with_the_reason(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    client = await studio_app.client_of(await admin_of(studio_app, connection, person))
    assert (await erase(client, person, "12")).status_code == 400
    await create_call(connection, person.entries[1], status="ongoing")

    refused = await erase(client, person)

    assert refused.status_code == 409
    assert "a call to this number is in progress" in refused.json()["message"]
    other = ErasureKeys(("another key that is long enough: 0123456789 01234",)).hash(person.tenant.organization_id, "1")
    await connection.execute(
        "insert into erasures (id, organization_id, phone_hash, key_id, requested_by, requested_at, phone)"
        " values (gen_random_uuid(), $1, $2, $3, 'service', now(), '1')",
        person.tenant.organization_id,
        other.digest,
        other.key_id,
    )
    refused = await erase(client, person)
    assert (refused.status_code, "OUTDIAL_ERASURE_KEY" in refused.json()["message"]) == (409, True)


async def test_the_page_keeps_what_was_typed_and_says_what_is_wrong(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    browser = await studio_app.browser_of(await admin_of(studio_app, connection, person))
    url = f"/o/{person.tenant.organization_id}/privacy"

    wrong = await browser.post_form(url, {"transcript_days": "12", "event_days": "soon"}, page=url)
    assert wrong.status_code == 400
    assert "Must be a number of days" in wrong.text
    saved = await browser.post_form(url, {"transcript_days": "12", "event_days": "12", "legal_hold": ""}, page=url)
    assert saved.status_code == 303
    assert 'value="12"' in (await browser.get(url)).text
    exported = await browser.post_form(f"{url}/export", {"phone": PHONE}, page=url)
    assert exported.headers["content-disposition"] == 'attachment; filename="subject.json"'
    assert exported.json()["contacts"][0]["name"] == NAME


async def test_an_erased_number_is_not_stored_in_the_do_not_call_list_again(
    studio_app: StudioServer, connection: asyncpg.Connection, person: SeededPerson
) -> None:
    client = await studio_app.client_of(await admin_of(studio_app, connection, person))
    await erase(client, person)

    added = await client.post(
        f"/api/v1/organizations/{person.tenant.organization_id}/do-not-call",
        json={"numbers": [PHONE, "+12125550188"]},
    )

    assert added.json()["added"] == 1
    assert [row["phone"] for row in await connection.fetch("select phone from do_not_call")] == ["+12125550188"]
