"""Previews an import from the beginning of a file, without storing anything."""

import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from outdial.campaigns.errors import UnknownRegion, UnusableFile
from outdial.campaigns.importing.columns import (
    HEADERS,
    Columns,
    MissingPhoneColumn,
    cell_text,
    match_columns,
    require_phone,
)
from outdial.campaigns.importing.contact_rows import ContactReader, NewContact
from outdial.campaigns.importing.csv_rows import Row
from outdial.campaigns.importing.file_rows import open_rows
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.domain.phone import phone_of

MOST_ROWS: Final = 1_000
MOST_SAMPLES: Final = 3
_SAMPLED_ROWS: Final = 200
FIELDS: Final[Sequence[str]] = tuple(HEADERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewColumn:
    """A column of a file: its name, its first different values, and where they go.

    `automatic` is the field that its name stands for, `field` the one that it is read as; without one, it is the agent
    variable `variable`, or left out. `refused` counts the rows by the reason for which this column refused them.
    """

    name: str
    samples: Sequence[str]
    automatic: str | None
    field: str | None
    variable: str | None
    refused: Mapping[Refusal, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The beginning of a file as it would be imported.

    `problem` says why the file cannot be imported. There are no contacts then, and the header is empty if it cannot be
    read. `lacks_header` says that the first line seems to be a contact, `lacks_phone` that no column is recognized as
    the phone; by its name, `likely_phone` may be it. `mapping` has the column of each field, empty for one that the
    user left out; `contacts` are the good rows. `header` has the named columns, `file_header` all of them.
    `likely_region` is the country of most of them, if other numbers have no country code.
    """

    header: Sequence[str] = ()
    file_header: Sequence[str] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[PreviewColumn] = ()
    variables: Sequence[str] = ()
    rows: int = 0
    contacts: Sequence[NewContact] = ()
    refused: Sequence[RefusedRow] = ()
    zones: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[str] = ()
    problem: str | None = None
    lacks_header: bool = False
    lacks_phone: bool = False
    likely_phone: str | None = None
    likely_region: str | None = None


def preview(
    beginning: bytes,
    *,
    is_whole: bool,
    mapping: Mapping[str, str] | None,
    default_region: str | None,
    now: datetime,
    names_in_use: Collection[str] = (),
    zone_names: Mapping[str, str] | None = None,
    has_header: bool = True,
) -> Preview:
    """Read at most MOST_ROWS rows of `beginning`, the first bytes of a file, by the rules of an import.

    Unless `beginning` is the whole file, its last row may be cut off and is skipped. `names_in_use` are the variables
    that the campaign already has.
    """
    try:
        rows = open_rows(io.BytesIO(beginning), has_header=has_header)
    except UnusableFile as error:
        return Preview(problem=str(error))
    header = [name.strip() for name in rows.header]
    read = list(islice(rows, MOST_ROWS + 1))
    if len(read) > MOST_ROWS or not is_whole:
        read = read[: min(MOST_ROWS, len(read) - 1)]
    good = [row for row in read if isinstance(row, Row)]
    columns: Columns | None = None
    try:
        columns = match_columns(rows.header, mapping).keep_names(names_in_use)
        require_phone(columns)
        reader = ContactReader(columns, default_region, now, zone_names or {})
    except (UnusableFile, UnknownRegion) as error:
        if columns is None and mapping:
            # The mapping is wrong: without it, the user sees the columns and can choose again.
            with suppress(UnusableFile):
                columns = match_columns(rows.header)
        return Preview(
            header=_named(header),
            mapping={} if columns is None else _mapping(columns, header, mapping),
            columns=_columns(header, good, columns, ()),
            problem=str(error),
            lacks_header=isinstance(error, MissingPhoneColumn) and error.lacks_header,
            lacks_phone=isinstance(error, MissingPhoneColumn),
            likely_phone=error.likely if isinstance(error, MissingPhoneColumn) else None,
        )
    contacts, refused = _sort(read, reader)
    return Preview(
        header=_named(header),
        file_header=rows.header,
        mapping=_mapping(columns, header, mapping),
        columns=_columns(header, good, columns, refused),
        variables=[name for name, _ in columns.variables],
        rows=len(read),
        contacts=contacts,
        refused=refused,
        likely_region=_likely_region(contacts, refused),
        zones=dict(Counter(contact.location.place.zone_key for contact in contacts).most_common()),
        notices=rows.notices + columns.notices,
    )


def _sort(read: Sequence[Row | RefusedRow], reader: ContactReader) -> tuple[list[NewContact], list[RefusedRow]]:
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
    return contacts, refused


def _likely_region(contacts: Sequence[NewContact], refused: Sequence[RefusedRow]) -> str | None:
    if not any(row.kind is Refusal.NO_COUNTRY_CODE for row in refused):
        return None
    countries = Counter(country for each in contacts if (country := phone_of(each.phone).country) is not None)
    return next((country for country, _ in countries.most_common(1)), None)


def _mapping(columns: Columns, header: Sequence[str], mapping: Mapping[str, str] | None) -> dict[str, str]:
    left_out = {name: column for name, column in (mapping or {}).items() if not column}
    return {name: header[index] for name, index in columns.fields.items()} | left_out


def _columns(
    header: Sequence[str], rows: Sequence[Row], columns: Columns | None, refused: Sequence[RefusedRow]
) -> list[PreviewColumn]:
    """Return the named columns. Without `columns`, no column goes anywhere."""
    fields = {} if columns is None else {index: name for name, index in columns.fields.items()}
    variables = {} if columns is None else {index: name for name, index in columns.variables}
    automatic = {} if columns is None else {i: name for name, i in match_columns(header).fields.items()}
    counts: dict[str, Counter[Refusal]] = {}
    for row in refused:
        if row.field is not None:
            counts.setdefault(row.field, Counter())[row.kind] += 1
    return [
        PreviewColumn(
            name=name,
            samples=_samples(rows, index),
            automatic=automatic.get(index),
            field=fields.get(index),
            variable=variables.get(index),
            refused=counts.get(fields.get(index, ""), {}),
        )
        for index, name in enumerate(header)
        if name
    ]


def _samples(rows: Sequence[Row], index: int) -> list[str]:
    found: dict[str, None] = {}
    for row in rows[:_SAMPLED_ROWS]:
        if value := cell_text(row.cells[index]):
            found.setdefault(value)
        if len(found) == MOST_SAMPLES:
            break
    return list(found)


def _named(header: Sequence[str]) -> list[str]:
    return [name for name in header if name]
