"""What an import would make of its file, before it is started."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from outdial.campaigns.importing.preview import MOST_ROWS, Preview, preview
from outdial.db.queries import do_not_call, imports
from outdial.db.session import Connection
from outdial.studio.imports.service import Import, RefusedRow, find_import
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceConflict

SHOWN_ROWS: Final = 20
SHOWN_REFUSALS: Final = 100
# 2 MiB: more than a thousand rows of what people export.
_CHUNKS: Final = 8


class PreviewRow(BaseModel):
    """A good row as it would go in."""

    line: int
    phone: str
    name: str | None
    email: str | None
    company: str | None
    external_id: str | None
    zone_key: str


class ZoneCount(BaseModel):
    """How many of the rows are in a zone, or in one of several."""

    zone_key: str
    rows: int


class ImportPreview(BaseModel):
    """The first rows of a file as they would be imported.

    `problem` says why nothing can be. `mapping` names the column of each field; the other columns are variables for the
    agent. `checked_rows` were read, of which `good_rows` would go in; `rows` and `refused` show the first of each.
    """

    problem: str | None
    header: list[str]
    mapping: dict[str, str]
    variables: list[str]
    checked_rows: int
    is_whole_file: bool
    good_rows: int
    refused_rows: int
    refused_by_kind: dict[str, int]
    rows: list[PreviewRow]
    refused: list[RefusedRow]
    zones: list[ZoneCount]
    notices: list[str]


async def preview_import(
    context: OrganizationContext, import_id: UUID, mapping: Mapping[str, str] | None, default_region: str | None
) -> ImportPreview:
    """Read the first rows of the file; raises NotFound, and Conflict while the file is not there or no longer."""
    async with context.transaction() as connection:
        found = await find_import(connection, context, import_id)
        if found.status != "ready":
            raise ResourceConflict(f"The import is {found.status}: there is no file to look into", status=found.status)
        pieces = await imports.first_import_chunks(connection, import_id=import_id, chunks=_CHUNKS)
    beginning = b"".join(pieces)
    region = default_region.upper() if default_region else found.default_region
    # Reading a thousand rows takes some tens of milliseconds, in which others need not wait.
    read = await asyncio.to_thread(
        preview,
        beginning,
        is_whole=len(beginning) == found.bytes_stored,
        mapping=found.mapping if mapping is None else mapping,
        default_region=region,
    )
    async with context.transaction() as connection:
        blocked = await _blocked(connection, context, read)
    return _shown(found, read, blocked, is_whole=len(beginning) == found.bytes_stored)


async def _blocked(connection: Connection, context: OrganizationContext, read: Preview) -> frozenset[str]:
    phones = [contact.phone for contact in read.contacts]
    blocked = await do_not_call.blocked_phones(connection, organization_id=context.organization_id, phones=phones)
    return frozenset(blocked)


def _shown(found: Import, read: Preview, blocked: frozenset[str], *, is_whole: bool) -> ImportPreview:
    good = [contact for contact in read.contacts if contact.phone not in blocked]
    refused = [
        *(RefusedRow(line=row.line, value=row.value, kind=row.kind.value, reason=row.reason) for row in read.refused),
        *(
            RefusedRow(
                line=contact.line, value=contact.written, kind="do_not_call", reason="is on the do-not-call list"
            )
            for contact in read.contacts
            if contact.phone in blocked
        ),
    ]
    refused.sort(key=lambda row: row.line)
    zones = Counter(contact.zone_key for contact in good)
    return ImportPreview(
        problem=_sentence(read.problem),
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
                name=contact.name,
                email=contact.email,
                company=contact.company,
                external_id=contact.external_id,
                zone_key=contact.zone_key,
            )
            for contact in good[:SHOWN_ROWS]
        ],
        refused=refused[:SHOWN_REFUSALS],
        zones=[ZoneCount(zone_key=key, rows=count) for key, count in zones.most_common()],
        notices=list(read.notices),
    )


def _sentence(problem: str | None) -> str | None:
    return None if problem is None else problem[:1].upper() + problem[1:]
