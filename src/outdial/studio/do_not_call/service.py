"""The do-not-call list: list, add and remove numbers."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.erasure import without_erased
from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.columns import find_columns
from outdial.campaigns.importing.contact_rows import read_phone
from outdial.campaigns.importing.csv_rows import Row
from outdial.campaigns.importing.file_rows import open_rows
from outdial.campaigns.importing.workbooks import number_blocks
from outdial.campaigns.undoing.acts import record_act
from outdial.db.queries import do_not_call
from outdial.db.queries.compliance import opt_outs
from outdial.db.session import Connection
from outdial.domain.permission.consent import Scope
from outdial.domain.phone import InvalidPhone, Phone, parse_phone
from outdial.domain.policies.undo import ActKind
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import CursorText, Region, phone_digits
from outdial.studio.web.paging import Page, PageRequest, paginate

MAX_FILE_BYTES: Final = 16 << 20
MAX_NUMBERS: Final = 100_000
MAX_REJECTED_SHOWN: Final = 100
_BATCH_SIZE: Final = 5_000
Numbers = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=10_000, examples=[["+14155550100"]])
]

_ReadNumber = tuple[int, str, Phone | InvalidPhone]


class BlockedPhone(BaseModel):
    """A number on the do-not-call list, for calls of one purpose or any.

    `source` is manual, import, call or provider.
    """

    phone: str
    purpose: Scope
    source: str
    reason: str | None
    created_at: datetime


class NewBlockedNumbers(BaseModel):
    """Numbers to block."""

    model_config = ConfigDict(extra="forbid")
    numbers: Numbers
    default_region: Region = None
    purpose: Annotated[Scope, Field(description="Purpose of the calls to block")] = Scope.ANY
    reason: Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*$")] = None


class NumbersToUnblock(BaseModel):
    """Numbers to unblock."""

    model_config = ConfigDict(extra="forbid")
    numbers: Numbers
    purpose: Annotated[Scope | None, Field(description="Unblock for this purpose only; null unblocks for all")] = None


class RejectedNumber(BaseModel):
    """An invalid number: its line, its text and the reason. A default country may cure `lacks_country_code`."""

    line: int
    value: str
    reason: str
    lacks_country_code: bool


class BlockResult(BaseModel):
    """Result of adding numbers. Valid ones are added even when others are not; `bad` lists the first invalid ones."""

    added: int
    already_listed: int
    refused: int
    bad: list[RejectedNumber]
    act_id: Annotated[UUID | None, Field(description="What can be undone for an hour; null for a file")] = None


class UnblockResult(BaseModel):
    """Result of removing numbers."""

    removed: int
    not_listed: int
    bad: list[RejectedNumber]
    act_id: Annotated[UUID | None, Field(description="What can be undone for an hour")] = None


class RetellListStatus(BaseModel):
    """How far this list and the do-not-call lists of the organization's Retell workspaces agree.

    `waiting` opt-outs have not reached Retell yet; `error` is the cause. `read_at` is when Retell's lists were last
    read to the end, and `read_error` why not since.
    """

    waiting: int
    error: str | None
    read_at: datetime | None
    read_error: str | None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Added numbers: the result, and all invalid ones, of which the result lists the first."""

    result: BlockResult
    rejected: Sequence[RejectedNumber]


@dataclass(frozen=True, slots=True)
class _ParsedNumbers:
    valid: Sequence[str]
    rejected: Sequence[RejectedNumber]


async def list_blocked(
    connection: Connection, context: OrganizationContext, page: PageRequest, phone: str | None = None
) -> Page[BlockedPhone]:
    """Return a page of blocked numbers, ordered by number; `phone` is any part of a number."""
    key = page.key(tuple[CursorText, CursorText])
    rows = await do_not_call.list_blocked_phones(
        connection,
        organization_id=context.organization_id,
        after=None if key is None else key[0],
        after_purpose=None if key is None else key[1],
        limit=page.limit + 1,
        digits=phone_digits("phone", phone),
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.phone, row.purpose])
    return Page(items=[BlockedPhone.model_validate(row, from_attributes=True) for row in shown], next=following)


async def retell_list(connection: Connection, context: OrganizationContext) -> RetellListStatus:
    """Return how far this list and Retell's own lists agree."""
    row = await opt_outs.opt_out_status(connection, organization_id=context.organization_id)
    return RetellListStatus.model_validate(row, from_attributes=True)


async def block_numbers(connection: Connection, context: OrganizationContext, new: NewBlockedNumbers) -> Blocked:
    """Block numbers. An invalid number is reported by line and does not stop the others."""
    parsed = _parse(_read_list(new.numbers, _check_region(new.default_region)))
    return await _add(
        connection, context=context, parsed=parsed, source="manual", purpose=new.purpose, reason=new.reason
    )


async def block_file(
    connection: Connection,
    context: OrganizationContext,
    content: bytes,
    default_region: str | None,
    purpose: Scope = Scope.ANY,
    reason: str | None = None,
) -> Blocked:
    """Block the numbers of a CSV or XLSX file with a phone column, or of a text file with one number per line."""
    region = _check_region(default_region)
    content = await _as_text(content)
    parsed = await asyncio.to_thread(lambda: _parse(_read_file(content, region)))
    return await _add(connection, context=context, parsed=parsed, source="import", purpose=purpose, reason=reason)


async def unblock_numbers(
    connection: Connection, context: OrganizationContext, numbers: Sequence[str], purpose: Scope | None = None
) -> UnblockResult:
    """Unblock numbers given in E.164, for one purpose or altogether."""
    parsed = _parse(_read_list(numbers, None))
    entries = await do_not_call.unblock_phones(
        connection, organization_id=context.organization_id, phones=list(parsed.valid), purpose=purpose
    )
    act_id = await _record_act(connection, context, ActKind.UNLIST, [asdict(entry) for entry in entries])
    removed = len({entry.phone for entry in entries})
    await _record(
        connection,
        context=context,
        action="remove_do_not_call",
        details={"removed": removed, "purpose": purpose or Scope.ANY, "act": act_id},
        phones=parsed.valid,
    )
    return UnblockResult(
        removed=removed, not_listed=len(parsed.valid) - removed, bad=list(parsed.rejected), act_id=act_id
    )


async def _add(
    connection: Connection,
    context: OrganizationContext,
    parsed: _ParsedNumbers,
    source: Literal["manual", "import"],
    purpose: Scope,
    reason: str | None,
) -> Blocked:
    added: list[str] = []
    keys = context.studio.settings.erasure_keys
    phones = await without_erased(connection, context.organization_id, parsed.valid, keys)
    for first in range(0, len(phones), _BATCH_SIZE):
        rows = await do_not_call.block_phones(
            connection,
            organization_id=context.organization_id,
            phones=phones[first : first + _BATCH_SIZE],
            purpose=purpose,
            source=source,
            reason=(reason or "").strip() or None,
            now=context.studio.clock.now(),
        )
        added += rows
    by_hand = [{"phone": phone, "purpose": purpose} for phone in added] if source == "manual" else []
    act_id = await _record_act(connection, context, ActKind.LIST, by_hand)
    await _record(
        connection,
        context=context,
        action="add_do_not_call",
        details={"added": len(added), "source": source, "purpose": purpose, "act": act_id},
        phones=phones,
    )
    result = BlockResult(
        added=len(added),
        already_listed=len(parsed.valid) - len(added),
        refused=len(parsed.rejected),
        bad=list(parsed.rejected[:MAX_REJECTED_SHOWN]),
        act_id=act_id,
    )
    return Blocked(result, parsed.rejected)


async def _record_act(
    connection: Connection, context: OrganizationContext, kind: ActKind, entries: Sequence[Mapping[str, object]]
) -> UUID | None:
    """Store which entries were added or removed, so that this can be undone; None when there are none."""
    if not entries:
        return None
    now = context.studio.clock.now()
    return await record_act(connection, organization_id=context.organization_id, kind=kind, now=now, former=entries)


async def _record(
    connection: Connection,
    context: OrganizationContext,
    action: str,
    details: Mapping[str, object],
    phones: Sequence[str],
) -> None:
    if not phones:
        return
    # A single number is the subject, so that its contact page finds the entry; for many, only the count is recorded.
    subject_id = phones[0] if len(phones) == 1 else f"{len(phones)} numbers"
    await record_audit(
        connection, context=context, action=action, subject_type="do_not_call", subject_id=subject_id, details=details
    )


async def _as_text(content: bytes) -> bytes:
    async def whole() -> AsyncIterator[bytes]:
        yield content

    try:
        return b"".join([block async for block in number_blocks(whole())])
    except UnusableFile as error:
        raise InvalidInput(f"The file cannot be used: {error}", {"file": str(error)}) from None


def _read_list(numbers: Sequence[str], region: str | None) -> Iterator[_ReadNumber]:
    for line, written in enumerate(numbers, start=1):
        yield line, written, parse_phone(written, region)


def _read_file(content: bytes, region: str | None) -> Iterator[_ReadNumber]:
    """Yield each number of a file: from its phone column, or from the first column when none is named so."""
    try:
        rows = open_rows(io.BytesIO(content))
    except UnusableFile as error:
        raise InvalidInput(f"The file cannot be used: {error}", {"file": str(error)}) from None
    try:
        columns = find_columns(rows.header)
    except UnusableFile:
        # A list without a header: the first line is a number too.
        columns = None
        if any(character.isdigit() for character in rows.header[0]):
            yield 1, rows.header[0], parse_phone(rows.header[0], region)
    for count, row in enumerate(rows):
        if count >= MAX_NUMBERS:
            raise InvalidInput(
                f"Files may have at most {MAX_NUMBERS:,} numbers: split the file", {"file": "too many rows"}
            )
        if isinstance(row, Row) and columns is not None:
            yield row.line, *read_phone(columns, row.cells, region)
        else:
            written = row.cells[0] if isinstance(row, Row) else row.value
            yield row.line, written, parse_phone(written, region)


def _parse(numbers: Iterable[_ReadNumber]) -> _ParsedNumbers:
    valid: dict[str, None] = {}
    rejected: list[RejectedNumber] = []
    for line, written, phone in numbers:
        if isinstance(phone, InvalidPhone):
            value = written[:80].replace("\0", "\ufffd")
            is_curable = phone.lacks_country_code
            rejected.append(RejectedNumber(line=line, value=value, reason=phone.reason, lacks_country_code=is_curable))
        else:
            valid[phone.e164] = None
    return _ParsedNumbers(list(valid), rejected)


def _check_region(region: str | None) -> str | None:
    known: Any = parse_phone("+14155552671", region)
    if isinstance(known, InvalidPhone):
        raise InvalidInput("Unknown country", {"default_region": known.reason})
    return region.upper() if region else None
