"""retell-webhook over HTTP: stored and 200, not ours and 401, not stored and 503, or not started at all."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.functions import Runtime
from outdial.functions.loading import load_functions
from outdial.functions.server import FunctionApp, serving
from outdial.provider_keys.sealing import KeySealer
from outdial.retell import signature
from outdial.settings import MissingSetting, SettingError
from tests.support import postgres
from tests.support.dialing import epoch_ms, event_body, life_of_call
from tests.support.factories import ENCRYPTION_SECRETS, NOW, create_calling, create_campaign, create_tenant, insert
from tests.support.postgres import Scratch

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SLUG = "retell-webhook"
SECRET = "your-webhook-secret"


def env_of(database: Scratch, **changes: str | None) -> dict[str, str]:
    """Return the settings of the function, less those that are None."""
    env = {
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_DB_URL": database.dsn,
        "RETELL_WEBHOOK_SECRET": SECRET,
    }
    return {name: value for name, value in {**env, **changes}.items() if value is not None}


@asynccontextmanager
async def served(env: dict[str, str], clock: VirtualClock | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the function under `env`, by default at NOW."""
    app = FunctionApp({SLUG: load_functions(FUNCTIONS)[SLUG]}, Runtime.from_env(env, clock or VirtualClock(NOW)))
    async with serving(app) as url, aiohttp.ClientSession(f"{url}/functions/v1/") as session:
        yield session


async def post(session: aiohttp.ClientSession, body: bytes, header: str | None) -> tuple[int, dict[str, Any]]:
    """Post one event; return the status and the answer."""
    headers = {"Content-Type": "application/json"} | ({} if header is None else {"x-retell-signature": header})
    async with session.post(SLUG, data=body, headers=headers) as response:
        return response.status, await response.json()


def signed(body: bytes, key: str = SECRET) -> str:
    """Return the header of `body`, signed at NOW."""
    return signature.sign(body, key, epoch_ms(NOW))


async def test_a_signed_event_is_stored_applied_and_confirmed(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    _, call_id = await create_calling(connection, campaign)
    async with served(env_of(database)) as session:
        for name, body in life_of_call("call_1", call_id).items():
            assert await post(session, body, signed(body)) == (200, {"success": True, "event": name})
    assert await connection.fetchval("select status from calls where id = $1", call_id) == "ended"
    assert await connection.fetchval("select count(*) from webhook_events where status = 'applied'") == 3


async def test_a_key_that_is_entered_while_the_function_runs_verifies_its_events(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    tenant, clock = await create_tenant(connection), VirtualClock(NOW)
    env = env_of(database, RETELL_WEBHOOK_SECRET=None, RETELL_ENCRYPTION_KEY=ENCRYPTION_SECRETS[0])
    body, key = event_body("call_started", "call_1"), "key_entered_in_the_studio"
    async with served(env, clock) as session:
        assert (await post(session, body, signed(body, key)))[0] == 401
        row = {"organization_id": tenant.organization_id, "provider_account_id": tenant.provider_account_id}
        sealed = KeySealer(ENCRYPTION_SECRETS).seal(tenant.organization_id, tenant.provider_account_id, key)
        entered = {"id": uuid4(), "ciphertext": sealed, "last_four": "udio", "entered_by": "ada@example.com"}
        await insert(connection, "provider_keys", **row, **entered, entered_at=NOW, tested_at=NOW)
        clock.advance(timedelta(seconds=1))
        assert (await post(session, body, signed(body, key)))[0] == 200
    assert await connection.fetchval("select credential from webhook_events") == tenant.credential


async def test_the_command_in_the_notes_of_the_original_system_works_on_a_local_stack(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    async with served(env_of(database, RETELL_WEBHOOK_ACCEPT_PLAIN_SECRET="true")) as session:
        body = b'{"event_type": "call_started", "data": {"call_id": "test-123"}}'
        answer = await post(session, body, "your-webhook-secret")
    assert answer == (200, {"success": True, "event": "call_started"})
    row = await connection.fetchrow("select event, retell_call_id, body from webhook_events")
    assert tuple(row or ()) == ("call_started", "test-123", body)


@pytest.mark.parametrize(
    "changes",
    [{"RETELL_WEBHOOK_ACCEPT_PLAIN_SECRET": "false"}, {"SUPABASE_URL": "https://abc.supabase.co"}, {}],
    ids=["switched off", "elsewhere", "a host of this machine"],
)
async def test_elsewhere_the_plain_secret_opens_nothing(
    database: Scratch, connection: asyncpg.Connection, changes: dict[str, str]
) -> None:
    async with served(env_of(database, **changes)) as session:
        status, body = await post(session, b'{"event_type": "call_started", "data": {"call_id": "c"}}', SECRET)
    assert (status, body["code"]) == (401, "INVALID_SIGNATURE")
    assert await connection.fetchval("select count(*) from webhook_events") == 0


@pytest.mark.parametrize("header", [None, "", "nonsense", signed(b"another body"), signed(b"{}", "another key")])
async def test_an_event_without_a_valid_signature_is_401_and_not_stored(
    database: Scratch, connection: asyncpg.Connection, header: str | None
) -> None:
    async with served(env_of(database)) as session:
        status, body = await post(session, b"{}", header)
    assert status == 401
    assert set(body) == {"error", "code", "message"}
    assert SECRET not in str(body)
    assert await connection.fetchval("select count(*) from webhook_events") == 0


async def test_every_key_in_rotation_and_of_every_account_is_known(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    # An env file of Docker passes quotes on.
    env = env_of(database, RETELL_WEBHOOK_SECRET="'\"new\", old'", RETELL_WEBHOOK_SECRET_ACME="'\"acme_key\"'")
    async with served(env) as session:
        for key in ("new", "old", "acme_key"):
            body = event_body("call_started", f"call_{key}")
            assert (await post(session, body, signed(body, key)))[0] == 200
    rows = await connection.fetch("select credential from webhook_events order by id")
    assert [row["credential"] for row in rows] == ["default", "default", "acme"]


async def test_a_signed_body_that_is_not_an_event_is_stored_and_gets_200(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    async with served(env_of(database)) as session:
        assert await post(session, b"broken", signed(b"broken")) == (200, {"success": True, "event": None})
    assert await connection.fetchval("select status from webhook_events") == "quarantined"


async def test_an_unreachable_database_is_503_and_the_event_is_stored_on_retry(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    body = event_body("call_started", "call_1")
    async with served(env_of(database)) as session:
        await postgres._administer(database.server, f"alter database {database.name} allow_connections false")
        ended = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'outdial_webhook'"
        assert await connection.fetchval(ended)
        status, answer = await post(session, body, signed(body))
        await postgres._administer(database.server, f"alter database {database.name} allow_connections true")
        assert (status, answer["code"]) == (503, "EVENT_NOT_STORED")
        assert (await post(session, body, signed(body)))[0] == 200
    assert await connection.fetchval("select count(*) from webhook_events") == 1


async def test_an_event_of_eight_mebibytes_is_too_large(database: Scratch) -> None:
    body = b" " * (8 * 1024 * 1024 + 1)
    headers = {"x-retell-signature": signed(body)}
    async with (
        served(env_of(database)) as session,
        session.post(SLUG, data=io.BytesIO(body), headers=headers) as response,
    ):
        assert response.status == 413


async def test_only_post_is_allowed(database: Scratch) -> None:
    async with served(env_of(database)) as session, session.get(SLUG) as response:
        assert response.status == 405


@pytest.mark.parametrize("name", ["RETELL_WEBHOOK_SECRET", "SUPABASE_URL", "SUPABASE_DB_URL"])
async def test_a_missing_setting_stops_the_start_with_one_line_that_names_it(database: Scratch, name: str) -> None:
    with pytest.raises(MissingSetting, match=name) as raised:
        async with served(env_of(database, **{name: None})):
            pass
    assert "\n" not in str(raised.value)


async def test_a_secret_of_commas_only_stops_the_start(database: Scratch) -> None:
    with pytest.raises(SettingError, match="contains no secret for the credentials acme"):
        async with served(env_of(database, RETELL_WEBHOOK_SECRET_ACME=" , ")):
            pass
