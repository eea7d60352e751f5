"""Previews of imports: what the first rows of the file would become."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from outdial.campaigns.erasure import find_erased
from outdial.campaigns.errors import ErasureKeyMissing
from outdial.campaigns.importing.causes import RefusalCause, group_refusals
from outdial.campaigns.importing.contact_rows import NewContact
from outdial.campaigns.importing.contact_store import erased_row
from outdial.campaigns.importing.preview import MOST_ROWS, Preview, preview
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.importing.uploads import StoredSheet, stored_sheets
from outdial.campaigns.importing.workbooks import unread_sheets
from outdial.db.queries import do_not_call, imports
from outdial.db.queries.importing import added_contacts
from outdial.domain.explaining.closed_contacts import ClosedContacts
from outdial.domain.geography.zone_names import suggest_zone
from outdial.studio.campaigns.effective_hours import closed_contacts_of
from outdial.studio.contacts.service import ContactColumns
from outdial.studio.imports.reading import ImportOptions, chosen_sheet, reading_of
from outdial.studio.imports.service import ImportRefusal, ImportSheet, find_import_row
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceConflict

MAX_ROWS_SHOWN: Final = 20
MAX_REFUSED_SHOWN: Final = 100
MAX_ZONES_SHOWN: Final = 20
# 2 MiB: more than a thousand rows of typical exports.
_CHUNKS: Final = 8


class PreviewRow(ContactColumns):
    """A valid row as it would be imported."""

    line: int
    phone: str
    name: str | None
    external_id: str | None
    zone_key: str


class ZoneCount(BaseModel):
    """Number of rows per time zone, or per set of possible time zones."""

    zone_key: str
    rows: int


class ClosedRows(BaseModel):
    """Rows with contacts that the calling rules exclude, such as `12 contacts in Spain: no rule`."""

    rows: int
    reason: str
    rule_id: str | None


class ColumnPreview(BaseModel):
    """A column of the file, its first different values, and where they go: to a field, an agent variable, or nowhere.

    `automatic` is the field that the name of the column stands for. `refused` counts the rows by the kind of refusal
    that this column caused.
    """

    name: str
    samples: list[str]
    automatic: str | None
    field: str | None
    variable: str | None
    refused: dict[str, int]


class NamedZone(BaseModel):
    """Text in the place of a time zone, its number of rows, and the IANA zone that it most likely means."""

    name: str
    rows: int
    suggestion: str | None


class ImportCause(BaseModel):
    """The rows that are refused for one cause, with examples. `zones` lists the names of unknown time zones."""

    kind: str
    rows: int
    examples: list[ImportRefusal]
    zones: list[NamedZone]


class ImportPreview(BaseModel):
    """The first rows of a file as they would be imported.

    `problem` is set when the file cannot be imported at all. `mapping` is the column of each field; all other columns
    become agent variables. `sheet` is the previewed one of the `sheets` of a workbook. Of `checked_rows`, `good_rows`
    would be imported; `rows` and `refused` list the first ones, and `causes` groups the refused ones. `likely_region`
    is the country of most numbers when others lack a country code. `lacks_header` says that the first line of the file
    seems to be a contact, and `lacks_phone` that no column is recognized as the phone; `likely_phone` may be it.
    """

    problem: str | None
    sheet: str | None
    sheets: list[ImportSheet]
    header: list[str]
    mapping: dict[str, str]
    columns: list[ColumnPreview]
    variables: list[str]
    checked_rows: int
    is_whole_file: bool
    good_rows: int
    refused_rows: int
    refused_by_kind: dict[str, int]
    rows: list[PreviewRow]
    refused: list[ImportRefusal]
    causes: list[ImportCause]
    zones: list[ZoneCount]
    closed: list[ClosedRows]
    notices: list[str]
    likely_region: str | None
    lacks_header: bool
    lacks_phone: bool
    likely_phone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRows:
    """The first rows of a file, sorted by what the database knows about their numbers."""

    found: imports.ImportRow
    sheet: StoredSheet | None
    is_whole: bool
    preview: Preview
    good: Sequence[NewContact]
    refused: Sequence[RefusedRow]
    closed: Sequence[ClosedContacts]


async def preview_import(context: OrganizationContext, import_id: UUID, options: ImportOptions) -> ImportPreview:
    """Read the first rows of the file; raises ResourceNotFound, and ResourceConflict unless the file is stored.

    Raises InvalidInput for a sheet that the workbook does not have.
    """
    return _import_preview(await check_first_rows(context, import_id, options))


async def check_first_rows(context: OrganizationContext, import_id: UUID, options: ImportOptions) -> CheckedRows:
    """Read the first rows of the file, once; raises what `preview_import` raises."""
    async with context.transaction() as connection:
        found = await find_import_row(connection, context, import_id)
        if found.status != "ready":
            raise ResourceConflict(f"The import is {found.status}: there is no file to preview", status=found.status)
        sheet, first = chosen_sheet(found, options.sheet)
        chunks = await imports.first_import_chunks(connection, import_id=import_id, first=first, chunks=_CHUNKS)
        names_in_use = await added_contacts.variable_names(connection, campaign_id=found.campaign_id)
    beginning = b"".join(chunks)
    reading = reading_of(found, options)
    is_whole = len(beginning) == (found.bytes_stored if sheet is None else sheet.bytes)
    # Parsing a thousand rows takes tens of milliseconds: run it off the event loop.
    read = await asyncio.to_thread(
        preview,
        beginning,
        is_whole=is_whole,
        mapping=reading.mapping,
        default_region=reading.default_region,
        now=context.studio.clock.now(),
        names_in_use=names_in_use,
        zone_names=reading.zone_names,
        has_header=reading.has_header,
    )
    async with context.transaction() as connection:
        phones = [contact.phone for contact in read.contacts]
        keys = context.studio.settings.erasure_keys
        try:
            erased = await find_erased(connection, context.organization_id, phones, keys)
        except ErasureKeyMissing as error:
            read, erased = replace(read, contacts=(), refused=(), rows=0, problem=str(error)), frozenset()
        rows = await do_not_call.blocked_phones(
            connection, organization_id=context.organization_id, phones=phones, campaign_id=found.campaign_id
        )
        blocked = frozenset(rows) - erased
        good = [contact for contact in read.contacts if contact.phone not in blocked | erased]
        closed = await closed_contacts_of(
            connection,
            context,
            campaign_id=found.campaign_id,
            counts=Counter(contact.location.place for contact in good),
        )
    refused = [
        *read.refused,
        *(
            contact.refuse(Refusal.DO_NOT_CALL, "is on the do-not-call list")
            for contact in read.contacts
            if contact.phone in blocked
        ),
        *(erased_row(contact.line) for contact in read.contacts if contact.phone in erased),
    ]
    refused.sort(key=lambda row: row.line)
    return CheckedRows(
        found=found, sheet=sheet, is_whole=is_whole, preview=read, good=good, refused=refused, closed=closed
    )


def _import_preview(checked: CheckedRows) -> ImportPreview:
    read, refused = checked.preview, checked.refused
    zones = Counter(contact.location.place.zone_key for contact in checked.good)
    sheets = stored_sheets(checked.found.sheets)
    sheet = None if checked.sheet is None else checked.sheet.name
    unread = None if sheet is None else unread_sheets(sheets, sheet)
    return ImportPreview(
        problem=None if read.problem is None else sentence_case(read.problem),
        sheet=sheet,
        sheets=[ImportSheet(name=each.name, rows=each.rows) for each in sheets],
        header=list(read.header),
        mapping=dict(read.mapping),
        columns=[ColumnPreview.model_validate(column, from_attributes=True) for column in read.columns],
        variables=list(read.variables),
        checked_rows=read.rows,
        is_whole_file=checked.is_whole and read.rows < MOST_ROWS,
        good_rows=len(checked.good),
        refused_rows=len(refused),
        refused_by_kind=dict(Counter(row.kind.value for row in refused)),
        rows=[
            PreviewRow(
                line=contact.line,
                phone=contact.phone,
                **{name: contact.details[name] for name in PreviewRow.model_fields if name in contact.details},
                zone_key=contact.location.place.zone_key,
            )
            for contact in checked.good[:MAX_ROWS_SHOWN]
        ],
        refused=list(map(_refusal, refused[:MAX_REFUSED_SHOWN])),
        causes=[_cause(cause) for cause in group_refusals(refused)],
        zones=[ZoneCount(zone_key=key, rows=count) for key, count in zones.most_common()],
        closed=[ClosedRows(rows=each.contacts, reason=each.text, rule_id=each.rule_id) for each in checked.closed],
        notices=[*([] if unread is None else [sentence_case(unread)]), *read.notices],
        likely_region=read.likely_region,
        lacks_header=read.lacks_header,
        lacks_phone=read.lacks_phone,
        likely_phone=read.likely_phone,
    )


def _refusal(row: RefusedRow) -> ImportRefusal:
    return ImportRefusal(line=row.line, value=row.value, kind=row.kind.value, reason=row.reason)


def _cause(cause: RefusalCause) -> ImportCause:
    names = cause.values if cause.kind is Refusal.UNKNOWN_TIME_ZONE else {}
    return ImportCause(
        kind=cause.kind.value,
        rows=cause.rows,
        examples=[_refusal(row) for row in cause.examples],
        zones=[
            NamedZone(name=name, rows=rows, suggestion=suggest_zone(name))
            for name, rows in list(names.items())[:MAX_ZONES_SHOWN]
        ],
    )
