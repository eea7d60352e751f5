"""How the file of an import is read: the options of a preview and of a start, and what applies without them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.uploads import StoredSheet, first_chunk, stored_sheets
from outdial.campaigns.importing.workbooks import find_sheet
from outdial.db.queries import imports
from outdial.domain.calling_hours import is_zone_name
from outdial.studio.view.format import sentence_case
from outdial.studio.view.payloads import decode_texts
from outdial.studio.web.errors import InvalidInput

LONGEST_COLUMN: Final = 200
LONGEST_ZONE_NAME: Final = 100
MOST_ZONE_NAMES: Final = 100


def _zone(name: str) -> str:
    if not is_zone_name(name):
        raise ValueError(f"{name!r} is not a time zone; use an IANA name such as America/New_York")
    return name


ColumnMapping = Annotated[
    dict[str, Annotated[str, Field(max_length=LONGEST_COLUMN)]],
    Field(
        max_length=40,
        description="Column name by field, for columns with other names; an empty name leaves the field out",
        examples=[{"phone": "Mobile"}],
    ),
]
ZoneNames = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=LONGEST_ZONE_NAME)], Annotated[str, AfterValidator(_zone)]],
    Field(
        max_length=MOST_ZONE_NAMES,
        description="IANA time zone by the name that the file has for it",
        examples=[{"Eastern": "America/New_York"}],
    ),
]


class ImportOptions(BaseModel):
    """How to read the file; omitted fields keep the values the import was created with."""

    model_config = ConfigDict(extra="forbid")
    mapping: ColumnMapping | None = None
    default_region: Annotated[
        str | None,
        Field(
            pattern=r"^([A-Za-z]{2})?$",
            description="Country of numbers without a country code, such as US; an empty text for none",
        ),
    ] = None
    sheet: Annotated[
        str | None, Field(max_length=100, description="Sheet of a workbook to read (default: its first visible one)")
    ] = None
    zone_names: ZoneNames | None = None
    has_header: Annotated[
        bool | None, Field(description="Whether the first line of a CSV file has the names of the columns")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReading:
    """How the rows of a file are read."""

    mapping: Mapping[str, str]
    zone_names: Mapping[str, str]
    has_header: bool
    default_region: str | None


def reading_of(row: imports.ImportRow, how: ImportOptions) -> ImportReading:
    """Return the options, and for omitted ones what the import was created with."""
    return ImportReading(
        mapping=decode_texts(row.mapping) if how.mapping is None else how.mapping,
        zone_names=decode_texts(row.zone_names) if how.zone_names is None else how.zone_names,
        has_header=row.has_header if how.has_header is None else how.has_header,
        default_region=row.default_region if how.default_region is None else upper_region(how.default_region),
    )


def upper_region(region: str | None) -> str | None:
    """Return a country code in capitals, None for an empty one."""
    return region.upper() if region else None


def chosen_sheet(row: imports.ImportRow, name: str | None) -> tuple[StoredSheet | None, int]:
    """Return the sheet with a name or the first one, and the number of its first chunk; raises InvalidInput."""
    sheets = stored_sheets(row.sheets)
    try:
        sheet = find_sheet(sheets, name)
    except UnusableFile as error:
        raise InvalidInput(sentence_case(str(error)), {"sheet": str(error)}) from None
    return sheet, first_chunk(sheets, sheet)
