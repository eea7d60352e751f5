"""`outdial organization`: tenants, their limits and members."""

from typing import Annotated, Literal, assert_never
from uuid import UUID

import asyncpg
import typer

from outdial.campaigns.create import NewOrganization, create_organization
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.stop import StopState, StopStatus, read_stop, resume_all_calls, stop_all_calls
from outdial.cli.budget import budget
from outdial.cli.campaigns import organization_bulk
from outdial.cli.errors import InvalidArgument, UnknownName
from outdial.cli.finding import ActionReason, find_organization
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.cli.privacy import retention
from outdial.clock import SystemClock
from outdial.db.queries import invitations, members, organizations
from outdial.db.session import Connection, Database
from outdial.stack.local import as_service

app = typer.Typer(no_args_is_help=True, help="Organizations: tenants, each with a Retell workspace and its limits.")
clock = SystemClock()
OrganizationName = Annotated[str, typer.Argument(help="Organization id or name.")]

app.command()(retention)
app.command()(budget)
app.add_typer(organization_bulk.app, name="bulk")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the organization.")],
    credential: Annotated[
        str,
        typer.Option(
            help="Name of its Retell credentials: 'acme' uses RETELL_API_KEY_ACME and RETELL_WEBHOOK_SECRET_ACME."
        ),
    ] = "default",
    concurrency: Annotated[int, typer.Option(min=0, help="Concurrency limit of the workspace.")] = 20,
    calls_per_second: Annotated[float, typer.Option(min=0.001, help="Calls-per-second limit of the workspace.")] = 1.0,
    reserved_inbound: Annotated[int, typer.Option(min=0, help="Concurrent calls reserved for inbound calls.")] = 0,
    daily_cap: Annotated[int, typer.Option(min=1, max=100, help="Maximum calls to one phone number in 24 hours.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Create an organization with its Retell workspace."""
    new = NewOrganization(
        name,
        credential=credential,
        concurrency_limit=concurrency,
        reserved_inbound=reserved_inbound,
        calls_per_second=calls_per_second,
        daily_call_cap=daily_cap,
    )

    async def work(database: Database) -> UUID:
        async with database.as_service() as connection:
            return await create_organization(connection, new, clock.now())

    try:
        organization_id = as_service(work)
    except asyncpg.CheckViolationError as error:
        if "credential" in (error.constraint_name or ""):
            message = "--credential: use lower-case letters, digits and _, starting with a letter"
        else:
            message = "NAME: use 1 to 200 characters"
        raise InvalidArgument(message) from error
    if as_json:
        print_json({"id": organization_id, "name": name, "credential": credential})
    else:
        console.print(f"Created organization {organization_id}.")


@app.command("list")
def list_organizations(as_json: AsJson = False) -> None:
    """List the organizations with their limits."""

    async def work(database: Database) -> list[organizations.OrganizationRow]:
        async with database.as_service() as connection:
            return await organizations.list_organizations(connection)

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
    print_rows(columns, rows, empty="No organizations yet: run outdial organization create NAME")


@app.command()
def stop(
    organization: OrganizationName,
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Stop all calls of an organization at once; its campaigns wait until they are resumed.

    Live calls continue. The status is stopping while earlier requests are in flight, and stopped once no
    request for a call is sent any more.
    """

    async def work(database: Database) -> StopState | NotFound | Forbidden:
        async with database.as_service() as connection:
            return await stop_all_calls(
                connection,
                organization_id=await find_organization(connection, organization),
                by="the service",
                reason=reason,
                actor=Actor(),
                now=clock.now(),
            )

    _print_stop(as_service(work), organization, as_json=as_json)


@app.command()
def resume(
    organization: OrganizationName,
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Allow the calls of an organization again; active campaigns resume right away."""

    async def work(database: Database) -> StopState | NotFound | Forbidden:
        async with database.as_service() as connection:
            return await resume_all_calls(
                connection,
                organization_id=await find_organization(connection, organization),
                reason=reason,
                actor=Actor(),
                now=clock.now(),
            )

    _print_stop(as_service(work), organization, as_json=as_json)


@app.command("status")
def stop_status(organization: OrganizationName, as_json: AsJson = False) -> None:
    """Show whether the calls of an organization are stopped, who stopped them and why."""

    async def work(database: Database) -> StopState | NotFound:
        async with database.as_service() as connection:
            return await read_stop(connection, await find_organization(connection, organization), clock.now())

    _print_stop(as_service(work), organization, as_json=as_json)


def _print_stop(state: StopState | NotFound | Forbidden, organization: str, *, as_json: bool) -> None:
    match state:
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown organization {organization}")
        case StopState() if as_json:
            print_json(state)
        case StopState(status=StopStatus.RUNNING):
            console.print(f"Calls of {organization} are allowed.")
        case StopState(status=StopStatus.STOPPING, requests_in_flight=requests):
            console.print(f"Calls of {organization} are being stopped; requests in flight: {requests}.")
        case StopState(stopped_by=by, reason=reason):
            console.print(f"Calls of {organization} are stopped by {by}{f': {reason}' if reason else ''}.")
        case never:
            assert_never(never)


@app.command()
def add_member(
    organization: Annotated[str, typer.Argument(help="Organization id or name.")],
    user_id: Annotated[UUID, typer.Argument(help="User id, from auth.users.")],
    role: Annotated[
        Literal["viewer", "operator", "admin", "owner"],
        typer.Option(help="Viewers read, operators run campaigns, admins configure, owners also manage owners."),
    ] = "operator",
) -> None:
    """Add a user to an organization, or change their role in it."""

    async def work(database: Database) -> None:
        async with database.as_service() as connection:
            await join_organization(connection, await find_organization(connection, organization), user_id, role)

    try:
        as_service(work)
    except asyncpg.ForeignKeyViolationError as error:
        raise UnknownName(f"unknown user {user_id}: they must sign up first") from error
    console.print(f"{user_id} is now {role} of {organization}.")


async def join_organization(connection: Connection, organization_id: UUID, user_id: UUID, role: str) -> None:
    """Make a user a member with this role, and delete the invitation that this replaces."""
    await members.set_member(connection, organization_id=organization_id, user_id=user_id, role=role, now=clock.now())
    await invitations.delete_invitation_of_member(connection, organization_id=organization_id, user_id=user_id)
