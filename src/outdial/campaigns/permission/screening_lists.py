"""Stores screening lists. An upload is read as it arrives and stored in short transactions; it counts once complete."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID

import asyncpg

from outdial.campaigns.errors import InvalidScreeningList, UnusableFile
from outdial.campaigns.importing.contact_store import Transaction
from outdial.campaigns.importing.workbooks import number_blocks
from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.permission.number_files import NumberFile, ReadNumbers, RefusedNumber
from outdial.clock import Clock
from outdial.db.queries import audit, batches, screening
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id
from outdial.domain.permission.screening import MAX_LIST_AGE
from outdial.domain.purpose import ListKind

KEPT_REFUSALS: Final = 100
"""Maximum refused lines in a report; `refused` counts all of them."""
BATCH_SIZE: Final = 5_000
_ATTEMPTS: Final = 5
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_STATE: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScreeningList:
    """A list to upload: `jurisdiction` is the country of a national list (default US), or the state of a state list.

    `registry_date` is the day of the registry that the file holds. Numbers without a country code belong to
    `default_region`, else to the country of the jurisdiction.
    """

    kind: ListKind
    jurisdiction: str | None
    registry_date: date
    file_name: str
    default_region: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedList:
    """A list that counts now. `numbers` counts different ones; `first_refused` has the first KEPT_REFUSALS."""

    id: UUID
    kind: ListKind
    jurisdiction: str | None
    registry_date: date
    numbers: int
    refused: int
    first_refused: Sequence[RefusedNumber]


OnListProgress = Callable[[int, int], None]
"""Called with the numbers stored and the lines refused so far."""


def check_screening_list(new: NewScreeningList, today: date) -> NewScreeningList:
    """Return `new` with its jurisdiction and region filled in; raises InvalidScreeningList naming the field."""
    jurisdiction = (new.jurisdiction or "").strip().upper() or None
    match new.kind:
        case ListKind.NATIONAL:
            jurisdiction = jurisdiction or "US"
            if not _COUNTRY.fullmatch(jurisdiction):
                raise InvalidScreeningList("jurisdiction", f"{jurisdiction!r} is not a country code such as US")
        case ListKind.STATE:
            if jurisdiction is None or not _STATE.fullmatch(jurisdiction):
                given = "is missing" if jurisdiction is None else f"{jurisdiction!r} is not a state"
                raise InvalidScreeningList("jurisdiction", f"{given}: give the state of the list, such as US-TX")
        case ListKind.LITIGATOR | ListKind.REASSIGNED:
            if jurisdiction is not None:
                raise InvalidScreeningList("jurisdiction", f"a {new.kind} list has none: leave it out")
    if new.registry_date > today:
        raise InvalidScreeningList("registry_date", f"{new.registry_date} is in the future")
    if today - new.registry_date > MAX_LIST_AGE:
        reason = f"{new.registry_date} is more than {MAX_LIST_AGE.days} days ago: get a newer copy of the registry"
        raise InvalidScreeningList("registry_date", reason)
    region = new.default_region or (jurisdiction or "")[:2] or None
    return replace(new, jurisdiction=jurisdiction, default_region=region)


async def upload_screening_list(
    blocks: AsyncIterator[bytes],
    new: NewScreeningList,
    transaction: Transaction,
    *,
    organization_id: UUID,
    actor: Actor,
    clock: Clock,
    on_progress: OnListProgress | None = None,
) -> UploadedList:
    """Store the numbers in `blocks` as a new list, which then replaces the one of its kind and jurisdiction.

    The file is text, CSV or XLSX.
    `transaction` opens a transaction with the rights of `actor`. Unreadable lines are skipped and reported.
    If reading fails or no line is readable, the previous list stays in force. Raises InvalidScreeningList,
    UnknownRegion and UnusableFile.
    """
    new = check_screening_list(new, clock.now().date())
    upload = _Upload(new, transaction, organization_id=organization_id, actor=actor, clock=clock)
    await upload.begin()
    try:
        async for block in number_blocks(blocks):
            await upload.add(await asyncio.to_thread(upload.file.read, block))
            if on_progress is not None:
                on_progress(upload.numbers, upload.refused)
        await upload.add(upload.file.end())
        return await upload.complete()
    except BaseException:
        await asyncio.shield(upload.fail())
        raise


class _Upload:
    def __init__(
        self, new: NewScreeningList, transaction: Transaction, *, organization_id: UUID, actor: Actor, clock: Clock
    ) -> None:
        self._new, self._transaction, self._organization_id = new, transaction, organization_id
        self._actor, self._clock = actor, clock
        self.file = NumberFile(new.default_region)
        self._id = new_id(clock.now())
        self._waiting: dict[str, None] = {}
        self._first_refused: list[RefusedNumber] = []
        self.numbers = self.refused = 0

    async def begin(self) -> None:
        new = self._new
        async with self._transaction() as connection:
            for current in await screening.current_screening_lists(connection, organization_id=self._organization_id):
                is_same = (current.kind, current.jurisdiction) == (new.kind, new.jurisdiction)
                if is_same and current.registry_date > new.registry_date:
                    reason = f"the list in force is newer ({current.registry_date})"
                    raise InvalidScreeningList("registry_date", reason)
            await screening.create_screening_list(
                connection,
                id=self._id,
                organization_id=self._organization_id,
                kind=new.kind,
                jurisdiction=new.jurisdiction,
                registry_date=new.registry_date,
                file_name=new.file_name.strip().replace("\0", "")[-300:] or "numbers",
                created_by=self._actor.user_id,
                now=self._clock.now(),
            )

    async def add(self, read: ReadNumbers) -> None:
        self._waiting.update(dict.fromkeys(read.phones))
        self.refused += len(read.refused)
        self._first_refused += read.refused[: KEPT_REFUSALS - len(self._first_refused)]
        if len(self._waiting) >= BATCH_SIZE:
            await self._store()

    async def _store(self) -> None:
        phones, self._waiting = list(self._waiting), {}
        async with self._transaction() as connection:
            added = await screening.add_screened_numbers(
                connection, organization_id=self._organization_id, list_id=self._id, phones=phones
            )
            if await self._advance(connection, added) is None:
                raise UnusableFile("the upload took too long and was cancelled: upload the file again")
        self.numbers += added

    async def _advance(self, connection: Connection, added: int) -> UUID | None:
        return await screening.advance_screening_list(
            connection,
            list_id=self._id,
            organization_id=self._organization_id,
            added=added,
            refused=self.refused,
            now=self._clock.now(),
        )

    async def complete(self) -> UploadedList:
        await self._store()
        if not self.numbers:
            first = f": line {self._first_refused[0].line} {self._first_refused[0].reason}" if self.refused else ""
            raise UnusableFile(f"the file has no readable number{first}")
        for attempt in range(_ATTEMPTS):
            try:
                async with self._transaction() as connection:
                    await self._replace(connection, self._clock.now())
                break
            except asyncpg.UniqueViolationError:
                # Another upload of the same kind completed meanwhile: replace that one.
                if attempt == _ATTEMPTS - 1:
                    raise
        return UploadedList(
            id=self._id,
            kind=self._new.kind,
            jurisdiction=self._new.jurisdiction,
            registry_date=self._new.registry_date,
            numbers=self.numbers,
            refused=self.refused,
            first_refused=tuple(self._first_refused),
        )

    async def _replace(self, connection: Connection, now: datetime) -> None:
        organization_id, new = self._organization_id, self._new
        await screening.replace_screening_lists(connection, list_id=self._id, organization_id=organization_id, now=now)
        completed = await screening.complete_screening_list(
            connection, list_id=self._id, organization_id=organization_id, now=now
        )
        if completed is None:
            raise UnusableFile("the upload took too long and was cancelled: upload the file again")
        woken = await screening.wake_screened_campaigns(connection, organization_id=organization_id, now=now)
        await batches.notify_campaigns(connection, ids=woken)
        details = {
            "kind": new.kind,
            "jurisdiction": new.jurisdiction,
            "registry_date": new.registry_date,
            "numbers": self.numbers,
            "refused": self.refused,
        }
        await _record(connection, organization_id, self._actor, "upload_screening_list", self._id, details)

    async def fail(self) -> None:
        async with self._transaction() as connection:
            await screening.fail_screening_list(
                connection, list_id=self._id, organization_id=self._organization_id, now=self._clock.now()
            )


async def remove_screening_list(
    connection: Connection, organization_id: UUID, list_id: UUID, *, actor: Actor, now: datetime
) -> screening.RemovedScreeningList | None:
    """Stop screening with a list; its numbers are deleted in the background. None if it is not in force."""
    removed = await screening.remove_screening_list(
        connection, list_id=list_id, organization_id=organization_id, now=now
    )
    if removed is not None:
        details = {
            "kind": removed.kind,
            "jurisdiction": removed.jurisdiction,
            "registry_date": removed.registry_date,
        }
        await _record(connection, organization_id, actor, "remove_screening_list", list_id, details)
    return removed


async def _record(
    connection: Connection, organization_id: UUID, actor: Actor, action: str, list_id: UUID, details: object
) -> None:
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="screening_list",
        subject_id=str(list_id),
        details=encode_json(details),
    )
