"""`outdial screening`: lists of numbers from outside that must not be called."""

import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.permission.screening_lists import (
    NewScreeningList,
    UploadedList,
    remove_screening_list,
    upload_screening_list,
)
from outdial.cli.errors import ActionRefused, InvalidArgument
from outdial.cli.finding import Organization, find_organization
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import screening
from outdial.db.session import Database
from outdial.domain.purpose import ListKind
from outdial.stack.local import as_service

app = typer.Typer(no_args_is_help=True, help="Screening lists: registries of numbers that must not be called.")
clock = SystemClock()

SHOWN: Final = 20
_BLOCK_BYTES: Final = 256 * 1024
_BAR_COLUMNS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    TaskProgressColumn(),
    TextColumn("{task.fields[numbers]:,} numbers, {task.fields[refused]:,} invalid lines"),
    TimeRemainingColumn(),
)


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(help="One number per line, or a CSV file with a phone column; - for stdin.")],
    kind: Annotated[ListKind, typer.Option(help="Kind of list.")],
    registry_date: Annotated[str, typer.Option(help="Date of the registry data in the file, such as 2026-11-20.")],
    jurisdiction: Annotated[
        str | None, typer.Option(help="Country of a national list (default: US), or state of a state list: US-TX.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Country of numbers without a country code (default: that of the list)."),
    ] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Upload a screening list.

    It replaces the current list of the same kind and place once all its numbers are stored. Lines that are not phone
    numbers are reported. The exit status is 1 when no line is a phone number.
    """
    try:
        day = date.fromisoformat(registry_date)
    except ValueError:
        raise InvalidArgument(f"--registry-date: {registry_date!r} is not a day such as 2026-11-20") from None
    is_stdin = str(file) == "-"
    new = NewScreeningList(
        kind=kind,
        jurisdiction=jurisdiction,
        registry_date=day,
        file_name="standard input" if is_stdin else file.name,
        default_region=region,
    )

    uploaded = as_service(lambda database: _upload(database, None if is_stdin else file, new, organization))
    if as_json:
        print_json(uploaded)
        return
    console.print(f"Uploaded {uploaded.numbers:,} numbers. The list is in force.")
    if not uploaded.refused:
        return
    notes.print(f"{uploaded.refused:,} lines are not phone numbers:")
    for bad in uploaded.first_refused[:SHOWN]:
        notes.print(f"  line {bad.line}: {bad.value!r}: {bad.reason}", markup=False, soft_wrap=True)


@app.command("list")
def list_lists(
    organization: Organization = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of lists.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the screening lists, newest first. Those with the status current are in force."""

    async def work(database: Database) -> list[screening.ScreeningListRow]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await screening.list_screening_lists(
                connection, organization_id=organization_id, after_at=None, after_id=None, limit=limit
            )

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "KIND": lambda row: row.kind,
        "PLACE": lambda row: row.jurisdiction,
        "REGISTRY DATE": lambda row: row.registry_date,
        "STATUS": lambda row: row.status,
        "NUMBERS": lambda row: row.numbers,
        "UPLOADED": lambda row: row.created_at,
    }
    print_rows(columns, rows, empty="No screening list was uploaded.")


@app.command()
def remove(
    list_id: Annotated[UUID, typer.Argument(help="Id of a current list, as shown by screening list.")],
    organization: Organization = None,
) -> None:
    """Stop screening with a list. Its numbers may be called again."""

    async def work(database: Database) -> screening.RemovedScreeningList | None:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await remove_screening_list(connection, organization_id, list_id, actor=Actor(), now=clock.now())

    if as_service(work) is None:
        raise ActionRefused(f"{list_id} is not a current list: outdial screening list shows all")
    console.print("Removed the list.")


async def _upload(
    database: Database, file: Path | None, new: NewScreeningList, organization: str | None
) -> UploadedList:
    """Upload a file, or standard input, with a progress bar."""
    async with database.as_service() as connection:
        organization_id = await find_organization(connection, organization)
    with (
        nullcontext(sys.stdin.buffer) if file is None else file.open("rb") as source,
        Progress(*_BAR_COLUMNS, console=notes, transient=True, disable=not sys.stderr.isatty()) as bars,
    ):
        size = None if file is None else file.stat().st_size
        task = bars.add_task("Uploading", total=size, numbers=0, refused=0)

        async def blocks() -> AsyncIterator[bytes]:
            while block := source.read(_BLOCK_BYTES):
                bars.update(task, advance=len(block))
                yield block

        return await upload_screening_list(
            blocks(),
            new,
            database.as_service,
            organization_id=organization_id,
            actor=Actor(),
            clock=clock,
            on_progress=lambda numbers, refused: bars.update(task, numbers=numbers, refused=refused),
        )
