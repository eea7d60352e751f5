"""Supabase's clients sign in through our Auth behind a function host, with one URL."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from supabase_auth.errors import AuthApiError

from outdial.auth import KeyRing, TokenVerifier, VerifiedToken, algorithm_of, mint_jwt
from outdial.auth.client import AuthClient, SignedIn
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY
from outdial.auth.local.app import create_auth
from outdial.auth.local.passwords import PasswordHashing
from outdial.auth.local.service import LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.host.gateway.upstream import AuthUpstream
from outdial.host.wire.responses import server_error
from outdial.http import listen, serving
from supabase import AsyncClient, acreate_client
from tests.auth.local.conftest import EMAIL, KEYRING, PASSWORD
from tests.support.auth import CHEAP
from tests.support.gateway import make_harness
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("auth.mjs")
# The client uses its own deprecated parts.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated:DeprecationWarning")


@pytest.fixture
async def url(database: Scratch) -> AsyncIterator[str]:
    """URL of a host with Auth behind it, and one user."""
    clock = SystemClock()
    async with await Database.connect(database.dsn_for("outdial_auth"), application_name="tests:auth") as pool:
        keys = SigningKeys(pool, clock)
        auth = LocalAuth(pool, clock, keys, "http://127.0.0.1/auth/v1", PasswordHashing(CHEAP))
        await auth.create_user(EMAIL, PASSWORD)
        app = Starlette(routes=[Mount("/auth/v1", create_auth(auth, keys, KEYRING, clock))])
        async with on_a_socket(app) as behind:
            upstream = AuthUpstream(behind)
            harness = make_harness()
            harness.operations.auth = upstream
            listener = listen("127.0.0.1", 0)
            async with serving(harness.gateway, listener, error_response=server_error):
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            await upstream.close()


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.skipif(not (ROOT / "node_modules/@supabase/supabase-js").is_dir(), reason="npm ci has not been run")
async def test_supabase_js_signs_in_and_out(url: str) -> None:
    arguments = (SCRIPT, url, LOCAL_PUBLISHABLE_KEY, EMAIL, PASSWORD)
    process = await asyncio.create_subprocess_exec(
        "node", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    results = json.loads(out)

    assert results["wrong"] == {"code": "invalid_credentials", "status": 400, "name": "AuthApiError"}
    assert results["signedIn"] == {"email": EMAIL, "error": None}
    assert results["user"]["error"] is None
    assert results["claims"] == {"sub": results["user"]["id"], "alg": "ES256", "error": None}
    assert results["refreshed"] == {"differs": True, "error": None}
    assert results["updated"] == {"metadata": {"colour": "green"}, "error": None}
    assert results["signedOut"] == {"error": None}
    # The client's error for session_not_found.
    assert results["afterwards"]["status"] in (400, 403)


async def test_functions_verify_both_kinds_of_tokens_with_the_settings_of_a_local_stack(url: str) -> None:
    clock = SystemClock()
    env = {"SUPABASE_URL": url, "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET}
    verifier = TokenVerifier.from_keys(KeyRing.from_env(env), clock)
    async with AuthClient(f"{url}/auth/v1", LOCAL_PUBLISHABLE_KEY) as asking:
        signed_in = await asking.sign_in(EMAIL, PASSWORD)
    assert isinstance(signed_in, SignedIn)
    tokens = (signed_in.access_token, mint_jwt(LOCAL_JWT_SECRET, {"sub": str(signed_in.user_id)}))
    verdicts = [await verifier.verify(token) for token in tokens]
    await verifier.close()

    assert [algorithm_of(token) for token in tokens] == ["ES256", "HS256"]
    assert [isinstance(verdict, VerifiedToken) and verdict.claims["sub"] for verdict in verdicts] == [
        str(signed_in.user_id)
    ] * 2


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncClient]:
    """supabase-py, signed out."""
    made = await acreate_client(url, LOCAL_PUBLISHABLE_KEY)
    yield made
    await made.auth.close()


async def test_supabase_py_signs_in_and_out(client: AsyncClient) -> None:
    with pytest.raises(AuthApiError) as caught:
        await client.auth.sign_in_with_password({"email": EMAIL, "password": "wrong"})
    assert caught.value.code == "invalid_credentials"

    first = await client.auth.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
    assert first.session is not None
    known = await client.auth.get_user()
    assert known is not None
    assert known.user.email == EMAIL
    claims = await client.auth.get_claims()
    assert claims is not None
    assert claims["claims"]["sub"] == known.user.id
    second = await client.auth.refresh_session()
    assert second.session is not None
    assert second.session.refresh_token != first.session.refresh_token

    await client.auth.sign_out()
    with pytest.raises(AuthApiError) as caught:
        await client.auth.get_user(second.session.access_token)
    assert caught.value.code == "session_not_found"
