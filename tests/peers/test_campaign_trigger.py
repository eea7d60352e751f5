"""A custom front end signs in with supabase-js and runs campaigns as its user, against the real processes."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY
from outdial.auth.local.passwords import PasswordHashing
from outdial.auth.local.service import AuthRefusal, LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.clock import SystemClock
from outdial.db.session import Database
from tests.support.auth import CHEAP
from tests.support.factories import create_campaign, create_campaign_contact, create_member, create_tenant
from tests.support.ports import reserved_port
from tests.support.postgres import Scratch
from tests.support.processes import launcher

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("trigger.mjs")
PASSWORD = "correct horse battery staple"
OPERATOR, VIEWER, STRANGER = "operator@example.com", "viewer@example.com", "stranger@example.com"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(not (ROOT / "node_modules/@supabase/supabase-js").is_dir(), reason="npm ci has not been run"),
]


@pytest.fixture
async def url(database: Scratch, tmp_path: Path) -> AsyncIterator[str]:
    """URL of the functions, which forwards Auth to the studio."""
    with reserved_port() as port, launcher(tmp_path, database, port=port) as running:
        studio = await running.start("studio", "studio", "--port=0").ready()
        upstream = studio.output().split()[-1]
        await running.start("functions", "functions", "serve", f"--port={port}", OUTDIAL_AUTH_UPSTREAM=upstream).ready()
        yield f"http://127.0.0.1:{port}"


async def create_users(database: Scratch, *emails: str) -> dict[str, UUID]:
    """Create users who can sign in."""
    clock, users = SystemClock(), {}
    async with await Database.connect(database.dsn_for("outdial_auth"), application_name="tests:auth") as pool:
        auth = LocalAuth(pool, clock, SigningKeys(pool, clock), "", PasswordHashing(CHEAP))
        for email in emails:
            made = await auth.create_user(email, PASSWORD)
            assert not isinstance(made, AuthRefusal)
            users[email] = made.id
    return users


async def test_an_operator_starts_a_campaign_and_others_are_refused(
    url: str, database: Scratch, connection: asyncpg.Connection
) -> None:
    users = await create_users(database, OPERATOR, VIEWER, STRANGER)
    tenant = await create_tenant(connection)
    await create_member(connection, tenant.organization_id, "operator", user_id=users[OPERATOR])
    await create_member(connection, tenant.organization_id, "viewer", user_id=users[VIEWER])
    campaign = await create_campaign(connection, tenant, status="draft")
    await create_campaign_contact(connection, campaign)
    asked = {"action": "start_campaign", "campaign_id": str(campaign.id)}
    arguments = (LOCAL_PUBLISHABLE_KEY, PASSWORD, json.dumps([VIEWER, STRANGER, OPERATOR]), json.dumps(asked))

    process = await asyncio.create_subprocess_exec(
        "node", SCRIPT, url, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    results = json.loads(out)

    assert {email: found["user"] for email, found in results.items()} == {email: email for email in users}
    assert {email: found["status"] for email, found in results.items()} == {VIEWER: 403, STRANGER: 404, OPERATOR: 200}
    assert results[VIEWER]["error"]["code"]
    assert results[OPERATOR]["data"]["success"] is True
    assert await connection.fetchval("select status from campaigns where id = $1", campaign.id) == "active"
    actor = await connection.fetchval("select actor from audit_log where action = 'start_campaign'")
    assert actor == str(users[OPERATOR])
