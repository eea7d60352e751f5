"""The gateway process: puts its parts together, serves, and takes them apart in order when it is told to stop."""

import asyncio
import hmac
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4
from zlib import crc32

from outdial.auth import KeyRing, TokenVerifier
from outdial.background import BackgroundTask, RepeatingTask
from outdial.clock import Clock, SystemClock
from outdial.db.session import Database
from outdial.host.api.functions import FunctionRoutes
from outdial.host.api.logs import LogReader
from outdial.host.api.management import ManagementApi
from outdial.host.api.project import ProjectRoutes
from outdial.host.api.tokens import AccessTokens
from outdial.host.deployments import watch
from outdial.host.deployments.bundle_cache import BundleCache
from outdial.host.deployments.catalogue import FunctionCatalogue
from outdial.host.deployments.deployer import Deployer
from outdial.host.deployments.plan import HostEnvironment, ServingPlanner
from outdial.host.deployments.pull import DeploymentListener, DeploymentSync
from outdial.host.deployments.secrets import SETTING as SECRETS_KEY
from outdial.host.deployments.secrets import SecretKeys, SecretStore
from outdial.host.deployments.store import DeploymentStore
from outdial.host.deployments.watch import HotReload, SourceScanner
from outdial.host.gateway import heartbeat
from outdial.host.gateway.app import Gateway, HostIdentity
from outdial.host.gateway.heartbeat import Heartbeat
from outdial.host.gateway.metrics import HostMetrics
from outdial.host.gateway.operations import OperatorRoutes
from outdial.host.gateway.regions import PeerHost, RegionRouter
from outdial.host.gateway.tls import TlsCertificate
from outdial.host.gateway.upstream import SETTING as AUTH_UPSTREAM
from outdial.host.gateway.upstream import AuthUpstream
from outdial.host.gateway.verify import JwtCheck
from outdial.host.log.retention import LogRetention, retention_of
from outdial.host.log.sink import FanOutSink, LogSink
from outdial.host.log.terminal import TerminalSink
from outdial.host.log.writer import LogWriter
from outdial.host.pool.pool import PoolStats
from outdial.host.pool.zygote_supervisor import ZygoteSupervisor
from outdial.host.wire.responses import server_error
from outdial.http import serving
from outdial.log import log
from outdial.settings import DatabaseUrls, secret_list

# Supabase's clients take nothing but twenty small letters for the name of a project.
LOCAL_REF: Final = "outdiallocalprojects"
# An idle connection is kept for so long when the host stops: a request may be on its way already.
_IDLE_S: Final = 1.0
# What stopping takes beside the requests under way.
_TIDY_S: Final = 5.0
# When a start fails half-way, nobody has said how long stopping may take.
_LONGEST_CLOSE_S: Final = 300.0
# Users whom no account belongs to, by custom: above those of people, and below those that systemd gives out.
_WORKER_UIDS: Final = range(50_000, 60_000)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What one host serves, and how.

    `directory` is one like `supabase`, `home` where this machine keeps bundles, `env` the host's own settings;
    `database_urls` gives the login of each role that functions may have. `address` is where other hosts reach this one;
    without it they do not know of it. A `local` stack makes up what is only worth a secret elsewhere, and starts code
    anew when its files change.
    """

    directory: Path
    home: Path
    env: Mapping[str, str] = field(repr=False)
    database_urls: Mapping[str, str] = field(repr=False)
    place: HostIdentity = field(default_factory=lambda: HostIdentity("local", LOCAL_REF))
    address: str = ""
    certificate: TlsCertificate | None = None
    behind_proxy: bool = False
    local: bool = False


async def run_gateway(
    settings: HostSettings,
    listener: socket.socket,
    stop: asyncio.Future[float],
    on_ready: Callable[[list[str]], None] = lambda slugs: None,
    clock: Clock | None = None,
) -> None:
    """Serve on `listener` until `stop` is done, whose result is the seconds that stopping may take.

    Then what was taken is answered, and nothing is left behind. `on_ready` is told the names of the functions. Raises
    SettingError, HostError or what the database says when the host cannot start; a function that cannot does not keep
    the others from being served.
    """
    clock = clock or SystemClock()
    loop, deadline = asyncio.get_running_loop(), _Deadline()
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        tls = settings.certificate.context() if settings.certificate is not None else None
        database = await stack.enter_async_context(_connected(settings.env))
        writer = await stack.enter_async_context(_writing(settings.env, database, clock))
        metrics = HostMetrics(
            lambda: stats_of(catalogue),
            lambda: {(slug, str(what)): lost for (slug, what), lost in writer.dropped.items()},
        )
        metrics.start()
        stack.callback(metrics.stop)
        sink = FanOutSink(writer, metrics, *([TerminalSink(sys.stderr.write)] if settings.local else []))
        catalogue = await stack.enter_async_context(_catalogue(sink, deadline))
        management = await stack.enter_async_context(_deployments(settings, database, catalogue, writer, clock))
        regions = RegionRouter(settings.place.region, clock, _hop_key(settings.env))
        stack.push_async_callback(regions.close)
        check = await stack.enter_async_context(_check(settings.env, clock))
        place, behind_proxy = settings.place, settings.behind_proxy
        auth = await stack.enter_async_context(_auth(settings))
        operations = OperatorRoutes(metrics.render, lambda: numbers_of(catalogue), management, behind_proxy, auth)
        gateway = Gateway(
            catalogue, check, sink, clock, operations, place=place, regions=regions, behind_proxy=behind_proxy
        )
        server = await stack.enter_async_context(serving(gateway, listener, tls=tls, error_response=server_error))
        async with _present(settings, database, regions, clock):
            log("host.ready", functions=len(tuple(catalogue)))
            on_ready(sorted(one.slug for one in catalogue))
            deadline.at = await stop + loop.time()
        log("host.stopping", in_flight=server.in_flight)
        left = await server.drain(max(0.0, deadline.left() - _TIDY_S), grace_s=_IDLE_S)
        if left:
            log("host.requests_cut", level="error", requests=left)


@asynccontextmanager
async def _auth(settings: HostSettings) -> AsyncIterator[AuthUpstream | None]:
    address = settings.env.get(AUTH_UPSTREAM, "").strip()
    if not address:
        yield None
        return
    upstream = AuthUpstream(address, settings.behind_proxy)
    try:
        yield upstream
    finally:
        await upstream.close()


@dataclass(slots=True)
class _Deadline:
    """When stopping must be over, by the loop's time; until that is known, there is none."""

    at: float = float("inf")

    def left(self) -> float:
        return max(0.0, self.at - asyncio.get_running_loop().time())


@asynccontextmanager
async def _connected(env: Mapping[str, str]) -> AsyncIterator[Database]:
    urls = DatabaseUrls.from_env(env)
    connecting = Database.connect(urls.host, application_name="outdial:host", max_size=4, role=urls.role("host"))
    async with await connecting as database:
        yield database


@asynccontextmanager
async def _writing(env: Mapping[str, str], database: Database, clock: Clock) -> AsyncIterator[LogWriter]:
    writer, retention = LogWriter(database, clock, env), LogRetention(database, clock, retention_of(env))
    writer.start()
    retention.start()
    try:
        yield writer
    finally:
        await retention.stop()
        await writer.stop()


@asynccontextmanager
async def _catalogue(sink: LogSink, deadline: _Deadline) -> AsyncIterator[FunctionCatalogue]:
    as_root = os.geteuid() == 0
    async with ZygoteSupervisor.running() as nursery:
        catalogue = FunctionCatalogue(nursery, sink, uid_of=uid_of if as_root else lambda slug: None)
        try:
            yield catalogue
        finally:
            await catalogue.close(min(_LONGEST_CLOSE_S, deadline.left()))


@asynccontextmanager
async def _deployments(
    settings: HostSettings, database: Database, catalogue: FunctionCatalogue, writer: LogWriter, clock: Clock
) -> AsyncIterator[ManagementApi]:
    """Serve what is to be served while the block runs, and give the API that changes it."""
    env, place = settings.env, settings.place
    keys = SecretKeys.from_env(env, home=settings.home if settings.local else None)
    store = DeploymentStore(database, clock)
    secrets = SecretStore(database, keys, lambda values: writer.redact_secrets(env, values.values()))
    planner = ServingPlanner(
        store=store,
        secrets=secrets,
        bundles=BundleCache(settings.home / "bundles"),
        directory=settings.directory,
        environment=HostEnvironment(env, settings.database_urls, place.region),
    )
    pull = DeploymentSync(planner, catalogue)
    await pull.start()
    watching = DeploymentListener(pull, DatabaseUrls.from_env(env).host)
    await watching.start()
    reloading = HotReload(SourceScanner(settings.directory), catalogue, pull.run_once) if settings.local else None
    try:
        async with _repeating("host.reload", reloading, watch.SCAN_INTERVAL):
            functions = FunctionRoutes(store, Deployer(store, planner, pull))
            reader = LogReader(database.transaction, clock, project_ref=place.project_ref)
            project = ProjectRoutes(
                ref=place.project_ref,
                region=place.region,
                keyring=KeyRing.from_env(env),
                secrets=secrets,
                logs=reader,
                clock=clock,
            )
            tokens = AccessTokens(database, clock)
            yield ManagementApi(place.project_ref, tokens, [*functions.routes, *project.routes])
    finally:
        await watching.stop()


@asynccontextmanager
async def _present(
    settings: HostSettings, database: Database, regions: RegionRouter, clock: Clock
) -> AsyncIterator[None]:
    """Let the other hosts know of this one while the block runs, and learn of them."""
    if not settings.address:
        yield
        return
    me = PeerHost(str(uuid4()), settings.place.region, settings.address)
    present = Heartbeat(database, clock, me, regions.set_peers)
    async with _repeating("host.presence", present, heartbeat.INTERVAL):
        yield
    try:
        await present.leave()
    except Exception as error:  # they forget it in a while anyway
        log("host.not_signed_off", level="warning", reason=str(error))


@asynccontextmanager
async def _check(env: Mapping[str, str], clock: Clock) -> AsyncIterator[JwtCheck]:
    keyring = KeyRing.from_env(env)
    verifier = TokenVerifier.from_keys(keyring, clock)
    try:
        yield JwtCheck(keyring, verifier)
    finally:
        await verifier.close()


@asynccontextmanager
async def _repeating(name: str, duty: BackgroundTask | None, pause: timedelta) -> AsyncIterator[None]:
    if duty is None:
        yield
        return
    repeating = RepeatingTask(name, duty, pause)
    repeating.start()
    try:
        yield
    finally:
        await repeating.stop()


def stats_of(catalogue: FunctionCatalogue) -> dict[str, PoolStats]:
    """Return what the pool of each function has."""
    return {served.slug: served.pool.stats() for served in catalogue}


def numbers_of(catalogue: FunctionCatalogue) -> dict[str, object]:
    """Return how many workers and requests there are; the first two names are Supabase's (edge-runtime, metrics)."""
    stats = stats_of(catalogue)
    return {
        "active_user_workers_count": sum(one.workers for one in stats.values()),
        "retired_user_workers_count": sum(one.started - one.workers for one in stats.values()),
        "functions": stats,
    }


def uid_of(slug: str) -> int:
    """Return the system user that a function's workers run as where the host is root: its own, the same everywhere."""
    return _WORKER_UIDS[crc32(slug.encode()) % len(_WORKER_UIDS)]


def _hop_key(env: Mapping[str, str]) -> bytes:
    keys = secret_list(env.get(SECRETS_KEY, ""))
    return hmac.digest(keys[0].encode(), b"outdial hop", "sha256") if keys else b""
