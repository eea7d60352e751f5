"""`outdial studio`: the pages and the API in one process, with Auth where the database has none of its own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Annotated

import typer

from outdial.cli.output import console
from outdial.cli.serving import BehindProxy, Cert, Key
from outdial.cli.signals import stop_event
from outdial.host.gateway.tls import TlsCertificate, certificate_of, open_listener
from outdial.http import url_of
from outdial.log import log_to_stderr
from outdial.process import notify_ready
from outdial.stack.local import environment, local_ports

_DRAIN_S = 10


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(studio)


def studio(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; that of [studio] in config.toml without it.")
    ] = None,
    cert: Cert = None,
    key: Key = None,
    behind_proxy: BehindProxy = False,
) -> None:
    """Serve the studio: its pages, and the API below /api/v1, until SIGINT or SIGTERM.

    On plain Postgres it serves /auth/v1 as well. Any number of these may run at once.
    """
    import uvloop

    log_to_stderr()
    certificate = certificate_of(cert, key)
    if certificate is not None:
        certificate.context()  # here it is only to be told what is wrong with it
    wanted = local_ports().studio if port is None else port
    with (
        environment() as env,
        open_listener(host, wanted, tls=certificate is not None, behind_proxy=behind_proxy) as listener,
    ):
        uvloop.run(_serve(env, listener, certificate, behind_proxy=behind_proxy))


async def _serve(
    env: Mapping[str, str], listener: socket.socket, certificate: TlsCertificate | None, *, behind_proxy: bool
) -> None:
    from outdial.clock import SystemClock
    from outdial.studio.web.main import open_studio

    stop, secure = stop_event(), certificate is not None or behind_proxy
    async with contextlib.AsyncExitStack() as stack:
        # With TLS, a certificate is seldom good for this machine's own name: Auth is asked beside it.
        inner = stack.enter_context(open_listener("127.0.0.1", 0)) if certificate is not None else listener
        own_url = f"http://127.0.0.1:{inner.getsockname()[1]}"
        opened = await stack.enter_async_context(
            open_studio(env, SystemClock(), own_url=own_url, secure=secure, behind_proxy=behind_proxy)
        )
        if inner is not listener and opened.has_auth:
            await stack.enter_async_context(_listening(opened.app, inner, None, behind_proxy=False))
        await stack.enter_async_context(_listening(opened.app, listener, certificate, behind_proxy=behind_proxy))
        stack.callback(opened.hub.end_streams)
        console.print(f"Studio on {url_of(listener, tls=certificate is not None)}", markup=False)
        notify_ready()
        await stop.wait()


@contextlib.asynccontextmanager
async def _listening(
    app: object, listener: socket.socket, certificate: TlsCertificate | None, *, behind_proxy: bool
) -> AsyncIterator[None]:
    import uvicorn

    class Server(uvicorn.Server):
        """Tells when it has started, and leaves signals to the program that it runs in."""

        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            self.is_up = asyncio.Event()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.is_up.set()

    # Without it every answer waits 40 ms for an acknowledgement: uvicorn writes header and body apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=behind_proxy,
        forwarded_allow_ips="*" if behind_proxy else None,
        ssl_certfile=None if certificate is None else certificate.chain,
        ssl_keyfile=None if certificate is None else str(certificate.key),
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.is_up.wait())
    try:
        await asyncio.wait([serving, up], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield
    finally:
        up.cancel()
        server.should_exit = True
        await serving
