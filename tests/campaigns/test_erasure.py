"""A person is erased from every table and from Retell. What stays counts the same, and names no one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from outdial.campaigns.erasure import ErasureRequested, request_erasure
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.lifecycle import Actor
from outdial.db.binaries import Binaries, ServerUser
from outdial.dialer.provider_deletions import ProviderDeletions
from outdial.jobs.retention import UPLOADS_KEPT
from outdial.provider import CallPlaced, CallRequest
from tests.support.dialing import Stage, open_stage
from tests.support.factories import ERASURE_KEYS
from tests.support.jobs import working
from tests.support.person import PHONE, SEEDED, TRACES, SeededPerson, contents, create_person, text_columns
from tests.support.postgres import Scratch

# Why a column cannot hold anything about a contact. Everything else is seeded.
IMPERSONAL = {
    "members and their sign-in": "auth.attempts.* auth.refresh_tokens.* auth.signing_keys.* auth.users.*"
    " public.invitations.* public.organization_members.*",
    "what developers deploy": "host.access_tokens.* host.function_files.* host.function_versions.* host.functions.*"
    " host.hosts.* host.secrets.*",
    "names of functions and codes": "host.invocations.code host.invocations.method host.invocations.region"
    " host.invocations.slug host.log_lines.kind host.log_lines.level host.log_lines.slug",
    "ids of jobs": "pgqueuer.pgqueuer.* pgqueuer.pgqueuer_log.* pgqueuer.pgqueuer_schedules.*"
    " pgqueuer.pgqueuer_statistics.*",
    "the schema": "supabase_migrations.schema_migrations.* supabase_migrations.seed_files.*",
    "settings of the organization": "public.organizations.* public.phone_numbers.* public.provider_accounts.*"
    " public.campaigns.* public.retention_progress.kind public.calling_rules.* public.rule_switches.*"
    " public.screening_lists.* public.pre_dial_hooks.*",
    "ids, states and codes": "public.calls.disconnection_reason public.calls.from_number public.calls.outcome"
    " public.calls.retell_call_id public.calls.status public.campaign_contacts.decided_by"
    " public.campaign_contacts.decision public.campaign_contacts.last_outcome public.campaign_contacts.status"
    " public.consents.basis public.consents.scope"
    " public.contacts.zone_source public.do_not_call.purpose public.do_not_call.source"
    " public.webhook_events.body_sha256"
    " public.webhook_events.credential public.webhook_events.event public.webhook_events.retell_call_id"
    " public.webhook_events.source public.webhook_events.status",
    "how a job went": "public.exports.error public.exports.filters public.exports.kind public.exports.status"
    " public.idempotency_keys.caller public.idempotency_keys.key public.idempotency_keys.request_sha256"
    " public.import_refusals.kind public.imports.*",
    "what stays of an erasure, and what its sweep looks for": "public.erasures.* public.erasure_calls.*",
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


async def test_after_an_erasure_no_dump_names_the_person(stage: Stage, person: SeededPerson) -> None:
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
    assert [trace for trace in TRACES if trace in dump or trace.encode().hex() in dump] == []
