"""Our Auth on a database of its own, asked in process; passwords are hashed cheaply here."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from outdial.auth import KeyRing, TokenVerifier
from outdial.auth.keys import (
    LOCAL_JWT_SECRET,
    LOCAL_PUBLISHABLE_KEY,
    LOCAL_SECRET_KEY,
    local_anon_jwt,
    local_service_role_jwt,
)
from outdial.auth.local.app import create_auth
from outdial.auth.local.passwords import PasswordHashing
from outdial.auth.local.service import LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.clock import VirtualClock
from outdial.db.queries.auth.users import UserRow
from outdial.db.session import Database
from tests.support.auth import CHEAP
from tests.support.factories import NOW
from tests.support.postgres import Scratch

KEYRING = KeyRing.from_env(
    {
        "SUPABASE_PUBLISHABLE_KEYS": f'{{"default": "{LOCAL_PUBLISHABLE_KEY}"}}',
        "SUPABASE_SECRET_KEYS": f'{{"default": "{LOCAL_SECRET_KEY}"}}',
        "SUPABASE_ANON_KEY": local_anon_jwt(),
        "SUPABASE_SERVICE_ROLE_KEY": local_service_role_jwt(),
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    }
)
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


@dataclass
class World:
    """Auth with one user, Ada; `clock` stands at NOW."""

    auth: LocalAuth
    keys: SigningKeys
    verifier: TokenVerifier
    clock: VirtualClock
    ada: UserRow
    client: httpx.AsyncClient
    database: Scratch
    pool: Database

    async def ask(self, method: str, path: str, body: object = None, *, token: str = "", **headers: str) -> Any:
        """Ask with the publishable key, unless `headers` name another."""
        sent = {"apikey": LOCAL_PUBLISHABLE_KEY} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        return await self.client.request(method, path, json=body, headers=sent)

    async def sign_in(self, password: str = PASSWORD, **headers: str) -> Any:
        """Sign Ada in."""
        return await self.ask("POST", "/token?grant_type=password", {"email": EMAIL, "password": password}, **headers)

    async def refresh(self, token: str) -> Any:
        """Give a refresh token for new ones."""
        return await self.ask("POST", "/token?grant_type=refresh_token", {"refresh_token": token})


@pytest.fixture
async def world(database: Scratch) -> AsyncIterator[World]:
    """Auth, logged in as outdial_auth."""
    clock = VirtualClock(NOW)
    async with await Database.connect(database.dsn_for("outdial_auth"), application_name="tests:auth") as pool:
        keys = SigningKeys(pool, clock)
        auth = LocalAuth(pool, clock, keys, "http://127.0.0.1:54321/auth/v1", PasswordHashing(CHEAP))
        ada = await auth.create_user(EMAIL, PASSWORD)
        assert isinstance(ada, UserRow)
        app = create_auth(auth, keys, KEYRING, clock)
        verifier = TokenVerifier(jwt_secret=LOCAL_JWT_SECRET, jwks=keys, clock=clock)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://auth") as client:
            yield World(auth, keys, verifier, clock, ada, client, database, pool)
