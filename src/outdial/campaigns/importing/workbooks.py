"""Converts XLSX workbooks to CSV before an import, in a separate process with limits."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol, Self, TypeVar, cast

import msgspec

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.workbook_reader import UNUSABLE
from outdial.process import signal_child

MOST_WORKBOOK_BYTES: Final = 128 << 20
_ZIP: Final = b"PK\x03\x04"
_TIMEOUT_S: Final = 180
_BLOCK_BYTES: Final = 256 * 1024
# One at a time: each may take its 2 GiB of memory.
_turn: Final = asyncio.Semaphore(1)


def is_workbook(beginning: bytes) -> bool:
    """Return whether a file that starts with `beginning` may be an XLSX workbook."""
    return beginning.startswith(_ZIP)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkbookSheet:
    """A visible sheet with rows, `rows` without the header, and where its CSV is in the converted file."""

    name: str
    rows: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableFile:
    """A file that an import can read from its position on, and the sheets of the workbook that it was, if it was one.

    As a context manager it closes `file`.
    """

    file: BinaryIO
    sheets: Sequence[WorkbookSheet] = ()

    def select(self, name: str | None) -> WorkbookSheet | None:
        """Leave only the named sheet in `file`, or the first one, and return it; raises UnusableFile.

        Returns None for a file that is no workbook.
        """
        sheet = find_sheet(self.sheets, name)
        if sheet is not None:
            self.file.truncate(sheet.end)
            self.file.seek(sheet.start)
        return sheet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class NamedSheet(Protocol):
    """A sheet of a workbook."""

    @property
    def name(self) -> str: ...

    @property
    def rows(self) -> int: ...


SheetT = TypeVar("SheetT", bound=NamedSheet)


def find_sheet(sheets: Sequence[SheetT], name: str | None) -> SheetT | None:
    """Return the sheet with a name, the first one for no name, None without sheets; raises UnusableFile."""
    if name is None:
        return sheets[0] if sheets else None
    if not sheets:
        raise UnusableFile("the file is no workbook, so it has no sheets: leave the sheet out")
    for sheet in sheets:
        if sheet.name == name:
            return sheet
    raise UnusableFile(f"the workbook has no sheet {name!r} with rows; it has {_list(sheets)}")


def unread_sheets(sheets: Sequence[NamedSheet], read: str) -> str | None:
    """Return the notice that names the sheets that are not read; None if all rows are on the sheet `read`."""
    others = [sheet for sheet in sheets if sheet.name != read]
    if not others:
        return None
    verb = "is" if len(others) == 1 else "are"
    return f"the sheet {read!r} is read; {_list(others)} {verb} not"


def _list(sheets: Sequence[NamedSheet]) -> str:
    named = [f"{sheet.name!r} ({sheet.rows:,} {'row' if sheet.rows == 1 else 'rows'})" for sheet in sheets]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


async def open_readable(file: BinaryIO) -> ReadableFile:
    """Return `file` at its beginning, or its visible sheets in a temporary CSV file if it is an XLSX workbook.

    Row n of a sheet is line n of its CSV; line breaks within a cell become spaces. Of a pipe, a temporary copy is read,
    because workbooks and JSON lines are read more than once. Raises UnusableFile.
    """
    if not file.seekable():
        copy = await asyncio.to_thread(_copy, file)
        try:
            readable = await open_readable(copy)
        except BaseException:
            copy.close()
            raise
        if readable.file is not copy:
            copy.close()
        return readable
    file.seek(0)
    beginning = file.read(len(_ZIP))
    size = file.seek(0, 2)
    file.seek(0)
    if not is_workbook(beginning):
        return ReadableFile(file=file)
    if size > MOST_WORKBOOK_BYTES:
        raise UnusableFile(
            f"an XLSX workbook may have at most {MOST_WORKBOOK_BYTES >> 20} MiB; save the contacts as CSV"
        )
    target = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # the caller reads it
    try:
        async with _turn:
            sheets = await _convert(file, target)
    except BaseException:
        target.close()
        raise
    target.seek(0)
    return ReadableFile(file=target, sheets=sheets)


async def number_blocks(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the blocks of a file of phone numbers, of an XLSX workbook those of its sheet as CSV.

    Raises UnusableFile for a workbook with several sheets, of which the others would not be read: numbers that must not
    be called would be called.
    """
    first = await anext(blocks, b"")
    if not is_workbook(first):
        yield first
        async for block in blocks:
            yield block
        return
    with cast("BinaryIO", tempfile.TemporaryFile()) as workbook:
        workbook.write(first)
        async for block in blocks:
            if workbook.tell() > MOST_WORKBOOK_BYTES:
                break
            workbook.write(block)
        workbook.flush()
        with await open_readable(workbook) as readable:
            if len(readable.sheets) > 1:
                raise UnusableFile(
                    f"the workbook has several sheets: {_list(readable.sheets)}; leave only the one with the numbers"
                )
            readable.select(None)
            while block := readable.file.read(_BLOCK_BYTES):
                yield block


def _copy(source: BinaryIO) -> BinaryIO:
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(source, copy)
    return copy


async def _convert(source: BinaryIO, target: BinaryIO) -> list[WorkbookSheet]:
    # The child reads from where the descriptor is, which a buffered file may not have moved.
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        "outdial.campaigns.importing.workbook_reader",
        stdin=source.fileno(),
        stdout=target.fileno(),
        stderr=asyncio.subprocess.PIPE,
        env={},
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, message = await child.communicate()
    except TimeoutError:
        raise _too_large() from None
    finally:
        if child.returncode is None:
            signal_child(child, signal.SIGKILL)
            await child.wait()
    if child.returncode == UNUSABLE:
        raise UnusableFile(message.decode(errors="replace"))
    if child.returncode != 0:
        # The limits of memory, time or output ended it.
        raise _too_large()
    return msgspec.json.decode(message, type=list[WorkbookSheet])


def _too_large() -> UnusableFile:
    return UnusableFile("the workbook takes too much memory or time to read; save the contacts as CSV")
