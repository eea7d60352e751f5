"""The studio in process, with API clients that send a token and browsers that have a session."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from html import unescape
from typing import Any, Literal, cast
from uuid import UUID

import httpx
from fastapi import FastAPI

from outdial.auth import ApiKey, KeyRing, TokenVerifier, mint_jwt
from outdial.auth.client import AuthClient, AuthUnavailable, BadCredentials, SignedOut, SignInResult
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_SECRET_KEY
from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.provider import KeyAccepted, KeyRefused, ProviderUnavailable
from outdial.studio.web.app import create_app
from outdial.studio.web.change_hub import ChangeHub
from outdial.studio.web.context import StudioState
from outdial.studio.web.sessions import COOKIE, CookieSealer, RenewSession, SessionRenewal, StudioSession
from outdial.studio.web.settings import LOCAL_SECRET, StudioSettings
from tests.support.factories import ENCRYPTION_SECRETS, ERASURE_SECRETS, NOW
from tests.support.postgres import Scratch

BASE = "http://127.0.0.1:54323"
CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
KEYRING = KeyRing(keys=(ApiKey("secret", "default", LOCAL_SECRET_KEY),), jwt_secret=LOCAL_JWT_SECRET)


@dataclass(slots=True)
class StudioServer:
    """The studio under test. Its clock starts at NOW and moves only when a test advances it."""

    app: FastAPI
    studio: StudioState
    clock: VirtualClock
    database: Scratch
    exits: AsyncExitStack = field(repr=False)

    def token(self, user_id: UUID, *, lives: timedelta = timedelta(hours=1), **claims: object) -> str:
        """Return an access token for a user, as Auth would issue it now."""
        expires = int((self.clock.now() + lives).timestamp())
        standard = {"sub": str(user_id), "role": "authenticated", "aud": "authenticated", "exp": expires}
        return mint_jwt(LOCAL_JWT_SECRET, {**standard, "email": f"{user_id.hex}@example.com", **claims})

    def session(self, user_id: UUID, *, lives: timedelta = timedelta(hours=1)) -> StudioSession:
        """Return the session that signing in would create."""
        return StudioSession(
            access_token=self.token(user_id, lives=lives),
            refresh_token=f"refresh-{user_id.hex}",
            expires_at=int((self.clock.now() + lives).timestamp()),
            user_id=str(user_id),
            email=f"{user_id.hex}@example.com",
        )

    async def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client that sends only `headers`; their names use underscores for hyphens."""
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=BASE,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        return await self.exits.enter_async_context(client)

    async def client_of(self, user_id: UUID | None) -> httpx.AsyncClient:
        """Return a client with a user's token, or with the secret key for None."""
        if user_id is None:
            return await self.client(apikey=LOCAL_SECRET_KEY)
        return await self.client(authorization=f"Bearer {self.token(user_id)}")

    async def browser_of(self, user_id: UUID | None) -> "Browser":
        """Return a browser in which the user is signed in, or no one for None."""
        client = await self.client()
        if user_id is None:
            return Browser(client, None)
        session = self.session(user_id)
        client.cookies.set(COOKIE, self.studio.sealer.seal(COOKIE, session), domain="127.0.0.1")
        return Browser(client, session)


@dataclass(slots=True)
class Browser:
    """A browser session. It does not follow redirects."""

    client: httpx.AsyncClient
    session: StudioSession | None

    async def get(self, url: str, **options: Any) -> httpx.Response:
        """Load a page."""
        return await self.client.get(url, **options)

    async def post_form(
        self,
        url: str,
        data: Mapping[str, Any] | None = None,
        *,
        page: str | None = None,
        files: Any = None,
    ) -> httpx.Response:
        """Submit a form with the CSRF token of `page`, by default that of the session."""
        token = await self.token_on(page) if page is not None else self.session.csrf if self.session else ""
        return await self.client.post(url, data={"csrf_token": token, **(data or {})}, files=files)

    async def token_on(self, page: str) -> str:
        """Return the CSRF token in the forms of `page`."""
        response = await self.client.get(page)
        assert response.status_code == 200, response.text
        found = CSRF.search(response.text)
        assert found is not None, f"no form on {page}"
        return unescape(found[1])


@dataclass
class FakeAuth(AuthClient):
    """A fake Auth client: signs in with `answer`, records calls, and is unavailable for everything else."""

    answer: SignInResult = field(default_factory=BadCredentials)
    asked: list[tuple[str, str]] = field(default_factory=list)
    signed_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Initialize the client, which never connects."""
        super().__init__("http://auth.invalid", "sb_publishable_test")

    async def sign_in(self, email: str, password: str, *, address: str = "", device: str = "") -> SignInResult:
        """Record the attempt and return `answer`."""
        self.asked.append((email, password))
        return self.answer

    async def sign_out(
        self, access_token: str, scope: Literal["local", "others", "global"] = "local"
    ) -> SignedOut | AuthUnavailable:
        """Record the sign-out."""
        self.signed_out.append(access_token)
        return SignedOut()

    async def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> AuthUnavailable:
        return AuthUnavailable("this test has no Auth")


@dataclass
class FakeKeyTester:
    """Accepts keys that begin with `key_good`, each of a workspace named by its last four characters."""

    asked: list[str] = field(default_factory=list)
    response: KeyAccepted | KeyRefused | ProviderUnavailable | None = None

    async def test_key(self, api_key: str) -> KeyAccepted | KeyRefused | ProviderUnavailable:
        """Record the key, and return `response` if there is one."""
        self.asked.append(api_key)
        if self.response is not None:
            return self.response
        if api_key.startswith("key_good"):
            return KeyAccepted(f"Workspace {api_key[-4:]}", f"org_{api_key[-4:]}")
        return KeyRefused("HTTP 401: Invalid API key")


@cache
def app_without_database() -> FastAPI:
    """Return the application that all tests of a process share. Building one takes longer than most requests.

    `serve_studio` attaches a database to it. Nothing may add routes.
    """
    return new_app()


def new_app() -> FastAPI:
    """Return an application without a database, for a test that adds routes to it."""
    clock = VirtualClock(NOW)
    settings = StudioSettings(
        supabase_url="http://127.0.0.1:54321", publishable_key="sb_publishable_test", secrets=(LOCAL_SECRET,)
    )
    nothing = cast("Any", None)
    verifier = TokenVerifier.from_keys(KEYRING, clock)
    studio = StudioState(
        database=nothing,
        clock=clock,
        rules=UNRESTRICTED,
        keyring=KEYRING,
        verifier=verifier,
        settings=settings,
        sealer=CookieSealer(settings.secrets),
        renew=nothing,
        hub=nothing,
        auth=nothing,
    )
    return create_app(studio)


@asynccontextmanager
async def serve_studio(
    database: Scratch, renew: RenewSession, app: FastAPI | None = None, *, rules: RuleBook = UNRESTRICTED
) -> AsyncIterator[StudioServer]:
    """Serve the studio in process on `database`, logged in as outdial_api, by default with the shared application."""
    clock = VirtualClock(NOW)
    async with AsyncExitStack() as exits:
        pool = await Database.connect(database.dsn_for("outdial_api"), application_name="studio", max_size=5)
        await exits.enter_async_context(pool)
        settings = StudioSettings(
            supabase_url="http://127.0.0.1:54321",
            publishable_key="sb_publishable_test",
            secrets=(LOCAL_SECRET,),
            erasure_secrets=ERASURE_SECRETS,
            encryption_secrets=ENCRYPTION_SECRETS,
        )
        studio = StudioState(
            database=pool,
            key_tester=FakeKeyTester(),
            clock=clock,
            rules=rules,
            keyring=KEYRING,
            verifier=TokenVerifier.from_keys(KEYRING, clock),
            settings=settings,
            sealer=CookieSealer(settings.secrets),
            renew=renew,
            hub=ChangeHub(database.dsn_for("outdial_api")),
            auth=FakeAuth(),
        )
        app = app or app_without_database()
        app.state.studio = studio
        yield StudioServer(app, studio, clock, database, exits)


async def unchanged(session: StudioSession) -> SessionRenewal:
    """Renew nothing: sessions do not expire in most tests."""
    return session


ClientFor = Callable[[UUID | None], Awaitable[httpx.AsyncClient]]
BrowserFor = Callable[[UUID | None], Awaitable[Browser]]
