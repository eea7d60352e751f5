"""Screening lists: list, upload and remove them."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from outdial.campaigns import errors
from outdial.campaigns.permission import screening_lists
from outdial.campaigns.permission.screening_lists import NewScreeningList
from outdial.db.queries import screening
from outdial.db.session import Connection
from outdial.domain.permission import screening as rules
from outdial.domain.purpose import ListKind
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import CursorTime
from outdial.studio.web.forms import file_too_large
from outdial.studio.web.paging import Page, PageRequest, paginate

MAX_FILE_BYTES: Final = 1 << 30

ListStatus = Literal["loading", "current", "replaced", "removed", "failed"]


class ScreeningListSummary(BaseModel):
    """A screening list. Only a `current` one keeps numbers from being called."""

    id: UUID
    kind: ListKind
    jurisdiction: Annotated[str | None, Field(description="Country or state of the list, such as US or US-TX")]
    registry_date: Annotated[date, Field(description="Date of the registry data in the file")]
    file_name: str
    status: ListStatus
    numbers: int
    refused: int
    is_outdated: Annotated[bool, Field(description="Whether the registry date is more than 31 days ago")]
    created_at: datetime
    completed_at: datetime | None


class RefusedLine(BaseModel):
    """A line that is not a phone number: its text and the reason. A default country may cure `lacks_country_code`."""

    line: int
    value: str
    reason: str
    lacks_country_code: bool


class ScreeningUpload(BaseModel):
    """A list that is now in force. `refused` counts the unreadable lines, of which `bad` has the first hundred."""

    id: UUID
    kind: ListKind
    jurisdiction: str | None
    registry_date: date
    numbers: int
    refused: int
    bad: list[RefusedLine]


async def list_screening_lists(
    connection: Connection, context: OrganizationContext, page: PageRequest
) -> Page[ScreeningListSummary]:
    """Return a page of lists, newest first."""
    after = page.key(tuple[CursorTime, UUID]) or (None, None)
    rows = await screening.list_screening_lists(
        connection,
        organization_id=context.organization_id,
        after_at=after[0],
        after_id=after[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.created_at, row.id])
    today = context.studio.clock.now().date()
    return Page(
        items=[
            ScreeningListSummary(
                id=row.id,
                kind=ListKind(row.kind),
                jurisdiction=row.jurisdiction,
                registry_date=row.registry_date,
                file_name=row.file_name,
                status=row.status,  # type: ignore[arg-type]  # of the check constraint
                numbers=row.numbers,
                refused=row.refused,
                is_outdated=today - row.registry_date > rules.MAX_LIST_AGE,
                created_at=row.created_at,
                completed_at=row.completed_at,
            )
            for row in shown
        ],
        next=following,
    )


async def upload_list(
    context: OrganizationContext, new: NewScreeningList, chunks: AsyncIterator[bytes]
) -> ScreeningUpload:
    """Store a list as it arrives, in short transactions; it then replaces the one of its kind and jurisdiction.

    Raises InvalidInput naming the field. If the upload fails, the previous list stays in force.
    """
    try:
        uploaded = await screening_lists.upload_screening_list(
            _limited(chunks),
            new,
            context.transaction,
            organization_id=context.organization_id,
            actor=context.actor,
            clock=context.studio.clock,
        )
    except errors.InvalidScreeningList as error:
        raise InvalidInput(sentence_case(str(error)), {error.field: sentence_case(error.reason)}) from error
    except errors.UnknownRegion as error:
        raise InvalidInput("Unknown country", {"default_region": str(error)}) from error
    except errors.UnusableFile as error:
        raise InvalidInput(f"The file cannot be used: {error}", {"file": str(error)}) from error
    return ScreeningUpload(
        id=uploaded.id,
        kind=uploaded.kind,
        jurisdiction=uploaded.jurisdiction,
        registry_date=uploaded.registry_date,
        numbers=uploaded.numbers,
        refused=uploaded.refused,
        bad=[RefusedLine.model_validate(bad, from_attributes=True) for bad in uploaded.first_refused],
    )


async def remove_list(connection: Connection, context: OrganizationContext, list_id: UUID) -> None:
    """Stop screening with a list; raises ResourceNotFound, and ResourceConflict when it is not in force."""
    now = context.studio.clock.now()
    removed = await screening_lists.remove_screening_list(
        connection, context.organization_id, list_id, actor=context.actor, now=now
    )
    if removed is not None:
        return
    status = await screening.screening_list_status(connection, list_id=list_id, organization_id=context.organization_id)
    if status is None:
        raise ResourceNotFound("Screening list not found")
    raise ResourceConflict(f"This list is {status}: only a current list can be removed", status=status)


async def _limited(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_FILE_BYTES:
            raise file_too_large(MAX_FILE_BYTES)
        yield chunk
