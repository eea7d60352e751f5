"""Converts XLSX workbooks to CSV before an import, in a separate process with limits."""

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from typing import BinaryIO, Final, cast

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.workbook_reader import UNUSABLE

MOST_WORKBOOK_BYTES: Final = 128 << 20
_ZIP: Final = b"PK\x03\x04"
_TIMEOUT_S: Final = 180
# One at a time: each may take its 2 GiB of memory.
_turn: Final = asyncio.Semaphore(1)


def is_workbook(beginning: bytes) -> bool:
    """Return whether a file that starts with `beginning` may be an XLSX workbook."""
    return beginning.startswith(_ZIP)


async def as_csv(file: BinaryIO) -> BinaryIO:
    """Return `file` at its beginning, or the first visible sheet as a temporary CSV file if it is an XLSX workbook.

    Row n of the sheet is line n of the CSV file; line breaks within a cell become spaces. Of a pipe, a temporary copy
    is read, because workbooks and JSON lines are read more than once. Raises UnusableFile.
    """
    if not file.seekable():
        copy = await asyncio.to_thread(_copy, file)
        try:
            converted = await as_csv(copy)
        except BaseException:
            copy.close()
            raise
        if converted is not copy:
            copy.close()
        return converted
    file.seek(0)
    beginning = file.read(len(_ZIP))
    size = file.seek(0, 2)
    file.seek(0)
    if not is_workbook(beginning):
        return file
    if size > MOST_WORKBOOK_BYTES:
        raise UnusableFile(
            f"an XLSX workbook may have at most {MOST_WORKBOOK_BYTES >> 20} MiB; save the contacts as CSV"
        )
    target = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # the caller reads it
    try:
        async with _turn:
            await _convert(file, target)
    except BaseException:
        target.close()
        raise
    target.seek(0)
    return target


def _copy(source: BinaryIO) -> BinaryIO:
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(source, copy)
    return copy


async def _convert(source: BinaryIO, target: BinaryIO) -> None:
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
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode == UNUSABLE:
        raise UnusableFile(message.decode(errors="replace"))
    if child.returncode != 0:
        # The limits of memory, time or output ended it.
        raise _too_large()


def _too_large() -> UnusableFile:
    return UnusableFile("the workbook takes too much memory or time to read; save the contacts as CSV")
