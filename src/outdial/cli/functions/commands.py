"""`outdial functions`: serve, list and test the functions in supabase/functions."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.cli.errors import UnknownName
from outdial.cli.functions import deploying, scaffold
from outdial.cli.functions import logs as function_logs
from outdial.cli.functions.manifests import write_manifests
from outdial.cli.functions.serving import Address, BehindProxy, Port
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.embedded import default_home
from outdial.host.deployments.source import read_source_tree
from outdial.host.wire.config import SLUG
from outdial.http import url_of
from outdial.log import log_to_stderr
from outdial.process import notify_ready
from outdial.project import read_project_config, source_layers
from outdial.settings import read_environment, signing_secret
from outdial.stack.config import ProbeTarget, probe_target
from outdial.stack.local import LOCAL_WEBHOOK_SECRET, LocalStack, local_ports

app = typer.Typer(no_args_is_help=True, help="Functions, served under /functions/v1/<name> as on Supabase.")


@app.command()
def serve(
    port: Port = None,
    host: Address = "127.0.0.1",
    behind_proxy: BehindProxy = False,
    alone: Annotated[
        str | None, typer.Option(metavar="SLUG", help="Serve only this function, without the host, as in a container.")
    ] = None,
) -> None:
    """Serve the functions in supabase/functions until SIGINT or SIGTERM, and reload them when their files change."""
    import uvloop

    from outdial.host.gateway.launch import run_host, run_standalone
    from outdial.host.gateway.tls import open_listener
    from outdial.stack.functions import local_host_settings

    log_to_stderr()
    port = local_ports().api if port is None else port

    def on_ready(url: str, slugs: Sequence[str]) -> None:
        console.print(f"Serving functions on {url}/functions/v1/<function-name>", markup=False)
        for slug in slugs:
            console.print(f" - {url}/functions/v1/{slug}", markup=False)
        notify_ready()

    if alone is not None:
        source = read_source_tree(*source_layers())
        if not SLUG.match(alone) or alone not in source.bundles:
            known = ", ".join(source.bundles)
            raise UnknownName(f"unknown function {alone!r}: known functions are {known}")
        serving = run_standalone(
            alone,
            source,
            read_environment(),
            host=host,
            port=port,
            behind_proxy=behind_proxy,
            on_ready=lambda url: on_ready(url, [alone]),
        )
        uvloop.run(serving)
        return
    with (
        open_listener(host, port, behind_proxy=behind_proxy) as listener,
        local_host_settings(listener, behind_proxy=behind_proxy) as settings,
    ):
        url = url_of(listener)
        uvloop.run(run_host(settings, listener, lambda slugs: on_ready(url, slugs)))


@app.command("list")
def list_functions(
    env: Annotated[
        str | None,
        typer.Option(help="List the functions deployed to this environment: local, or one in supabase/config.toml."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List Outdial's functions and those in supabase/functions or, with --env, those deployed to an environment."""
    if env is not None:
        deploying.list_deployed(env, as_json=as_json)
        return
    source = read_source_tree(*source_layers())
    for warning in source.warnings:
        notes.print(f"Warning: {warning}", style="yellow", markup=False)
    here = Path.cwd()
    rows = [
        {
            "slug": slug,
            "entrypoint": str(bundle.index.relative_to(here) if bundle.index.is_relative_to(here) else bundle.index),
            "verify_jwt": source.configs[slug].verify_jwt,
        }
        for slug, bundle in source.bundles.items()
    ]
    if as_json:
        print_json(rows)
        return
    columns = {
        "SLUG": lambda row: row["slug"],
        "ENTRYPOINT": lambda row: row["entrypoint"],
        "VERIFY JWT": lambda row: "yes" if row["verify_jwt"] else "no",
    }
    print_rows(columns, rows, empty="There are no functions.")


@app.command("test")
def probe_stack(
    env: Annotated[str, typer.Option(help="local, or an environment in supabase/config.toml.")] = "local",
    as_json: AsJson = False,
) -> None:
    """Send requests to a running stack to check that both functions are served and reject unauthorized callers.

    Environments other than local take their URL and keys from OUTDIAL_<ENV>_URL, OUTDIAL_<ENV>_SECRET_KEY and
    OUTDIAL_<ENV>_WEBHOOK_SECRET. The exit status is 1 when a response is not the expected one.
    """
    from outdial.functions.probe import probe
    from outdial.retell.signature import sign

    target = _local_target() if env == "local" else probe_target(read_project_config(), env, read_environment())
    key = signing_secret(target.webhook_secret, f"the webhook secret of {env}")
    now_ms = round(SystemClock().now().timestamp() * 1000)
    results = asyncio.run(
        probe(
            target.url,
            sign=lambda body: sign(body, key, now_ms),
            secret_key=target.secret_key,
            local=env == "local",
        )
    )
    if as_json:
        print_json(results)
    else:
        notes.print(f"Target: {env}, {target.url}", markup=False)
        columns = {
            "": lambda result: Text("ok", "green") if result.ok else Text("FAILED", "red"),
            "REQUEST": lambda result: result.name,
            "EXPECTED": lambda result: result.expected,
            "GOT": lambda result: result.got,
            "MS": lambda result: f"{result.ms:.0f}",
            "DETAIL": lambda result: result.detail or "",
        }
        print_rows(columns, results, empty="")
    if not all(result.ok for result in results):
        raise typer.Exit(1)


app.command("new")(scaffold.new)
app.command("manifests")(write_manifests)
function_logs.add_to(app)
deploying.add_to(app)


def _local_target() -> ProbeTarget:
    env = read_environment()
    running = LocalStack.running(default_home())
    url = running.api_url if running is not None else f"http://127.0.0.1:{local_ports().api}"
    return ProbeTarget(
        url=url,
        secret_key=env.get("SUPABASE_SERVICE_ROLE_KEY", "").strip() or LOCAL_SECRET_KEY,
        webhook_secret=env.get("RETELL_WEBHOOK_SECRET", "").strip() or LOCAL_WEBHOOK_SECRET,
    )
