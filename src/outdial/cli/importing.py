"""`outdial campaign import`: progress bar, file of refused rows, and report."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from outdial.campaigns.importing.import_file import ImportProgress, ImportReport, import_contacts
from outdial.campaigns.importing.refusals import REFUSED_COLUMNS, RefusedRow, unescape_cell
from outdial.campaigns.importing.workbooks import open_readable, unread_sheets
from outdial.campaigns.lifecycle import Actor
from outdial.cli.errors import InvalidArgument
from outdial.cli.finding import find_campaign, read_pairs
from outdial.cli.output import console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.domain.calling_hours import is_zone_name
from outdial.domain.ids import new_id
from outdial.jobs.csv_cells import CsvBuffer
from outdial.stack.local import as_service, erasure_keys

SHOWN = 20
_BAR_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TaskProgressColumn(),
    TextColumn("{task.fields[rows]:,} rows, {task.fields[refused]:,} refused"),
    TimeRemainingColumn(),
)


class RefusedFile:
    """A CSV file of the refused rows with their reasons, created with the first one. It can be imported again.

    An import without refused rows removes the file of an earlier import. One that fails keeps it: someone may have
    corrected it by hand.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header: Sequence[str] = ()
        self._file: BinaryIO | None = None

    def begin(self, header: Sequence[str]) -> None:
        """Set the names of the columns."""
        self._header = header

    def add(self, row: RefusedRow) -> None:
        """Append a row; create the file for the first one."""
        if self._file is None:
            self._file = self.path.open("wb")
            self._text = CsvBuffer([*REFUSED_COLUMNS, *map(unescape_cell, self._header)])
        self._text.add([row.line, row.kind, row.reason, *map(unescape_cell, row.cells)])
        self._file.write(self._text.take())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        elif failure is None and self.path.is_file():  # never a device
            self.path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReading:
    """How a file is read: what is said of its columns, its first line and its sheet, and of names of time zones."""

    region: str | None
    mapping: Mapping[str, str]
    zone_names: Mapping[str, str]
    has_header: bool
    sheet: str | None


def read_zone_names(pairs: Sequence[str]) -> dict[str, str]:
    """Return the zone of each name; raises InvalidArgument for a zone that does not exist."""
    names = read_pairs("--zone", pairs)
    if wrong := next((zone for zone in names.values() if not is_zone_name(zone)), None):
        raise InvalidArgument(f"--zone: {wrong!r} is not a time zone; use an IANA name such as America/New_York")
    return names


def run_import(
    campaign: str,
    file: Path,
    reading: FileReading,
    *,
    refused: Path | None,
    as_json: bool,
) -> bool:
    """Import `file` and print the report. Return whether any row was valid, or none was refused."""
    rejects = RefusedFile(refused or file.with_name(f"{file.name}.refused.csv"))
    if rejects.path.resolve() == file.resolve():
        raise InvalidArgument("--refused names the file to import, and would replace it: choose another name")
    import_id = new_id(SystemClock().now())

    async def work(database: Database) -> tuple[ImportReport, list[str]]:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
        with (
            file.open("rb") as opened,
            await open_readable(opened) as readable,
            Progress(*_BAR_COLUMNS, console=notes, transient=True, disable=not sys.stderr.isatty()) as bars,
        ):
            chosen, source = readable.select(reading.sheet), readable.file
            unread = None if chosen is None else unread_sheets(readable.sheets, chosen.name)
            notices = [] if unread is None else [f"{unread}; import another one with --sheet"]
            # Before the import, which may fail because it is the wrong sheet.
            _print_notices(notices)
            report = await import_contacts(
                source,
                campaign_id,
                database.as_service,
                actor=Actor(),
                clock=SystemClock(),
                default_region=reading.region,
                mapping=reading.mapping,
                zone_names=reading.zone_names,
                has_header=reading.has_header,
                erasure_keys=erasure_keys(),
                import_id=import_id,
                on_header=rejects.begin,
                on_progress=_Bar(bars, os.fstat(source.fileno()).st_size),
                on_refused=rejects.add,
            )
            return report, notices

    with rejects:
        report, notices = as_service(work)
    if as_json:
        refused_file = rejects.path if report.refused_rows else None
        print_json({"import_id": import_id, **_as_json(report, notices), "refused_file": refused_file})
    else:
        _print_notices(report.notices)
        _print(report, rejects.path if report.refused_rows else None)
        if report.added:
            # The command line's own words stand in quotes, as in a shell.
            undo = shlex.join(["outdial", "campaign", "undo-import", campaign, str(import_id)])
            notes.print(f"To undo it before a contact is called: {undo}", markup=False, soft_wrap=True)
    return report.added + report.already_there > 0 or report.refused_rows == 0


def _as_json(report: ImportReport, notices: Sequence[str]) -> dict[str, object]:
    return {
        "rows": report.rows,
        "added": report.added,
        "already_there": report.already_there,
        "blank": report.blank,
        "refused": {kind.value: count for kind, count in report.refused.items()},
        "refused_rows": report.refused_rows,
        "first_refused": [
            {"line": row.line, "value": row.value, "kind": row.kind, "reason": row.reason}
            for row in report.first_refused[:SHOWN]
        ],
        "variables": list(report.variables),
        "notices": [*notices, *report.notices],
    }


def _print_notices(notices: Sequence[str]) -> None:
    for notice in notices:
        notes.print(f"Note: {notice}", markup=False, soft_wrap=True)


class _Bar:
    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Importing", total=size, rows=0, refused=0)

    def __call__(self, progress: ImportProgress) -> None:
        self._progress.update(self._task, completed=progress.bytes_read, rows=progress.rows, refused=progress.refused)


def _print(report: ImportReport, rejects: Path | None) -> None:
    console.print(
        f"Imported {report.rows:,} rows: {report.added:,} added, {report.already_there:,} already present,"
        f" {report.refused_rows:,} refused."
    )
    if report.variables:
        console.print(f"Agent variables: {', '.join(report.variables)}", markup=False)
    if rejects is None:
        return
    console.print()
    columns = {
        "LINE": lambda row: row.line,
        "VALUE": lambda row: row.value,
        "REASON": lambda row: row.reason,
    }
    print_rows(columns, report.first_refused[:SHOWN], empty="")
    more = report.refused_rows - SHOWN
    rest = f"{more:,} more refused rows" if more > 0 else "Refused rows"
    console.print(f"{rest}: {rejects}", markup=False, soft_wrap=True)
