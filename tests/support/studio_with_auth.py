"""The studio with the Auth that Outdial serves on plain Postgres, on a real socket; passwords are hashed cheaply."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from outdial.auth import KeyRing, TokenVerifier
from outdial.auth.client import AuthClient
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.auth.local.app import create_auth
from outdial.auth.local.passwords import PasswordHashing
from outdial.auth.local.service import LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.db.session import Database
from outdial.studio.web.token_refresh import TokenRefresher
from tests.support.auth import CHEAP
from tests.support.postgres import Scratch
from tests.support.sockets import on_a_socket
from tests.support.studio import Browser, StudioServer, app_without_database, serve_studio, unchanged

PASSWORD = "correct horse battery"
KEYRING = KeyRing.from_env(
    {
        "SUPABASE_PUBLISHABLE_KEYS": f'{{"default": "{LOCAL_PUBLISHABLE_KEY}"}}',
        "SUPABASE_SECRET_KEYS": f'{{"default": "{LOCAL_SECRET_KEY}"}}',
        "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    }
)


@dataclass(slots=True)
class StudioWithAuth:
    """The studio under test, and the Auth it signs users in at."""

    served: StudioServer
    auth: LocalAuth

    async def visitor(self) -> Browser:
        """Return a browser without a session."""
        return await self.served.browser_of(None)

    async def sign_in(self, email: str, password: str = PASSWORD) -> Browser:
        """Return a browser in which a user has signed in with the form."""
        browser = await self.visitor()
        response = await browser.post_form("/sign-in", {"email": email, "password": password}, page="/sign-in")
        assert response.status_code == 303, response.text
        return browser


@asynccontextmanager
async def serve_studio_with_auth(database: Scratch, *, checks_sessions: bool = False) -> AsyncIterator[StudioWithAuth]:
    """Serve the studio in process on `database`, with real users, passwords and tokens.

    With `checks_sessions` it asks Auth whether sessions still exist, which those of `browser_of` do not.
    """
    async with (
        await Database.connect(database.dsn_for("outdial_auth"), application_name="tests:auth") as pool,
        serve_studio(database, unchanged, app_without_database()) as served,
    ):
        keys = SigningKeys(pool, served.clock)
        auth = LocalAuth(pool, served.clock, keys, "http://127.0.0.1/auth/v1", PasswordHashing(CHEAP))
        app = create_auth(auth, keys, KEYRING, served.clock)
        async with on_a_socket(app) as url, AuthClient(url, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY) as client:
            served.studio = replace(
                served.studio,
                auth=client,
                local_auth=auth,
                renew=TokenRefresher(client, served.clock).current if checks_sessions else unchanged,
                verifier=TokenVerifier(jwt_secret=LOCAL_JWT_SECRET, jwks=keys, clock=served.clock),
            )
            served.app.state.studio = served.studio
            yield StudioWithAuth(served, auth)
