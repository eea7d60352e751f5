"""`outdial campaign bulk`: act on all contacts of a campaign that match a filter."""

from collections.abc import Sequence
from typing import Annotated, Any, assert_never
from uuid import UUID

import typer

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.bulk_request import (
    BulkRefused,
    BulkRequest,
    BulkRequested,
    BulkRequestResult,
    cancel_bulk_job,
    request_bulk_job,
)
from outdial.cli.campaigns.selecting import (
    ExternalIdFilter,
    NameFilter,
    OutcomeFilter,
    PhoneEndsFilter,
    PhoneFilter,
    ReachedFilter,
    SearchFilter,
    StatusFilter,
    read_selection,
)
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import find_campaign, find_campaign_row, read_zoned_time
from outdial.cli.output import AsJson, console, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.queries.dialing import bulk_jobs
from outdial.db.session import Connection, Database
from outdial.domain.contact import ReviewDecision
from outdial.domain.policies.bulk_action import CampaignJobAction
from outdial.stack.local import as_service

app = typer.Typer(
    no_args_is_help=True,
    help="Act on all contacts of a campaign that match a filter, in a background job. `outdial jobs` carries it out.",
)
clock = SystemClock()
LISTED = 50

JobId = Annotated[UUID, typer.Argument(metavar="JOB", help="Id of the job.")]


@app.command()
def start(
    campaign: CampaignName,
    action: Annotated[CampaignJobAction, typer.Argument(help="What to do with the contacts.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log and the contacts.")],
    decision: Annotated[ReviewDecision | None, typer.Option(help="With decide: what happens to the contacts.")] = None,
    status: StatusFilter = None,
    outcome: OutcomeFilter = None,
    reached: ReachedFilter = None,
    search: SearchFilter = None,
    phone: PhoneFilter = None,
    phone_ends: PhoneEndsFilter = None,
    name: NameFilter = None,
    external_id: ExternalIdFilter = None,
    at: Annotated[
        str | None, typer.Option(help="Earliest time of the next call, such as 2026-12-01T09:00Z (default: now).")
    ] = None,
    campaign_name: Annotated[
        str | None, typer.Option(help='With new_campaign: name of the new draft (default: "Copy of ...").')
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a job for the contacts that match now.

    It leaves out each contact that has changed by then, with the reason. `retry` calls finished contacts once more,
    `new_campaign` adds them to a new draft, `skip` skips pending ones, and `decide` decides those in review.
    """
    request = BulkRequest(
        action=action,
        selection=read_selection(
            status=status,
            outcome=outcome,
            reached=reached,
            search=search,
            phone=phone,
            phone_ends=phone_ends,
            name=name,
            external_id=external_id,
        ),
        reason=reason,
        decision=decision,
        call_at=read_zoned_time("--at", at),
        campaign_name=campaign_name,
    )

    async def work(database: Database) -> BulkRequestResult:
        async with database.as_service() as connection:
            return await request_bulk_job(
                connection,
                campaign_id=await find_campaign(connection, campaign),
                request=request,
                by="the service",
                actor=Actor(),
                now=clock.now(),
            )

    _print_request(as_service(work), campaign, as_json=as_json)


@app.command("list")
def list_bulk_jobs(campaign: CampaignName, as_json: AsJson = False) -> None:
    """List the latest jobs of a campaign, newest first."""

    async def work(database: Database) -> list[bulk_jobs.BulkJobRow]:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            return await latest_jobs(connection, found.organization_id, found.id)

    print_jobs(as_service(work), as_json=as_json)


@app.command()
def show(
    campaign: CampaignName,
    job: JobId,
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of left-out contacts.")] = LISTED,
    as_json: AsJson = False,
) -> None:
    """Show the counts of a job, and the contacts that it has left out, each with the reason."""

    async def work(database: Database) -> tuple[bulk_jobs.BulkJobRow, list[bulk_jobs.LeftOutRow]]:
        async with database.as_service() as connection:
            return await with_left_out(connection, await _job(connection, campaign, job), limit)

    print_job(*as_service(work), as_json=as_json)


@app.command()
def cancel(campaign: CampaignName, job: JobId) -> None:
    """Cancel a job. Contacts already changed stay changed."""

    async def work(database: Database) -> str | None:
        async with database.as_service() as connection:
            return await cancel_job(connection, await _job(connection, campaign, job))

    print_cancelled(job, as_service(work))


async def latest_jobs(
    connection: Connection, organization_id: UUID, campaign_id: UUID | None
) -> list[bulk_jobs.BulkJobRow]:
    """Return the latest jobs of a campaign, or without one those of no campaign, newest first."""
    return await bulk_jobs.list_bulk_jobs(
        connection,
        campaign_id=campaign_id,
        organization_id=organization_id,
        after_at=None,
        after_id=None,
        limit=LISTED,
    )


async def with_left_out(
    connection: Connection, job: bulk_jobs.BulkJobRow, limit: int
) -> tuple[bulk_jobs.BulkJobRow, list[bulk_jobs.LeftOutRow]]:
    """Return a job with what it has left out, at most `limit`."""
    return job, await bulk_jobs.list_left_out(
        connection, bulk_job_id=job.id, organization_id=job.organization_id, after_id=None, limit=limit
    )


async def cancel_job(connection: Connection, job: bulk_jobs.BulkJobRow) -> str | None:
    """Cancel a job; return its status when it has ended before."""
    cancelled = await cancel_bulk_job(
        connection, organization_id=job.organization_id, bulk_job_id=job.id, actor=Actor(), now=clock.now()
    )
    return None if cancelled else job.status


def print_cancelled(job_id: UUID, status: str | None) -> None:
    """Print that a job is cancelled; raises ActionRefused with the status of one that has ended before."""
    if status is not None:
        raise ActionRefused(f"the job is already {status}")
    console.print(f"Cancelled {job_id}.")


def print_jobs(rows: Sequence[bulk_jobs.BulkJobRow], *, as_json: bool) -> None:
    """Print bulk jobs as a table, or as JSON."""
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "ACTION": lambda row: row.decision or row.action,
        "STATUS": lambda row: row.status,
        "SELECTED": lambda row: row.selected,
        "DONE": lambda row: row.done,
        "LEFT OUT": lambda row: row.left_out,
        "REQUESTED": lambda row: row.created_at,
        "BY": lambda row: row.requested_by,
    }
    print_rows(columns, rows, empty="No bulk jobs yet.")


def print_job(row: bulk_jobs.BulkJobRow, left_out: Sequence[bulk_jobs.LeftOutRow], *, as_json: bool) -> None:
    """Print a bulk job, and the contacts or calls that it has left out."""
    kept: dict[str, Any] = {
        "action": row.action,
        "decision": row.decision,
        "status": row.status,
        "selected": row.selected,
        "done": row.done,
        "left_out": row.left_out,
        "other_status": row.other_status,
        "reason": row.reason,
        "filters": row.filters,
        "new_campaign": row.copy_id,
        "requested_at": row.created_at,
        "requested_by": row.requested_by,
        "finished_at": row.finished_at,
        "error": row.error,
    }
    if as_json:
        print_json({**kept, "contacts": [{"phone": each.phone, "reason": each.reason} for each in left_out]})
        return
    print_pairs(kept)
    columns = {
        "PHONE": lambda each: each.phone or each.id,
        "STATUS": lambda each: each.status,
        "REASON": lambda each: each.reason,
    }
    if left_out:
        print_rows(columns, left_out, empty="")


def _print_request(result: BulkRequestResult, campaign: str, *, as_json: bool) -> None:
    match result:
        case BulkRequested() if as_json:
            print_json(result)
        case BulkRequested(job_id=job_id, selected=selected, other_status=others):
            rest = f"; matching contacts with another status: {others:,}" if others else ""
            console.print(f"Started job {job_id}. Contacts: {selected:,}{rest}.")
        case BulkRefused(reason=refusal):
            raise ActionRefused(refusal)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case _:
            assert_never(result)


async def _job(connection: Connection, campaign: str, job: UUID) -> bulk_jobs.BulkJobRow:
    found = await find_campaign_row(connection, campaign)
    row = await bulk_jobs.show_bulk_job(connection, bulk_job_id=job, organization_id=found.organization_id)
    if row is None or row.campaign_id != found.id:
        raise UnknownName(f"the campaign has no job {job}: outdial campaign bulk list shows all")
    return row
