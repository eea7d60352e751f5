"""Start a host: gateways under a launcher for production, or one gateway in this process."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping

from outdial.auth import KeyRing
from outdial.clock import SystemClock
from outdial.db.embedded import default_home
from outdial.db.queries.host import secrets
from outdial.db.session import Database
from outdial.functions.loading import load_function
from outdial.functions.runtime import Runtime
from outdial.functions.server import serve
from outdial.host.deployments.logins import logins_of, missing_logins, require_logins
from outdial.host.deployments.source import SourceTree, read_source_tree
from outdial.host.gateway.app import HostIdentity
from outdial.host.gateway.launcher import RETIRE, GatewayLauncher
from outdial.host.gateway.main import LOCAL_REF, HostSettings, run_gateway
from outdial.host.gateway.standalone import StandaloneApp
from outdial.host.gateway.tls import TlsCertificate
from outdial.host.worker.limits import hide_memory
from outdial.process import raise_file_limit, stop_event
from outdial.project import source_layers
from outdial.settings import DatabaseUrls, MissingSetting, SettingError, credentials, unquoted

PROJECT_REF = "OUTDIAL_PROJECT_REF"
_WEBHOOK, _TRIGGER = "retell-webhook", "campaign-trigger"
_WEBHOOK_SECRET = "RETELL_WEBHOOK_SECRET"
# How long a gateway may take to stop on a signal, and to retire after a successor took over. Both are shorter than
# the launcher waits before it kills.
STOP_S, RETIRE_S = 25.0, 310.0


def host_settings(
    env: Mapping[str, str],
    logins: Mapping[str, str],
    *,
    region: str = "local",
    address: str = "",
    certificate: TlsCertificate | None = None,
    behind_proxy: bool = False,
    local: bool = False,
) -> HostSettings:
    """Read the settings of a host; `logins` are the database URLs of its functions, by role.

    Raises MissingSetting for a function of supabase/functions whose role has no login.
    """
    layers = source_layers()
    require_logins(read_source_tree(*layers), logins)
    return HostSettings(
        layers=layers,
        home=default_home(),
        env=env,
        database_urls=logins,
        identity=HostIdentity(region, env.get(PROJECT_REF, "").strip() or LOCAL_REF),
        address=address,
        certificate=certificate,
        behind_proxy=behind_proxy,
        local=local,
    )


async def missing_settings(env: Mapping[str, str]) -> list[SettingError]:
    """Return an error for each setting that a host in production lacks for its functions.

    A missing retell-webhook is also an error, unless config.toml disables it: calls would never end. The webhook secret
    may also be a deployed secret, which this looks up in the database.
    """
    source = read_source_tree(*source_layers())
    needed = {"SUPABASE_DB_URL": "the database URL, as the role outdial_host"}
    if source.bundles.keys() & {_WEBHOOK, _TRIGGER}:
        needed["SUPABASE_URL"] = "the address of the project or of this host"
    missing: list[SettingError] = []
    if _WEBHOOK not in source.bundles and source.config(_WEBHOOK).enabled:
        missing.append(
            SettingError(
                f"{_WEBHOOK} would not be served: its entrypoint in supabase/config.toml, "
                f"{source.config(_WEBHOOK).entrypoint}, does not exist. Correct it, or set enabled = false under "
                f"[functions.{_WEBHOOK}] to serve without it"
            )
        )
    missing += [MissingSetting(name, purpose) for name, purpose in needed.items() if not unquoted(env.get(name, ""))]
    keys = KeyRing.from_env(env).keys
    if not keys or (_TRIGGER in source.bundles and not any(key.kind == "secret" for key in keys)):
        purpose = "the keys that back ends call functions with; SUPABASE_SERVICE_ROLE_KEY, which holds one, is enough"
        missing.append(MissingSetting("SUPABASE_SECRET_KEYS", purpose))
    if _WEBHOOK in source.bundles and not credentials(env, _WEBHOOK_SECRET):
        deployed: list[str] = []
        if env.get("SUPABASE_DB_URL", "").strip():
            urls = DatabaseUrls.from_env(env)
            connecting = Database.connect(
                urls.host, application_name="outdial:serve", max_size=1, role=urls.role("host")
            )
            async with await connecting as database, database.transaction() as connection:
                deployed = [row.name for row in await secrets.list_secrets(connection)]
        if not any(name.startswith(_WEBHOOK_SECRET) for name in deployed):
            purpose = "the Retell API key with the webhook badge; it signs the events"
            missing.append(MissingSetting(_WEBHOOK_SECRET, purpose))
    return [*missing, *missing_logins(source, logins_of(env))]


async def run_host(settings: HostSettings, listener: socket.socket, on_ready: Callable[[list[str]], None]) -> None:
    """Serve on `listener` until a signal; `on_ready` receives the names of the functions.

    SIGINT and SIGTERM stop the gateway within STOP_S, RETIRE within RETIRE_S.
    """
    # Functions may run as the same user, and the environment holds every key of the host.
    hide_memory()
    raise_file_limit()
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[float] = loop.create_future()

    def stop_within(seconds: float) -> None:
        if not stop.done():
            stop.set_result(seconds)

    async def stop_on_signal() -> None:
        await stop_event().wait()
        stop_within(STOP_S)

    loop.add_signal_handler(RETIRE, stop_within, RETIRE_S)
    stopping = asyncio.create_task(stop_on_signal())
    await run_gateway(settings, listener, stop, on_ready)
    stopping.cancel()


async def run_launcher(launcher: GatewayLauncher, on_ready: Callable[[], None]) -> None:
    """Keep a gateway running until SIGINT or SIGTERM; SIGHUP replaces it. Raises GatewayFailed."""
    hide_memory()
    raise_file_limit()
    stop, restart = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGINT, stop), (signal.SIGTERM, stop), (signal.SIGHUP, restart)):
        loop.add_signal_handler(number, event.set)
    await launcher.run(stop, restart, on_ready)


async def run_standalone(
    slug: str,
    source: SourceTree,
    env: Mapping[str, str],
    *,
    host: str,
    port: int,
    behind_proxy: bool,
    on_ready: Callable[[str], None],
) -> None:
    """Serve one function of `source` in this process until a signal, for a container that limits it from outside."""
    shared = source.bundles[slug].shared
    runtime = Runtime.from_env(env, SystemClock())
    function = load_function(slug, source.bundles[slug].index, shared if shared.is_dir() else None)
    app = StandaloneApp(function, source.config(slug), runtime)
    await serve(app, host=host, port=port, behind_proxy=behind_proxy, on_ready=on_ready)


def default_address(url: str) -> str:
    """Return the URL at which other hosts reach a listener: its own, or this machine's when it listens everywhere.

    Return an empty string when the name of this machine does not resolve.
    """
    for everywhere in ("//0.0.0.0:", "//[::]:"):
        if everywhere in url:
            try:
                return url.replace(everywhere, f"//{socket.gethostbyname(socket.gethostname())}:")
            except OSError:
                return ""
    return url
