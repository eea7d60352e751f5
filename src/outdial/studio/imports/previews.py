"""Previews of imports: what the first rows of the file would become."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from outdial.campaigns.erasure import ERASED_REASON, find_erased
from outdial.campaigns.errors import ErasureKeyMissing
from outdial.campaigns.importing.contact_rows import NewContact
from outdial.campaigns.importing.preview import MOST_ROWS, Preview, preview
from outdial.campaigns.importing.uploads import stored_sheets
from outdial.campaigns.importing.workbooks import unread_sheets
from outdial.db.queries import campaign_contacts, do_not_call, imports
from outdial.domain.explaining.closed_contacts import ClosedContacts
from outdial.studio.campaigns.effective_hours import closed_contacts_of
from outdial.studio.contacts.service import ContactColumns
from outdial.studio.imports.service import ImportOptions, ImportRefusal, ImportSheet, chosen_sheet, find_import_row
from outdial.studio.view.format import sentence_case
from outdial.studio.view.payloads import decode_texts
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceConflict

MAX_ROWS_SHOWN: Final = 20
MAX_REFUSED_SHOWN: Final = 100
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


class ImportPreview(BaseModel):
    """The first rows of a file as they would be imported.

    `problem` is set when the file cannot be imported at all. `mapping` is the column of each field; all other columns
    become agent variables. `sheet` is the previewed one of the `sheets` of a workbook. Of `checked_rows`, `good_rows`
    would be imported; `rows` and `refused` list the first ones.
    """

    problem: str | None
    sheet: str | None
    sheets: list[ImportSheet]
    header: list[str]
    mapping: dict[str, str]
    variables: list[str]
    checked_rows: int
    is_whole_file: bool
    good_rows: int
    refused_rows: int
    refused_by_kind: dict[str, int]
    rows: list[PreviewRow]
    refused: list[ImportRefusal]
    zones: list[ZoneCount]
    closed: list[ClosedRows]
    notices: list[str]


async def preview_import(context: OrganizationContext, import_id: UUID, options: ImportOptions) -> ImportPreview:
    """Read the first rows of the file; raises ResourceNotFound, and ResourceConflict unless the file is stored.

    Raises InvalidInput for a sheet that the workbook does not have.
    """
    async with context.transaction() as connection:
        found = await find_import_row(connection, context, import_id)
        if found.status != "ready":
            raise ResourceConflict(f"The import is {found.status}: there is no file to preview", status=found.status)
        sheet, first = chosen_sheet(found, options.sheet)
        chunks = await imports.first_import_chunks(connection, import_id=import_id, first=first, chunks=_CHUNKS)
        names_in_use = await campaign_contacts.variable_names(connection, campaign_id=found.campaign_id)
    beginning = b"".join(chunks)
    is_whole = len(beginning) == (found.bytes_stored if sheet is None else sheet.bytes)
    region = options.default_region.upper() if options.default_region else found.default_region
    # Parsing a thousand rows takes tens of milliseconds: run it off the event loop.
    read = await asyncio.to_thread(
        preview,
        beginning,
        is_whole=is_whole,
        mapping=decode_texts(found.mapping) if options.mapping is None else options.mapping,
        default_region=region,
        now=context.studio.clock.now(),
        names_in_use=names_in_use,
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
    shown = _import_preview(read, good=good, blocked=blocked, erased=erased, closed=closed, is_whole=is_whole)
    if sheet is None:
        return shown
    sheets = stored_sheets(found.sheets)
    unread = unread_sheets(sheets, sheet.name)
    return shown.model_copy(
        update={
            "sheet": sheet.name,
            "sheets": [ImportSheet(name=each.name, rows=each.rows) for each in sheets],
            "notices": [*([] if unread is None else [sentence_case(unread)]), *shown.notices],
        }
    )


def _import_preview(
    read: Preview,
    *,
    good: Sequence[NewContact],
    blocked: frozenset[str],
    erased: frozenset[str],
    closed: Sequence[ClosedContacts],
    is_whole: bool,
) -> ImportPreview:
    refused = [
        *(
            ImportRefusal(line=row.line, value=row.value, kind=row.kind.value, reason=row.reason)
            for row in read.refused
        ),
        *(
            ImportRefusal(
                line=contact.line, value=contact.written, kind="do_not_call", reason="is on the do-not-call list"
            )
            for contact in read.contacts
            if contact.phone in blocked
        ),
        *(
            ImportRefusal(line=contact.line, value="", kind="erased", reason=ERASED_REASON)
            for contact in read.contacts
            if contact.phone in erased
        ),
    ]
    refused.sort(key=lambda row: row.line)
    zones = Counter(contact.location.place.zone_key for contact in good)
    return ImportPreview(
        problem=None if read.problem is None else sentence_case(read.problem),
        sheet=None,
        sheets=[],
        header=list(read.header),
        mapping=dict(read.mapping),
        variables=list(read.variables),
        checked_rows=read.rows,
        is_whole_file=is_whole and read.rows < MOST_ROWS,
        good_rows=len(good),
        refused_rows=len(refused),
        refused_by_kind=dict(Counter(row.kind for row in refused)),
        rows=[
            PreviewRow(
                line=contact.line,
                phone=contact.phone,
                **{name: contact.details[name] for name in PreviewRow.model_fields if name in contact.details},
                zone_key=contact.location.place.zone_key,
            )
            for contact in good[:MAX_ROWS_SHOWN]
        ],
        refused=refused[:MAX_REFUSED_SHOWN],
        zones=[ZoneCount(zone_key=key, rows=count) for key, count in zones.most_common()],
        closed=[ClosedRows(rows=each.contacts, reason=each.text, rule_id=each.rule_id) for each in closed],
        notices=list(read.notices),
    )
