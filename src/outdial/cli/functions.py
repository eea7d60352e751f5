"""`outdial functions`: serve the functions of supabase/functions, list them, and ask a running stack how it does."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.cli import deploying, function_logs
from outdial.cli.manifests import write_manifests
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.cli.serving import Address, BehindProxy, Port, serve_alone, serve_locally
from outdial.clock import SystemClock
from outdial.db.embedded import default_home
from outdial.db.migrate import supabase_dir
from outdial.log import log_to_stderr
from outdial.process import notify_ready
from outdial.settings import secret_list
from outdial.stack.config import Target, read_config, target_of
from outdial.stack.local import LOCAL_WEBHOOK_SECRET, Stack, local_ports

app = typer.Typer(no_args_is_help=True, help="Functions: served under /functions/v1/<name>, as Supabase does.")


@app.command()
def serve(
    port: Port = None,
    host: Address = "127.0.0.1",
    behind_proxy: BehindProxy = False,
    alone: Annotated[
        str | None, typer.Option(metavar="SLUG", help="Only this one, without a host around it: for a container.")
    ] = None,
) -> None:
    """Serve every function of supabase/functions until SIGINT or SIGTERM, and anew when its files change."""
    log_to_stderr()
    wanted = local_ports().api if port is None else port

    def tell(url: str, slugs: Sequence[str]) -> None:
        console.print(f"Serving functions on {url}/functions/v1/<function-name>", markup=False)
        for slug in slugs:
            console.print(f" - {url}/functions/v1/{slug}", markup=False)
        notify_ready()

    if alone is not None:
        serve_alone(alone, wanted, host, behind_proxy=behind_proxy, tell=lambda url: tell(url, [alone]))
    else:
        serve_locally(wanted, host, behind_proxy=behind_proxy, tell=tell)


@app.command("list")
def list_functions(
    env: Annotated[
        str | None, typer.Option(help="local, or an environment of supabase/config.toml: list what is deployed there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the functions of supabase/functions, or those that are deployed to an environment."""
    if env is not None:
        deploying.list_deployed(env, as_json=as_json)
        return
    directory = supabase_dir() / "functions"
    configured = read_config(supabase_dir()).get("functions", {})
    rows = [
        {
            "slug": slug,
            "entrypoint": f"supabase/functions/{slug}/index.py",
            "verify_jwt": bool(configured.get(slug, {}).get("verify_jwt", True)),
        }
        for slug in _slugs(directory)
    ]
    if as_json:
        print_json(rows)
        return
    columns = {
        "SLUG": lambda row: row["slug"],
        "ENTRYPOINT": lambda row: row["entrypoint"],
        "VERIFY JWT": lambda row: "yes" if row["verify_jwt"] else "no",
    }
    print_rows(columns, rows, empty="There are no functions in supabase/functions.")


@app.command("test")
def probe_stack(
    env: Annotated[str, typer.Option(help="local, or an environment of supabase/config.toml.")] = "local",
    as_json: AsJson = False,
) -> None:
    """Ask a running stack the questions whose answers tell that both functions are there and guard themselves.

    Other environments than local read their address and keys from OUTDIAL_<ENV>_URL, OUTDIAL_<ENV>_SECRET_KEY and
    OUTDIAL_<ENV>_WEBHOOK_SECRET. The exit status is 1 when an answer is not the expected one.
    """
    from outdial.functions.probe import probe

    target = _local_target(os.environ) if env == "local" else target_of(read_config(supabase_dir()), env, os.environ)
    key = secret_list(target.webhook_secret)[0]
    results = asyncio.run(
        probe(target.url, sign=lambda body: _sign(body, key), secret_key=target.secret_key, local=env == "local")
    )
    if as_json:
        print_json(results)
    else:
        notes.print(f"Target: {env}, {target.url}", markup=False)
        columns = {
            "": lambda result: Text("ok", "green") if result.ok else Text("FAILED", "red"),
            "QUESTION": lambda result: result.name,
            "EXPECTED": lambda result: result.expected,
            "GOT": lambda result: result.got,
            "MS": lambda result: f"{result.ms:.0f}",
            "DETAIL": lambda result: result.detail or "",
        }
        print_rows(columns, results, empty="")
    if not all(result.ok for result in results):
        raise typer.Exit(1)


app.command("manifests")(write_manifests)
function_logs.add_to(app)
deploying.add_to(app)


def _sign(body: bytes, key: str) -> str:
    from outdial.retell.signature import sign

    return sign(body, key, round(SystemClock().now().timestamp() * 1000))


def _local_target(env: Mapping[str, str]) -> Target:
    running = Stack.running(default_home())
    url = running.api_url if running is not None else f"http://127.0.0.1:{local_ports().api}"
    return Target(
        url=url,
        secret_key=env.get("SUPABASE_SERVICE_ROLE_KEY", "").strip() or LOCAL_SECRET_KEY,
        webhook_secret=env.get("RETELL_WEBHOOK_SECRET", "").strip() or LOCAL_WEBHOOK_SECRET,
    )


def _slugs(directory: Path) -> list[str]:
    return sorted(index.parent.name for index in directory.glob("*/index.py") if index.parent.name != "shared")
