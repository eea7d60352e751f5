"""`outdial serve`, the function host in production, and the gateway command that it runs."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from outdial.cli.output import console, fail
from outdial.host.deployments.logins import logins_of
from outdial.host.gateway.launcher import LISTENER_FD, GatewayLauncher
from outdial.host.gateway.tls import certificate_of, open_listener
from outdial.host.wire.errors import GatewayFailed
from outdial.http import adopt, url_of
from outdial.log import log_to_stderr
from outdial.process import notify_ready
from outdial.settings import SettingError, read_environment, require
from outdial.stack.local import local_ports

Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port (default: [api] in supabase/config.toml); 0 picks a free one."),
]
Address = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="TLS certificate chain, PEM.")]
Key = Annotated[Path | None, typer.Option("--key", help="Private key of the certificate, PEM, unencrypted.")]
BehindProxy = Annotated[
    bool,
    typer.Option("--behind-proxy", help="Allow a network address without TLS, behind a proxy that terminates TLS."),
]
Region = Annotated[str, typer.Option("--region", envvar="SB_REGION", help="Region of this host, such as eu-west-1.")]
HostUrl = Annotated[
    str,
    typer.Option(
        "--address", envvar="OUTDIAL_HOST_ADDRESS", help="URL other hosts use to reach this one (default: detected)."
    ),
]


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
    address: HostUrl = "",
) -> None:
    """Run the function host until SIGINT or SIGTERM. It serves deployed functions and those in supabase/functions.

    It does not start without the settings that its functions need: it prints one line for each that is missing.

    SIGHUP starts a new gateway on the same socket, with the current certificate and code; no request is lost. A gateway
    that crashes is restarted.
    """
    from outdial.host.gateway.launch import default_address, missing_settings, run_launcher

    log_to_stderr()
    env = read_environment()
    certificate = certificate_of(cert, key)
    tls = certificate is not None
    if certificate is not None:
        certificate.context()  # fails early: only the gateways use it
    port = local_ports().api if port is None else port
    with open_listener(host, port, tls=tls, behind_proxy=behind_proxy) as listener:
        if missing := asyncio.run(missing_settings(env)):
            for error in missing:
                fail(str(error))
            raise typer.Exit(1)
        url = url_of(listener, tls=tls)
        options = [f"--region={region}", f"--address={address or default_address(url)}"]
        options += ["--behind-proxy"] if behind_proxy else []
        options += [f"--cert={certificate.chain}", f"--key={certificate.key}"] if certificate is not None else []
        launcher = GatewayLauncher([sys.executable, "-m", "outdial.cli", "gateway", *options], listener, env)

        def on_ready() -> None:
            console.print(f"Serving functions on {url}/functions/v1/<function-name>", markup=False)
            notify_ready()

        try:
            asyncio.run(run_launcher(launcher, on_ready))
        except GatewayFailed:
            # The gateway has printed the reason.
            raise typer.Exit(1) from None


def gateway(
    region: Region = "local",
    address: HostUrl = "",
    cert: Cert = None,
    key: Key = None,
    behind_proxy: BehindProxy = False,
) -> None:
    """Serve on the listener that `outdial serve` passes on."""
    import uvloop

    from outdial.host.gateway.launch import host_settings, run_host

    log_to_stderr()
    inherited = read_environment()
    number = require(inherited, LISTENER_FD, "the listening socket, which outdial serve passes on")
    try:
        listener = adopt(int(number))
    except (ValueError, OSError):
        raise SettingError(f"{LISTENER_FD} is not an open socket: {number!r}; outdial serve sets it itself") from None
    env = {name: value for name, value in inherited.items() if name != LISTENER_FD}
    settings = host_settings(
        env,
        logins_of(env),
        region=region,
        address=address,
        certificate=certificate_of(cert, key),
        behind_proxy=behind_proxy,
    )
    uvloop.run(run_host(settings, listener, lambda _: notify_ready()))
