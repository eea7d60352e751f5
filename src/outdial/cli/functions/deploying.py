"""`outdial functions deploy` and related commands, which call the management API of an environment."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from outdial.cli.errors import InvalidArgument
from outdial.cli.functions.management import Environment, Yes, manage
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.host.api.client import DeployedFunction, ManagementClient
from outdial.host.deployments.local_function import LocalFunction, local_functions
from outdial.host.deployments.source import read_source_tree
from outdial.project import project_directory, source_layers

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="Name of the function.")]
_FUNCTIONS = "supabase/functions/"
_STYLES = {"active": "green", "refused": "red"}


def add_to(app: typer.Typer) -> None:
    """Add the commands to `outdial functions`."""
    app.command("deploy")(deploy)
    app.command("delete")(delete)
    app.command("download")(download)
    app.command("rollback")(rollback)
    app.command("versions")(versions)


def deploy(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SLUG...]", help="Functions to deploy (default: all in supabase/functions)."),
    ] = None,
    env: Environment = "local",
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete deployed functions that are not in supabase/functions.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Deploy functions from supabase/functions, all or nothing.

    A version that does not start is rejected with its traceback, and the previous version stays live. Hosts already
    have Outdial's own functions; name one to deploy it with the settings of supabase/config.toml.
    """
    layers = source_layers()
    functions = local_functions(layers, slugs or [])
    if not functions:
        raise InvalidArgument(
            "supabase/functions contains no functions: create one with outdial functions new NAME, or name one of "
            "Outdial's own"
        )
    deployed = manage(env, lambda client: _deploy(client, functions))
    console.print(f"Deployed Functions on {env}: {', '.join(deployed)}", markup=False)
    if prune:
        _prune(env, set(read_source_tree(*layers).bundles), yes=yes)


def delete(slug: Slug, env: Environment = "local", yes: Yes = False) -> None:
    """Delete a function from every host. Deploying it again restores it."""
    if not yes:
        typer.confirm(f"Delete Function {slug} from {env}?", abort=True)
    manage(env, lambda client: client.delete(slug))
    console.print(f"Deleted Function {slug} from {env}.", markup=False)


def download(
    slug: Slug,
    env: Environment = "local",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Overwrite files without confirmation.")] = False,
) -> None:
    """Download the live version of a function to supabase/functions."""
    files = manage(env, lambda client: client.download(slug))
    outside = [path for path in files if not path.startswith(_FUNCTIONS)]
    if outside:
        raise InvalidArgument(f"the function has a file outside {_FUNCTIONS}: {outside[0]}")
    functions = project_directory() / "functions"
    targets = {functions / path.removeprefix(_FUNCTIONS): content for path, content in files.items()}
    others = [path for path, content in targets.items() if path.is_file() and path.read_bytes() != content]
    if others and not yes:
        typer.confirm(f"Overwrite {', '.join(str(path) for path in others)}?", abort=True)
    for path, content in targets.items():
        notes.print(f"Extracting file: {path}", markup=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    console.print(f"Downloaded Function {slug} from {env}.", markup=False)


def rollback(
    slug: Slug,
    env: Environment = "local",
    to: Annotated[
        int | None,
        typer.Option(min=0, help="Version (default: the previous one); 0 is the source tree of each host."),
    ] = None,
) -> None:
    """Roll a function back to an earlier version, once that version has started."""
    number = manage(env, lambda client: client.roll_back(slug, to))
    console.print(f"Rolled back Function {slug} on {env} to version {number}.", markup=False)


def versions(slug: Slug, env: Environment = "local", as_json: AsJson = False) -> None:
    """List the stored versions of a function, and why a version was refused."""
    rows = manage(env, lambda client: client.versions(slug))
    if as_json:
        print_json(rows)
        return
    columns = {
        "VERSION": lambda row: row.version,
        "STATUS": lambda row: Text(row.status, _STYLES.get(row.status, "default")),
        "VERIFY JWT": lambda row: "yes" if row.verify_jwt else "no",
        "CREATED": lambda row: row.created_at,
        "BY": lambda row: row.created_by,
        "ERROR": lambda row: "" if row.error is None else row.error.strip().splitlines()[-1],
    }
    print_rows(columns, rows, empty="")


def list_deployed(env: str, *, as_json: bool) -> None:
    """Print the functions that are deployed to an environment."""
    rows = manage(env, lambda client: client.functions())
    if as_json:
        print_json(rows)
        return
    columns = {
        "SLUG": lambda row: row.slug,
        "STATUS": lambda row: row.status,
        "VERSION": lambda row: row.version,
        "VERIFY JWT": lambda row: "yes" if row.verify_jwt else "no",
        "UPDATED": lambda row: datetime.fromtimestamp(row.updated_at / 1000, UTC),
        "ENTRYPOINT": lambda row: row.entrypoint_path,
    }
    print_rows(columns, rows, empty=f"Nothing is deployed to {env}: its hosts serve their own source trees.")


async def _deploy(client: ManagementClient, functions: Sequence[LocalFunction]) -> list[str]:
    several = len(functions) > 1
    kept: list[DeployedFunction] = []
    for function in functions:
        if several:
            notes.print(f"Deploying Function: {function.slug}", markup=False)
        for path in function.files:
            notes.print(f"Uploading asset ({function.slug}): {path}", markup=False)
        uploaded = await client.deploy(function, bundle_only=several)
        for warning in uploaded.warnings:
            notes.print(f"Warning: {warning}", style="yellow", markup=False)
        kept.append(uploaded)
    if several:
        await client.activate(kept)
    return [function.slug for function in kept]


def _prune(env: str, here: set[str], *, yes: bool) -> None:
    there = manage(env, lambda client: client.functions())
    gone = [function.slug for function in there if function.slug not in here]
    if not gone:
        notes.print("No Functions to prune.")
        return
    if not yes:
        typer.confirm(f"Delete {', '.join(gone)} from {env}?", abort=True)

    async def delete_all(client: ManagementClient) -> None:
        await asyncio.gather(*(client.delete(slug) for slug in gone))

    manage(env, delete_all)
    console.print(f"Deleted Functions from {env}: {', '.join(gone)}", markup=False)
