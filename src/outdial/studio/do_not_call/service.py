"""The numbers that nobody may call: listed, added one by one or from a file, and removed."""

import asyncio
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.columns import find_columns
from outdial.campaigns.importing.csv_rows import CsvRows, Row
from outdial.db.queries import do_not_call
from outdial.db.session import Connection
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.studio.campaign_contacts.service import digits_of
from outdial.studio.contacts.service import numbers_that_begin
from outdial.studio.web.audit import record
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.paging import Page, PageRequest, paginate

LARGEST_FILE: Final = 16 << 20
MOST_NUMBERS: Final = 100_000
SHOWN_REFUSALS: Final = 100
_PORTION: Final = 5_000
Clean = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=40)]
Numbers = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=10_000, examples=[["+14155550100"]])
]
Region = Annotated[str | None, Field(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without one, as US")]


class BlockedNumber(BaseModel):
    """A number that nobody may call, and how it came to be listed."""

    phone: str
    source: str
    reason: str | None
    created_at: datetime


class NewBlockedNumbers(BaseModel):
    """Numbers that nobody may call any more."""

    model_config = ConfigDict(extra="forbid")
    numbers: Numbers
    default_region: Region = None
    reason: Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*$")] = None


class NumbersToUnblock(BaseModel):
    """Numbers that may be called again."""

    model_config = ConfigDict(extra="forbid")
    numbers: Numbers


class RejectedNumber(BaseModel):
    """What is no number: its line, as it was written, and why."""

    line: int
    value: str
    reason: str


class BlockResult(BaseModel):
    """What came of adding numbers: the good ones are in, whatever the bad ones are; the first bad ones are shown."""

    added: int
    already_listed: int
    refused: int
    bad: list[RejectedNumber]


class UnblockResult(BaseModel):
    """What came of removing numbers."""

    removed: int
    not_listed: int
    bad: list[RejectedNumber]


@dataclass(frozen=True, slots=True)
class _ParsedNumbers:
    good: Sequence[str]
    bad: Sequence[RejectedNumber]


async def list_blocked(
    connection: Connection, context: OrganizationContext, page: PageRequest, phone: str | None = None
) -> Page[BlockedNumber]:
    """Return a page of the list by number; `phone` is how the numbers begin."""
    key = page.key(tuple[Clean])
    rows = await do_not_call.list_blocked_phones(
        connection,
        organization_id=context.organization_id,
        after=None if key is None else key[0],
        limit=page.limit + 1,
        **numbers_that_begin(digits_of("phone", phone)),
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.phone])
    items = [
        BlockedNumber(phone=row.phone, source=row.source, reason=row.reason, created_at=row.created_at) for row in shown
    ]
    return Page(items=items, next=following)


async def block_numbers(connection: Connection, context: OrganizationContext, new: NewBlockedNumbers) -> BlockResult:
    """Put numbers on the list; what is no number is told with its line and keeps no other from going in."""
    read = _read(enumerate(new.numbers, start=1), _region(new.default_region))
    return await _add(connection, context, read, "manual", new.reason)


async def block_file(
    connection: Connection,
    context: OrganizationContext,
    content: bytes,
    default_region: str | None,
    reason: str | None = None,
) -> BlockResult:
    """Put the numbers of a file on the list: a CSV file with a column of phones, or a number in each line."""
    region = _region(default_region)
    read = await asyncio.to_thread(lambda: _read(_lines_of(content), region))
    return await _add(connection, context, read, "import", reason)


async def unblock_numbers(
    connection: Connection, context: OrganizationContext, numbers: Sequence[str]
) -> UnblockResult:
    """Take numbers off the list; they are in E.164, as the list shows them."""
    read = _read(enumerate(numbers, start=1), None)
    removed = await do_not_call.unblock_phones(
        connection, organization_id=context.organization_id, phones=list(read.good)
    )
    await _record(connection, context, "remove_do_not_call", {"removed": len(removed)}, read.good)
    return UnblockResult(removed=len(removed), not_listed=len(read.good) - len(removed), bad=list(read.bad))


async def _add(
    connection: Connection,
    context: OrganizationContext,
    read: _ParsedNumbers,
    source: Literal["manual", "import"],
    reason: str | None,
) -> BlockResult:
    added = 0
    for first in range(0, len(read.good), _PORTION):
        rows = await do_not_call.block_phones(
            connection,
            organization_id=context.organization_id,
            phones=list(read.good[first : first + _PORTION]),
            source=source,
            reason=(reason or "").strip() or None,
            now=context.studio.clock.now(),
        )
        added += len(rows)
    await _record(connection, context, "add_do_not_call", {"added": added, "source": source}, read.good)
    return BlockResult(
        added=added,
        already_listed=len(read.good) - added,
        refused=len(read.bad),
        bad=list(read.bad[:SHOWN_REFUSALS]),
    )


async def _record(
    connection: Connection,
    context: OrganizationContext,
    action: str,
    details: Mapping[str, object],
    phones: Sequence[str],
) -> None:
    if not phones:
        return
    # One number is found again by itself, as the page of its contact does; of many their count has to do.
    subject_id = phones[0] if len(phones) == 1 else f"{len(phones)} numbers"
    await record(connection, context, action, "do_not_call", subject_id, details)


def _lines_of(content: bytes) -> Iterable[tuple[int, str]]:
    """Give the numbers of a file with their lines: of the phone column, or of the first one where none is named so."""
    try:
        rows = CsvRows(io.BytesIO(content))
    except UnusableFile as error:
        raise InvalidInput(f"The file cannot be used: {error}", {"file": str(error)}) from None
    try:
        index = find_columns(rows.header).fields["phone"]
    except UnusableFile:
        # A list without a header: its first line is a number like the others.
        index = 0
        if any(character.isdigit() for character in rows.header[0]):
            yield 1, rows.header[0]
    for count, row in enumerate(rows):
        if count >= MOST_NUMBERS:
            raise InvalidInput(f"A file may have {MOST_NUMBERS:,} numbers: split it", {"file": "has too many rows"})
        yield (row.line, row.cells[index] if isinstance(row, Row) else row.value)


def _read(numbers: Iterable[tuple[int, str]], region: str | None) -> _ParsedNumbers:
    good: dict[str, None] = {}
    bad: list[RejectedNumber] = []
    for line, written in numbers:
        phone = parse_phone(written, region)
        if isinstance(phone, InvalidPhone):
            bad.append(RejectedNumber(line=line, value=written[:80].replace("\0", "\ufffd"), reason=phone.reason))
        else:
            good[phone.e164] = None
    return _ParsedNumbers(list(good), bad)


def _region(region: str | None) -> str | None:
    known: Any = parse_phone("+14155552671", region)
    if isinstance(known, InvalidPhone):
        raise InvalidInput("This country is not known", {"default_region": known.reason})
    return region.upper() if region else None
