"""`outdial db`: migrations, and the passwords of the roles."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.db import migrate
from outdial.db.embedded import default_home
from outdial.db.errors import RemoteDatabaseRefused
from outdial.db.passwords import renew_passwords
from outdial.settings import require
from outdial.stack.local import Stack, environment
from outdial.stack.logins import KeptLogins

app = typer.Typer(no_args_is_help=True, help="The database: migrations, and the passwords of Outdial's roles.")
Result = TypeVar("Result")


@app.command()
def push() -> None:
    """Apply the migrations that the database lacks, and seed.sql if it never ran."""
    where, applied = _on_database(lambda dsn: migrate.push(dsn, _migrations(), seed=_seed()))
    tell_applied(applied)
    console.print("Finished outdial db push." if applied else f"{where} database is up to date.")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show which migrations the directory and the database have."""
    where, states = _on_database(lambda dsn: migrate.status(dsn, _migrations()))
    if as_json:
        print_json(states)
        return
    columns = {
        "LOCAL": lambda state: state.version if state.local else "",
        "DATABASE": lambda state: state.version if state.remote else "",
        "NAME": lambda state: state.name,
    }
    print_rows(columns, states, empty="There are no migrations.")
    missing = sum(not state.remote for state in states)
    notes.print(f"{missing} to apply: outdial db push" if missing else f"{where} database is up to date.")


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Destroy the schemas of a database on this machine, with all data, and apply every migration anew."""
    if named := os.environ.get("SUPABASE_DB_URL"):
        migrate.refuse_remote(named)
    if not yes:
        typer.confirm("This destroys all data of the local database. Go on?", abort=True)
    tell_applied(_on_database(lambda dsn: migrate.reset(dsn, _migrations(), seed=_seed()))[1])
    console.print("Finished outdial db reset.")


@app.command()
def credentials() -> None:
    """Give Outdial's roles (api, webhook, dialer, host, jobs, auth) fresh passwords, and print their addresses once.

    The lines go into the environment of the processes; those that were printed before stop working.
    """
    given = os.environ.get("SUPABASE_DB_URL", "").strip()
    addresses = _on_database(renew_passwords if given else lambda dsn: KeptLogins(default_home(), dsn).renew())[1]
    for role, address in addresses.items():
        console.print(f"{role.upper()}_DB_URL={address}", markup=False, soft_wrap=True)
    if not given and Stack.running(default_home()) is not None:
        notes.print("The local stack itself needs none of them, and its functions take up theirs by themselves.")


@app.command(hidden=True)
def keep(port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1.")]) -> None:
    """Run the embedded Postgres of OUTDIAL_HOME until a signal comes: a part of the local stack."""
    from outdial.stack.keep_postgres import keep_postgres

    raise typer.Exit(keep_postgres(port))


def tell_applied(applied: list[migrate.Applied]) -> None:
    """Say what a run has applied."""
    for file in applied:
        verb = "Seeding data from" if file.file == "seed.sql" else "Applying migration"
        console.print(f"{verb} {file.file}...")


def _migrations() -> Path:
    return migrate.supabase_dir() / "migrations"


def _seed() -> Path:
    return migrate.supabase_dir() / "seed.sql"


def _on_database(work: Callable[[str], Awaitable[Result]]) -> tuple[str, Result]:
    with environment() as env:
        dsn = require(env, "SUPABASE_DB_URL", "the address of the database")
        where = "Local" if _is_local(dsn) else "Remote"
        notes.print(f"Target: {where.lower()} database")
        return where, asyncio.run(_await(work(dsn)))


def _is_local(dsn: str) -> bool:
    try:
        migrate.refuse_remote(dsn)
    except RemoteDatabaseRefused:
        return False
    return True


async def _await(awaitable: Awaitable[Result]) -> Result:
    return await awaitable
