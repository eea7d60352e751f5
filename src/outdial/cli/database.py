"""`outdial db`: migrations, and passwords of the roles."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.db import migrate
from outdial.db.embedded import default_home
from outdial.db.passwords import NewLogins, renew_passwords
from outdial.project import migration_directories, project_directory
from outdial.settings import database_url, read_environment
from outdial.stack.local import LocalStack, environment
from outdial.stack.logins import StackLogins

app = typer.Typer(no_args_is_help=True, help="The database: migrations, and passwords of Outdial's roles.")
Result = TypeVar("Result")


@app.command()
def push(
    include_seed: Annotated[
        bool, typer.Option("--include-seed", help="Run seed.sql on a database that is not on this machine.")
    ] = False,
) -> None:
    """Apply pending migrations. On a database on this machine, also run seed.sql if it has never run."""

    async def work(dsn: str) -> Sequence[migrate.AppliedFile]:
        with_seed = include_seed or not migrate.is_remote(dsn)
        seed = _seed() if with_seed else None
        return await migrate.push(dsn, *migration_directories(), seed=seed, on_wait=notes.print)

    where, applied = _on_database(work)
    print_applied(applied)
    console.print("Finished outdial db push." if applied else f"{where} database is up to date.")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Compare the migrations in the directory with those in the database."""
    where, states = _on_database(lambda dsn: migrate.status(dsn, *migration_directories()))
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
    notes.print(f"{missing} pending: run outdial db push" if missing else f"{where} database is up to date.")


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
) -> None:
    """Drop all schemas and data of a database on this machine, and apply every migration again."""
    if url := database_url(read_environment(), "SUPABASE_DB_URL"):
        migrate.refuse_remote(url)
    if not yes:
        typer.confirm("This destroys all data in the local database. Continue?", abort=True)
    _, applied = _on_database(
        lambda dsn: migrate.reset(dsn, *migration_directories(), seed=_seed(), on_wait=notes.print)
    )
    print_applied(applied)
    console.print("Finished outdial db reset.")


@app.command()
def credentials() -> None:
    """Set new passwords for the logins of Outdial's roles in one database, and print their URLs.

    The roles are api, webhook, dialer, host, jobs and auth. Set the URLs in the environment of the processes. The old
    passwords of this database stop working; the logins of other databases on the same server do not change.
    """
    url = database_url(read_environment(), "SUPABASE_DB_URL")

    async def work(dsn: str) -> NewLogins:
        return await renew_passwords(dsn) if url else NewLogins(await StackLogins(default_home(), dsn).renew(), ())

    logins = _on_database(work)[1]
    for role, address in logins.urls.items():
        console.print(f"{role.upper()}_DB_URL={address}", markup=False, soft_wrap=True)
    if logins.other_databases:
        notes.print(f"The logins of {', '.join(logins.other_databases)} on this server did not change.", markup=False)
    if not url and LocalStack.running(default_home()) is not None:
        notes.print("The running local stack does not need these URLs: its functions reload their own logins.")


@app.command(hidden=True)
def keep(port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1.")]) -> None:
    """Run the embedded Postgres of OUTDIAL_HOME until a signal: a process of the local stack."""
    from outdial.stack.keep_postgres import keep_postgres

    raise typer.Exit(keep_postgres(port))


def print_applied(applied: Sequence[migrate.AppliedFile]) -> None:
    """Print the files that a run applied."""
    for file in applied:
        verb = "Seeding data from" if file.file == "seed.sql" else "Applying migration"
        console.print(f"{verb} {file.file}...")


def _seed() -> Path:
    return project_directory() / "seed.sql"


def _on_database(work: Callable[[str], Awaitable[Result]]) -> tuple[str, Result]:
    with environment() as env:
        dsn = database_url(env, "SUPABASE_DB_URL", required=True)
        where = "Remote" if migrate.is_remote(dsn) else "Local"
        notes.print(f"Target: {where.lower()} database")

        async def run() -> Result:
            return await work(dsn)

        return where, asyncio.run(run())
