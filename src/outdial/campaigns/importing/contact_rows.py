"""Reads contacts from the rows of a file, in chunks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import MappingProxyType

from phonenumbers import SUPPORTED_REGIONS

from outdial.campaigns.errors import UnknownRegion
from outdial.campaigns.importing.columns import Columns, cell_text
from outdial.campaigns.importing.consent_columns import read_consent
from outdial.campaigns.importing.csv_rows import Row
from outdial.campaigns.importing.file_rows import FileRows
from outdial.campaigns.importing.first_lines import FirstLines
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.db.session import encode_json
from outdial.domain.calling_hours import is_zone_name
from outdial.domain.contact import DEFAULT_RANK, rank_of
from outdial.domain.geography.countries import find_country
from outdial.domain.geography.regions import fold
from outdial.domain.limits import PRIORITY
from outdial.domain.location import Location, StatedPlace, Unlocatable, locate
from outdial.domain.permission.consent import GivenConsent
from outdial.domain.phone import InvalidPhone, Phone, parse_phone
from outdial.domain.phone_reading import read_calling_code

_CHUNK_BYTES = 4 * 2**20
_ANY_NUMBER = "+14155552671"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContact:
    """A good row of a file.

    `written` is the phone as the file has it, `details` the values by CONTACT_FIELDS, `location` where the row says
    that the contact may be, `variables` a JSON object, and `cells` the whole row. It is not called before `not_before`.
    """

    line: int
    written: str
    phone: str
    details: Mapping[str, str | None]
    location: Location
    variables: str
    consent: GivenConsent | None
    cells: Sequence[str]
    not_before: datetime | None = None
    rank: int = DEFAULT_RANK

    def refuse(self, kind: Refusal, reason: str) -> RefusedRow:
        """Return the row as one that is refused."""
        return RefusedRow(self.line, self.written, kind, reason, cells=self.cells)


@dataclass(frozen=True, slots=True)
class Repeated:
    """A row with the number of an earlier one, on the line `first`."""

    contact: NewContact
    first: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are stored together, the refused rows among them, and the number of bytes read so far."""

    contacts: list[NewContact]
    repeated: list[Repeated]
    refused: list[RefusedRow]
    bytes_read: int


def check_region(default_region: str | None) -> None:
    """Raise UnknownRegion if libphonenumber does not know the region."""
    if isinstance(parsed := parse_phone(_ANY_NUMBER, default_region), InvalidPhone):
        raise UnknownRegion(parsed.reason)


class ContactReader:
    """Reads contacts from rows at `now`.

    Numbers without a country code belong to the country of their row, else to `default_region`. `zone_names` has the
    IANA zone of names that the file has instead, such as Eastern, in any spelling.
    The constructor raises UnknownRegion if libphonenumber does not know the region.
    """

    def __init__(
        self,
        columns: Columns,
        default_region: str | None,
        now: datetime,
        zone_names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        check_region(default_region)
        self._columns, self._default_region, self._now = columns, default_region, now
        self._zone_names = {fold(name): zone for name, zone in zone_names.items()}

    def read(self, row: Row) -> NewContact | RefusedRow:
        """Return the contact in a row, or why the row is refused."""
        columns, cells = self._columns, row.cells
        written, phone = read_phone(columns, cells, self._default_region)
        if isinstance(phone, InvalidPhone):
            kind = Refusal.NO_COUNTRY_CODE if phone.lacks_country_code else Refusal.BAD_PHONE
            return RefusedRow(row.line, written, kind, phone.reason, cells=cells, field="phone")
        stated = self._stated_place(cells)
        location = locate(phone, stated)
        if isinstance(location, Unlocatable):
            kind = _kind_of(location, stated)
            return self._refuse(row, kind, location.reason, phone, written, location.field)
        consent = read_consent(columns, cells, self._now)
        if isinstance(consent, str):
            return self._refuse(row, Refusal.BAD_CONSENT, consent, phone, written, "consent")
        priority = _read_priority(columns, cells)
        if isinstance(priority, str):
            return self._refuse(row, Refusal.BAD_PRIORITY, priority, phone, written, "priority")
        variables = ((name, cell_text(cells[index])) for name, index in columns.variables)
        return NewContact(
            line=row.line,
            written=written,
            phone=phone.e164,
            details=columns.details(cells) | location.stored(),
            location=location,
            variables=encode_json({name: value for name, value in variables if value}),
            consent=consent,
            cells=cells,
            rank=rank_of(priority),
        )

    def _refuse(self, row: Row, kind: Refusal, reason: str, phone: Phone, written: str, field: str) -> RefusedRow:
        # Of the six columns of a consent, the reason names the wrong one.
        value = written if field == "consent" else self._columns.cell(row.cells, field) or written
        return RefusedRow(row.line, value, kind, reason, cells=row.cells, phone=phone.e164, field=field)

    def _stated_place(self, cells: Sequence[str]) -> StatedPlace:
        timezone, country, region, postal_code = (
            self._columns.cell(cells, field) for field in ("timezone", "country", "region", "postal_code")
        )
        if timezone is not None and self._zone_names:
            timezone = self._zone_names.get(fold(timezone), timezone)
        if country is None and (code := self._columns.cell(cells, "calling_code")) is not None:
            # A column of calling codes may hold countries instead.
            named = read_calling_code(code)
            country = named if isinstance(named, str) else None
        return StatedPlace(timezone=timezone, country=country, region=region, postal_code=postal_code)


def _kind_of(location: Unlocatable, stated: StatedPlace) -> Refusal:
    if location.field != "timezone":
        return Refusal.BAD_PLACE
    is_unknown = stated.timezone is not None and not is_zone_name(stated.timezone.strip())
    return Refusal.UNKNOWN_TIME_ZONE if is_unknown else Refusal.NO_TIME_ZONE


def _read_priority(columns: Columns, cells: Sequence[str]) -> int | str:
    """Return the priority in a row, or the reason why it cannot be read."""
    cell = columns.cell(cells, "priority")
    if cell is None:
        return PRIORITY.default
    # Spreadsheets write whole numbers as 9.0 too.
    whole = cell.removesuffix(".0")
    if whole.isascii() and whole.isdecimal() and len(whole) == 1 and int(whole) in PRIORITY.range:
        return int(whole)
    return (
        f"{columns.names[columns.fields['priority']]} is {cell!r}: write a whole number {PRIORITY.range}, 9 goes first;"
        " or map no column to priority, and it is a variable only"
    )


def read_phone(columns: Columns, cells: Sequence[str], default_region: str | None) -> tuple[str, Phone | InvalidPhone]:
    """Return the phone cell of a row as written, and the number in it.

    If the cell is empty, the one other phone column with a value is read, unless the user chose the phone column. With
    values in several, none is read. The number belongs to the calling code of its row, else to the country of its row,
    else to `default_region`.
    """
    written = cells[columns.fields["phone"]].strip()
    if cell_text(written):
        return written, _read_number(columns, cells, written, default_region)
    filled = [index for index in columns.other_phones if cell_text(cells[index])]
    if len(filled) == 1 and not columns.is_phone_mapped:
        other = cells[filled[0]].strip()
        phone = _read_number(columns, cells, other, default_region)
        if isinstance(phone, InvalidPhone):
            return other, InvalidPhone(other, f"the phone cell is empty, and {columns.names[filled[0]]} {phone.reason}")
        return other, phone
    if filled:
        names = " and ".join(columns.names[index] for index in filled)
        verb = "has" if len(filled) == 1 else "have"
        return written, InvalidPhone(written, f"the phone cell is empty; {names} {verb} one")
    return written, parse_phone(written, default_region)


def _read_number(
    columns: Columns, cells: Sequence[str], written: str, default_region: str | None
) -> Phone | InvalidPhone:
    code = columns.cell(cells, "calling_code")
    if code is None:
        return parse_phone(written, _region_of_row(columns, cells) or default_region)
    match read_calling_code(code):
        case None:
            column = columns.names[columns.fields["calling_code"]]
            return InvalidPhone(written, f"{column} is {code!r}, which is not a calling code such as 44")
        case int(calling_code):
            return parse_phone(written, default_region, calling_code)
        case str(region):
            return parse_phone(written, region)


def _region_of_row(columns: Columns, cells: Sequence[str]) -> str | None:
    """Return the country of a row if it has telephone numbers; None for text that the place is refused for later."""
    country = find_country(columns.cell(cells, "country") or "")
    return country if country in SUPPORTED_REGIONS else None


def read_chunks(rows: FileRows, reader: ContactReader, first_lines: FirstLines, chunk_rows: int) -> Iterator[Chunk]:
    """Yield chunks of at most `chunk_rows` rows, fewer if rows are long. Each phone is in `contacts` only once."""
    remaining = iter(rows)
    while True:
        contacts: list[NewContact] = []
        refused: list[RefusedRow] = []
        limit = rows.bytes_read + _CHUNK_BYTES
        for row in islice(remaining, chunk_rows):
            contact = reader.read(row) if isinstance(row, Row) else row
            if isinstance(contact, NewContact):
                contacts.append(contact)
            else:
                refused.append(contact)
            if rows.bytes_read > limit:
                break
        if not contacts and not refused:
            return
        first = first_lines.claim([(contact.phone, contact.line) for contact in contacts])
        repeated = [Repeated(contact, first[contact.line]) for contact in contacts if contact.line in first]
        fresh = [contact for contact in contacts if contact.line not in first]
        yield Chunk(fresh, repeated, refused, rows.bytes_read)
