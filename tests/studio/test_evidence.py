"""Evidence packs in the studio: the file, the page made to be printed, and who may take them."""

import json
import re
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from outdial.evidence.file import check_file
from outdial.evidence.pack import NO_RULES_RECORDED
from outdial.studio.evidence.service import MOST_CONTACTS
from outdial.studio.view.badges import humanize
from tests.evidence.test_pack import DECISION_FIELDS
from tests.support.factories import (
    NOW,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    insert,
)
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

DECISION = {
    "zone_key": "America/New_York",
    "zone_source": "number",
    "jurisdiction_key": "US-NY",
    "local_times": {"America/New_York": "2026-03-10T13:00:00-04:00"},
    "calling_hours": "open",
    "rule_ids": ["US-NY-HOURS", "OWN-LUNCH"],
    "pack_date": "2026-11-28",
    "do_not_call": "not listed",
    "purpose": "sales",
    "consent_required": "written",
    "consent": "written",
    "screening_lists": {"national list of US": "2026-03-10"},
    "lists_lifted_by_consent": [],
    "attempts": 0,
    "max_attempts": 3,
    "calls_in_24_hours": 0,
    "daily_call_cap": 3,
    "live_calls": 0,
    "concurrency_limit": 20,
    "reserved_inbound": 0,
    "number_choice": "only_number",
    "day_part": None,
    "budget": {
        "reserved_cents": 100,
        "day": "2026-03-10",
        "campaign_limit_cents": 300,
        "campaign_spent_cents": 20.5,
        "campaign_reserved_cents": 100.0,
    },
}


@pytest.fixture
async def call_id(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> UUID:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(connection, tenant, name="Renewals")
    for rule_id, pack_date, note in (("US-NY-HOURS", "2026-11-28", ""), ("OWN-LUNCH", None, "No calls at lunch.")):
        body = {"id": rule_id, "jurisdiction": "US-NY", "source": f"Source of {rule_id}", "checked_on": "2026-11-28"}
        await insert(
            connection,
            "calling_rules",
            organization_id=tenant.organization_id,
            rule_id=rule_id,
            pack_date=pack_date,
            body=json.dumps(body | {"confidence": "q", "note": note}),
            created_by="dialer",
            created_at=NOW,
        )
    contact = await create_contact(connection, tenant.organization_id, phone="+12125550123", name="Ada Lovelace")
    _, call_id = await create_calling(connection, campaign, contact, decision=json.dumps(DECISION))
    return call_id


def test_the_decision_of_these_tests_has_the_fields_of_a_real_one() -> None:
    assert DECISION.keys() == DECISION_FIELDS


async def test_an_operator_takes_the_file_over_the_api_and_it_is_audited(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    two_organizations: TwoOrganizations,
    call_id: UUID,
    tmp_path: Path,
) -> None:
    own = two_organizations.own
    operator = await client_for(own.users["operator"])
    url = f"/api/v1/organizations/{own.tenant.organization_id}/evidence"
    for kind, id in (("call", str(call_id)), ("phone", "+1 212-555-0123")):
        response = await operator.post(url, json={"kind": kind, "id": id})
        assert response.status_code == 200, response.text
        assert response.headers["content-disposition"].startswith(f'attachment; filename="evidence-{kind}-')
        path = tmp_path / kind
        path.write_bytes(response.content)
        assert check_file(path).is_unchanged
        pack = response.json()["pack"]
        assert pack["taken"]["by"] == str(own.users["operator"])
        assert [attempt["id"] for attempt in pack["contacts"][0]["attempts"]] == [str(call_id)]
        assert pack["contacts"][0]["attempts"][0]["decision"] == DECISION

    rows = await connection.fetch(
        "select actor, subject_type, subject_id from audit_log where action = 'take_evidence' order by id"
    )
    assert [tuple(row) for row in rows] == [
        (str(own.users["operator"]), "call", str(call_id)),
        (str(own.users["operator"]), "phone", "+12125550123"),
    ]


async def test_a_viewer_takes_no_evidence_and_none_is_audited(
    connection: asyncpg.Connection, client_for: ClientFor, two_organizations: TwoOrganizations, call_id: UUID
) -> None:
    own = two_organizations.own
    viewer = await client_for(own.users["viewer"])
    url = f"/api/v1/organizations/{own.tenant.organization_id}/evidence"
    response = await viewer.post(url, json={"kind": "call", "id": str(call_id)})
    assert response.status_code == 403
    assert await connection.fetchval("select count(*) from audit_log where action = 'take_evidence'") == 0


@pytest.mark.parametrize(
    ("kind", "id", "status"),
    [
        ("call", "17", 400),
        ("phone", "hello", 400),
        ("person", "1", 400),
        ("call", "019cd8b0-ee80-7490-a1a0-6da1540267b2", 404),
        ("campaign", "019cd8b0-ee80-7490-a1a0-6da1540267b2", 404),
    ],
)
async def test_what_does_not_exist_is_refused_with_the_reason(
    client_for: ClientFor, two_organizations: TwoOrganizations, kind: str, id: str, status: int
) -> None:
    own = two_organizations.own
    operator = await client_for(own.users["operator"])
    response = await operator.post(
        f"/api/v1/organizations/{own.tenant.organization_id}/evidence", json={"kind": kind, "id": id}
    )
    assert (response.status_code, bool(response.json()["message"])) == (status, True)


async def test_the_page_of_a_call_shows_every_fact_of_the_decision_and_its_rules(
    browser_for: BrowserFor, two_organizations: TwoOrganizations, call_id: UUID
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["operator"])
    base = f"/o/{own.tenant.organization_id}/calls/{call_id}"
    assert f'href="{base}/evidence"' in (await browser.get(base)).text

    text = (await browser.get(f"{base}/evidence")).text

    assert [name for name in DECISION if f"<dt>{humanize(name)}</dt>" not in text] == []
    assert "Source of US-NY-HOURS" in text
    assert "Source of OWN-LUNCH" in text
    assert "own rule" in text
    assert text.count("not legal advice") == 1
    assert NO_RULES_RECORDED not in text
    assert re.search(r'href="/static/\w+/evidence.css"', text)

    downloaded = await browser.post_form(f"{base}/evidence", page=f"{base}/evidence")
    assert downloaded.status_code == 200
    assert downloaded.json()["pack"]["subject"] == {"id": str(call_id), "kind": "call"}


async def test_the_page_of_an_older_call_reports_that_its_decision_names_no_rules(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    _, call_id = await create_calling(connection, campaign, decision='{"zone_key": "America/New_York"}')
    browser = await browser_for(own.users["operator"])

    text = (await browser.get(f"/o/{own.tenant.organization_id}/calls/{call_id}/evidence")).text

    assert NO_RULES_RECORDED in text
    assert "No decision names a rule." in text


async def test_the_page_of_a_contact_shows_the_calls_to_its_phone(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations, call_id: UUID
) -> None:
    own = two_organizations.own
    contact_id = await connection.fetchval("select contact_id from calls where id = $1", call_id)
    browser = await browser_for(own.users["operator"])
    base = f"/o/{own.tenant.organization_id}/contacts/{contact_id}"
    assert f'href="{base}/evidence"' in (await browser.get(base)).text
    assert str(call_id) in (await browser.get(f"{base}/evidence")).text


async def test_the_page_of_a_campaign_shows_the_first_contacts_and_the_file_all(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    for _ in range(MOST_CONTACTS + 2):
        entry = await create_campaign_contact(connection, campaign)
        await create_call(connection, entry, decision=json.dumps(DECISION))
    browser = await browser_for(own.users["operator"])
    base = f"/o/{own.tenant.organization_id}/campaigns/{campaign.id}"
    assert f'href="{base}/evidence"' in (await browser.get(base)).text

    await connection.execute(
        "insert into audit_log (organization_id, actor, action, subject_type, subject_id, details, at)"
        " values ($1, 'api', 'pause_campaign', 'campaign', $2, $3, $4)",
        own.tenant.organization_id,
        str(campaign.id),
        json.dumps({"reason": "paused by mina@example.com, 2026-12-01 at 09:00 UTC"}),
        NOW,
    )

    text = (await browser.get(f"{base}/evidence")).text
    # Times within texts are those of the evidence, not of the viewer.
    assert "mina@example.com, 2026-12-01 at 09:00 UTC" in text
    assert f"The first {MOST_CONTACTS} of {MOST_CONTACTS + 2} contacts." in text
    assert text.count("Why this call was allowed") == MOST_CONTACTS
    downloaded = await browser.post_form(f"{base}/evidence", page=f"{base}/evidence")
    assert len(downloaded.json()["pack"]["contacts"]) == MOST_CONTACTS + 2


async def test_an_erased_contact_has_no_evidence_of_its_phone(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    contact = await create_contact(connection, own.tenant.organization_id)
    await connection.execute(
        "update contacts set phone = 'erased:' || id::text, erased_at = $2 where id = $1", contact.id, NOW
    )
    browser = await browser_for(own.users["operator"])
    response = await browser.get(f"/o/{own.tenant.organization_id}/contacts/{contact.id}/evidence")
    assert response.status_code == 404
