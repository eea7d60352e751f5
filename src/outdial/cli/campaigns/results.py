"""`outdial campaign results`: write the results of a campaign to a file."""

from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import typer

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
from outdial.cli.errors import InvalidArgument
from outdial.cli.output import AsJson, console, print_json
from outdial.db.session import Database
from outdial.domain.calling_hours import is_zone_name
from outdial.stack.local import as_service

_FORMATS: Final[dict[str, Literal["csv", "xlsx", "jsonl"]]] = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl"}


def results(
    campaign: CampaignName,
    file: Annotated[Path, typer.Argument(help="File to write: .csv, .xlsx or .jsonl (JSON lines).")],
    status: StatusFilter = None,
    outcome: OutcomeFilter = None,
    reached: ReachedFilter = None,
    search: SearchFilter = None,
    phone: PhoneFilter = None,
    phone_ends: PhoneEndsFilter = None,
    name: NameFilter = None,
    external_id: ExternalIdFilter = None,
    transcript: Annotated[bool, typer.Option("--transcript", help="Include transcripts.")] = False,
    recording: Annotated[bool, typer.Option("--recording", help="Include links to recordings.")] = False,
    zone: Annotated[str, typer.Option(help="Time zone of the times in the file.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Write one row per contact: its last call, its last analysis, and every variable.

    The file can be imported again. An existing file is replaced once the new one is complete.
    """
    file_format = _FORMATS.get(file.suffix.lower())
    if file_format is None:
        raise InvalidArgument(f"{file.name}: name the file .csv, .xlsx or .jsonl")
    if not is_zone_name(zone):
        raise InvalidArgument(f"--zone {zone!r} is not a time zone, such as America/New_York")
    selection = read_selection(
        status=status,
        outcome=outcome,
        reached=reached,
        search=search,
        phone=phone,
        phone_ends=phone_ends,
        name=name,
        external_id=external_id,
    )
    include = [name for name, wanted in (("transcript", transcript), ("recording", recording)) if wanted]

    async def work(database: Database) -> int:
        # Imported late: the writer of workbooks takes its time.
        from outdial.cli.result_file import write_results

        return await write_results(
            database, campaign, file, file_format=file_format, selection=selection, include=include, zone=ZoneInfo(zone)
        )

    rows = as_service(work)
    if as_json:
        print_json({"rows": rows, "file": str(file)})
    else:
        console.print(f"Wrote {rows:,} row{'' if rows == 1 else 's'} to {file}", markup=False, soft_wrap=True)
