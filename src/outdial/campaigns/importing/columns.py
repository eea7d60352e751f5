"""Matches the columns of a CSV file with the fields of a contact."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.headerless import looks_like_data
from outdial.campaigns.importing.refusals import REFUSED_COLUMNS, unescape_cell
from outdial.campaigns.results.names import left_out_of_import, normalise
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES, CONTACT_FIELDS

PHONE_HEADERS: Final = (
    "phone", "phone_number", "mobile", "mobile_phone", "mobile_number", "cell", "cell_phone", "cellphone", "tel",
    "telephone", "telephone_number", "number", "to_number", "contact_number", "mobile_phone_number", "mobilephone",
    "primary_phone", "phone_1", "phone_1_value", "phone_2", "phone_2_value", "home_phone", "work_phone",
    "business_phone",
)  # fmt: skip
# An import also reads names in two parts. They remain agent variables too, and so do calling code, place and priority.
NAME_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "first_name": ("first_name", "firstname", "given_name"),
    "last_name": ("last_name", "lastname", "surname", "family_name"),
}
CONSENT_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "consent": ("consent", "consent_basis"),
    "consent_scope": ("consent_scope", "consent_purpose"),
    "consent_source": ("consent_source",),
    "consent_text": ("consent_text",),
    "consent_url": ("consent_url",),
    "consent_at": ("consent_at", "consent_given_at", "consent_date"),
}
HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": PHONE_HEADERS,
    "calling_code": (
        "calling_code", "phone_code", "country_code", "dial_code", "dialing_code", "country_calling_code",
        "phone_country_code",
    ),
    **NAME_PARTS,
    **{field.name: field.headers for field in CONTACT_FIELDS},
    "priority": ("priority",),
    **CONSENT_HEADERS,
}  # fmt: skip
"""The fields of an import, each with its recognized headers, the likeliest first."""

EMPTY_WORDS: Final = frozenset(
    {"NULL", "null", "(null)", "\\N", "#N/A", "#NULL!", "N/A", "n/a", "nan", "NaN", "<NA>", "None"}
)
"""What programs write for no value. The case matters: Null and Nan are names of contacts."""

_REMAIN_VARIABLES: Final = (*NAME_PARTS, "calling_code", "country", "region", "postal_code", "priority")
# A column named so says nothing about whose number it has, so it never stands in for another phone column.
_AMBIGUOUS: Final = "number"
_ABOUT_PHONES: Final = re.compile(r"phone|mobil|cell|tel|handy|number|nummer", re.IGNORECASE)
_NAMES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The column index of each known field, and every other column as an agent variable with its name.

    `names` are the names in the header, trimmed. `other_phones` are the recognized phone columns beside the one of the
    field. `is_phone_mapped` says whether the user chose another phone column than the likeliest.
    """

    names: Sequence[str]
    fields: Mapping[str, int]
    variables: tuple[tuple[str, int], ...]
    other_phones: tuple[int, ...] = ()
    is_phone_mapped: bool = False
    notices: tuple[str, ...] = ()

    def cell(self, cells: Sequence[str], field: str) -> str | None:
        """Return the value of `field` in a row, or None if it is empty."""
        index = self.fields.get(field)
        return None if index is None else cell_text(cells[index]) or None

    def details(self, cells: Sequence[str]) -> dict[str, str | None]:
        """Return the values of CONTACT_FIELDS in a row. Without a full name, it is joined from its parts."""
        details = {name: self.cell(cells, name) for name in CONTACT_FIELD_NAMES}
        parts = (self.cell(cells, part) for part in NAME_PARTS)
        return details | {"name": details["name"] or " ".join(filter(None, parts)) or None}

    def keep_names(self, in_use: Collection[str]) -> "Columns":
        """Return the columns with the variable names that a campaign already has, where they differ in spelling only.

        Campaigns used to get normalised names (`Account Tier` as account_tier), and their prompts rely on them.
        """
        kept = {
            name: known
            for name, _ in self.variables
            if name not in in_use and (known := normalise(name)) in in_use and known not in self.names
        }
        notices = tuple(f"column {name!r} is the variable {known}, as in this campaign" for name, known in kept.items())
        variables = tuple((kept.get(name, name), index) for name, index in self.variables)
        return replace(self, variables=variables, notices=self.notices + notices)


def cell_text(cell: str) -> str:
    """Return a cell trimmed, without the apostrophe that exports put before formulas; empty for EMPTY_WORDS."""
    text = cell.strip()
    if text[:1] == "'":
        text = unescape_cell(cell)
    return "" if text in EMPTY_WORDS else text


class MissingPhoneColumn(UnusableFile):
    """No column of the file has phone numbers.

    `lacks_header` says that its first line seems to be a contact, `likely` is the column whose name is about phones.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.lacks_header = looks_like_data(names)
        likely = None if self.lacks_header else next((name for name in names if _ABOUT_PHONES.search(name)), None)
        self.likely = likely
        super().__init__(_no_phone(names, self.lacks_header, likely))


def find_columns(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> Columns:
    """Match the columns of `header` with fields; `mapping` names the column of a field that has another header.

    Raises UnusableFile for columns with the same name, a wrong mapping, and a missing phone.
    """
    columns = match_columns(header, mapping)
    require_phone(columns)
    return columns


def require_phone(columns: Columns) -> None:
    """Raise MissingPhoneColumn if no column has the phone."""
    if "phone" not in columns.fields:
        raise MissingPhoneColumn(columns.names)


def match_columns(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> Columns:
    """Match the columns of `header` with fields as `find_columns` does, also if none has the phone.

    A field that is mapped to an empty name has no column, even if one is recognized. Fields are recognized in any
    spelling; a variable has the name that the header gives it. Columns without a name and those of REFUSED_COLUMNS are
    left out. Raises UnusableFile for columns with the same name and a wrong mapping.
    """
    names = [unescape_cell(name) for name in header]
    indices = _indices(names)
    fields = _mapped(indices, names, mapping or {})
    recognized = next((indices[name] for name in PHONE_HEADERS if name in indices), None)
    is_phone_mapped = fields.get("phone", recognized) != recognized
    for field, known_names in HEADERS.items():
        known = next((name for name in known_names if name in indices and indices[name] not in fields.values()), None)
        if field not in fields and known is not None and (mapping or {}).get(field) != "":
            fields[field] = indices[known]
    taken = {index for field, index in fields.items() if field not in _REMAIN_VARIABLES}
    return Columns(
        names=names,
        fields=fields,
        variables=tuple((names[index], index) for index in indices.values() if index not in taken),
        other_phones=tuple(
            indices[name]
            for name in PHONE_HEADERS
            if name != _AMBIGUOUS and name in indices and indices[name] not in taken
        ),
        is_phone_mapped=is_phone_mapped,
    )


def _indices(names: Sequence[str]) -> dict[str, int]:
    indices: dict[str, int] = {}
    results = left_out_of_import([normalise(name) for name in names])
    for index, name in enumerate(names):
        known = normalise(name)
        if not known or known in REFUSED_COLUMNS or known in results:
            continue
        if (first := indices.get(known)) is not None:
            if names[first] == name:
                raise UnusableFile(f"columns {first + 1} and {index + 1} are both named {name!r}; rename one of them")
            raise UnusableFile(
                f"columns {first + 1} and {index + 1}, {names[first]!r} and {name!r}, are read as the same name;"
                f" rename one of them"
            )
        indices[known] = index
    return indices


def _mapped(indices: Mapping[str, int], names: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    fields: dict[str, int] = {}
    for field in HEADERS:
        if not (column := mapping.get(field)):
            continue
        index = indices.get(normalise(column))
        if index is None:
            raise UnusableFile(f"{field} is mapped to {column!r}, but the file has {_list(names)}")
        if other := next((other for other, taken in fields.items() if taken == index), None):
            raise UnusableFile(f"{other} and {field} are both mapped to {column!r}")
        fields[field] = index
    if unknown := mapping.keys() - HEADERS.keys():
        raise UnusableFile(f"{min(unknown)!r} is not a field; map columns to {', '.join(HEADERS)}")
    return fields


def _no_phone(names: Sequence[str], lacks_header: bool, likely: str | None) -> str:
    if lacks_header:
        return "the file has no header row: its first row holds a phone number; add a row such as phone,name above it"
    reason = f"no phone column among {_list(names)}"
    if likely is not None:
        return f"{reason}; map phone to one of them, such as phone={likely}"
    return f"{reason}; name one of them phone, or map one"


def _list(names: Sequence[str]) -> str:
    named = [name for name in names if name]
    more = len(named) - _NAMES_SHOWN
    return ", ".join(named[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
