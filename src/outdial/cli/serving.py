"""The function host as commands: `serve` for production, and what `functions serve` and `dev` run."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from outdial.cli.errors import NoSuchThing, Refused
from outdial.cli.output import console
from outdial.cli.signals import stop_event
from outdial.db.embedded import EmbeddedPostgres, default_home
from outdial.db.migrate import supabase_dir
from outdial.host.deployments.source import read_source_tree
from outdial.host.gateway.launcher import LISTENER_FD, RETIRE, GatewayLauncher
from outdial.host.gateway.tls import TlsCertificate, certificate_of, open_listener
from outdial.host.wire.config import SLUG
from outdial.host.wire.errors import GatewayFailed
from outdial.http import adopt, url_of
from outdial.log import log_to_stderr
from outdial.process import notify_ready
from outdial.settings import require
from outdial.stack.local import Stack, local_ports, local_settings
from outdial.stack.logins import KeptLogins, given_logins, require_logins

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port; that of config.toml without it.")]
Address = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="Certificate chain for TLS, PEM.")]
Key = Annotated[Path | None, typer.Option("--key", help="Private key of the certificate, PEM, without a passphrase.")]
BehindProxy = Annotated[
    bool, typer.Option("--behind-proxy", help="A proxy ends TLS in front: listen on the network all the same.")
]
Region = Annotated[str, typer.Option("--region", envvar="SB_REGION", help="Where this host is, such as eu-west-1.")]
Reached = Annotated[
    str,
    typer.Option(
        "--address", envvar="OUTDIAL_HOST_ADDRESS", help="URL at which other hosts reach this one; by itself a guess."
    ),
]

# Stopping on a signal, and going when another gateway serves already; less than the launcher's patience for each.
STOP_S, RETIRE_S = 25.0, 310.0
PROJECT_REF = "OUTDIAL_PROJECT_REF"


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(serve)
    app.command(hidden=True)(gateway)


def serve(
    host: Address = "127.0.0.1",
    port: Port = None,
    cert: Cert = None,
    key: Key = None,
    behind_proxy: BehindProxy = False,
    region: Region = "local",
    address: Reached = "",
) -> None:
    """Run the function host: what is deployed and what lies in supabase/functions, until SIGINT or SIGTERM.

    On SIGHUP another gateway takes over the listening socket, with the certificate and the code that are there then; no
    request is lost. A gateway that dies is started again.
    """
    log_to_stderr()
    require(os.environ, "SUPABASE_DB_URL", "the address of the database, as the role outdial_host")
    certificate = certificate_of(cert, key)
    if certificate is not None:
        certificate.context()  # the gateways use it; here it is only to be told what is wrong with it
    wanted = local_ports().api if port is None else port
    with open_listener(host, wanted, tls=certificate is not None, behind_proxy=behind_proxy) as listener:
        require_logins(read_source_tree(supabase_dir()), given_logins(os.environ))
        url = url_of(listener, tls=certificate is not None)
        options = [f"--region={region}", f"--address={address or reached_at(url)}"]
        options += ["--behind-proxy"] if behind_proxy else []
        options += [f"--cert={certificate.chain}", f"--key={certificate.key}"] if certificate is not None else []
        launcher = GatewayLauncher([sys.executable, "-m", "outdial.cli", "gateway", *options], listener)
        _launch(launcher, url)


def _launch(launcher: GatewayLauncher, url: str) -> None:
    def tell() -> None:
        console.print(f"Serving functions on {url}/functions/v1/<function-name>", markup=False)
        notify_ready()

    async def run() -> None:
        stop, restart = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number, event in ((signal.SIGINT, stop), (signal.SIGTERM, stop), (signal.SIGHUP, restart)):
            loop.add_signal_handler(number, event.set)
        await launcher.run(stop, restart, tell)

    try:
        asyncio.run(run())
    except GatewayFailed:
        # It has said itself what is wrong.
        raise typer.Exit(1) from None


def gateway(
    region: Region = "local",
    address: Reached = "",
    cert: Cert = None,
    key: Key = None,
    behind_proxy: BehindProxy = False,
) -> None:
    """Serve on the listener that `outdial serve` hands on."""
    log_to_stderr()
    listener = adopt(int(require(os.environ, LISTENER_FD, "outdial serve starts this command with it")))
    env = {name: value for name, value in os.environ.items() if name != LISTENER_FD}
    offer = Offer(
        env, given_logins(env), region, address, behind_proxy=behind_proxy, certificate=certificate_of(cert, key)
    )
    run_host(offer, listener, lambda _: notify_ready())


def serve_locally(port: int, host: str, *, behind_proxy: bool, tell: Callable[[str, list[str]], None]) -> None:
    """Serve the functions of supabase/functions in this process, until a signal comes, starting them anew on a change.

    `tell` is given the address and the names of the functions. Without SUPABASE_DB_URL, the embedded database is used.
    """
    listener = open_listener(host, port, behind_proxy=behind_proxy)
    url = url_of(listener)
    with listener, _local_database(url) as (env, logins):
        offer = Offer(env, logins, local=True, behind_proxy=behind_proxy)
        run_host(offer, listener, lambda slugs: tell(url, slugs))


def serve_alone(slug: str, port: int, host: str, *, behind_proxy: bool, tell: Callable[[str], None]) -> None:
    """Serve one function in this process, without a host around it: in a container that is limited from outside."""
    import uvloop

    from outdial.clock import SystemClock
    from outdial.functions.loading import SHARED, load_function
    from outdial.functions.runtime import Runtime
    from outdial.functions.server import serve as serve_app
    from outdial.host.gateway.standalone import StandaloneApp

    source = read_source_tree(supabase_dir())
    if not SLUG.match(slug) or slug not in source.bundles:
        raise NoSuchThing(f"there is no function {slug!r} in supabase/functions; there are {', '.join(source.bundles)}")
    index, shared = source.bundles[slug].index, supabase_dir() / "functions" / SHARED

    async def run() -> None:
        runtime = Runtime.from_env(os.environ, SystemClock())
        function = load_function(slug, index, shared if shared.is_dir() else None)
        app = StandaloneApp(function, source.config(slug), runtime)
        await serve_app(app, host=host, port=port, behind_proxy=behind_proxy, on_ready=tell)

    uvloop.run(run())


@dataclass(frozen=True, slots=True)
class Offer:
    """What a host is to serve with: its settings, the logins of its functions, and where it is."""

    env: Mapping[str, str] = field(repr=False)
    logins: Mapping[str, str] = field(repr=False)
    region: str = "local"
    address: str = ""
    behind_proxy: bool = False
    certificate: TlsCertificate | None = None
    local: bool = False


def run_host(offer: Offer, listener: socket.socket, tell: Callable[[list[str]], None]) -> None:
    """Serve on `listener` until a signal comes; `tell` is given the names of the functions."""
    import uvloop

    from outdial.host.gateway.app import HostIdentity
    from outdial.host.gateway.main import LOCAL_REF, HostSettings, run_gateway

    directory = supabase_dir()
    require_logins(read_source_tree(directory), offer.logins)
    settings = HostSettings(
        directory,
        default_home(),
        offer.env,
        offer.logins,
        HostIdentity(offer.region, offer.env.get(PROJECT_REF, "").strip() or LOCAL_REF),
        offer.address,
        offer.certificate,
        offer.behind_proxy,
        offer.local,
    )

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[float] = loop.create_future()
        loop.add_signal_handler(RETIRE, _stop_within, stop, RETIRE_S)
        stopping = asyncio.create_task(_on_signal(stop))
        await run_gateway(settings, listener, stop, tell)
        stopping.cancel()

    uvloop.run(run())


async def _on_signal(stop: asyncio.Future[float]) -> None:
    await stop_event().wait()
    _stop_within(stop, STOP_S)


def _stop_within(stop: asyncio.Future[float], seconds: float) -> None:
    if not stop.done():
        stop.set_result(seconds)


def reached_at(url: str) -> str:
    """Return where other hosts may reach a listener: at its own address, or, open on all, at that of this machine."""
    for everywhere in ("//0.0.0.0:", "//[::]:"):
        if everywhere in url:
            try:
                return url.replace(everywhere, f"//{socket.gethostbyname(socket.gethostname())}:")
            except OSError:
                return ""
    return url


@contextmanager
def _local_database(url: str) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    """Give the settings of a local host, and the logins of its functions."""
    given = os.environ
    if given.get("SUPABASE_DB_URL", "").strip():
        yield dict(given), given_logins(given)
        return
    home = default_home()
    with EmbeddedPostgres(home, listen_port=local_ports().database) as server:
        if server.tcp_dsn is None:
            raise Refused(
                f"the database of {home} runs for another command without a port, and functions need one: "
                "wait until that command has ended, or run outdial dev"
            )
        logins = KeptLogins(home, server.tcp_dsn)
        asyncio.run(logins.ensure())
        yield local_settings(Stack.running(home) or Stack(url, server.dsn, None), given), logins
