"""A host that deployments can be sent to: real workers, a real database, and the management API without a socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec

from outdial.auth.keys import KeyRing
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.host.api.functions import FunctionRoutes
from outdial.host.api.management import ManagementApi, json_response
from outdial.host.api.project import ProjectRoutes
from outdial.host.api.tokens import AccessTokens
from outdial.host.deployments.bundle_cache import BundleCache
from outdial.host.deployments.catalogue import FunctionCatalogue
from outdial.host.deployments.deployer import Deployer
from outdial.host.deployments.multipart import FormPart, write_form
from outdial.host.deployments.plan import HostEnvironment, ServingPlanner
from outdial.host.deployments.policy import DeploymentPolicy
from outdial.host.deployments.pull import DeploymentListener, DeploymentSync
from outdial.host.deployments.secrets import SecretKeys, SecretStore
from outdial.host.deployments.store import DeploymentStore
from outdial.host.gateway.main import HostSettings, run_gateway
from outdial.host.log.sink import NullSink
from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import InvocationCompleted
from outdial.http import HttpResponse, RequestHead, listen
from outdial.stack.local import LocalStack, local_settings
from tests.support.hosting import KEYS
from tests.support.postgres import Scratch

REF = "outdialprojectfortwo"
PROJECT = f"/v1/projects/{REF}"
FUNCTIONS = f"{PROJECT}/functions"
BROKEN = "raise RuntimeError('out of order')"


def saying(text: str) -> str:
    """Return the code of a function that responds with `text` and its secret GREETING."""
    return dedent(
        f"""
        from outdial.functions import Context, Request, Response, with_supabase

        @with_supabase(auth="none")
        async def fetch(request: Request, ctx: Context) -> Response:
            return Response({text!r} + ctx.env.get("GREETING", ""))
        """
    )


def form(slug: str, source: str, files: Mapping[str, bytes] | None = None, **metadata: Any) -> tuple[str, bytes]:
    """Return the content type and the body of a deployment."""
    entrypoint = f"supabase/functions/{slug}/index.py"
    said = {"entrypoint_path": entrypoint, "name": slug, "verify_jwt": False, **metadata}
    parts = [
        FormPart(name="file", content=content, filename=path)
        for path, content in {entrypoint: source.encode(), **(files or {})}.items()
    ]
    return write_form([*parts, FormPart(name="metadata", content=msgspec.json.encode(said))])


class NoLogs:
    """Log endpoints that return their query."""

    async def endpoint(self, name: str, query: Mapping[str, str]) -> HttpResponse:
        return json_response({"asked": name, **query})


@dataclass
class Host:
    """One host of an environment, and a client with a token."""

    api: ManagementApi
    pull: DeploymentSync
    catalogue: FunctionCatalogue
    tokens: AccessTokens
    token: str

    async def ask(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json", **headers: str
    ) -> HttpResponse:
        """Return the response of the management API."""
        given = {"authorization": f"Bearer {self.token}", "content-type": content_type, **headers}
        pairs = [(name.encode(), value.encode()) for name, value in given.items()]
        head = RequestHead(method, path.partition("?")[0], path.partition("?")[2], pairs)
        admitted = self.api.admit(head)
        return admitted if isinstance(admitted, HttpResponse) else await self.api.handle(head, body)

    async def json(self, method: str, path: str, value: Any = None, *, status: int = 200) -> Any:
        """Send JSON and return the JSON response. Asserts its `status`."""
        answer = await self.ask(method, path, b"" if value is None else msgspec.json.encode(value))
        assert answer.status == status, answer.body
        return msgspec.json.decode(answer.body) if answer.body else None

    async def deploy(
        self,
        slug: str,
        source: str,
        files: Mapping[str, bytes] | None = None,
        *,
        status: int = 201,
        bundle_only: bool = False,
        **metadata: Any,
    ) -> Any:
        """Deploy a function and return the response. Asserts its `status`."""
        content_type, body = form(slug, source, files, **metadata)
        query = f"slug={slug}" + ("&bundleOnly=true" if bundle_only else "")
        answer = await self.ask("POST", f"{FUNCTIONS}/deploy?{query}", body, content_type)
        assert answer.status == status, answer.body
        return msgspec.json.decode(answer.body)

    async def say(self, slug: str) -> str | None:
        """Return the response text of a function, None if it is not in service."""
        served = self.catalogue.get(slug)
        if served is None:
            return None
        outcome = await served.pool.invoke(Invocation("request", "POST", f"/{slug}", "", [], b""))
        assert isinstance(outcome, InvocationCompleted), outcome
        return outcome.body.decode()


@asynccontextmanager
async def hosting(
    database: Scratch,
    home: Path,
    *,
    hosts: int = 1,
    settings: Mapping[str, str] = KEYS,
    poll_interval: timedelta = timedelta(hours=1),
) -> AsyncIterator[list[Host]]:
    """Run hosts of one environment with the source tree `home`/supabase."""
    (home / "supabase").mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        zygote = await stack.enter_async_context(ZygoteProcess.running())
        yield [await _host(stack, zygote, database, home, n, settings, poll_interval) for n in range(hosts)]


async def _host(
    stack: AsyncExitStack,
    zygote: ZygoteProcess,
    scratch: Scratch,
    home: Path,
    number: int,
    settings: Mapping[str, str],
    poll_interval: timedelta,
) -> Host:
    clock, dsn = SystemClock(), scratch.dsn_for("outdial_host")
    database = await stack.enter_async_context(await Database.connect(dsn, application_name=f"host {number}"))
    catalogue = FunctionCatalogue(zygote, NullSink())
    stack.push_async_callback(catalogue.close, 5.0)
    store = DeploymentStore(database, clock)
    secrets = SecretStore(database, SecretKeys.from_env(settings, home=home))
    urls = {"outdial_api": scratch.dsn_for("outdial_api")}
    policy = DeploymentPolicy.from_env(settings)
    planner = ServingPlanner(
        store=store,
        secrets=secrets,
        bundles=BundleCache(home / f"host-{number}"),
        layers=[home / "supabase"],
        environment=HostEnvironment(settings, urls, "local", policy),
    )
    pull = DeploymentSync(planner, catalogue)
    await pull.start()
    watch = DeploymentListener(pull, dsn, interval=poll_interval)
    await watch.start()
    stack.push_async_callback(watch.stop)
    functions = FunctionRoutes(store, Deployer(store, planner, pull), policy)
    project = ProjectRoutes(
        ref=REF, region="local", keyring=KeyRing.from_env(settings), secrets=secrets, logs=NoLogs(), clock=clock
    )
    tokens = AccessTokens(database, clock)
    api = ManagementApi(REF, tokens, [*functions.routes, *project.routes], proxies=1)
    return Host(api, pull, catalogue, tokens, await tokens.create("tests"))


@asynccontextmanager
async def served(database: Scratch, home: Path, directory: Path) -> AsyncIterator[str]:
    """Run a complete host with the source tree `directory`, and yield its URL."""
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    logins = {role: database.dsn_for(role) for role in ("outdial_api", "outdial_webhook")}
    env = local_settings(LocalStack(api_url=url, database_url=database.dsn), {})
    stop, ready = asyncio.get_running_loop().create_future(), asyncio.Event()
    settings = HostSettings(layers=[directory], home=home, env=env, database_urls=logins, local=True)
    async with asyncio.TaskGroup() as tasks:
        host = tasks.create_task(run_gateway(settings, listener, stop, lambda _: ready.set()))
        host.add_done_callback(lambda _: ready.set())
        await ready.wait()
        if not host.done():
            try:
                yield url
            finally:
                stop.set_result(10.0)


async def make_token(database: Scratch) -> str:
    """Create an access token."""
    async with await Database.connect(database.dsn_for("outdial_host"), application_name="tests") as pool:
        return await AccessTokens(pool, SystemClock()).create("tests")
