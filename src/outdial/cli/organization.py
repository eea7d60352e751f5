"""`outdial organization`: tenants, their limits, and who works for them."""

from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import typer

from outdial.campaigns.create import NewOrganization, create_organization
from outdial.cli.errors import BadInput, NoSuchThing
from outdial.cli.finding import find_organization
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db import campaigns as db
from outdial.db.session import Database
from outdial.stack.local import as_service

app = typer.Typer(no_args_is_help=True, help="Organizations: tenants with their Retell workspace and its limits.")
clock = SystemClock()


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    credential: Annotated[
        str,
        typer.Option(help="Names the secrets of its Retell workspace: 'acme' reads RETELL_API_KEY_ACME, and so on."),
    ] = "default",
    concurrency: Annotated[int, typer.Option(min=0, help="Calls at once that the workspace allows.")] = 20,
    calls_per_second: Annotated[float, typer.Option(min=0.001, help="Starts per second that it allows.")] = 1.0,
    reserved_inbound: Annotated[int, typer.Option(min=0, help="Calls at once kept free for inbound.")] = 0,
    daily_cap: Annotated[int, typer.Option(min=1, max=100, help="Calls that one phone may get in 24 hours.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Create an organization with its Retell workspace."""
    new = NewOrganization(name, credential, concurrency, reserved_inbound, calls_per_second, daily_cap)

    async def work(database: Database) -> UUID:
        async with database.as_service() as connection:
            return await create_organization(connection, new, clock.now())

    try:
        organization_id = as_service(work)
    except asyncpg.CheckViolationError as error:
        raise BadInput(_which(error)) from error
    if as_json:
        print_json({"id": organization_id, "name": name, "credential": credential})
    else:
        console.print(f"Created organization {organization_id}.")


@app.command("list")
def list_organizations(as_json: AsJson = False) -> None:
    """List the organizations with their limits."""

    async def work(database: Database) -> list[db.OrganizationRow]:
        async with database.as_service() as connection:
            return await db.LIST_ORGANIZATIONS.all(connection)

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "NAME": lambda row: row.name,
        "CREDENTIAL": lambda row: row.credential,
        "CONCURRENCY": lambda row: row.concurrency_limit,
        "CALLS/S": lambda row: row.calls_per_second,
        "DAILY CAP": lambda row: row.daily_call_cap,
    }
    print_rows(columns, rows, empty="There is no organization yet: outdial organization create NAME")


@app.command()
def add_member(
    organization: Annotated[str, typer.Argument(help="Id or name of the organization.")],
    user_id: Annotated[UUID, typer.Argument(help="Id of the user, as auth.users has it.")],
    role: Annotated[
        Literal["viewer", "operator", "admin", "owner"],
        typer.Option(help="Viewers look, operators run campaigns, admins configure, owners do everything."),
    ] = "operator",
) -> None:
    """Let a user work for an organization, or change the role that they have there."""

    async def work(database: Database) -> None:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            await db.ADD_MEMBER.run(
                connection, organization_id=organization_id, user_id=user_id, role=role, now=clock.now()
            )

    try:
        as_service(work)
    except asyncpg.ForeignKeyViolationError as error:
        raise NoSuchThing(f"there is no user {user_id}: they have to sign up first") from error
    console.print(f"{user_id} is now {role} of {organization}.")


def _which(error: asyncpg.CheckViolationError) -> str:
    if "credential" in (error.constraint_name or ""):
        return "--credential: give lower-case letters, digits and _, beginning with a letter"
    return "NAME: give 1 to 200 characters"
