"""Exports as the API and the pages have them: asked for, followed, fetched."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from outdial.db.queries import exports, jobs
from outdial.db.queue import enqueue
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id
from outdial.domain.jobs import ExportStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.web.audit import record
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.dates import moment_of
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate

ExportKind = Literal["calls", "contacts", "do_not_call"]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_KNOWS: Final[dict[str, frozenset[str]]] = {
    "calls": frozenset({"campaign_id", "outcome", "since", "until"}),
    "contacts": frozenset({"campaign_id"}),
    "do_not_call": frozenset(),
}


class ExportFilters(BaseModel):
    """What narrows an export: of calls all of these, of contacts the campaign, of the do-not-call list nothing."""

    model_config = ConfigDict(extra="forbid")
    campaign_id: UUID | None = None
    outcome: Outcome | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class NewExport(BaseModel):
    """An export to be made."""

    model_config = ConfigDict(extra="forbid")
    kind: ExportKind
    filters: Annotated[ExportFilters, Field(default_factory=ExportFilters)]


class Export(BaseModel):
    """An export; its file can be fetched while it is completed, until `expires_at`."""

    id: UUID
    kind: ExportKind
    filters: dict[str, Any]
    status: ExportStatus
    rows: int
    size: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None

    @property
    def file_name(self) -> str:
        """The name under which a browser keeps the file."""
        return f"outdial-{self.kind.replace('_', '-')}-{self.created_at:%Y-%m-%d-%H%M}.csv"


async def create_export(connection: Connection, context: OrganizationContext, new: NewExport) -> Export:
    """Put an export into the queue; raises InvalidInput for a filter that its kind does not know, and NotFound."""
    given = new.filters.model_dump(mode="json", exclude_none=True)
    if unknown := sorted(given.keys() - _KNOWS[new.kind]):
        raise InvalidInput(
            f"An export of {new.kind.replace('_', ' ')} cannot be narrowed so",
            {f"filters.{name}": "leave it out" for name in unknown},
        )
    moment_of("filters.since", new.filters.since)
    moment_of("filters.until", new.filters.until)
    if new.filters.campaign_id is not None:
        await find_campaign(connection, context.organization_id, new.filters.campaign_id)
    now = context.studio.clock.now()
    export_id = new_id(now)
    await exports.create_export(
        connection,
        id=export_id,
        organization_id=context.organization_id,
        kind=new.kind,
        filters=encode_json(given),
        created_by=context.caller.user_id,
        now=now,
    )
    await enqueue(connection, "export", export_id)
    await record(connection, context, "create_export", "export", export_id, {"kind": new.kind, "filters": given})
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return await find_export(connection, context, export_id)


async def find_export(connection: Connection, context: OrganizationContext, export_id: UUID) -> Export:
    """Return an export of the organization; raises NotFound."""
    row = await exports.show_export(connection, export_id=export_id, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("There is no such export in this organization")
    return _export(row)


async def list_exports(connection: Connection, context: OrganizationContext, page: PageRequest) -> Page[Export]:
    """Return a page of exports, the newest first."""
    after = page.key(tuple[Moment, UUID]) or (None, None)
    rows = await exports.list_exports(
        connection,
        organization_id=context.organization_id,
        after_at=after[0],
        after_id=after[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.created_at, row.id])
    return Page(items=[_export(row) for row in shown], next=following)


async def cancel_export(connection: Connection, context: OrganizationContext, export_id: UUID) -> Export:
    """End an export that is not over; raises NotFound and Conflict."""
    found = await find_export(connection, context, export_id)
    if found.status == ExportStatus.CANCELLED:
        return found
    cancelled = await exports.cancel_export(
        connection, export_id=export_id, organization_id=context.organization_id, now=context.studio.clock.now()
    )
    if cancelled is None:
        raise ResourceConflict(f"The export is {found.status} already", status=found.status)
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return await find_export(connection, context, export_id)


async def export_file(context: OrganizationContext, export_id: UUID) -> tuple[Export, AsyncIterator[bytes]]:
    """Return an export with the pieces of its file; raises NotFound, and Conflict when there is none."""
    async with context.transaction() as connection:
        found = await find_export(connection, context, export_id)
    is_kept = found.expires_at is not None and found.expires_at > context.studio.clock.now()
    if found.status != ExportStatus.COMPLETED or not is_kept:
        status = found.status if found.status != ExportStatus.COMPLETED else ExportStatus.EXPIRED
        raise ResourceConflict(f"The export is {status}: there is no file to fetch", status=status)
    return found, _pieces(context, export_id)


async def _pieces(context: OrganizationContext, export_id: UUID) -> AsyncIterator[bytes]:
    number = 0
    while True:
        async with context.transaction() as connection:
            piece = await exports.export_chunk(connection, export_id=export_id, number=number)
        if piece is None:
            return
        yield piece
        number += 1


def _export(row: exports.ExportRow) -> Export:
    kept: dict[str, Any] = {name: getattr(row, name) for name in Export.model_fields if name != "filters"}
    return Export(**kept, filters=msgspec.json.decode(row.filters))
