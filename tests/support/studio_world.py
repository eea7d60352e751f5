"""Two organizations with a row for each path parameter of the studio's routes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from outdial.db.session import Connection
from outdial.domain.ids import new_id
from tests.support.factories import NOW, create_campaign, create_campaign_contact, create_member, create_user, insert
from tests.support.jobs import store_export, store_import
from tests.support.postgres import Scratch
from tests.support.two_organizations import FilledOrganization, TwoOrganizations, create_two_organizations, new_row

# Queries that find the organization's own row, by path parameter or by the name that a rule uses.
_ROWS: Mapping[str, str] = {
    "campaign_id": "select campaign_id from campaign_contacts where id = $1",
    "campaign_contact_id": "select id from campaign_contacts where id = $1",
    "call_id": "select id from calls where campaign_contact_id = $1",
    "test_call_id": "select id from test_calls where organization_id = $1",
    "user_id": """select user_id from organization_members join auth.users on users.id = user_id
        where organization_id = $1 and email like 'colleague.%'""",
    "email": "select email from invitations where organization_id = $1 and role = 'viewer' and email like 'guest.%'",
    "event_id": "select id from webhook_events where organization_id = $1 and call_id is not null",
    "account_id": "select id from provider_accounts where organization_id = $1",
    "number_id": "select id from phone_numbers where organization_id = $1",
    "number_phone": "select phone from phone_numbers where organization_id = $1",
    "resting": "select phone from number_health where organization_id = $1 and rests_until > '2040-01-01'",
    "link_id": "select id from report_links where organization_id = $1 order by id limit 1",
    "erasure_id": "select id from erasures where organization_id = $1",
    "contact_id": "select contact_id from campaign_contacts where id = $1",
    "consent_id": "select id from consents where organization_id = $1 and basis = 'written'",
    "list_id": "select id from screening_lists where organization_id = $1 and status = 'current'",
    "import_id": "select id from imports where organization_id = $1 and status = 'ready'",
    "finished": "select id from imports where organization_id = $1 and status = 'completed'",
    "export_id": "select id from exports where organization_id = $1 and status = 'queued'",
    "bulk_job_id": "select id from bulk_jobs where organization_id = $1 and status = 'queued'",
    "organization_job": "select id from bulk_jobs where organization_id = $1 and campaign_id is null",
    "view_id": "select id from saved_views where organization_id = $1 and is_shared",
    "act_id": "select id from undoable_acts where organization_id = $1",
    "of_bulk_job": "select campaign_id from bulk_jobs where organization_id = $1 and status = 'queued'",
    "completed": "select id from exports where organization_id = $1 and status = 'completed'",
    "draft": "select id from campaigns where organization_id = $1 and status = 'draft'",
    "paused": "select id from campaigns where organization_id = $1 and status = 'paused'",
    "rule_id": "select rule_id from calling_rules where organization_id = $1 and rule_id like 'OWN-ES-%'",
    "pending": "select id from campaign_contacts where organization_id = $1 and status = 'pending' and rank = 7",
    "failed": "select id from campaign_contacts where organization_id = $1 and status = 'failed' and rank = 7",
    "in_review": "select id from campaign_contacts where organization_id = $1 and status = 'review'",
}


@dataclass(frozen=True, slots=True)
class RouteRows:
    """Two organizations, and the row for each path parameter: the own organization's and the other one's."""

    world: TwoOrganizations
    own: Mapping[str, str]
    other: Mapping[str, str]


async def create_route_rows(database: Scratch, connection: Connection) -> RouteRows:
    """Create two organizations, each with a row for every path parameter."""
    world = await create_two_organizations(database, connection)
    for filled in (world.own, world.other):
        await _fill(connection, filled)
    await create_user(connection, email="newcomer@example.com")
    await _deploy(connection)
    return RouteRows(world, await _rows_of(connection, world.own), await _rows_of(connection, world.other))


async def _fill(connection: Connection, filled: FilledOrganization) -> None:
    organization_id = filled.tenant.organization_id
    for status in ("draft", "paused"):
        campaign = await create_campaign(connection, filled.tenant, status=status)
        await create_campaign_contact(connection, campaign)
    for status in ("pending", "failed"):
        await create_campaign_contact(connection, campaign, status=status, rank=7)
    await create_campaign_contact(connection, campaign, status="review", call_count=1)
    await create_member(
        connection,
        organization_id,
        "viewer",
        user_id=await create_user(connection, email=f"colleague.{filled.tenant.credential}@example.com"),
    )
    await insert(
        connection,
        "invitations",
        organization_id=organization_id,
        email=f"guest.{filled.tenant.credential}@example.com",
        role="viewer",
        created_at=NOW,
    )
    call_id = await connection.fetchval("select id from calls where campaign_contact_id = $1", filled.spare_entry.id)
    rest = {"rests_until": datetime(2050, 1, 1, tzinfo=UTC), "rest_reason": "by_member", "rests_since": NOW}
    phone = await connection.fetchval("select phone from phone_numbers where organization_id = $1", organization_id)
    await insert(connection, "number_health", organization_id=organization_id, phone=phone, **rest)
    event = new_row("webhook_events", filled, actor="webhook")
    await insert(connection, "webhook_events", **event, call_id=call_id, status="applied", applied_at=NOW)
    job = new_row("bulk_jobs", filled, actor="") | {"campaign_id": None, "action": "do_not_call"}
    await insert(connection, "bulk_jobs", **job, status="completed", finished_at=NOW)
    await store_import(connection, campaign, b"phone\n+12127009901\n", queued=False)
    await insert(
        connection,
        "imports",
        id=new_id(NOW),
        organization_id=organization_id,
        campaign_id=campaign.id,
        file_name="finished.csv",
        status="completed",
        created_at=NOW,
        updated_at=NOW,
        finished_at=NOW,
    )
    rule_id = f"OWN-ES-{filled.tenant.credential.upper()}"
    rule = {"id": rule_id, "jurisdiction": "ES", "purpose": "any", "source": "Counsel", "confidence": "s"}
    await insert(
        connection,
        "calling_rules",
        organization_id=organization_id,
        rule_id=rule_id,
        body=json.dumps(rule | {"checked_on": "2026-11-28"}),
        created_by="service",
        created_at=NOW,
    )
    await store_export(connection, organization_id, "calls")
    completed = {"id": new_id(NOW), "organization_id": organization_id}
    await insert(
        connection,
        "exports",
        **completed,
        kind="contacts",
        status="completed",
        size=7,
        created_at=NOW,
        updated_at=NOW,
        finished_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    await insert(
        connection,
        "export_chunks",
        organization_id=organization_id,
        export_id=completed["id"],
        number=0,
        content=b"phone\r\n",
    )


async def _deploy(connection: Connection) -> None:
    await connection.execute(
        """
        insert into host.functions (slug, name, last_version, created_at, updated_at)
        values ('hello', 'hello', 2, $1, $1)
        """,
        NOW,
    )
    await connection.execute(
        """
        insert into host.function_versions (slug, version, entrypoint_path, static_patterns, verify_jwt, sha256, status,
          created_at, created_by)
        select 'hello', version, 'supabase/functions/hello/index.py', '{}', false, repeat('0', 64), status, $1, 'test'
        from (values (1, 'superseded'), (2, 'active')) as deployed (version, status)
        """,
        NOW,
    )
    await connection.execute(
        """
        insert into host.invocations (at, request_id, slug, version, method, path, status, code, ms, cpu_us, cold,
          request_bytes, response_bytes, region)
        select $1, gen_random_uuid(), 'hello', 2, 'POST', '/hello', status, '', 12.5, 900, false, 10, 20, 'local'
        from unnest('{200,404,500}'::smallint[]) as status
        """,
        NOW - timedelta(minutes=10),
    )
    await connection.execute(
        """
        insert into host.log_lines (at, slug, version, level, kind, text)
        values ($1, 'hello', 2, 'error', 'log', 'It broke')
        """,
        NOW - timedelta(minutes=10),
    )


async def _rows_of(connection: Connection, filled: FilledOrganization) -> Mapping[str, str]:
    organization_id = filled.tenant.organization_id
    found = {"organization_id": str(organization_id), "slug": "hello", "step": "who"}
    for name, query in _ROWS.items():
        about = organization_id if "organization_id = $1" in query else filled.spare_entry.id
        found[name] = str(await connection.fetchval(query, about))
    return found
