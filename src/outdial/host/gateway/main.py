"""Compose the gateway process: start its parts in order, serve, and stop them in reverse."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from outdial.auth import TokenVerifier
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
from outdial.host.deployments.secrets import SecretStore
from outdial.host.deployments.store import DeploymentStore
from outdial.host.deployments.watch import HotReload, SourceScanner
from outdial.host.gateway import heartbeat
from outdial.host.gateway.app import Gateway, HostIdentity
from outdial.host.gateway.health import FunctionHealth
from outdial.host.gateway.heartbeat import Heartbeat
from outdial.host.gateway.metrics import HostMetrics
from outdial.host.gateway.operations import OperatorRoutes
from outdial.host.gateway.regions import PeerHost, RegionRouter
from outdial.host.gateway.settings import GatewaySettings
from outdial.host.gateway.tls import TlsCertificate
from outdial.host.gateway.upstream import AuthUpstream
from outdial.host.gateway.verify import JwtCheck
from outdial.host.log.retention import LogRetention
from outdial.host.log.sink import FanOutSink, LogSink
from outdial.host.log.terminal import BootFailureSink, TerminalSink
from outdial.host.log.writer import LogWriter
from outdial.host.pool.cgroups import worker_cgroups
from outdial.host.pool.pool import PoolStats
from outdial.host.pool.users import WorkerUsers
from outdial.host.pool.zygote_supervisor import ZygoteSupervisor
from outdial.host.wire.errors import WeakSandbox
from outdial.host.wire.responses import server_error
from outdial.http import HttpServer, serving
from outdial.log import log
from outdial.process import tune_gc
from outdial.settings import trusted_proxies

# Supabase's clients accept only 20 lower-case letters as a project ref.
LOCAL_REF: Final = "outdiallocalprojects"
# When stopping, keep idle connections open this long: a request may already be on its way.
_IDLE_GRACE_S: Final = 1.0
# Time reserved for everything that stops after the last request.
_CLEANUP_S: Final = 5.0
# How often health looks again for keys that could not be fetched.
_JWKS_RETRY: Final = timedelta(seconds=15)
# Applies if the start fails, when no deadline is set.
_MAX_CLOSE_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """Settings of one host.

    `layers` are directories like `supabase`, each laid over the ones before it, `home` is where this machine caches
    bundles, `env` holds the host's own settings, and `database_urls` the login of each role that functions may use.
    Other hosts reach this one at `address`; they ignore it if that is empty. A `local` stack generates the keys that
    it lacks, and restarts functions when files of the last layer change.
    """

    layers: Sequence[Path]
    home: Path
    env: Mapping[str, str] = field(repr=False)
    database_urls: Mapping[str, str] = field(repr=False)
    identity: HostIdentity = field(default_factory=lambda: HostIdentity("local", LOCAL_REF))
    address: str = ""
    certificate: TlsCertificate | None = None
    behind_proxy: bool = False
    local: bool = False

    @property
    def proxies(self) -> int:
        """The number of trusted proxies in front of this host. Raises SettingError."""
        return trusted_proxies(self.env, behind_proxy=self.behind_proxy)


async def run_gateway(
    settings: HostSettings,
    listener: socket.socket,
    stop: asyncio.Future[float],
    on_ready: Callable[[list[str]], None] = lambda slugs: None,
    clock: Clock | None = None,
) -> None:
    """Serve on `listener` until `stop` has a result, which is the number of seconds that stopping may take.

    On stop, it finishes requests in progress and leaves no process behind. `on_ready` receives the functions' slugs.
    Raises SettingError, HostError or a database error if the host cannot start. A failing function affects no other.
    """
    clock = clock or SystemClock()
    deadline = _Deadline()
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        config = GatewaySettings.from_env(settings.env, home=settings.home if settings.local else None)
        tls = settings.certificate.context() if settings.certificate is not None else None
        urls = config.database
        connecting = Database.connect(urls.host, application_name="outdial:host", max_size=4, role=urls.role("host"))
        database = await stack.enter_async_context(await connecting)
        writer = await stack.enter_async_context(_log_writer(settings.env, config, database, clock))
        metrics = HostMetrics(
            lambda: pool_stats(catalogue),
            lambda: {(slug, str(kind)): count for (slug, kind), count in writer.dropped.items()},
        )
        metrics.start()
        stack.callback(metrics.stop)
        health = FunctionHealth()
        terminal = TerminalSink(sys.stderr.write) if settings.local else BootFailureSink()
        sink = FanOutSink(writer, metrics, health, terminal)
        catalogue = await stack.enter_async_context(_catalogue(settings, config, sink, deadline))
        management = await stack.enter_async_context(
            _deployments(settings, config, database=database, catalogue=catalogue, writer=writer, clock=clock)
        )
        regions = RegionRouter(settings.identity.region, clock, config.hop_key)
        stack.push_async_callback(regions.close)
        gateway = _build_gateway(
            stack,
            settings,
            config,
            catalogue=catalogue,
            sink=sink,
            metrics=metrics,
            health=health,
            management=management,
            regions=regions,
            clock=clock,
        )
        server = await stack.enter_async_context(serving(gateway, listener, tls=tls, error_response=server_error))
        async with _heartbeat(settings, database, regions, clock):
            slugs = sorted(served.slug for served in catalogue)
            log("host.ready", functions=len(slugs))
            tune_gc()
            on_ready(slugs)
            catalogue.start_check()
            deadline.at = await stop + asyncio.get_running_loop().time()
        await _drain(server, deadline)


def _build_gateway(
    stack: AsyncExitStack,
    settings: HostSettings,
    config: GatewaySettings,
    *,
    catalogue: FunctionCatalogue,
    sink: FanOutSink,
    metrics: HostMetrics,
    health: FunctionHealth,
    management: ManagementApi,
    regions: RegionRouter,
    clock: Clock,
) -> Gateway:
    verifier = TokenVerifier.from_keys(config.keyring, clock)
    stack.push_async_callback(verifier.close)
    retrying = RepeatingTask("host.jwks", verifier, _JWKS_RETRY)
    retrying.start()
    stack.push_async_callback(retrying.stop)
    auth = AuthUpstream(config.auth_upstream, settings.proxies) if config.auth_upstream else None
    if auth is not None:
        stack.push_async_callback(auth.close)
    return Gateway(
        catalogue=catalogue,
        jwt_check=JwtCheck(config.keyring, verifier),
        sink=sink,
        clock=clock,
        operator_routes=OperatorRoutes(
            metrics=metrics.render,
            worker_counts=lambda: worker_counts(catalogue),
            down=lambda: health.down(catalogue),
            jwks_problem=verifier.problem,
            management=management,
            behind_proxy=settings.behind_proxy,
            auth=auth,
        ),
        identity=settings.identity,
        regions=regions,
        behind_proxy=settings.behind_proxy,
        is_down=catalogue.is_down,
    )


@dataclass(slots=True)
class _Deadline:
    """When stopping has to be complete, in the loop's time. Infinite until stopping begins."""

    at: float = float("inf")

    def left(self) -> float:
        return max(0.0, self.at - asyncio.get_running_loop().time())


async def _drain(server: HttpServer, deadline: _Deadline) -> None:
    log("host.stopping", in_flight=server.in_flight)
    aborted = await server.drain(max(0.0, deadline.left() - _CLEANUP_S), grace_s=_IDLE_GRACE_S)
    if aborted:
        log("host.requests_aborted", level="error", requests=aborted)


@asynccontextmanager
async def _log_writer(
    env: Mapping[str, str], config: GatewaySettings, database: Database, clock: Clock
) -> AsyncIterator[LogWriter]:
    writer = LogWriter(database, clock, env)
    retention = LogRetention(database, clock, config.log_retention)
    writer.start()
    retention.start()
    try:
        yield writer
    finally:
        await retention.stop()
        await writer.stop()


@asynccontextmanager
async def _catalogue(
    settings: HostSettings, config: GatewaySettings, sink: LogSink, deadline: _Deadline
) -> AsyncIterator[FunctionCatalogue]:
    users = WorkerUsers(settings.home / "worker-users.json") if os.geteuid() == 0 else None
    # A developer's terminal shares its cgroup with other programs.
    async with ZygoteSupervisor.running(None if settings.local else worker_cgroups()) as zygotes:
        if zygotes.missing and not (settings.local or config.allow_weak_fences):
            raise WeakSandbox(zygotes.missing)
        catalogue = FunctionCatalogue(zygotes, sink, uid_of=users.uid_of if users is not None else lambda slug: None)
        try:
            yield catalogue
        finally:
            await catalogue.close(min(_MAX_CLOSE_S, deadline.left()))


@asynccontextmanager
async def _deployments(
    settings: HostSettings,
    config: GatewaySettings,
    *,
    database: Database,
    catalogue: FunctionCatalogue,
    writer: LogWriter,
    clock: Clock,
) -> AsyncIterator[ManagementApi]:
    """Keep the catalogue in sync with deployments and files, and yield the API that deploys."""
    env = settings.env
    identity = settings.identity
    store = DeploymentStore(database, clock)
    secrets = SecretStore(database, config.secret_keys, lambda values: writer.redact_secrets(env, values.values()))
    planner = ServingPlanner(
        store=store,
        secrets=secrets,
        bundles=BundleCache(settings.home / "bundles"),
        layers=settings.layers,
        environment=HostEnvironment(env, settings.database_urls, identity.region, config.policy),
    )
    sync = DeploymentSync(planner, catalogue)
    await sync.start()
    listener = DeploymentListener(sync, config.database.host)
    await listener.start()
    hot_reload = HotReload(SourceScanner(settings.layers[-1]), catalogue, sync.run_once) if settings.local else None
    try:
        async with _repeating("host.reload", hot_reload, watch.SCAN_INTERVAL):
            functions = FunctionRoutes(store, Deployer(store, planner, sync), config.policy)
            project = ProjectRoutes(
                ref=identity.project_ref,
                region=identity.region,
                keyring=config.keyring,
                secrets=secrets,
                logs=LogReader(database.transaction, clock, project_ref=identity.project_ref),
                clock=clock,
            )
            tokens = AccessTokens(database, clock)
            yield ManagementApi(
                identity.project_ref,
                tokens,
                [*functions.routes, *project.routes],
                proxies=settings.proxies,
            )
    finally:
        if hot_reload is not None:
            await hot_reload.stop()
        await listener.stop()


@asynccontextmanager
async def _heartbeat(
    settings: HostSettings, database: Database, regions: RegionRouter, clock: Clock
) -> AsyncIterator[None]:
    """Announce this host to the others while the block runs, unless it has no address."""
    if not settings.address:
        yield
        return
    me = PeerHost(str(uuid4()), settings.identity.region, settings.address)
    beat = Heartbeat(database, clock, me, regions.set_peers)
    async with _repeating("host.heartbeat", beat, heartbeat.INTERVAL):
        yield
    try:
        await beat.leave()
    except Exception as error:  # the other hosts drop this one after a few missed heartbeats anyway
        log("host.leave_failed", level="warning", reason=str(error))


@asynccontextmanager
async def _repeating(name: str, task: BackgroundTask | None, pause: timedelta) -> AsyncIterator[None]:
    if task is None:
        yield
        return
    repeating = RepeatingTask(name, task, pause)
    repeating.start()
    try:
        yield
    finally:
        await repeating.stop()


def pool_stats(catalogue: FunctionCatalogue) -> dict[str, PoolStats]:
    """Return the statistics of each function's pool, by slug."""
    return {served.slug: served.pool.stats() for served in catalogue}


def worker_counts(catalogue: FunctionCatalogue) -> dict[str, object]:
    """Return counts of workers and requests. The first two names are Supabase's (edge-runtime, metrics)."""
    stats = pool_stats(catalogue)
    return {
        "active_user_workers_count": sum(pool.workers for pool in stats.values()),
        "retired_user_workers_count": sum(pool.started - pool.workers for pool in stats.values()),
        "functions": stats,
    }
