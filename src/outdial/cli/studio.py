"""`outdial studio`: pages and API in one process, with Auth where the database has none."""

from typing import Annotated

import typer

from outdial.cli.functions.serving import BehindProxy, Cert, Key
from outdial.cli.output import console
from outdial.host.gateway.tls import certificate_of, open_listener
from outdial.http import url_of
from outdial.log import log_to_stderr
from outdial.stack.local import environment, local_ports


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(studio)


def studio(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port (default: [studio] in supabase/config.toml); 0 picks a free one."),
    ] = None,
    cert: Cert = None,
    key: Key = None,
    behind_proxy: BehindProxy = False,
) -> None:
    """Serve the studio until SIGINT or SIGTERM: the pages, and the API under /api/v1.

    On plain Postgres it also serves /auth/v1. Run as many of these as you like.
    """
    import uvloop

    from outdial.studio.web.main import run_studio

    log_to_stderr()
    certificate = certificate_of(cert, key)
    tls = certificate is not None
    tls_files = {}
    if certificate is not None:
        certificate.context()  # fails early when the certificate or the key is unusable
        tls_files = {"ssl_certfile": str(certificate.chain), "ssl_keyfile": str(certificate.key)}
    port = local_ports().studio if port is None else port
    with environment() as env, open_listener(host, port, tls=tls, behind_proxy=behind_proxy) as listener:

        def on_ready() -> None:
            console.print(f"Studio: {url_of(listener, tls=tls)}", markup=False)

        uvloop.run(run_studio(env, listener, tls_files=tls_files, behind_proxy=behind_proxy, on_ready=on_ready))
