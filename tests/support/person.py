"""A person whose data is in every table that can hold it, and what a dump of the database says about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from outdial.db.session import Connection
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    Contact,
    Tenant,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
    create_test_call,
    insert,
)

PHONE: Final = "+14155550123"
NAME: Final = "Wilhelmina Quixote"
EMAIL: Final = "mina@quixote.example"
SAID: Final = "The zanzibar marmalade is mine."
SPELLINGS: Final = (
    "4155550123", "415-555-0123", "(415) 555-0123", "415 555 0123", "415.555.0123", "3210555514",
)  # fmt: skip
TRACES: Final = (*SPELLINGS, "wilhelmina", "quixote", "zanzibar", "marmalade", "kiritimati", "90210")
"""What no dump contains after the erasure, in lower case."""

SEEDED: Final[Mapping[str, str]] = {
    "host.invocations.path": "4155550123",
    "host.log_lines.details": "4155550123",
    "host.log_lines.text": "(415) 555-0123",
    "public.audit_log.details": "4155550123",
    "public.audit_log.subject_id": "4155550123",
    "public.calls.analysis": "zanzibar",
    "public.calls.decision": "kiritimati",
    "public.calls.error": "4155550123",
    "public.calls.hook_result": "quixote",
    "public.calls.phone": "4155550123",
    "public.calls.public_log_url": "quixote",
    "public.calls.recording_url": "quixote",
    "public.calls.request": "4155550123",
    "public.calls.transcript": "zanzibar",
    "public.call_reviews.note": "zanzibar",
    "public.live_transcripts.transcript": "zanzibar",
    "public.saved_views.filters": "quixote",
    "public.saved_views.name": "4155550123",
    "public.campaign_contacts.decision_note": "quixote",
    "public.campaign_contacts.jurisdiction_key": "us-ca",
    "public.campaign_contacts.phone": "4155550123",
    "public.campaign_contacts.status_reason": "4155550123",
    "public.campaign_contacts.variables": "quixote",
    "public.campaign_contacts.zone_key": "kiritimati",
    "public.consents.phone": "4155550123",
    "public.consents.revocation": "quixote",
    "public.consents.source": "quixote",
    "public.consents.text": "quixote",
    "public.consents.url": "quixote",
    "public.exports.filters": "quixote",
    "public.bulk_jobs.reason": "415-555-0123",
    "public.organizations.stop_reason": "mina@quixote.example",
    "public.contacts.attributes": "quixote",
    "public.contacts.company": "quixote",
    "public.contacts.country": "us",
    "public.contacts.email": "quixote",
    "public.contacts.external_id": "quixote",
    "public.contacts.jurisdiction_key": "us-ca",
    "public.contacts.name": "quixote",
    "public.contacts.name_key": "quixote",
    "public.contacts.notes": "zanzibar",
    "public.contacts.phone": "4155550123",
    "public.contacts.phone_reversed": "3210555514",
    "public.contacts.postal_code": "90210",
    "public.contacts.region": "ca",
    "public.contacts.search_key": "quixote",
    "public.contacts.timezone": "kiritimati",
    "public.contacts.zone_key": "kiritimati",
    "public.do_not_call.phone": "4155550123",
    "public.do_not_call.reason": "quixote",
    "public.export_chunks.content": "4155550123",
    "public.idempotency_keys.answer": "4155550123",
    "public.import_chunks.content": "4155550123",
    "public.import_refusals.cells": "quixote",
    "public.import_refusals.reason": "415.555.0123",
    "public.import_refusals.value": "415 555 0123",
    "public.opt_out_syncs.error": "4155550123",
    "public.opt_out_syncs.phone": "4155550123",
    "public.screened_numbers.phone": "4155550123",
    "public.test_calls.analysis": "zanzibar",
    "public.test_calls.phone": "4155550123",
    "public.test_calls.public_log_url": "quixote",
    "public.test_calls.reason": "4155550123",
    "public.test_calls.recording_url": "quixote",
    "public.test_calls.request": "quixote",
    "public.test_calls.transcript": "zanzibar",
    "public.undo_contacts.former": "quixote",
    "public.undoable_acts.former": "4155550123",
    "public.webhook_events.body": "4155550123",
    "public.webhook_events.error": "4155550123",
}
"""Columns that hold the person, with a part of what they hold, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededPerson:
    """The rows of the person. `upload_id` is an import whose file contains them and that waits to be started."""

    tenant: Tenant
    campaign: Campaign
    contact: Contact
    entries: tuple[CampaignContact, CampaignContact]
    call_ids: tuple[UUID, UUID]
    test_call_id: UUID
    upload_id: UUID
    export_id: UUID


async def create_person(connection: Connection, *, retell_call_id: str = "call_person") -> SeededPerson:
    """Create a person whom one campaign has called twice and another one is about to call."""
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    contact = await create_contact(
        connection,
        tenant.organization_id,
        phone=PHONE,
        name=NAME,
        email=EMAIL,
        company="Quixote & Daughters",
        notes=SAID,
        external_id="crm-quixote-7",
        timezone="Pacific/Kiritimati",
        zone_key="Pacific/Kiritimati",
        zone_source="contact",
        attributes='{"aunt": "Dolores Quixote"}',
        country="US",
        region="CA",
        postal_code="90210",
        jurisdiction_key="US-CA",
    )
    called = await create_campaign_contact(
        connection,
        campaign,
        contact,
        status="completed",
        attempts=2,
        call_count=2,
        last_outcome="answered",
        status_reason="Retell refused +1 415 555 0123 (14155550123)",
        variables='{"horse": "Rocinante Quixote"}',
        jurisdiction_key="US-CA",
        decision="completed",
        decision_note="Ms Quixote called back",
        decided_by="service",
        decided_at=NOW,
    )
    waiting = await create_campaign_contact(
        connection, await create_campaign(connection, tenant, name="Autumn"), contact, jurisdiction_key="US-CA"
    )
    calls = await _create_calls(connection, called, retell_call_id)
    await _create_events(connection, tenant, calls[0], retell_call_id)
    test_call_id = await _create_test_calls(connection, campaign, contact)
    upload_id = await _create_import(connection, campaign)
    export_id = await _create_copies(connection, tenant)
    await _give_reasons(connection, campaign)
    await _create_permissions(connection, tenant)
    return SeededPerson(
        tenant=tenant,
        campaign=campaign,
        contact=contact,
        entries=(called, waiting),
        call_ids=calls,
        test_call_id=test_call_id,
        upload_id=upload_id,
        export_id=export_id,
    )


async def _give_reasons(connection: Connection, campaign: Campaign) -> None:
    """Give a reason of a bulk job, of stopping all calls, and of an act, that mentions the person; and saved views."""
    act: dict[str, object] = {"organization_id": campaign.tenant.organization_id, "created_at": NOW}
    act_id, entry = uuid4(), await create_campaign_contact(connection, campaign)
    former = {"status": "pending", "status_reason": f"asked about {NAME}"}
    listed = [{"phone": PHONE, "purpose": "any", "reason": f"{NAME} complained"}]
    await insert(connection, "undoable_acts", id=act_id, kind="list", former=json.dumps(listed), **act)
    await insert(
        connection,
        "undo_contacts",
        organization_id=campaign.tenant.organization_id,
        act_id=act_id,
        campaign_contact_id=entry.id,
        status="skipped",
        call_count=0,
        changed_at=NOW,
        former=json.dumps(former),
    )
    await insert(
        connection,
        "bulk_jobs",
        id=uuid4(),
        organization_id=campaign.tenant.organization_id,
        campaign_id=campaign.id,
        action="skip",
        reason="the number 415-555-0123 complained",
        status="completed",
        selected=0,
        other_status=0,
        requested_by="the service",
        created_at=NOW,
        updated_at=NOW,
        finished_at=NOW,
    )
    member = await create_member(connection, campaign.tenant.organization_id, "viewer")
    for name, term in ((f"Calls to {PHONE}", EMAIL), ("An address", EMAIL), ("A name", "Quixote"), ("All of it", NAME)):
        await insert(
            connection,
            "saved_views",
            id=uuid4(),
            organization_id=campaign.tenant.organization_id,
            user_id=member,
            list="calls",
            name=name,
            filters=json.dumps({"q": term}),
            created_at=NOW,
            updated_at=NOW,
        )
    await connection.execute(
        "update organizations set stopped_at = $2, stopped_by = 'the service', stop_reason = $3 where id = $1",
        campaign.tenant.organization_id,
        NOW,
        f"{EMAIL} complained",
    )


async def _create_calls(connection: Connection, entry: CampaignContact, retell_call_id: str) -> tuple[UUID, UUID]:
    request = json.dumps({"to_number": PHONE, "retell_llm_dynamic_variables": {"name": NAME}})
    decision = json.dumps({"zone_key": "Pacific/Kiritimati", "attempts": 0, "calling_hours": "open"})
    common = {"request": request, "decision": decision, "request_deadline": None, "next_check_at": None}
    first = await create_call(
        connection,
        entry,
        status="ended",
        retell_call_id=retell_call_id,
        outcome="answered",
        disconnection_reason="user_hangup",
        started_at=NOW,
        ended_at=NOW,
        duration_ms=61_000,
        cost_cents=12,
        transcript=f"User: {SAID}",
        recording_url="https://recordings.example/quixote.wav",
        public_log_url="https://logs.example/quixote",
        analysis=json.dumps({"call_summary": SAID}),
        hook_result=json.dumps({"reason": "Ms Quixote is a customer"}),
        **common,
    )
    review = {"call_id": first, "reviewed_by": "ada@example.com", "reviewed_at": NOW, "note": SAID}
    await insert(connection, "call_reviews", organization_id=entry.campaign.tenant.organization_id, **review)
    heard = {"call_id": first, "transcript": f"User: {SAID}", "lines": 1, "characters": 9, "updated_at": NOW}
    await insert(connection, "live_transcripts", organization_id=entry.campaign.tenant.organization_id, **heard)
    second = await create_call(
        connection, entry, status="released", attempt_number=2, error=f"Retell has no call to {PHONE}", **common
    )
    return first, second


async def _create_test_calls(connection: Connection, campaign: Campaign, contact: Contact) -> UUID:
    """Create a test call to the person, and one to someone else with the person's variables; return the former's id."""
    said = {"transcript": f"User: {SAID}", "analysis": json.dumps({"call_summary": SAID})}
    links = {"recording_url": "https://recordings.example/quixote", "public_log_url": "https://logs.example/quixote"}
    request = json.dumps({"to_number": PHONE, "retell_llm_dynamic_variables": {"name": NAME}})
    seen = {"status": "ended", "reason": f"Retell has no call to {PHONE}", "requested_by": "ada@example.com"}
    columns = seen | said | links | {"request": request}
    await create_test_call(connection, campaign, phone="+12125550177", contact_id=contact.id, **columns)
    return await create_test_call(connection, campaign, phone=PHONE, **columns)


async def _create_events(connection: Connection, tenant: Tenant, call_id: UUID, retell_call_id: str) -> None:
    event = {"credential": tenant.credential, "event": "call_ended", "received_at": NOW, "next_try_at": NOW}
    bodies = {
        "of the call": json.dumps({"call": {"to_number": PHONE, "transcript": SAID}}),
        "unmatched": json.dumps({"call": {"from_number": "+1 (415) 555-0123", "transcript": SAID}}),
        "by address": json.dumps({"call": {"metadata": {"asked for": EMAIL.upper()}, "transcript": SAID}}),
        "quarantined": f'{{"call": {{"to_number": "{PHONE}", "transcript": "{SAID}',
    }
    for number, (kind, body) in enumerate(bodies.items()):
        owner = {"organization_id": tenant.organization_id, "call_id": call_id} if kind == "of the call" else {}
        await insert(
            connection,
            "webhook_events",
            source="webhook",
            retell_call_id=retell_call_id if owner else f"{retell_call_id}_{number}",
            body=body.encode(),
            body_sha256=bytes([number]) * 32,
            status="applied" if owner else "quarantined" if kind == "quarantined" else "unmatched",
            error=None if owner else f"no call of {PHONE} has this id",
            **owner,
            **event,
        )


async def _create_import(connection: Connection, campaign: Campaign) -> UUID:
    import_id = uuid4()
    job = {"organization_id": campaign.tenant.organization_id, "import_id": import_id}
    await insert(
        connection,
        "imports",
        id=import_id,
        organization_id=campaign.tenant.organization_id,
        campaign_id=campaign.id,
        file_name="contacts.csv",
        status="ready",
        bytes_stored=60,
        chunks=1,
        created_at=NOW,
        updated_at=NOW,
    )
    content = f"phone,name\n{PHONE},{NAME}\n+12125550199,Ada\n"
    await insert(connection, "import_chunks", number=0, content=content.encode(), **job)
    await insert(
        connection,
        "import_refusals",
        line=7,
        value="415 555 0123",
        kind="bad_phone",
        reason="415.555.0123 has no country code",
        cells=json.dumps(["415 555 0123", NAME, EMAIL]),
        **job,
    )
    return import_id


async def _create_copies(connection: Connection, tenant: Tenant) -> UUID:
    """Create what only a search finds: a finished export, a stored response, and lines of a function's log."""
    owner, export_id = {"organization_id": tenant.organization_id}, uuid4()
    await insert(connection, "do_not_call", phone=PHONE, source="manual", reason="Ms Quixote asked", **owner)
    await insert(
        connection,
        "exports",
        id=export_id,
        kind="results",
        filters=json.dumps({"search": NAME}),
        status="completed",
        rows=1,
        size=40,
        created_at=NOW,
        updated_at=NOW,
        **owner,
    )
    content = f"phone,name\n{PHONE},{NAME}\n".encode()
    await insert(connection, "export_chunks", export_id=export_id, number=0, content=content, **owner)
    await insert(
        connection,
        "idempotency_keys",
        caller="service",
        key="k",
        request_sha256=b"1" * 32,
        answer_status=201,
        answer=json.dumps({"phone": PHONE, "name": NAME}),
        created_at=NOW,
        **owner,
    )
    await connection.execute(
        "insert into host.log_lines (at, slug, version, level, kind, text, details)"
        " values ($1, 'hello', 1, 'info', 'log', $2, $3)",
        NOW,
        "calling (415) 555-0123",
        json.dumps({"phone": 14155550123}),
    )
    await connection.execute(
        "insert into host.invocations (at, request_id, slug, version, method, path, status, code, ms, cpu_us, cold,"
        " request_bytes, response_bytes, region)"
        " values ($1, $2, 'hello', 1, 'GET', $3, 200, '', 1, 1, false, 0, 0, '')",
        NOW,
        uuid4(),
        "/hello?phone=%2B14155550123",
    )
    return export_id


async def _create_permissions(connection: Connection, tenant: Tenant) -> None:
    """Create a consent, a screening list with the number, and entries of the audit log that name it."""
    owner, list_id = {"organization_id": tenant.organization_id}, uuid4()
    await insert(
        connection,
        "consents",
        id=uuid4(),
        phone=PHONE,
        basis="written",
        source="form of Quixote & Daughters",
        text=f"I, {NAME}, agree.",
        url="https://quixote.example/consent",
        given_at=NOW,
        revoked_at=NOW,
        revocation="Ms Quixote wrote to us",
        created_at=NOW,
        **owner,
    )
    day = {"registry_date": NOW.date(), "created_at": NOW, "updated_at": NOW}
    await insert(
        connection,
        "screening_lists",
        id=list_id,
        kind="national",
        jurisdiction="US",
        file_name="registry.csv",
        status="current",
        **day,
        **owner,
    )
    await insert(connection, "screened_numbers", list_id=list_id, phone=PHONE, **owner)
    # The entry of the do-not-call list has queued it for the provider, which has confirmed it.
    await connection.execute(
        "update opt_out_syncs set is_ours = true, error = $1, next_try_at = null, confirmed_at = $2",
        f"no contact {PHONE}",
        NOW,
    )
    for subject, details in ((PHONE, "{}"), ("1", json.dumps({"numbers": [PHONE]}))):
        await insert(
            connection,
            "audit_log",
            at=NOW,
            actor="service",
            action="add_do_not_call",
            subject_type="do_not_call",
            subject_id=subject,
            details=details,
            **owner,
        )


async def text_columns(connection: Connection) -> dict[str, str]:
    """Return every column that can hold text, as schema.table.column, with its type."""
    rows = await connection.fetch(
        """
        select n.nspname || '.' || c.relname || '.' || a.attname as name, format_type(a.atttypid, null) as type
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
        join pg_namespace n on n.oid = c.relnamespace
        join pg_type t on t.oid = a.atttypid
        left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
        where a.attnum > 0 and not a.attisdropped
          and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_t%'
          and (coalesce(e.typcategory, t.typcategory) = 'S'
            or coalesce(e.typname, t.typname) in ('json', 'jsonb', 'bytea'))
        """
    )
    return {row["name"]: row["type"] for row in rows}


async def contents(connection: Connection, columns: Mapping[str, str]) -> dict[str, str]:
    """Return everything in these columns, in lower case; bytes as the text that they may be."""
    found = {}
    for column, kind in columns.items():
        table, _, name = column.rpartition(".")
        expression = f"encode(\"{name}\", 'escape')" if kind == "bytea" else f'"{name}"::text'
        rows = await connection.fetch(f'select {expression} from {table} where "{name}" is not null')  # noqa: S608
        found[column] = "\n".join(row[0] for row in rows).lower()
    return found
