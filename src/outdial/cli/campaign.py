"""`outdial campaign`: created, filled with contacts, started, paused, and followed."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, assert_never
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from outdial.campaigns import lifecycle
from outdial.campaigns.create import NewCampaign, create_campaign
from outdial.campaigns.lifecycle import Actor, Changed, Conflict, Forbidden, NotFound, Result, Unchanged
from outdial.cli.campaign_view import View, look
from outdial.cli.errors import BadInput, NoSuchThing, Refused
from outdial.cli.finding import find_campaign, find_organization, maybe_organization, read_object, read_pairs
from outdial.cli.output import AsJson, console, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db import campaigns as db
from outdial.db.session import Database
from outdial.db.statements import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.stack.local import as_service

app = typer.Typer(no_args_is_help=True, help="Campaigns: named by id, by the beginning of one, or by their name.")
clock = SystemClock()
EVERY = timedelta(milliseconds=500)
AT_REST = {CampaignStatus.COMPLETED, CampaignStatus.CANCELLED, CampaignStatus.PAUSED, CampaignStatus.DRAFT}

Named = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Id, the beginning of one, or the name.")]
Organization = Annotated[str | None, typer.Option(help="Id or name of the organization; may be left out for one.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the campaign is called.")],
    agent: Annotated[str, typer.Option(help="Id of the Retell agent that talks.")],
    from_: Annotated[str, typer.Option("--from", help="The caller number, in E.164.")],
    organization: Organization = None,
    hours: Annotated[
        str | None,
        typer.Option(help='Calling hours as JSON or @FILE: {"weekdays": [["09:00", "20:00"]]}, which is the default.'),
    ] = None,
    retry: Annotated[
        str | None, typer.Option(help='Retry policy as JSON or @FILE, such as {"busy": {"delays": ["10m"]}}.')
    ] = None,
    max_attempts: Annotated[int, typer.Option(help="Attempts that a contact gets at most.")] = 3,
    batch_size: Annotated[int, typer.Option(help="Calls that are claimed at once.")] = 10,
    max_concurrency: Annotated[
        int | None, typer.Option(help="Calls at once; the workspace's limit without it.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="When it starts once it was started: a time with its zone, 2026-12-01T09:00Z.")
    ] = None,
    var: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the agent; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a draft."""
    calling_hours, retry_policy = read_object("--hours", hours), read_object("--retry", retry)
    variables, scheduled_at = read_pairs("--var", var or ()), _moment(schedule)

    async def work(database: Database) -> UUID:
        async with database.as_service() as connection:
            new = NewCampaign(
                await find_organization(connection, organization),
                name,
                agent,
                from_,
                batch_size=batch_size,
                max_concurrency=max_concurrency,
                max_attempts=max_attempts,
                calling_hours=calling_hours,
                retry_policy=retry_policy,
                dynamic_variables=variables,
                scheduled_at=scheduled_at,
            )
            return await create_campaign(connection, new, clock.now())

    campaign_id = as_service(work)
    if as_json:
        print_json({"id": campaign_id, "name": name, "status": CampaignStatus.DRAFT})
    else:
        console.print(f"Created campaign {campaign_id}, a draft.")


@app.command("import")
def import_(
    campaign: Named,
    file: Annotated[Path, typer.Argument(help="A CSV file with a header; any column may be used by the agent.")],
    region: Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as US.")] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=COLUMN, such as phone=Mobile; may be repeated.")
    ] = None,
    refused: Annotated[
        Path | None, typer.Option(help="Where refused rows are written; FILE.refused.csv without it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put the contacts of a CSV file into a campaign.

    Each refused row is told with its line and the reason, while the good ones go in. Importing a file again is
    harmless. The exit status is 0 unless no row at all was good.
    """
    from outdial.cli.importing import run_import

    good = run_import(campaign, file, region, read_pairs("--map", map_ or ()), refused, as_json=as_json)
    raise typer.Exit(0 if good else 1)


@app.command()
def start(campaign: Named, as_json: AsJson = False) -> None:
    """Start a draft, or schedule it when its time has not come."""
    _change(campaign, lifecycle.start, as_json)


@app.command()
def pause(
    campaign: Named,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at it later.")] = "paused by hand",
    as_json: AsJson = False,
) -> None:
    """Stop placing calls; those under way go on."""
    _change(campaign, lambda c, id, actor, now: lifecycle.pause(c, id, actor, now, reason), as_json)


@app.command()
def resume(campaign: Named, as_json: AsJson = False) -> None:
    """Let a paused campaign go on."""
    _change(campaign, lifecycle.resume, as_json)


@app.command()
def cancel(
    campaign: Named,
    hang_up: Annotated[bool, typer.Option("--hang-up", help="End the calls under way too.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a campaign for good."""
    _change(campaign, lambda c, id, actor, now: lifecycle.cancel(c, id, actor, now, hang_up=hang_up), as_json)


@app.command("list")
def list_campaigns(
    organization: Annotated[str | None, typer.Option(help="Id or name of an organization; all without it.")] = None,
    status: Annotated[CampaignStatus | None, typer.Option(help="Only campaigns that stand so.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the newest first."""

    async def work(database: Database) -> list[db.CampaignRow]:
        async with database.as_service() as connection:
            organization_id = await maybe_organization(connection, organization)
            return await db.LIST_CAMPAIGNS.all(connection, organization_id=organization_id, status=status, limit=limit)

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "NAME": lambda row: row.name,
        "STATUS": lambda row: row.status,
        "CREATED": lambda row: row.created_at,
        "STARTED": lambda row: row.started_at,
        "FINISHED": lambda row: row.finished_at,
    }
    print_rows(columns, rows, empty="No campaign fits.")


@app.command()
def show(campaign: Named, as_json: AsJson = False) -> None:
    """Show a campaign: its settings, how far it is, and why it is not dialing now."""

    async def work(database: Database) -> View:
        return await look(database, await _id_of(database, campaign), clock.now())

    view = as_service(work)
    if as_json:
        print_json(view.as_dict())
        return
    print_pairs(view.settings() | {"not dialing": view.waiting})
    console.print()
    console.print(view.panel())


@app.command()
def watch(campaign: Named, as_json: AsJson = False) -> None:
    """Follow a campaign live until it rests: completed, cancelled, paused, or a draft.

    Where the output is no terminal, a line is printed with each change; with --json, an object in a line.
    """

    async def work(database: Database) -> None:
        campaign_id = await _id_of(database, campaign)
        if console.is_terminal and not as_json:
            await follow_live(database, campaign_id)
        else:
            await follow_in_lines(database, campaign_id, as_json=as_json)

    as_service(work)


async def follow_live(database: Database, campaign_id: UUID, *, console: Console = console) -> View:
    """Show a campaign in place until it rests."""
    view = await look(database, campaign_id, clock.now())
    with Live(view.panel(), console=console, refresh_per_second=8) as live:
        while view.campaign.status not in AT_REST:
            await clock.sleep_until(clock.now() + EVERY)
            view = await look(database, campaign_id, clock.now())
            live.update(view.panel())
    return view


async def follow_in_lines(
    database: Database,
    campaign_id: UUID,
    *,
    as_json: bool = False,
    every: timedelta = EVERY,
    console: Console = console,
) -> View:
    """Print a line with each change of a campaign until it rests."""
    said = ""
    while True:
        view = await look(database, campaign_id, clock.now())
        line = view.line()
        if line != said and as_json:
            print_json_line(view)
        elif line != said:
            console.print(line, markup=False, soft_wrap=True)
        said = line
        if view.campaign.status in AT_REST:
            return view
        await clock.sleep_until(clock.now() + every)


def print_json_line(view: View) -> None:
    """Print a view as one line of JSON."""

    console.print(msgspec.json.encode(view.as_dict(), enc_hook=str).decode(), markup=False, soft_wrap=True)


Change = Callable[[Connection, UUID, Actor, datetime], Awaitable[Result]]


def _change(campaign: str, change: Change, as_json: bool) -> None:
    async def work(database: Database) -> tuple[UUID, Result]:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
            return campaign_id, await change(connection, campaign_id, Actor(), clock.now())

    campaign_id, result = as_service(work)
    status, changed = _status_after(campaign, result)
    if as_json:
        print_json({"id": campaign_id, "status": status, "changed": changed})
    else:
        console.print(
            f"Campaign {campaign_id} is {status}." if changed else f"Campaign {campaign_id} was {status} already."
        )


def _status_after(campaign: str, result: Result) -> tuple[CampaignStatus, bool]:
    match result:
        case Changed(status):
            return status, True
        case Unchanged(status):
            return status, False
        case Conflict(_, reason):
            raise Refused(reason)
        case NotFound() | Forbidden():
            raise NoSuchThing(f"there is no campaign {campaign!r}")
        case never:
            assert_never(never)


async def _id_of(database: Database, campaign: str) -> UUID:
    async with database.as_service() as connection:
        return await find_campaign(connection, campaign)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--schedule: {text!r} is not a time; write it as 2026-12-01T09:00:00Z") from None
