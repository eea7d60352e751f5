"""Exports: create, status, cancel and download."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.results.read import ResultExtra
from outdial.campaigns.selection import MOST_TICKED, SEARCH_TERMS, SELECTION_FILTERS
from outdial.db.queries import exports, jobs
from outdial.db.queue import enqueue
from outdial.db.session import Connection, encode_json
from outdial.domain.call import CallStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.ids import new_id
from outdial.domain.jobs import ExportStatus
from outdial.domain.outcomes import Outcome
from outdial.jobs.tables import FileFormat
from outdial.studio.campaign_contacts.service import REACHED_MEANS, find_campaign
from outdial.studio.view.payloads import decode_object
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import CursorTime, StorableTime, check_zone, search_terms
from outdial.studio.web.paging import Page, PageRequest, paginate

ExportKind = Literal["calls", "contacts", "do_not_call", "results"]
_FILTERS_BY_KIND: Final[dict[str, frozenset[str]]] = {
    "calls": frozenset(
        {"campaign_id", "status", "outcome", "is_reviewed", "since", "until", "search", "phone", "ids", "time_zone"}
    ),
    "contacts": frozenset(
        {"campaign_id", "status", "outcome", "search", "phone", "name", "external_id", "ids", "time_zone"}
    ),
    "do_not_call": frozenset({"time_zone"}),
    "results": frozenset({"campaign_id", *SELECTION_FILTERS, "ids", "time_zone"}),
}
ExportExtras = Annotated[
    list[ResultExtra], Field(max_length=2, description="For results: columns that are left out by default")
]


class ExportCriteria(BaseModel):
    """Filters of an export: those of its list. Results take those of a campaign's contacts, and need `campaign_id`.

    Calls take `campaign_id`, `status`, `outcome`, `is_reviewed`, `since`, `until`, `search`, `phone` and `ids`.
    Contacts take `search`, `phone`, `name`, `external_id`, `ids` and `campaign_id`; with a campaign also the `status`
    and the `outcome` there. The do-not-call list takes none. Every kind takes `time_zone`: the times in the file are
    in that zone, with their offset. Default: UTC.
    """

    model_config = ConfigDict(extra="forbid")
    campaign_id: UUID | None = None
    outcome: Annotated[Outcome | None, Field(description="Outcome of a call; in results, of the last call")] = None
    since: StorableTime | None = None
    until: StorableTime | None = None
    status: Annotated[
        ContactStatus | CallStatus | None, Field(description="Status of a call, or of a contact in the campaign")
    ] = None
    is_reviewed: Annotated[
        bool | None, Field(description="Only calls that a member has marked as reviewed, or only the others")
    ] = None
    reached: Annotated[bool | None, Field(description=REACHED_MEANS)] = None
    search: Annotated[str | None, Field(max_length=200)] = None
    phone: Annotated[str | None, Field(max_length=40)] = None
    phone_ends: Annotated[str | None, Field(max_length=40)] = None
    name: Annotated[str | None, Field(max_length=200)] = None
    external_id: Annotated[str | None, Field(max_length=200)] = None
    ids: Annotated[
        list[UUID] | None,
        Field(max_length=MOST_TICKED, description="Ids of calls, of contacts, or for results of campaign contacts"),
    ] = None
    time_zone: Annotated[str | None, Field(max_length=60, examples=["America/New_York"])] = None


class NewExport(BaseModel):
    """An export to create."""

    model_config = ConfigDict(extra="forbid")
    kind: ExportKind
    format: FileFormat = "csv"
    include: ExportExtras = []
    filters: Annotated[ExportCriteria, Field(default_factory=ExportCriteria)]


class Export(BaseModel):
    """An export. Once completed, its file can be downloaded until `expires_at`."""

    id: UUID
    kind: ExportKind
    format: FileFormat
    include: list[ResultExtra]
    filters: dict[str, Any]
    status: ExportStatus
    rows: int
    size: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it is still waiting or being written."""
        return self.status in (ExportStatus.QUEUED, ExportStatus.RUNNING)

    @property
    def file_name(self) -> str:
        """File name of the download."""
        return f"outdial-{self.kind.replace('_', '-')}-{self.created_at:%Y-%m-%d-%H%M}.{self.format}"


async def create_export(connection: Connection, context: OrganizationContext, new: NewExport) -> Export:
    """Queue an export; raises InvalidInput for a filter its kind does not support, and ResourceNotFound."""
    given = new.filters.model_dump(mode="json", exclude_none=True)
    noun = f"Exports of {new.kind.replace('_', ' ')}"
    if unknown := sorted(given.keys() - _FILTERS_BY_KIND[new.kind]):
        raise InvalidInput(
            f"{noun} do not support these filters", {f"filters.{name}": "not supported" for name in unknown}
        )
    if new.include and new.kind != "results":
        raise InvalidInput(f"{noun} have no columns to include", {"include": "only exports of results take it"})
    if new.filters.time_zone is not None:
        check_zone("filters.time_zone", new.filters.time_zone)
    if new.kind == "results" and new.filters.campaign_id is None:
        raise InvalidInput("Results are exported by campaign", {"filters.campaign_id": "name the campaign to export"})
    _check_status(new)
    given = {name: value for name, value in given.items() if name not in SEARCH_TERMS} | _checked_terms(new.filters)
    if new.filters.campaign_id is not None:
        await find_campaign(connection, context.organization_id, new.filters.campaign_id)
    now = context.studio.clock.now()
    export_id = new_id(now)
    await exports.create_export(
        connection,
        id=export_id,
        organization_id=context.organization_id,
        kind=new.kind,
        format=new.format,
        include=sorted(set(new.include)),
        filters=encode_json(given),
        created_by=context.caller.user_id,
        now=now,
    )
    await enqueue(connection, "export", export_id)
    await record_audit(
        connection,
        context=context,
        action="create_export",
        subject_type="export",
        subject_id=export_id,
        # Without the terms of a search: an erasure would not find a name in this entry.
        details={
            "kind": new.kind,
            "format": new.format,
            "include": sorted(set(new.include)),
            "filters": {name: value for name, value in given.items() if name not in (*SEARCH_TERMS, "ids")},
            "searched": [name for name in SEARCH_TERMS if name in given],
            "selected": len(given.get("ids", [])),
        },
    )
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return await find_export(connection, context, export_id)


def _check_status(new: NewExport) -> None:
    """Raise InvalidInput for a status of the wrong kind, and for that of contacts without a campaign."""
    statuses: type[CallStatus] | type[ContactStatus] = CallStatus if new.kind == "calls" else ContactStatus
    if new.filters.status is not None and new.filters.status not in list(statuses):
        raise InvalidInput("Unknown status", {"filters.status": f"use one of {', '.join(statuses)}"})
    if new.kind == "contacts" and new.filters.campaign_id is None:
        of_campaign = [name for name in ("status", "outcome") if getattr(new.filters, name) is not None]
        if of_campaign:
            fields = {f"filters.{name}": "name the campaign too, in filters.campaign_id" for name in of_campaign}
            raise InvalidInput("Contacts have a status and an outcome in a campaign only", fields)


def _checked_terms(given: ExportCriteria) -> dict[str, str]:
    """Return the search terms as the list of contacts reads them; raises InvalidInput."""
    checked = search_terms({name: getattr(given, name) for name in SEARCH_TERMS})
    return {name: value for name, value in checked.items() if isinstance(value, str)}


async def find_export(connection: Connection, context: OrganizationContext, export_id: UUID) -> Export:
    """Return an export of the organization; raises ResourceNotFound."""
    row = await exports.show_export(connection, export_id=export_id, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("Export not found")
    return _export(row)


async def list_exports(connection: Connection, context: OrganizationContext, page: PageRequest) -> Page[Export]:
    """Return a page of exports, newest first."""
    after = page.key(tuple[CursorTime, UUID]) or (None, None)
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
    """Cancel an unfinished export; raises ResourceNotFound and ResourceConflict."""
    found = await find_export(connection, context, export_id)
    if found.status == ExportStatus.CANCELLED:
        return found
    cancelled = await exports.cancel_export(
        connection, export_id=export_id, organization_id=context.organization_id, now=context.studio.clock.now()
    )
    if cancelled is None:
        raise ResourceConflict(f"The export is already {found.status}", status=found.status)
    await jobs.notify_jobs(connection, organization_id=context.organization_id)
    return await find_export(connection, context, export_id)


async def export_file(context: OrganizationContext, export_id: UUID) -> tuple[Export, AsyncIterator[bytes]]:
    """Return an export and the chunks of its file; raises ResourceNotFound, and ResourceConflict without a file."""
    async with context.transaction() as connection:
        found = await find_export(connection, context, export_id)
    is_kept = found.expires_at is not None and found.expires_at > context.studio.clock.now()
    if found.status != ExportStatus.COMPLETED or not is_kept:
        status = found.status if found.status != ExportStatus.COMPLETED else ExportStatus.EXPIRED
        raise ResourceConflict(f"The export is {status}: there is no file to download", status=status)
    return found, _chunks(context, export_id)


async def _chunks(context: OrganizationContext, export_id: UUID) -> AsyncIterator[bytes]:
    number = 0
    while True:
        async with context.transaction() as connection:
            chunk = await exports.export_chunk(connection, export_id=export_id, number=number)
        if chunk is None:
            return
        yield chunk
        number += 1


def _export(row: exports.ExportRow) -> Export:
    kept: dict[str, Any] = {name: getattr(row, name) for name in Export.model_fields if name != "filters"}
    return Export(**kept, filters=decode_object(row.filters))
