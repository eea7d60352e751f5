"""The studio process: opens its pools and listeners, and on plain Postgres serves Auth as well."""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import FastAPI

from outdial import uvicorn_server
from outdial.auth import TokenVerifier
from outdial.auth.client import AuthClient
from outdial.auth.local.app import create_auth
from outdial.auth.local.service import LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.background import RepeatingTask
from outdial.clock import Clock, SystemClock
from outdial.db.queries.auth import users
from outdial.db.session import Database, assert_no_transaction
from outdial.http import listen
from outdial.process import notify_ready, raise_file_limit, stop_event
from outdial.retell.key_tester import RetellKeyTester
from outdial.rules.organization import rules_in_use
from outdial.studio.web.app import create_app
from outdial.studio.web.change_hub import ChangeHub
from outdial.studio.web.context import StudioState
from outdial.studio.web.sessions import CookieSealer
from outdial.studio.web.settings import StudioProcessSettings
from outdial.studio.web.token_refresh import TokenRefresher
from outdial.uvicorn_guard import ConnectionLimits

POOL_SIZE: Final = 10
AUTH_POOL_SIZE: Final = 4
AUTH_PREFIX: Final = "/auth/v1"
DRAIN_S: Final = 10
# How often keys that could not be fetched are fetched again, so that /health recovers.
JWKS_RETRY: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class RunningStudio:
    """A studio ready to serve. Call `hub.end_streams` before stopping the server; `has_auth` means it serves Auth."""

    app: FastAPI
    hub: ChangeHub
    has_auth: bool


@asynccontextmanager
async def open_studio(settings: StudioProcessSettings, clock: Clock, *, own_url: str) -> AsyncIterator[RunningStudio]:
    """Open a studio for the duration of the block; `own_url` is where this process reaches itself."""
    keyring, urls = settings.keyring, settings.database
    async with AsyncExitStack() as stack:
        pool = Database.connect(urls.api, application_name="outdial:studio", max_size=POOL_SIZE, role=urls.role("api"))
        database = await stack.enter_async_context(await pool)
        async with database.transaction() as connection:
            has_auth = await users.is_local_auth(connection)
        signing_keys = local_auth = None
        verifier = TokenVerifier.from_keys(keyring, clock)
        if has_auth:
            pool = Database.connect(
                urls.auth, application_name="outdial:auth", max_size=AUTH_POOL_SIZE, role=urls.role("auth")
            )
            auth_database = await stack.enter_async_context(await pool)
            signing_keys = SigningKeys(auth_database, clock)
            issuer = f"{settings.studio.supabase_url}{AUTH_PREFIX}"
            local_auth = LocalAuth(auth_database, clock, signing_keys, issuer)
            verifier = TokenVerifier(jwt_secret=keyring.jwt_secret, jwks=signing_keys, clock=clock)
        stack.push_async_callback(verifier.close)
        retrying = RepeatingTask("studio.jwks", verifier, JWKS_RETRY)
        retrying.start()
        stack.push_async_callback(retrying.stop)
        auth_url = f"{own_url}{AUTH_PREFIX}" if has_auth else settings.studio.auth_url
        secret_key = next((key.value for key in keyring.keys if key.kind == "secret"), None)
        auth = await stack.enter_async_context(AuthClient(auth_url, settings.studio.publishable_key, secret_key))
        hub = ChangeHub(urls.api)
        await hub.start()
        stack.push_async_callback(hub.stop)
        app = create_app(
            StudioState(
                database=database,
                clock=clock,
                rules=rules_in_use(ignored=settings.studio.ignore_rules),
                keyring=keyring,
                verifier=verifier,
                settings=settings.studio,
                sealer=CookieSealer(settings.studio.secrets),
                renew=TokenRefresher(auth, clock).current,
                hub=hub,
                auth=auth,
                key_tester=RetellKeyTester(settings.studio.retell_url, guard=assert_no_transaction),
                local_auth=local_auth,
            )
        )
        if local_auth is not None and signing_keys is not None:
            app.mount(
                AUTH_PREFIX,
                create_auth(
                    local_auth,
                    signing_keys,
                    keyring,
                    clock,
                    allow_sign_up=settings.allow_sign_up,
                    reserved_emails=settings.studio.operators,
                    proxies=settings.proxies,
                ),
            )
        yield RunningStudio(app, hub, has_auth)


async def run_studio(
    env: Mapping[str, str],
    listener: socket.socket,
    *,
    tls_files: Mapping[str, str],
    behind_proxy: bool,
    on_ready: Callable[[], None],
) -> None:
    """Serve the studio on `listener` until SIGINT or SIGTERM.

    `tls_files` are uvicorn's `ssl_certfile` and `ssl_keyfile`, or empty. Raises SettingError, which names the missing
    or invalid setting.
    """
    stop = stop_event()
    raise_file_limit()
    settings = StudioProcessSettings.from_env(env, secure=bool(tls_files) or behind_proxy, behind_proxy=behind_proxy)
    async with AsyncExitStack() as stack:
        # A certificate seldom covers 127.0.0.1, so with TLS the studio reaches its own Auth on a listener without it.
        inner = stack.enter_context(listen("127.0.0.1", 0)) if tls_files else listener
        own_url = f"http://127.0.0.1:{inner.getsockname()[1]}"
        studio = await stack.enter_async_context(open_studio(settings, SystemClock(), own_url=own_url))
        if inner is not listener and studio.has_auth:
            await stack.enter_async_context(_serving(studio.app, inner, {}, proxies=0))
        await stack.enter_async_context(_serving(studio.app, listener, tls_files, proxies=settings.proxies))
        stack.callback(studio.hub.end_streams)
        on_ready()
        notify_ready()
        await stop.wait()


def _serving(
    app: FastAPI, listener: socket.socket, tls_files: Mapping[str, str], *, proxies: int
) -> AbstractAsyncContextManager[None]:
    return uvicorn_server.serving(
        uvicorn_server.ForwardedMiddleware(app, proxies),
        listener,
        limits=ConnectionLimits(),
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        **tls_files,
    )
