"""`outdial organization bulk`: jobs on all contacts, or all calls, of an organization that match a filter."""

from typing import Annotated
from uuid import UUID

import typer

from outdial.campaigns.undoing.undo import UndoResult
from outdial.cli.campaigns.bulk import (
    LISTED,
    JobId,
    cancel_job,
    latest_jobs,
    print_cancelled,
    print_job,
    print_jobs,
    with_left_out,
)
from outdial.cli.campaigns.undo import print_undone, undo_of_service
from outdial.cli.errors import UnknownName
from outdial.cli.finding import find_organization
from outdial.cli.output import AsJson
from outdial.db.queries.dialing import bulk_jobs
from outdial.db.session import Connection, Database
from outdial.stack.local import as_service

app = typer.Typer(
    no_args_is_help=True,
    help="Background jobs on all contacts, or all calls, of an organization: those of no single campaign.",
)
_Organization = Annotated[str, typer.Argument(help="Organization id or name.", metavar="ORGANIZATION")]


@app.command("list")
def list_jobs(organization: _Organization, as_json: AsJson = False) -> None:
    """List the latest jobs that belong to no campaign, newest first."""

    async def work(database: Database) -> list[bulk_jobs.BulkJobRow]:
        async with database.as_service() as connection:
            return await latest_jobs(connection, await find_organization(connection, organization), None)

    print_jobs(as_service(work), as_json=as_json)


@app.command()
def show(
    organization: _Organization,
    job: JobId,
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of left-out contacts or calls.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """Show the counts of a job, and the contacts or calls that it has left out, each with the reason."""

    async def work(database: Database) -> tuple[bulk_jobs.BulkJobRow, list[bulk_jobs.LeftOutRow]]:
        async with database.as_service() as connection:
            return await with_left_out(connection, await _job(connection, organization, job), limit)

    print_job(*as_service(work), as_json=as_json)


@app.command()
def cancel(organization: _Organization, job: JobId) -> None:
    """Cancel a job. Contacts and calls already changed stay changed."""

    async def work(database: Database) -> str | None:
        async with database.as_service() as connection:
            return await cancel_job(connection, await _job(connection, organization, job))

    print_cancelled(job, as_service(work))


@app.command()
def undo(organization: _Organization, job: JobId, as_json: AsJson = False) -> None:
    """Undo a job within an hour, where what it has changed is still as it left it. It stops first."""

    async def work(database: Database) -> UndoResult:
        async with database.as_service() as connection:
            found = await _job(connection, organization, job)
            return await undo_of_service(connection, found.organization_id, job)

    print_undone(as_service(work), job, as_json=as_json)


async def _job(connection: Connection, organization: str, job: UUID) -> bulk_jobs.BulkJobRow:
    row = await bulk_jobs.show_bulk_job(
        connection, bulk_job_id=job, organization_id=await find_organization(connection, organization)
    )
    if row is None or row.campaign_id is not None:
        raise UnknownName(f"the organization has no job {job}: outdial organization bulk list shows all")
    return row
