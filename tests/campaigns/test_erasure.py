"""A person is erased from every table and from Retell. What stays counts the same, and names no one."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from outdial.campaigns.erasure import (
    ERASED_REASON,
    ErasureRefused,
    ErasureRequested,
    confirm_deletions,
    find_erased,
    request_erasure,
    wake_campaigns,
    without_erased,
)
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.errors import ErasureKeyMissing
from outdial.campaigns.lifecycle import Actor
from outdial.db.binaries import Binaries, ServerUser
from outdial.db.session import Database
from outdial.dialer.opt_outs import OptOutRestarter, OptOutSender
from outdial.dialer.provider_deletions import FIRST_DELAY, ProviderDeletions
from outdial.inbox.replay import ReplayedEvents, replay
from outdial.jobs import erasing
from outdial.jobs.retention import UPLOADS_KEPT
from outdial.provider import CallDeleted, CallMissing, CallPlaced, CallRequest, KeyAccepted, ProviderUnavailable
from outdial.provider_keys.entering import AcceptedKey, KeyEntry, end_key, store_key
from outdial.provider_keys.sealing import KeySealer
from outdial.retell.client import RetellClient
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.workspace import SimulatedWorkspace
from tests.evidence.test_audit_chain import create_erasure
from tests.support.dialing import KEY, Stage, life_of_call, open_stage
from tests.support.factories import (
    ENCRYPTION_SECRETS,
    ERASURE_KEYS,
    NOW,
    CampaignContact,
    create_call,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.jobs import import_row, store_import, working
from tests.support.person import (
    EMAIL,
    NAME,
    PHONE,
    SAID,
    SEEDED,
    TRACES,
    SeededPerson,
    contents,
    create_person,
    text_columns,
)
from tests.support.postgres import Scratch, until_one_waits

# Why a column cannot hold anything about a contact. Everything else is seeded.
IMPERSONAL = {
    "members and their sign-in": "auth.attempts.* auth.refresh_tokens.* auth.signing_keys.* auth.users.*"
    " auth.sessions.* auth.mfa_factors.* auth.recovery_codes.* auth.password_resets.*"
    " public.invitations.* public.organization_members.* public.provider_keys.* public.provider_workspaces.*"
    " public.environment_keys.*",
    "what developers deploy": "host.access_tokens.* host.function_files.* host.function_versions.* host.functions.*"
    " host.hosts.* host.secrets.*",
    "names of functions and codes": "host.invocations.code host.invocations.method host.invocations.region"
    " host.invocations.slug host.log_lines.kind host.log_lines.level host.log_lines.slug",
    "ids of jobs": "pgqueuer.pgqueuer.* pgqueuer.pgqueuer_log.* pgqueuer.pgqueuer_schedules.*"
    " pgqueuer.pgqueuer_statistics.*",
    "the schema": "supabase_migrations.schema_migrations.* supabase_migrations.seed_files.*",
    "settings of the organization": "public.organizations.* public.phone_numbers.* public.number_health.*"
    " public.number_imports.* public.provider_accounts.*"
    " public.campaigns.* public.retention_progress.kind public.calling_rules.* public.rule_switches.*"
    " public.screening_lists.* public.pre_dial_hooks.* public.organization_budgets.*"
    " public.opt_out_reads.* public.campaign_forecasts.made_for public.launch_checks.findings"
    " public.campaign_forecasts.compare_error",
    "counts and links": "public.campaign_reports.* public.report_links.*",
    "agents of the workspace": "public.agents.* public.calls.retell_agent_id",
    "who has listened to a call": "public.call_reviews.reviewed_by",
    "who listens to a live call": "public.listen_requests.*",
    "which list a view is of": "public.saved_views.list",
    "states and codes of test calls": "public.test_calls.status public.test_calls.requested_by"
    " public.test_calls.from_number public.test_calls.retell_call_id public.test_calls.outcome"
    " public.test_calls.disconnection_reason",
    "ids, states and codes": "public.calls.disconnection_reason public.calls.from_number public.calls.outcome"
    " public.calls.retell_call_id public.calls.status public.calls.message_then public.campaign_contacts.decided_by"
    " public.calls.callback_late public.campaign_contacts.callback_late"
    " public.campaign_contacts.decision public.campaign_contacts.last_outcome public.campaign_contacts.status"
    " public.consents.basis public.consents.scope"
    " public.contacts.zone_source public.do_not_call.purpose public.do_not_call.source"
    " public.webhook_events.body_sha256"
    " public.webhook_events.credential public.webhook_events.event public.webhook_events.retell_call_id"
    " public.webhook_events.source public.webhook_events.status",
    "why members act on many contacts, and why a job left one out": "public.bulk_jobs.* public.bulk_job_portions.*"
    " public.bulk_job_left_out.*",
    "how a job went": "public.exports.error public.exports.format public.exports.include public.exports.kind"
    " public.exports.status"
    " public.idempotency_keys.caller public.idempotency_keys.key public.idempotency_keys.request_sha256"
    " public.import_refusals.kind public.imports.*",
    "what stays of an erasure, and what its sweep looks for": "public.erasures.* public.erasure_calls.*",
    "kinds and states of acts": "public.undoable_acts.kind public.undo_contacts.status",
    "rows that live as long as a statement": "private.do_not_call_turns.*",
    "who did what": "public.audit_log.action public.audit_log.actor public.audit_log.subject_type"
    " public.audit_chain.* public.audit_heads.*",
}


@pytest.fixture
async def stage(database: Scratch, connection: asyncpg.Connection) -> AsyncIterator[Stage]:
    async with open_stage(database, connection) as opened:
        yield opened


@pytest.fixture
async def person(stage: Stage) -> SeededPerson:
    """Return the person, whose calls the simulator has, too: one by its id, one that it never reported on."""
    person = await create_person(stage.look)
    for call_id, is_known in zip(person.call_ids, (True, False), strict=True):
        request = CallRequest(
            call_id=call_id,
            campaign_id=person.campaign.id,
            to_number=PHONE,
            from_number="+12125550000",
            agent_id="agent_1",
            dynamic_variables={},
        )
        placed = await stage.provider.create_call("default", stage.provider.encode_request(request))
        assert isinstance(placed, CallPlaced)
        if is_known:
            await stage.change("calls", call_id, retell_call_id=placed.provider_call_id)
    test_call = CallRequest(
        call_id=person.test_call_id,
        campaign_id=person.campaign.id,
        to_number=PHONE,
        from_number="+12125550000",
        agent_id="agent_1",
        dynamic_variables={},
        is_test=True,
    )
    placed = await stage.provider.create_call("default", stage.provider.encode_request(test_call))
    assert isinstance(placed, CallPlaced)
    await stage.change("test_calls", person.test_call_id, retell_call_id=placed.provider_call_id)
    stage.clock.advance(timedelta(hours=1))
    stage.workspace.advance(stage.clock.now())
    return person


async def erase(stage: Stage, person: SeededPerson, keys: ErasureKeys | None = ERASURE_KEYS) -> ErasureRequested:
    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        done = await request_erasure(stage.look, person.tenant.organization_id, PHONE, keys, Actor(), stage.clock.now())
    assert isinstance(done, ErasureRequested)
    return done


async def finish(stage: Stage) -> None:
    """Run the jobs and the deletions at Retell until nothing remains."""
    async with working(stage.scratch, stage.clock) as worker:
        await worker.retention.run_once()
        await worker.erasures.run_once()
        await ProviderDeletions(stage.dialing, stage.provider, stage.clock).run_once()
        await worker.erasures.run_once()


async def pg_dump(database: Scratch) -> str:
    """Return the whole database as text."""
    user = ServerUser.current()
    binary = Binaries.find(database.server.home, user).directory / "pg_dump"
    if not binary.exists():
        pytest.skip("this Postgres has no pg_dump")
    process = await asyncio.create_subprocess_exec(
        str(binary), database.dsn, stdout=asyncio.subprocess.PIPE, **user.process_options()
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().lower()


async def test_every_column_of_text_is_seeded_or_known_to_be_impersonal(connection: asyncpg.Connection) -> None:
    patterns = [pattern for patterns in IMPERSONAL.values() for pattern in patterns.split()]
    columns = await text_columns(connection)

    impersonal = {name for name in columns if name in patterns or f"{name.rpartition('.')[0]}.*" in patterns}

    unknown = set(columns) - SEEDED.keys() - impersonal
    assert unknown == set(), "seed the new column in tests/support/person.py, or say above why no person is in it"
    assert SEEDED.keys() <= columns.keys()


async def copy_reasons(stage: Stage, person: SeededPerson) -> CampaignContact:
    """Write reasons that mention the person to another contact, as a bulk job and a decision do; return it."""
    reason = "same household as 415-555-0123"
    decided = {"decision": "failed", "decision_note": reason, "decided_by": "service", "decided_at": NOW}
    skipped = {"status": "skipped", "status_reason": f"skipped by ada@example.com: {reason}"}
    other = await create_campaign_contact(stage.look, person.campaign, **skipped, **decided)
    row = {"organization_id": person.tenant.organization_id, "phone": other.contact.phone, "reason": reason}
    await insert(stage.look, "do_not_call", **row, source="manual", created_at=NOW)
    return other


async def test_after_an_erasure_no_dump_names_the_person(stage: Stage, person: SeededPerson) -> None:
    other = await copy_reasons(stage, person)
    columns = await text_columns(stage.look)
    seeded = await contents(stage.look, {name: columns[name] for name in SEEDED})
    assert {name: SEEDED[name] in text for name, text in seeded.items()} == dict.fromkeys(SEEDED, True)
    assert stage.workspace.calls

    done = await erase(stage, person)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    await finish(stage)

    finished = await stage.row("erasures", done.erasure_id)
    assert (finished["finished_at"], finished["phone"], finished["terms"]) == (stage.clock.now(), None, [])
    left = await contents(stage.look, columns)
    assert [name for name, text in left.items() if name in SEEDED and SEEDED[name] in text] == []
    assert {(trace, name) for name, text in left.items() for trace in TRACES if trace in text} == set()
    assert not stage.workspace.calls
    dump = await pg_dump(stage.scratch)
    assert "campaign_contacts" in dump
    kept = await stage.row("campaign_contacts", other.id)
    assert (kept["status_reason"], kept["decision_note"]) == ("skipped by ada@example.com: erased", "erased")
    assert [trace for trace in TRACES if trace in dump or trace.encode().hex() in dump] == []


async def add_event(stage: Stage, person: SeededPerson, text: str, status: str = "unmatched") -> int:
    """Store an event of a call that someone else made, and return its id."""
    body = json.dumps({"call": {"transcript": text}}).encode()
    return await stage.look.fetchval(
        "insert into webhook_events (credential, source, event, retell_call_id, body, body_sha256, status, received_at,"
        " next_try_at) values ($1, 'webhook', 'call_ended', 'call_of_another', $2, $3, $4, $5, $5) returning id",
        person.tenant.credential,
        body,
        hashlib.sha256(body).digest(),
        status,
        NOW,
    )


@pytest.mark.parametrize("email", ["-", "no", "reason", "x", "info@firm.example", "ann@firm.example"])
async def test_what_others_share_with_the_person_stays(stage: Stage, person: SeededPerson, email: str) -> None:
    organization_id = person.tenant.organization_id
    await stage.change("contacts", person.contact.id, email=email, name="Ann Smith")
    if email == "info@firm.example":
        await create_contact(stage.look, organization_id, phone="+12125550188", email="Info@Firm.example")
    text = "no reason - x, Ann Smith of Info@Firm.example or joann@firm.example"
    event_id = await add_event(stage, person, text)
    await stage.look.execute(
        "insert into audit_log (organization_id, at, actor, action, subject_type, subject_id, details)"
        " values ($1, $2, 'service', 'note', 'contact', 'another', $3)",
        organization_id,
        NOW,
        json.dumps({"reason": text}),
    )
    await stage.look.execute(
        "insert into host.log_lines (at, slug, version, level, kind, text) values ($1, 'hello', 1, 'info', 'log', $2)",
        NOW,
        f"{text} and {email}",
    )
    refused = {"line": 9, "value": "1", "kind": "bad_phone", "reason": "too short", "cells": json.dumps([text])}
    await insert(stage.look, "import_refusals", import_id=person.upload_id, organization_id=organization_id, **refused)

    await erase(stage, person)
    await stage.change("imports", person.upload_id, status="cancelled")
    await finish(stage)

    assert text.encode() in (await stage.row("webhook_events", event_id))["body"]
    assert "call_of_another" not in {row["retell_call_id"] for row in await stage.rows("erasure_calls")}
    assert text in str([row["details"] for row in await stage.rows("audit_log") if row["action"] == "note"])
    assert f"{text} and {email}" in [row["text"] for row in await stage.rows("host.log_lines")]
    assert text in str(await stage.look.fetchval("select cells::text from import_refusals where line = 9"))


async def test_an_event_with_only_the_address_is_emptied_and_its_call_stays_at_retell(
    stage: Stage, person: SeededPerson
) -> None:
    event_id = await add_event(stage, person, f"write to {EMAIL}")

    await erase(stage, person)
    await stage.change("imports", person.upload_id, status="cancelled")
    await finish(stage)

    assert (await stage.row("webhook_events", event_id))["body"] == b""
    assert "call_of_another" not in {row["retell_call_id"] for row in await stage.rows("erasure_calls")}


async def test_an_erasure_waits_for_events_that_are_still_to_be_applied(stage: Stage, person: SeededPerson) -> None:
    await stage.change("imports", person.upload_id, status="cancelled")
    done = await erase(stage, person)
    event_id = await add_event(stage, person, f"write to {EMAIL}", status="pending")

    await finish(stage)

    erasure = await stage.row("erasures", done.erasure_id)
    assert (erasure["waiting_for"], erasure["swept_at"]) == ("an event that is still to be applied", None)
    assert EMAIL.encode() in (await stage.row("webhook_events", event_id))["body"]
    await stage.look.execute("update webhook_events set status = 'unmatched' where id = $1", event_id)
    await finish(stage)
    assert (await stage.row("webhook_events", event_id))["body"] == b""


async def test_an_erasure_waits_until_retell_has_the_opt_out(stage: Stage, person: SeededPerson) -> None:
    await stage.change("provider_accounts", person.tenant.provider_account_id, environment_key_at=NOW)
    await stage.change("imports", person.upload_id, status="cancelled")
    await stage.look.execute("update opt_out_syncs set next_try_at = $1, confirmed_at = null, is_ours = false", NOW)
    done = await erase(stage, person)
    assert await stage.rows("do_not_call") == []

    await finish(stage)
    erasure = await stage.row("erasures", done.erasure_id)
    assert erasure["waiting_for"] == "the do-not-call list of Retell, which does not have the number yet"
    assert erasure["swept_at"] is None

    await OptOutSender(stage.dialing, stage.provider, stage.clock).run_once()
    await finish(stage)
    assert (await stage.row("erasures", done.erasure_id))["finished_at"] is not None
    assert await stage.look.fetchval("select count(*) from opt_out_syncs") == 0
    assert stage.workspace.contacts.is_opted_out(PHONE)


async def test_a_test_call_that_is_live_during_the_erasure_is_deleted_when_it_ends(
    stage: Stage, person: SeededPerson
) -> None:
    await stage.change("imports", person.upload_id, status="cancelled")
    await stage.change("test_calls", person.test_call_id, status="sent", transcript=None, analysis=None)
    retell_call_id = (await stage.row("test_calls", person.test_call_id))["retell_call_id"]
    await erase(stage, person)
    await finish(stage)
    assert retell_call_id in stage.workspace.calls

    call = {"call_id": retell_call_id, "metadata": {"test_call_id": str(person.test_call_id)}, "transcript": SAID}
    await stage.send(json.dumps({"event": "call_ended", "call": call}).encode())
    await finish(stage)
    row = await stage.row("test_calls", person.test_call_id)
    assert (row["status"], row["phone"], row["transcript"]) == ("ended", "erased", None)
    assert retell_call_id not in stage.workspace.calls
    assert SAID.encode() not in b"".join(event["body"] for event in await stage.rows("webhook_events"))


async def test_an_erased_contact_is_never_pending_again(stage: Stage, person: SeededPerson) -> None:
    entry = person.entries[1]
    reason = "its time zones are never open together in the campaign's calling hours"
    await stage.change("campaign_contacts", entry.id, status="skipped", status_reason=reason)
    await erase(stage, person)
    expected = ("skipped", ERASED_SKIP)

    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["status_reason"]) == expected
    await stage.look.execute("update campaign_contacts set status = 'pending' where id = $1", entry.id)

    row = await stage.row("campaign_contacts", entry.id)
    assert (row["status"], row["status_reason"]) == expected


async def test_an_erasure_that_fails_or_waits_for_retell_does_not_stop_others(
    stage: Stage, person: SeededPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_BATCH_SIZE", 2)
    await stage.change("imports", person.upload_id, status="cancelled")
    first = await erase(stage, person)
    async with working(stage.scratch, stage.clock) as worker:
        await worker.erasures.run_once()  # swept, and its calls are still at Retell
        broken = await create_erasure(stage.look, person.tenant.organization_id, phone="+10")
        fine = await create_erasure(stage.look, person.tenant.organization_id, phone="+12125550190")
        for days, erasure_id in ((1, first.erasure_id), (2, broken)):
            await stage.change("erasures", erasure_id, requested_at=NOW - timedelta(days=days))
        await worker.erasures.run_once()
    finished = {row["id"]: row["finished_at"] is not None for row in await stage.rows("erasures")}
    assert finished == {first.erasure_id: False, broken: False, fine: True}


async def counts_of(stage: Stage, person: SeededPerson) -> list[tuple[object, ...]]:
    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        campaigns = [person.campaign.id]
        calls = await stage.look.fetch("select * from private.count_ended_calls($1)", campaigns)
        contacts = await stage.look.fetch("select * from private.count_campaign_contacts($1)", campaigns)
    return [tuple(row) for row in (*calls, *contacts)]


async def test_an_erasure_changes_no_count_and_no_cost_of_a_campaign(stage: Stage, person: SeededPerson) -> None:
    before = await counts_of(stage, person)

    await erase(stage, person)
    await finish(stage)

    assert before == await counts_of(stage, person)
    assert any(12 in row for row in before)
    call = await stage.row("calls", person.call_ids[0])
    assert (call["outcome"], call["duration_ms"], call["cost_cents"], call["phone"]) == (
        "answered",
        61_000,
        12,
        "erased",
    )


async def test_a_waiting_contact_is_skipped_and_its_campaign_completes(stage: Stage, person: SeededPerson) -> None:
    done = await erase(stage, person)

    waiting = await stage.row("campaign_contacts", person.entries[1].id)
    assert (waiting["status"], waiting["status_reason"]) == ("skipped", "the contact was erased")
    campaign_id = person.entries[1].campaign.id
    assert done.campaign_ids == [campaign_id]
    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        await wake_campaigns(stage.look, done.campaign_ids, stage.clock.now())
    await stage.dialer().run_once()
    assert (await stage.row("campaigns", campaign_id))["status"] == "completed"


async def request(stage: Stage, person: SeededPerson, keys: ErasureKeys | None) -> ErasureRequested | ErasureRefused:
    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        return await request_erasure(stage.look, person.tenant.organization_id, PHONE, keys, Actor(), stage.clock.now())


async def refusal(stage: Stage, person: SeededPerson, keys: ErasureKeys | None = ERASURE_KEYS) -> str:
    result = await request(stage, person, keys)
    assert isinstance(result, ErasureRefused)
    assert (await stage.row("contacts", person.contact.id))["phone"] == PHONE
    assert await stage.rows("erasures") == []
    return result.reason


async def test_a_phone_is_not_erased_during_a_call(stage: Stage, person: SeededPerson) -> None:
    await create_call(stage.look, person.entries[1], status="ongoing")

    assert "a call to this number is in progress" in await refusal(stage, person)


async def test_a_legal_hold_refuses_erasures_and_stops_those_under_way(stage: Stage, person: SeededPerson) -> None:
    held = "update organizations set legal_hold = $1, legal_hold_reason = case when $1 then 'Smith v. Acme' end"
    await stage.look.execute(held, True)
    assert "under legal hold" in await refusal(stage, person)

    await stage.look.execute(held, False)
    done = await erase(stage, person)
    await stage.look.execute(held, True)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    await finish(stage)
    erasure = await stage.row("erasures", done.erasure_id)
    assert (erasure["swept_at"], erasure["finished_at"]) == (None, None)
    assert stage.workspace.calls
    assert (await stage.row("imports", person.upload_id))["status"] == "ready"

    await stage.look.execute(held, False)
    await finish(stage)
    assert (await stage.row("erasures", done.erasure_id))["finished_at"] is not None


async def test_without_a_key_nothing_is_erased(stage: Stage, person: SeededPerson) -> None:
    assert "OUTDIAL_ERASURE_KEY is not set" in await refusal(stage, person, keys=None)


ERASED_SKIP = "the contact was erased"
OTHER_KEY = "another key that is long enough: 0123456789 01234"


@pytest.mark.parametrize("keys", [None, ErasureKeys((OTHER_KEY,))])
async def test_without_the_key_of_its_erasures_an_organization_adds_no_contacts(
    stage: Stage, person: SeededPerson, keys: ErasureKeys | None
) -> None:
    await erase(stage, person)
    import_id = await store_import(stage.look, person.campaign, b"phone\n+12125550177\n")

    async with working(stage.scratch, stage.clock, erasure_keys=keys) as worker:
        await worker.run_once()

    row = await import_row(stage.look, import_id)
    assert (row.status, row.added) == ("failed", 0)
    assert row.error is not None
    assert "OUTDIAL_ERASURE_KEY" in row.error
    if keys is not None:
        with pytest.raises(ErasureKeyMissing, match="has none of the keys"):
            await request(stage, person, keys)


async def test_an_erased_phone_is_refused_in_every_spelling_and_its_row_is_not_stored(
    stage: Stage, person: SeededPerson
) -> None:
    await erase(stage, person)
    file = f"phone,name\n{PHONE},{NAME}\n(415) 555-0123,Mina\n+12125550177,Ada\n".encode()
    import_id = await store_import(stage.look, person.campaign, file)
    await stage.look.execute("update imports set default_region = 'US' where id = $1", import_id)

    rotated = ErasureKeys((OTHER_KEY, *ERASURE_KEYS.secrets))
    async with working(stage.scratch, stage.clock, erasure_keys=rotated) as worker:
        await worker.run_once()

    row = await import_row(stage.look, import_id)
    assert (row.status, row.added, row.refused) == ("completed", 1, 2)
    refused = await stage.look.fetch(
        "select line, kind, value, cells::text, reason from import_refusals where import_id = $1 order by line",
        import_id,
    )
    assert [tuple(row) for row in refused] == [(line, "erased", "", "[]", ERASED_REASON) for line in (2, 3)]
    assert await stage.look.fetchval("select count(*) from contacts where phone = $1", PHONE) == 0


async def test_a_row_of_an_erased_phone_that_is_refused_for_another_reason_is_not_stored(
    stage: Stage, person: SeededPerson
) -> None:
    await erase(stage, person)
    rows = [f"{PHONE},{NAME},Nowhere/City,", f"{PHONE},{NAME},,maybe", "+12125550177,Ada,Nowhere/City,"]
    file = "\n".join(["phone,name,timezone,consent", *rows, ""]).encode()
    import_id = await store_import(stage.look, person.campaign, file)

    async with working(stage.scratch, stage.clock) as worker:
        await worker.run_once()

    refused = await stage.look.fetch(
        "select line, kind, value, cells::text from import_refusals where import_id = $1 order by line", import_id
    )
    assert [tuple(row) for row in refused[:2]] == [(line, "erased", "", "[]") for line in (2, 3)]
    assert (refused[2]["kind"], "Ada" in refused[2]["cells"]) == ("unknown_time_zone", True)


async def test_another_organization_may_still_know_the_phone(stage: Stage, person: SeededPerson) -> None:
    await erase(stage, person)
    other = await create_tenant(stage.look, credential="acme", name="Other")

    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        own = await find_erased(stage.look, person.tenant.organization_id, [PHONE, "+12125550177"], ERASURE_KEYS)
        theirs = await find_erased(stage.look, other.organization_id, [PHONE], ERASURE_KEYS)
        listed = await without_erased(stage.look, person.tenant.organization_id, [PHONE], ERASURE_KEYS)
        without_key = await without_erased(stage.look, person.tenant.organization_id, [PHONE], None)

    assert (own, theirs, listed, without_key) == ({PHONE}, frozenset(), [], [PHONE])


async def test_an_import_that_is_storing_contacts_ends_before_its_phone_is_erased(
    stage: Stage, person: SeededPerson
) -> None:
    """The import has looked for erased phones; the erasure must see the contact that it adds."""
    organization_id = person.tenant.organization_id
    await erase(stage, person)
    await stage.look.execute("delete from erasures")
    importer, watcher = [await asyncpg.connect(stage.scratch.dsn) for _ in range(2)]
    try:
        transaction = importer.transaction()
        await transaction.start()
        await importer.execute("set local role service_role")
        assert await find_erased(importer, organization_id, [PHONE], ERASURE_KEYS) == frozenset()
        erasing = asyncio.ensure_future(erase(stage, person))
        waiting = asyncio.ensure_future(until_one_waits(watcher))
        await asyncio.wait({erasing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert not erasing.done()
        await create_contact(importer, organization_id, phone=PHONE)
        await transaction.commit()
        await erasing
    finally:
        await importer.close()
        await watcher.close()

    assert await stage.look.fetchval("select count(*) from contacts where phone = $1", PHONE) == 0


async def test_an_event_that_arrives_after_the_erasure_brings_nothing_back(stage: Stage, person: SeededPerson) -> None:
    call_id = person.call_ids[0]
    retell_call_id = (await stage.row("calls", call_id))["retell_call_id"]
    await erase(stage, person)

    late = life_of_call(retell_call_id, call_id)["call_analyzed"].replace(b"Hello.", SAID.encode())
    await stage.send(late)

    call = await stage.row("calls", call_id)
    assert (call["transcript"], call["analysis"], call["recording_url"]) == (None, None, None)
    assert float(call["cost_cents"]) == 7.25
    event = (await stage.rows("webhook_events"))[-1]
    assert (event["status"], event["body"], event["error"]) == ("applied", b"", None)
    assert event["body_sha256"] == hashlib.sha256(late).digest()
    assert event["body_removed_at"] == stage.clock.now()


async def test_an_opt_out_that_arrives_after_the_erasure_stores_no_number(stage: Stage, person: SeededPerson) -> None:
    call_id = person.call_ids[1]
    await erase(stage, person)

    await stage.send(*life_of_call("call_late", call_id, "user_requested_dnc").values())

    assert (await stage.row("calls", call_id))["outcome"] == "do_not_call"
    assert await stage.rows("do_not_call") == []


async def test_events_of_an_erased_person_are_not_replayed(stage: Stage, person: SeededPerson) -> None:
    await erase(stage, person)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    await finish(stage)

    async with stage.look.transaction():
        await stage.look.execute("set local role service_role")
        replayed = await replay(stage.look, first_id=1, last_id=1_000, now=stage.clock.now())

    assert replayed == ReplayedEvents(replayed=0, without_body=4)
    assert {row["status"] for row in await stage.rows("webhook_events")} == {"applied", "unmatched", "quarantined"}


async def test_a_deletion_at_retell_is_repeated_until_it_is_confirmed(stage: Stage, person: SeededPerson) -> None:
    done = await erase(stage, person)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    stage.workspace.faults.replace([Fault(kind=FaultKind.drop_reply, operation=None)])
    await finish(stage)
    waiting = await stage.row("erasures", done.erasure_id)
    assert waiting["swept_at"] is not None
    assert waiting["finished_at"] is None
    deletions = [row for row in await stage.rows("erasure_calls") if row["call_id"] is not None]
    assert {(row["error"] is not None, row["confirmed_at"]) for row in deletions} == {(True, None)}

    stage.workspace.faults.replace([])
    await finish(stage)
    assert (await stage.row("erasures", done.erasure_id))["finished_at"] is None
    stage.clock.advance(FIRST_DELAY)
    await finish(stage)

    assert (await stage.row("erasures", done.erasure_id))["finished_at"] == stage.clock.now()
    assert not stage.workspace.calls


async def test_a_dialer_without_the_key_of_the_account_leaves_the_deletion_to_others(
    stage: Stage, person: SeededPerson
) -> None:
    await erase(stage, person)
    without_key = RetellProvider({})
    await stage.change("provider_accounts", person.tenant.provider_account_id, environment_key_at=stage.clock.now())

    await ProviderDeletions(stage.dialing, without_key, stage.clock).run_once()

    errors = {row["error"] for row in await stage.rows("erasure_calls")}
    assert errors == {"this dialer has no API key for the account default"}
    assert stage.workspace.calls


async def enter_workspace(
    stage: Stage, person: SeededPerson, name: str, workspace: SimulatedWorkspace, now: datetime
) -> None:
    """Enter a key of a workspace as the studio does, and have the dialer use it."""
    key = AcceptedKey(api_key=f"key_of_{name}", workspace=KeyAccepted(name, f"org_{name}"), tested_at=now)
    entry = KeyEntry(
        organization_id=person.tenant.organization_id,
        provider_account_id=person.tenant.provider_account_id,
        entered_by="ada@example.com",
    )
    async with stage.as_service() as connection:
        await store_key(connection, KeySealer(ENCRYPTION_SECRETS), key, entry, now)
    stage.clients["default"] = RetellClient(SimulatorTransport(workspace, stage.clock.now, KEY))


async def test_an_erasure_keeps_an_opt_out_that_is_about_to_begin_again_for_a_new_workspace(
    stage: Stage, person: SeededPerson
) -> None:
    for name, at in (("Sales", NOW - timedelta(days=1)), ("Support", NOW + timedelta(minutes=30))):
        await enter_workspace(stage, person, name, stage.workspace, at)
    await erase(stage, person)
    assert [row["next_try_at"] for row in await stage.look.fetch("select * from opt_out_syncs")] == [
        NOW + timedelta(minutes=35)
    ]


@pytest.fixture
async def moved(stage: Stage, person: SeededPerson) -> ErasureRequested:
    """Return the erasure of a person whose calls are in a workspace that the account has left."""
    await enter_workspace(stage, person, "Sales", stage.workspace, NOW - timedelta(days=1))
    await enter_workspace(
        stage, person, "Support", SimulatedWorkspace(stage.workspace.config), NOW + timedelta(minutes=30)
    )
    # The new workspace learns of the opt-outs first: an erasure waits for that.
    assert await OptOutRestarter(stage.dialing).run_once() == 1
    assert await OptOutSender(stage.dialing, stage.provider, stage.clock).run_once() == 1
    done = await erase(stage, person)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    await finish(stage)
    return done


async def test_calls_of_a_former_workspace_do_not_count_as_deleted_and_are_once_its_key_is_back(
    stage: Stage, person: SeededPerson, moved: ErasureRequested
) -> None:
    assert len(stage.workspace.calls) == 3, "the recordings exist"
    rows = await stage.rows("erasure_calls")
    unreached = [row for row in rows if row["out_of_reach_at"] is not None]
    assert {row["call_id"] for row in unreached} >= set(person.call_ids)
    assert {(row["workspace_name"], row["confirmed_at"]) for row in unreached} == {("Sales", None)}
    assert (await stage.row("erasures", moved.erasure_id))["finished_at"] is None

    stage.clock.advance(timedelta(minutes=1))
    await enter_workspace(stage, person, "Sales", stage.workspace, stage.clock.now())
    stage.clock.advance(timedelta(minutes=5))
    await finish(stage)
    assert not stage.workspace.calls
    assert (await stage.row("erasures", moved.erasure_id))["finished_at"] == stage.clock.now()
    assert {row["confirmed_by"] for row in await stage.rows("erasure_calls")} == {None}


async def leave_retell(stage: Stage, person: SeededPerson) -> None:
    """Remove the key of the account, and have the dialer forget it."""
    async with stage.as_service() as connection:
        assert await end_key(
            connection,
            organization_id=person.tenant.organization_id,
            provider_account_id=person.tenant.provider_account_id,
            ends_former=False,
            now=stage.clock.now(),
        )
    del stage.clients["default"]


async def test_calls_that_get_out_of_reach_after_the_page_was_read_are_not_confirmed(
    stage: Stage, person: SeededPerson, moved: ErasureRequested
) -> None:
    shown_until = stage.clock.now()
    unreached = [row for row in await stage.rows("erasure_calls") if row["out_of_reach_at"] is not None]
    later = unreached[0]["id"]
    await stage.change("erasure_calls", later, out_of_reach_at=shown_until + timedelta(microseconds=1))
    async with stage.as_service() as connection:
        confirmed = await confirm_deletions(
            connection,
            person.tenant.organization_id,
            moved.erasure_id,
            Actor(),
            until=shown_until,
            now=shown_until + timedelta(minutes=1),
        )
    assert confirmed == len(unreached) - 1
    assert (await stage.row("erasure_calls", later))["confirmed_at"] is None
    await finish(stage)
    assert (await stage.row("erasures", moved.erasure_id))["finished_at"] is None


async def test_calls_of_a_disconnected_account_are_out_of_reach_until_its_key_is_back(
    stage: Stage, person: SeededPerson
) -> None:
    await enter_workspace(stage, person, "Sales", stage.workspace, NOW - timedelta(days=1))
    await stage.look.execute("update opt_out_syncs set next_try_at = $1, confirmed_at = null", NOW)
    await leave_retell(stage, person)
    done = await erase(stage, person)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    await finish(stage)
    erasure = await stage.row("erasures", done.erasure_id)
    assert (erasure["waiting_for"], erasure["finished_at"]) == (None, None)
    assert erasure["swept_at"] is not None, "no one can receive the opt-out"
    assert await stage.look.fetchval("select count(*) from opt_out_syncs") == 0
    rows = await stage.rows("erasure_calls")
    assert {(row["out_of_reach_reason"], row["workspace_name"], row["error"]) for row in rows} == {
        ("no_key", "Sales", None)
    }

    await enter_workspace(stage, person, "Sales", stage.workspace, stage.clock.now())
    assert {row["out_of_reach_at"] for row in await stage.rows("erasure_calls")} == {None}
    stage.clock.advance(timedelta(seconds=30))
    await finish(stage)
    assert not stage.workspace.calls
    assert (await stage.row("erasures", done.erasure_id))["finished_at"] == stage.clock.now()


async def test_an_admin_finishes_the_erasure_of_an_organization_that_has_left_retell(
    stage: Stage, person: SeededPerson
) -> None:
    await enter_workspace(stage, person, "Sales", stage.workspace, NOW - timedelta(days=1))
    await leave_retell(stage, person)
    done = await erase(stage, person)
    stage.clock.advance(UPLOADS_KEPT + timedelta(minutes=1))
    await finish(stage)
    now = stage.clock.now()
    async with stage.as_service() as connection:
        organization_id = person.tenant.organization_id
        assert await confirm_deletions(connection, organization_id, done.erasure_id, Actor(), until=now, now=now)
    await finish(stage)
    assert (await stage.row("erasures", done.erasure_id))["finished_at"] == now


async def test_a_call_that_is_not_found_while_the_key_changes_is_asked_for_again_before_it_is_out_of_reach(
    stage: Stage, person: SeededPerson
) -> None:
    await enter_workspace(stage, person, "Sales", stage.workspace, NOW - timedelta(days=1))
    await enter_workspace(stage, person, "Support", SimulatedWorkspace(stage.workspace.config), NOW)
    stage.clock.advance(timedelta(days=1))
    # A dialer uses the key of Support for some minutes after that of Sales was entered again.
    former = stage.clients["default"]
    await enter_workspace(stage, person, "Sales", stage.workspace, stage.clock.now())
    current, stage.clients["default"] = stage.clients["default"], former
    done = await erase(stage, person)
    stage.clock.advance(timedelta(minutes=1))
    await ProviderDeletions(stage.dialing, stage.provider, stage.clock).run_once()
    rows = await stage.rows("erasure_calls")
    assert {(row["out_of_reach_at"], row["confirmed_at"]) for row in rows} == {(None, None)}
    assert stage.workspace.calls

    stage.clients["default"] = current
    stage.clock.advance(timedelta(minutes=4))
    await ProviderDeletions(stage.dialing, stage.provider, stage.clock).run_once()
    assert not stage.workspace.calls
    assert done.erasure_id in {row["erasure_id"] for row in await stage.rows("erasure_calls")}
    assert {row["out_of_reach_at"] for row in await stage.rows("erasure_calls")} == {None}


async def test_a_key_that_changes_during_a_deletion_does_not_count_a_call_as_deleted(
    stage: Stage, person: SeededPerson
) -> None:
    await enter_workspace(stage, person, "Sales", stage.workspace, NOW - timedelta(days=1))
    await erase(stage, person)

    class ChangedMeanwhile(RetellProvider):
        """The key of another workspace is entered once the call was taken."""

        async def delete_call(
            self, credential: str, provider_call_id: str
        ) -> CallDeleted | CallMissing | ProviderUnavailable:
            other = SimulatedWorkspace(stage.workspace.config)
            await enter_workspace(stage, person, "Support", other, stage.clock.now())
            return await stage.provider.delete_call(credential, provider_call_id)

    with_id = await stage.look.fetchval("select id from erasure_calls where call_id = $1", person.call_ids[0])
    await stage.look.execute("update erasure_calls set next_try_at = 'infinity' where id <> $1", with_id)
    await ProviderDeletions(stage.dialing, ChangedMeanwhile(stage.clients), stage.clock).run_once()
    row = await stage.row("erasure_calls", with_id)
    assert (row["confirmed_at"], row["out_of_reach_reason"]) == (None, "former_workspace")
    assert stage.workspace.calls


REOPENING = Path("supabase/migrations/20261205001712_reopened_erasures.sql")


@pytest.mark.parametrize(
    ("used", "deleted_at", "is_reopened"),
    [
        (("org_1", "org_2"), timedelta(days=2), True),
        (("org_1", None), timedelta(days=2), True),
        (("org_1", "org_1"), timedelta(days=2), False),
        (("org_1", "org_2"), timedelta(hours=12), False),
    ],
)
async def test_an_erasure_that_was_finished_with_the_key_of_another_workspace_is_opened_again(
    stage: Stage, person: SeededPerson, used: tuple[str, str | None], deleted_at: timedelta, is_reopened: bool
) -> None:
    done = await erase(stage, person)
    await finish(stage)
    placed = NOW
    for number, workspace_id in enumerate(used):
        await stage.look.execute(
            "insert into provider_workspaces (organization_id, provider_account_id, since, workspace_id, key_mark)"
            " values ($1, $2, $3, $4, $5)",
            person.tenant.organization_id,
            person.tenant.provider_account_id,
            placed + timedelta(days=number) - timedelta(hours=1),
            workspace_id,
            f"key {number}",
        )
    finished_at = placed + deleted_at
    await stage.look.execute(
        "update erasure_calls set confirmed_at = $1, placed_from = null, placed_until = null", finished_at
    )
    await stage.look.execute("update calls set created_at = $1", placed)
    await stage.look.execute("update test_calls set sent_at = $1", placed)
    await stage.look.execute("update webhook_events set received_at = $1", placed)
    await stage.look.execute(
        "update erasures set phone = null, swept_at = $1, finished_at = $1 where id = $2", finished_at, done.erasure_id
    )
    for _ in range(2):
        await stage.look.execute(REOPENING.read_text())
        erasure = await stage.row("erasures", done.erasure_id)
        expected = (None, finished_at) if is_reopened else (finished_at, None)
        assert (erasure["finished_at"], erasure["finished_without_proof_at"]) == expected
    open_calls = [row for row in await stage.rows("erasure_calls") if row["confirmed_at"] is None]
    assert {row["call_id"] for row in open_calls} >= set(person.call_ids) if is_reopened else open_calls == []
    noted = await stage.look.fetch("select from audit_log where action = 'reopen_erasure'")
    assert len(noted) == is_reopened


async def test_an_admin_confirms_that_calls_of_a_former_workspace_are_deleted(
    stage: Stage, person: SeededPerson, moved: ErasureRequested
) -> None:
    unreached = [row for row in await stage.rows("erasure_calls") if row["confirmed_at"] is None]
    async with stage.as_service() as connection:
        organization_id, now = person.tenant.organization_id, stage.clock.now()
        for expected in (len(unreached), 0):
            assert expected == await confirm_deletions(
                connection, organization_id, moved.erasure_id, Actor(), until=now, now=now
            )
    await finish(stage)
    assert (await stage.row("erasures", moved.erasure_id))["finished_at"] == stage.clock.now()
    assert {row["confirmed_by"] for row in await stage.rows("erasure_calls") if row["out_of_reach_at"]} == {"service"}
    recorded = await stage.look.fetch(
        "select details ->> 'calls' from audit_log where action = 'confirm_deletions_at_retell'"
    )
    assert [row[0] for row in recorded] == [str(len(unreached))]


async def test_an_erasure_waits_for_imports_and_exports_that_may_still_store_the_person(
    stage: Stage, person: SeededPerson
) -> None:
    done = await erase(stage, person)
    async with working(stage.scratch, stage.clock) as worker:
        await worker.erasures.run_once()
        erasure = await stage.row("erasures", done.erasure_id)
        assert (erasure["waiting_for"], erasure["swept_at"]) == ("the import of contacts.csv", None)

        await stage.change("imports", person.upload_id, status="cancelled")
        await stage.change("exports", person.export_id, status="running")
        await worker.erasures.run_once()
        assert (await stage.row("erasures", done.erasure_id))["waiting_for"] == "a running export"

        await stage.change("exports", person.export_id, status="completed")
        await worker.erasures.run_once()
    erasure = await stage.row("erasures", done.erasure_id)
    assert (erasure["waiting_for"], erasure["phone"]) == (None, None)
    assert erasure["swept_at"] is not None
    assert (await stage.row("exports", person.export_id))["status"] == "expired"


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_only_admins_erase(stage: Stage, person: SeededPerson, role: str) -> None:
    user_id = await create_member(stage.look, person.tenant.organization_id, role)
    other = await create_tenant(stage.look, credential="acme")
    outsider = await create_member(stage.look, other.organization_id, "owner")
    pool = await Database.connect(stage.scratch.dsn_for("outdial_api"), application_name="test", max_size=1)
    async with pool:
        for caller in (outsider, user_id):
            try:
                async with pool.as_caller("authenticated", {"sub": str(caller), "role": "authenticated"}) as connection:
                    await request_erasure(
                        connection, person.tenant.organization_id, PHONE, ERASURE_KEYS, Actor(caller), NOW
                    )
            except asyncpg.InsufficientPrivilegeError:
                assert (await stage.row("contacts", person.contact.id))["phone"] == PHONE
                assert caller != user_id or role != "admin"
            else:
                assert (caller, role) == (user_id, "admin")
    erased_by = [row["requested_by"] for row in await stage.rows("erasures")]
    assert erased_by == ([str(user_id)] if role == "admin" else [])


async def test_a_job_sweeps_only_the_organization_that_it_has_declared(stage: Stage, person: SeededPerson) -> None:
    done = await erase(stage, person)
    other = await create_tenant(stage.look, credential="acme")
    jobs = await Database.connect(stage.scratch.dsn_for("outdial_jobs"), application_name="test", max_size=1)
    async with jobs:
        for sweep in ("sweep_events($1, '{}', now())", "sweep_exports($1, now())", "sweep_rows($1, '{}')"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="the organization that it has declared"):
                async with jobs.for_organization(other.organization_id) as connection:
                    await connection.execute(f"select private.{sweep}", done.erasure_id)


async def test_who_may_not_read_the_erasures_gets_an_error_and_not_an_empty_list(
    stage: Stage, person: SeededPerson
) -> None:
    await erase(stage, person)
    other = await create_tenant(stage.look, credential="acme")
    outsider = await create_member(stage.look, other.organization_id, "owner")
    pool = await Database.connect(stage.scratch.dsn_for("outdial_api"), application_name="test", max_size=1)
    jobs = await Database.connect(stage.scratch.dsn_for("outdial_jobs"), application_name="test", max_size=1)
    claims = {"sub": str(outsider), "role": "authenticated"}
    async with pool, jobs:
        for transaction in (pool.as_caller("authenticated", claims), jobs.for_organization(other.organization_id)):
            async with transaction as connection:
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="those of your organization"):
                    await find_erased(connection, person.tenant.organization_id, [PHONE], ERASURE_KEYS)
