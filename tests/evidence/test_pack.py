"""Evidence packs hold every fact of each decision, and a change to one is found."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial import __version__
from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.evidence.errors import EvidenceNotFound, NoEvidenceFile
from outdial.evidence.file import check_file, pack_chunks
from outdial.evidence.pack import NO_RULES_RECORDED, EvidenceKind, EvidencePack, find_subject
from outdial.rules.pack import shipped_rules
from tests.support.dialing import Stage, life_of_call, open_stage
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
    insert,
)
from tests.support.postgres import Scratch

# Every fact that a claim records about why a call may be placed. A gate that is added or removed changes this list.
DECISION_FIELDS = {
    "zone_key",
    "zone_source",
    "jurisdiction_key",
    "local_times",
    "calling_hours",
    "rule_ids",
    "pack_date",
    "do_not_call",
    "purpose",
    "consent_required",
    "consent",
    "screening_lists",
    "lists_lifted_by_consent",
    "attempts",
    "max_attempts",
    "calls_in_24_hours",
    "daily_call_cap",
    "live_calls",
    "concurrency_limit",
    "reserved_inbound",
    "number_choice",
    "day_part",
    "budget",
}
PHONE = "+12125550123"


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    async with open_stage(database, connection) as opened:
        opened.rules = shipped_rules()
        yield opened


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that a dialer placed under the shipped rules, with everything that a pack mentions."""

    campaign: Campaign
    entry: CampaignContact
    call_id: UUID
    list_id: UUID


@pytest.fixture
async def placed(stage: Stage, connection: asyncpg.Connection) -> Placed:
    tenant = await create_tenant(connection)
    organization_id = tenant.organization_id
    campaign = await create_campaign(
        connection, tenant, purpose="sales", consent_required="written", lists_required=["national"]
    )
    contact = await create_contact(
        connection, organization_id, phone=PHONE, jurisdiction_key="US-NY", keys_version=1, region="NY", country="US"
    )
    await insert(
        connection,
        "consents",
        id=uuid4(),
        organization_id=organization_id,
        phone=PHONE,
        basis="written",
        scope="sales",
        source="web form",
        text="I agree to be called.",
        given_at=NOW,
        created_at=NOW,
    )
    list_id = uuid4()
    await insert(
        connection,
        "screening_lists",
        id=list_id,
        organization_id=organization_id,
        kind="national",
        jurisdiction="US",
        registry_date=NOW.date(),
        file_name="dnc.txt",
        status="current",
        created_at=NOW,
        updated_at=NOW,
        completed_at=NOW,
    )
    entry = await create_campaign_contact(connection, campaign, contact, jurisdiction_key="US-NY")
    await connection.execute(
        "select private.record_audit($1, 'service', 'start_campaign', 'campaign', $2, '{}'),"
        " private.record_audit($1, 'service', 'change_contact', 'contact', $3, '{\"fields\": [\"name\"]}')",
        organization_id,
        str(campaign.id),
        str(contact.id),
    )
    dialer = stage.dialer()
    await dialer.run_once()
    await dialer.settled()
    [call] = await stage.rows("calls")
    await stage.send(*life_of_call(call["retell_call_id"], call["id"]).values())
    return Placed(campaign, entry, call["id"], list_id)


async def pack_of(database: Scratch, path: Path, kind: EvidenceKind, id: object, organization_id: UUID) -> Any:
    """Write a pack as the service does, check the file, and return its content."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="test") as api:
        async with api.as_service() as connection:
            subject = await find_subject(connection, kind, str(id), organization_id)
        pack = EvidencePack(api.as_service, subject, taken_at=VirtualClock(NOW).now(), taken_by="service")
        path.write_bytes(b"".join([chunk async for chunk in pack_chunks(pack)]))
    checked = check_file(path)
    assert checked.is_unchanged
    assert checked.wrong_entries == ()
    content = json.loads(path.read_bytes())
    assert content["sha256"] == checked.sha256
    return content["pack"]


async def test_the_decision_of_a_call_has_exactly_these_fields_and_the_pack_all_of_them(
    database: Scratch, stage: Stage, placed: Placed, tmp_path: Path
) -> None:
    pack = await pack_of(
        database, tmp_path / "pack", EvidenceKind.CALL, placed.call_id, placed.campaign.tenant.organization_id
    )

    [contact] = pack["contacts"]
    [attempt] = contact["attempts"]
    stored = json.loads((await stage.row("calls", placed.call_id))["decision"])
    assert set(stored) == DECISION_FIELDS
    assert attempt["decision"] == stored
    assert stored["rule_ids"] != []


async def test_a_pack_of_a_call_holds_its_rules_consent_lists_events_and_who_changed_what(
    database: Scratch, stage: Stage, placed: Placed, tmp_path: Path
) -> None:
    pack = await pack_of(
        database, tmp_path / "pack", EvidenceKind.CALL, placed.call_id, placed.campaign.tenant.organization_id
    )

    [contact] = pack["contacts"]
    [attempt] = contact["attempts"]
    assert pack["subject"] == {"id": str(placed.call_id), "kind": "call"}
    assert (pack["taken"]["by"], pack["taken"]["organization"]) == ("service", "Acme")
    assert pack["versions"]["outdial"] == __version__
    assert pack["versions"]["rule_pack"] == shipped_rules().pack_date.isoformat()
    rules = {rule["rule_id"]: rule for rule in pack["rules"]}
    assert sorted(rules) == sorted(attempt["decision"]["rule_ids"])
    assert all(rule["on_record"] and rule["body"]["source"] for rule in rules.values())
    assert [(consent["basis"], consent["text"]) for consent in contact["consents"]] == [
        ("written", "I agree to be called.")
    ]
    assert [row["id"] for row in pack["screening_lists"]] == [str(placed.list_id)]
    assert contact["screening_lists"] == []
    bodies = life_of_call(attempt["retell_call_id"], placed.call_id)
    assert {event["event"]: event["body_sha256"] for event in attempt["events"]} == {
        name: sha256(body).hexdigest() for name, body in bodies.items()
    }
    assert (attempt["outcome"], attempt["rules_note"]) == ("answered", None)
    assert (attempt["needs_clearance"], attempt["hook_result"]) == (False, None)
    assert [entry["action"] for entry in pack["audit"]] == ["start_campaign"]
    assert [entry["action"] for entry in contact["audit"]] == ["change_contact"]
    [campaign] = pack["campaigns"]
    assert (campaign["id"], campaign["consent_required"]) == (str(placed.campaign.id), "written")
    assert contact["campaigns"][0]["status"] == "completed"
    assert contact["contact"]["jurisdiction_key"] == "US-NY"


async def test_packs_of_the_phone_and_the_campaign_hold_the_same_call(
    database: Scratch, placed: Placed, tmp_path: Path
) -> None:
    organization_id = placed.campaign.tenant.organization_id
    call = await pack_of(database, tmp_path / "call", EvidenceKind.CALL, placed.call_id, organization_id)
    phone = await pack_of(database, tmp_path / "phone", EvidenceKind.PHONE, PHONE, organization_id)
    campaign = await pack_of(
        database, tmp_path / "campaign", EvidenceKind.CAMPAIGN, placed.campaign.id, organization_id
    )
    for section in ("contacts", "rules", "campaigns", "audit", "screening_lists"):
        assert call[section] == phone[section] == campaign[section]


async def test_two_packs_of_the_same_rows_have_the_same_bytes(
    database: Scratch, placed: Placed, tmp_path: Path
) -> None:
    organization_id = placed.campaign.tenant.organization_id
    for name in ("one", "two"):
        await pack_of(database, tmp_path / name, EvidenceKind.CAMPAIGN, placed.campaign.id, organization_id)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


async def test_an_older_call_is_shown_as_one_whose_decision_named_no_rules(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    _, call_id = await create_calling(connection, campaign, decision='{"zone_key": "America/New_York", "share": 1.50}')

    pack = await pack_of(database, tmp_path / "pack", EvidenceKind.CALL, call_id, campaign.tenant.organization_id)

    [attempt] = pack["contacts"][0]["attempts"]
    assert attempt["rules_note"] == NO_RULES_RECORDED
    assert pack["rules"] == []
    assert b'"share":1.50' in (tmp_path / "pack").read_bytes()


async def test_a_rule_that_is_not_on_record_is_named(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    decision = '{"rule_ids": ["US-FCC-HOURS"], "pack_date": "2020-01-01"}'
    _, call_id = await create_calling(connection, campaign, decision=decision)

    pack = await pack_of(database, tmp_path / "pack", EvidenceKind.CALL, call_id, campaign.tenant.organization_id)

    assert pack["rules"] == [{"on_record": False, "pack_date": "2020-01-01", "rule_id": "US-FCC-HOURS"}]


async def test_a_rule_is_shown_as_the_pack_of_the_call_had_it_and_not_as_a_later_one(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    for pack_date, hours in (("2026-01-01", "08-21"), ("2026-06-01", "09-20")):
        await insert(
            connection,
            "calling_rules",
            organization_id=tenant.organization_id,
            rule_id="US-FCC-HOURS",
            pack_date=pack_date,
            body=json.dumps({"hours": hours}),
            created_by="dialer",
            created_at=NOW,
        )
    await insert(
        connection,
        "calling_rules",
        organization_id=tenant.organization_id,
        rule_id="OWN-1",
        body=json.dumps({"hours": "10-12"}),
        created_by="service",
        created_at=NOW,
    )
    decision = '{"rule_ids": ["US-FCC-HOURS", "OWN-1"], "pack_date": "2026-01-01"}'
    _, call_id = await create_calling(connection, campaign, decision=decision)

    pack = await pack_of(database, tmp_path / "pack", EvidenceKind.CALL, call_id, tenant.organization_id)

    assert [(rule["rule_id"], rule["body"]["hours"]) for rule in pack["rules"]] == [
        ("OWN-1", "10-12"),
        ("US-FCC-HOURS", "08-21"),
    ]


async def test_a_phone_that_was_never_called_has_a_pack_that_says_so(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    tenant = await create_tenant(connection)
    await insert(
        connection, "do_not_call", organization_id=tenant.organization_id, phone=PHONE, source="manual", created_at=NOW
    )

    pack = await pack_of(database, tmp_path / "pack", EvidenceKind.PHONE, PHONE, tenant.organization_id)

    [item] = pack["contacts"]
    assert (item["phone"], item["contact"], item["attempts"]) == (PHONE, None, [])
    assert [block["source"] for block in item["do_not_call"]] == ["manual"]


async def test_what_does_not_exist_or_belongs_to_another_organization_has_no_pack(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    other = await create_tenant(connection, credential="other")
    _, call_id = await create_calling(connection, campaign)
    for kind, id in (
        (EvidenceKind.CALL, call_id),
        (EvidenceKind.CAMPAIGN, campaign.id),
        (EvidenceKind.CALL, uuid4()),
        (EvidenceKind.CAMPAIGN, uuid4()),
    ):
        with pytest.raises(EvidenceNotFound, match="does not exist"):
            await pack_of(database, tmp_path / "pack", kind, id, other.organization_id)


async def test_a_campaign_larger_than_a_portion_is_read_to_its_end_in_order(
    database: Scratch, connection: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outdial.evidence.pack.PORTION", 3)
    campaign = await create_campaign(connection, await create_tenant(connection))
    entries = [await create_campaign_contact(connection, campaign) for _ in range(6)]
    for number in (1, 2):
        await create_call(connection, entries[4], attempt_number=number, status="ended", request_deadline=None)

    pack = await pack_of(
        database, tmp_path / "pack", EvidenceKind.CAMPAIGN, campaign.id, campaign.tenant.organization_id
    )

    assert [item["contact"]["id"] for item in pack["contacts"]] == sorted(str(entry.contact.id) for entry in entries)
    assert {item["phone"]: len(item["attempts"]) for item in pack["contacts"]} == {
        entry.contact.phone: 2 if entry is entries[4] else 0 for entry in entries
    }


@pytest.fixture
async def written(database: Scratch, placed: Placed, tmp_path: Path) -> Path:
    """The file of a pack."""
    path = tmp_path / "pack"
    await pack_of(database, path, EvidenceKind.CALL, placed.call_id, placed.campaign.tenant.organization_id)
    return path


EDITS = {
    "a fact": (b'"consent":"written"', b'"consent":"express"'),
    "a time": (b'"attempt_number":1', b'"attempt_number":2'),
    "a rule": (b'"rule_ids":["', b'"rule_ids":["X'),
    "an event": (b'"event":"call_ended"', b'"event":"call_ending"'),
    "the digest": (b',"sha256":"', b',"sha256":"0'),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_file_is_found(written: Path, edit: str) -> None:
    before, after = EDITS[edit]
    content = written.read_bytes()
    assert before in content
    written.write_bytes(content.replace(before, after, 1))
    assert not check_file(written).is_unchanged


async def test_a_line_that_is_removed_is_found(written: Path) -> None:
    lines = written.read_bytes().split(b"\n")
    events = [number for number, line in enumerate(lines) if b'"attempts"' in line]
    del lines[events[0]]
    written.write_bytes(b"\n".join(lines))
    assert not check_file(written).is_unchanged


async def test_a_file_that_was_formatted_anew_is_checked_all_the_same(written: Path) -> None:
    content = json.loads(written.read_bytes())
    written.write_text(json.dumps(content, indent=2))
    assert check_file(written).is_unchanged

    content["pack"]["contacts"][0]["phone"] = "+12125550199"
    written.write_text(json.dumps(content, indent=2))
    assert not check_file(written).is_unchanged


async def test_an_audit_entry_that_was_changed_under_a_new_digest_is_found(written: Path) -> None:
    content = json.loads(written.read_bytes())
    content["pack"]["audit"][0]["actor"] = "someone else"
    canonical = json.dumps(content["pack"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content["sha256"] = sha256(canonical.encode()).hexdigest()
    written.write_text(json.dumps(content))

    checked = check_file(written)
    assert checked.is_unchanged
    assert checked.wrong_entries == (content["pack"]["audit"][0]["id"],)
    assert checked.audit_entries == 2


@pytest.mark.parametrize("content", ["", "phone\n+12125550123\n", "{}", "[1]", '{"pack":{}}'])
async def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other"
    path.write_text(content)
    with pytest.raises(NoEvidenceFile, match="not an evidence pack"):
        await asyncio.to_thread(check_file, path)
