"""`outdial campaign import` and `undo-import`."""

from pathlib import Path
from typing import Annotated, assert_never
from uuid import UUID

import typer

from outdial.campaigns.importing.undo import AlreadyCalled, UndoHeld, Undone, undo_import
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import find_campaign, read_pairs
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.stack.local import as_service


def import_(
    campaign: CampaignName,
    file: Annotated[
        Path, typer.Argument(help="CSV or XLSX file with a header row, or JSON lines. Every column is a variable.")
    ],
    region: Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as US.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN, such as phone=Mobile, or FIELD= for none; repeatable."),
    ] = None,
    zone: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=ZONE for a time zone that the file names differently, such as Eastern=America/New_York."
        ),
    ] = None,
    header: Annotated[
        bool, typer.Option("--header/--no-header", help="Whether the first line has the names of the columns.")
    ] = True,
    sheet: Annotated[
        str | None, typer.Option(help="Sheet of a workbook to import (default: its first visible one with rows).")
    ] = None,
    refused: Annotated[Path | None, typer.Option(help="File for refused rows (default: FILE.refused.csv).")] = None,
    as_json: AsJson = False,
) -> None:
    """Import contacts from a CSV file, a sheet of an XLSX workbook, or JSON lines into a campaign.

    Valid rows are imported; each refused row is reported with its line and the reason. Importing a file again changes
    nothing. The exit status is 1 when no row is valid.
    """
    from outdial.cli.importing import FileReading, read_zone_names, run_import

    reading = FileReading(
        region=region,
        mapping=read_pairs("--map", map_ or ()),
        zone_names=read_zone_names(zone or ()),
        has_header=header,
        sheet=sheet,
    )
    any_valid = run_import(campaign, file, reading, refused=refused, as_json=as_json)
    raise typer.Exit(0 if any_valid else 1)


def undo_import_(
    campaign: CampaignName,
    import_id: Annotated[UUID, typer.Argument(help="Id of the import, as printed by campaign import.")],
    as_json: AsJson = False,
) -> None:
    """Remove the contacts that an import added, unless one of them has been called."""

    async def work(database: Database) -> Undone | AlreadyCalled | UndoHeld | NotFound | Forbidden:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
        return await undo_import(database.as_service, campaign_id, import_id, Actor(), SystemClock().now())

    result = as_service(work)
    match result:
        case Undone(0):
            raise ActionRefused("this import has no contacts in the campaign, or it is still running")
        case Undone(removed) if as_json:
            print_json({"import_id": import_id, "removed": removed})
        case Undone(removed):
            console.print(f"Removed {removed:,} contact{'' if removed == 1 else 's'}.")
        case AlreadyCalled() | UndoHeld():
            raise ActionRefused(result.reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case never:
            assert_never(never)
