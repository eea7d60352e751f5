"""Two organizations that must not see each other, and connections as every user and role that acts in them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from uuid import UUID, uuid4

from outdial.db.session import Connection, Database, Role
from tests.support.factories import (
    CLAIM_DECISION,
    ERASURE_KEYS,
    NOW,
    Campaign,
    CampaignContact,
    Tenant,
    create_calling,
    create_campaign,
    create_member,
    create_tenant,
    create_user,
    insert,
    new_phone,
)
from tests.support.postgres import Scratch

_numbers = count(1)
MEMBERS = ("viewer", "operator", "admin", "owner")


@dataclass(frozen=True, slots=True)
class FilledOrganization:
    """An organization with a row in every table, its users by role, and a user who belongs to no organization."""

    tenant: Tenant
    users: Mapping[str, UUID]
    fresh: Campaign
    spare_user: UUID
    spare_entry: CampaignContact
    # The first has a review.
    call_ids: tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class TwoOrganizations:
    """Two organizations that must not see each other. Tests act in `own`."""

    database: Scratch
    own: FilledOrganization
    other: FilledOrganization


async def create_two_organizations(database: Scratch, connection: Connection) -> TwoOrganizations:
    """Create two organizations with a user of every role and a row in every table."""
    return TwoOrganizations(database, await _build(connection, "default"), await _build(connection, "acme"))


async def _build(connection: Connection, credential: str) -> FilledOrganization:
    tenant = await create_tenant(connection, credential=credential)
    users = {role: await create_member(connection, tenant.organization_id, role) for role in MEMBERS}
    campaign = await create_campaign(connection, tenant)
    _, first_call = await create_calling(connection, campaign, retell_call_id=f"call_{credential}")
    spare, spare_call = await create_calling(connection, campaign, status="ended")
    users["outsider"] = await create_user(connection)
    filled = FilledOrganization(
        tenant,
        users,
        await create_campaign(connection, tenant),
        await create_user(connection),
        spare,
        (first_call, spare_call),
    )
    tables = ("phone_numbers", "do_not_call", "webhook_events", "audit_log", "invitations", "calling_rules")
    for table in (
        *tables,
        "rule_switches",
        "erasures",
        "erasure_calls",
        "retention_progress",
        "organization_budgets",
        "spending",
        "pre_dial_hooks",
        "opt_out_reads",
        "opt_out_restarts",
        "environment_keys",
        "campaign_forecasts",
        "campaign_reports",
        "report_links",
        "launch_checks",
        "test_calls",
        "call_reviews",
        "listen_requests",
        "agents",
        "number_health",
        "number_imports",
        "provider_keys",
        "provider_workspaces",
    ):
        await insert(connection, table, **new_row(table, filled, actor="webhook"))
    await insert(connection, "live_transcripts", **new_row("live_transcripts", filled, actor=""))
    await insert(connection, "imports", **new_row("imports", filled, actor="") | {"id": job_of(filled)})
    await insert(connection, "exports", **new_row("exports", filled, actor="") | {"id": job_of(filled)})
    in_force = {"id": job_of(filled), "status": "current"}
    await insert(connection, "screening_lists", **new_row("screening_lists", filled, actor="") | in_force)
    await insert(connection, "consents", **new_row("consents", filled, actor=""))
    await insert(connection, "screened_numbers", **new_row("screened_numbers", filled, actor=""))
    await insert(connection, "bulk_jobs", **new_row("bulk_jobs", filled, actor="") | {"id": job_of(filled)})
    for table in ("import_chunks", "import_refusals", "export_chunks", "bulk_job_portions", "bulk_job_left_out"):
        await insert(connection, table, **new_row(table, filled, actor=""))
    await insert(connection, "undoable_acts", **new_row("undoable_acts", filled, actor="") | {"id": job_of(filled)})
    await insert(connection, "undo_contacts", **new_row("undo_contacts", filled, actor=""))
    for role, user_id in users.items():
        view = new_row("saved_views", filled, actor="", user_id=user_id) | {"is_shared": role == "owner"}
        await insert(connection, "saved_views", **view)
        await insert(connection, "idempotency_keys", **new_row("idempotency_keys", filled, actor="", user_id=user_id))
    return filled


def job_of(filled: FilledOrganization) -> UUID:
    """Return the id of the organization's import, which is also that of its export and of its bulk job."""
    return UUID(int=filled.tenant.organization_id.int ^ 1)


def new_row(table: str, filled: FilledOrganization, *, actor: str, user_id: UUID | None = None) -> dict[str, object]:
    """Return a row of the organization that `actor` could insert, if anyone can."""
    tenant, entry = filled.tenant, filled.spare_entry
    account: dict[str, object] = {"provider_account_id": tenant.provider_account_id}
    caller: dict[str, object] = {"from_number": "+12125550000"}
    contact: dict[str, object] = {
        "campaign_id": entry.campaign.id,
        "contact_id": entry.contact.id,
        "phone": entry.contact.phone,
    }
    request = {"attempt_number": 2, "request": "{}", "decision": CLAIM_DECISION, "requested_at": NOW}
    event = {"credential": tenant.credential, "retell_call_id": uuid4().hex, "event": "call_ended", "body": b"{}"}
    rows: dict[str, dict[str, object]] = {
        "organizations": {"id": uuid4(), "name": "New"},
        "organization_members": {"user_id": filled.spare_user, "role": "viewer"},
        "invitations": {"email": f"{uuid4().hex}@example.com", "role": "viewer", "created_at": NOW},
        "provider_accounts": {"name": "New", "credential": f"new_{uuid4().hex}"},
        "phone_numbers": account | {"phone": new_phone()},
        "contacts": {"phone": new_phone(), "zone_key": "Europe/Berlin", "zone_source": "number"},
        "do_not_call": {"phone": new_phone(), "source": "call"},
        "consents": {"id": uuid4(), "phone": entry.contact.phone, "basis": "written", "source": "form"}
        | {"given_at": NOW, "created_at": NOW},
        "screening_lists": {"id": uuid4(), "kind": "litigator", "registry_date": NOW.date(), "file_name": "numbers.csv"}
        | {"created_by": user_id, "created_at": NOW, "updated_at": NOW},
        "screened_numbers": {"list_id": job_of(filled), "phone": new_phone()},
        "campaigns": account | caller | {"name": "New", "retell_agent_id": "agent_1"},
        "campaign_contacts": contact | {"campaign_id": filled.fresh.id, "zone_key": "UTC", "next_attempt_at": NOW},
        "calls": account
        | caller
        | contact
        | request
        | {"id": uuid4(), "campaign_contact_id": entry.id, "created_at": NOW, "updated_at": NOW}
        | {"needs_clearance": True},
        "webhook_events": event
        | {"source": "reconciler" if actor == "dialer" else "webhook", "body_sha256": b"1" * 32}
        | {"received_at": NOW, "next_try_at": NOW},
        "audit_log": {"actor": str(user_id or actor), "at": NOW}
        | {"action": "start_campaign", "subject_type": "campaign", "subject_id": "1"},
        "calling_rules": {"body": "{}", "created_by": str(user_id or actor), "created_at": NOW}
        | (
            {"rule_id": f"US-{next(_numbers)}", "pack_date": "2026-11-29"}
            if actor == "dialer"
            else {"rule_id": f"OWN-{next(_numbers)}"}
        ),
        "rule_switches": {"rule_id": "US-FCC-HOURS", "is_off": True, "reason": "Not sold to consumers"}
        | {"actor": str(user_id or actor), "at": NOW},
        "audit_chain": {"entry_id": next(_numbers), "subject_digest": b"1" * 32, "details_digest": b"1" * 32}
        | {"subject_salt": b"1" * 16, "details_salt": b"1" * 16},
        "audit_heads": {"position": 1, "hash": b"1" * 32},
        "opt_out_syncs": {"provider_account_id": tenant.provider_account_id, "phone": new_phone(), "do_not_call": True},
        "opt_out_reads": {"provider_account_id": tenant.provider_account_id, "next_read_at": NOW},
        "opt_out_restarts": {"provider_account_id": tenant.provider_account_id, "requested_at": NOW},
        "environment_keys": account
        | {"fingerprint": uuid4().hex, "workspace_name": "Sales", "first_reported_at": NOW, "reported_at": NOW},
        "launch_checks": {"campaign_id": filled.fresh.id if actor == "webhook" else entry.campaign.id}
        | {"requested_at": NOW},
        "agents": account | {"agent_id": uuid4().hex, "name": "Sales", "seen_at": NOW},
        "call_reviews": {"call_id": filled.call_ids[0 if actor == "webhook" else 1]}
        | {"reviewed_by": "ada@example.com", "reviewed_at": NOW},
        "listen_requests": {"id": uuid4(), "call_id": filled.call_ids[0], "requested_at": NOW, "action": "listen"}
        | {"reply_key": b"1" * 32},
        "live_transcripts": {"call_id": filled.call_ids[1 if actor == "webhook" else 0], "transcript": "User: Yes"}
        | {"lines": 1, "characters": 9, "updated_at": NOW},
        "test_calls": account
        | {"id": uuid4(), "campaign_id": filled.spare_entry.campaign.id, "phone": new_phone(), "is_own_phone": True}
        | {"requested_by": "service", "requested_at": NOW},
        "campaign_forecasts": {"id": uuid4(), "campaign_id": filled.fresh.id, "made_at": NOW, "made_for": "request"}
        | {"contacts": 1, "past_calls": 0}
        | {f"finish_{part}": NOW for part in ("p10", "p50", "p90")}
        | {f"{of}_{part}": 1 for of in ("cost_cents", "calls") for part in ("p10", "p50", "p90")},
        "campaign_reports": {"campaign_id": filled.fresh.id if actor == "webhook" else entry.campaign.id}
        | {"format": 99, "computed_at": NOW, "report": "{}"},
        "report_links": {"id": uuid4(), "campaign_id": entry.campaign.id, "token_sha256": uuid4().bytes * 2}
        | {"created_by": "ann", "created_at": NOW, "expires_at": NOW + timedelta(days=1)},
        "number_health": {"phone": new_phone(), "rests_until": NOW, "rest_reason": "by_member", "rests_since": NOW},
        "number_imports": {"provider_account_id": tenant.provider_account_id, "requested_at": NOW},
        "provider_keys": account
        | {"id": uuid4(), "ciphertext": b"1" * 40, "last_four": "1a2b", "entered_by": "ada@example.com"}
        | {"entered_at": NOW, "tested_at": NOW, "accepted_until": None if actor == "webhook" else NOW},
        "provider_workspaces": account
        | {"since": NOW - timedelta(days=30, seconds=next(_numbers)), "key_mark": "environment:1"},
        "organization_budgets": {"day_cents": 5000, "updated_at": NOW},
        "spending": {"campaign_id": filled.fresh.id, "day": NOW.date()},
        "pre_dial_hooks": {"url": "https://hook.example.com", "secret": "s" * 16, "updated_at": NOW},
        "imports": {"id": uuid4(), "campaign_id": filled.fresh.id, "file_name": "contacts.csv", "created_by": user_id}
        | {"created_at": NOW, "updated_at": NOW},
        "import_chunks": {"import_id": job_of(filled), "number": next(_numbers), "content": b"1"},
        "import_refusals": {"import_id": job_of(filled), "line": next(_numbers), "value": "", "kind": "", "reason": ""},
        "exports": {"id": uuid4(), "kind": "calls", "created_by": user_id, "created_at": NOW, "updated_at": NOW},
        "export_chunks": {"export_id": job_of(filled), "number": next(_numbers), "content": b"1"},
        "bulk_jobs": {"id": uuid4(), "campaign_id": filled.fresh.id, "action": "skip", "reason": "wrong list"}
        | {"selected": 1, "other_status": 0, "created_by": user_id, "requested_by": "ann@example.com"}
        | {"created_at": NOW, "updated_at": NOW},
        "bulk_job_portions": {"bulk_job_id": job_of(filled), "number": next(_numbers)}
        | {"ids": [entry.id], "statuses": ["pending"], "calls": [0]},
        "bulk_job_left_out": {"bulk_job_id": job_of(filled), "campaign_contact_id": uuid4()}
        | {"kind": "changed", "reason": "has changed from pending to calling"},
        "undoable_acts": {"id": uuid4(), "kind": "skip", "campaign_id": entry.campaign.id, "created_at": NOW},
        "undo_contacts": {"act_id": job_of(filled), "campaign_contact_id": entry.id, "status": "skipped"}
        | {"call_count": 0, "changed_at": NOW, "former": '{"status": "pending"}'},
        "erasures": {"id": erasure_of(filled) if actor == "webhook" else uuid4()}
        | {"phone_hash": uuid4().bytes * 2, "key_id": ERASURE_KEYS.hash(uuid4(), "").key_id}
        | {"requested_by": "service", "requested_at": NOW, "phone": new_phone()},
        "erasure_calls": account
        | {"erasure_id": erasure_of(filled), "retell_call_id": uuid4().hex, "next_try_at": NOW},
        "retention_progress": {"kind": uuid4().hex},
        "saved_views": {"id": uuid4(), "user_id": user_id or filled.users["viewer"], "list": "calls"}
        | {
            "name": f"View {uuid4().hex[:8]}",
            "filters": '{"outcome": "answered"}',
            "created_at": NOW,
            "updated_at": NOW,
        },
        "idempotency_keys": {"caller": str(user_id or actor), "key": uuid4().hex}
        | {"request_sha256": b"1" * 32, "created_at": NOW},
    }
    return rows[table] | ({} if table == "organizations" else {"organization_id": tenant.organization_id})


def erasure_of(filled: FilledOrganization) -> UUID:
    """Return the id of the organization's erasure."""
    return UUID(int=filled.tenant.organization_id.int ^ 2)


CALLERS: Mapping[str, Role] = {
    **dict.fromkeys([*MEMBERS, "outsider", "nobody"], "authenticated"),
    "anon": "anon",
    "service": "service_role",
}
ACTORS = [*CALLERS, "api", "webhook", "dialer", "undeclared dialer", "jobs", "undeclared jobs"]


@asynccontextmanager
async def acting(world: TwoOrganizations, actor: str) -> AsyncIterator[Connection]:
    """Open a transaction as the actor, in the own organization where the actor has one."""
    login = "outdial_api" if actor in CALLERS else f"outdial_{actor.split()[-1]}"
    pool = await Database.connect(world.database.dsn_for(login), application_name="test", max_size=1)
    async with pool:
        if actor in CALLERS:
            user_id = world.own.users.get(actor)
            claims = {"role": CALLERS[actor]} | ({"sub": str(user_id)} if user_id else {})
            async with pool.as_caller(CALLERS[actor], claims) as connection:
                yield connection
        elif actor in ("dialer", "jobs"):
            async with pool.for_organization(world.own.tenant.organization_id) as connection:
                yield connection
        else:
            async with pool.transaction() as connection:
                yield connection
