"""Previews an import from the beginning of a file, without storing anything."""

import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from outdial.campaigns.errors import UnknownRegion, UnusableFile
from outdial.campaigns.importing.columns import HEADERS, find_columns
from outdial.campaigns.importing.contact_rows import ContactReader, NewContact
from outdial.campaigns.importing.csv_rows import Row
from outdial.campaigns.importing.file_rows import open_rows
from outdial.campaigns.importing.refusals import Refusal, RefusedRow

MOST_ROWS: Final = 1_000
FIELDS: Final[Sequence[str]] = tuple(HEADERS)


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a file as it would be imported.

    `problem` says why the file cannot be imported. There are no rows then, and the header is empty if it cannot be
    read. `mapping` has the column of each field, empty for one that the user left out; `contacts` are the good rows.
    """

    header: Sequence[str]
    mapping: Mapping[str, str]
    variables: Sequence[str]
    rows: int
    contacts: Sequence[NewContact]
    refused: Sequence[RefusedRow]
    zones: Mapping[str, int]
    notices: Sequence[str]
    problem: str | None


def preview(
    beginning: bytes,
    *,
    is_whole: bool,
    mapping: Mapping[str, str] | None,
    default_region: str | None,
    now: datetime,
    names_in_use: Collection[str] = (),
) -> Preview:
    """Read at most MOST_ROWS rows of `beginning`, the first bytes of a file, by the rules of an import.

    Unless `beginning` is the whole file, its last row may be cut off and is skipped. `names_in_use` are the variables
    that the campaign already has.
    """
    header: Sequence[str] = ()
    try:
        rows = open_rows(io.BytesIO(beginning))
        header = [name.strip() for name in rows.header]
        columns = find_columns(rows.header, mapping).keep_names(names_in_use)
        reader = ContactReader(columns, default_region, now)
    except (UnusableFile, UnknownRegion) as error:
        return Preview(
            header=_named(header),
            mapping={},
            variables=(),
            rows=0,
            contacts=(),
            refused=(),
            zones={},
            notices=(),
            problem=str(error),
        )
    read = list(islice(rows, MOST_ROWS + 1))
    if len(read) > MOST_ROWS or not is_whole:
        read = read[: min(MOST_ROWS, len(read) - 1)]
    contacts: list[NewContact] = []
    refused: list[RefusedRow] = []
    first: dict[str, int] = {}
    for row in read:
        contact = reader.read(row) if isinstance(row, Row) else row
        if isinstance(contact, RefusedRow):
            refused.append(contact)
        elif (line := first.setdefault(contact.phone, contact.line)) != contact.line:
            refused.append(contact.refuse(Refusal.DUPLICATE, f"has the same number as line {line}"))
        else:
            contacts.append(contact)
    return Preview(
        header=_named(header),
        mapping={field: header[index] for field, index in columns.fields.items()}
        | {field: column for field, column in (mapping or {}).items() if not column},
        variables=[name for name, _ in columns.variables],
        rows=len(read),
        contacts=contacts,
        refused=refused,
        zones=dict(Counter(contact.location.place.zone_key for contact in contacts).most_common()),
        notices=rows.notices + columns.notices,
        problem=None,
    )


def _named(header: Sequence[str]) -> list[str]:
    return [name for name in header if name]
