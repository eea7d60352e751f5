"""Matches the columns of a CSV file with the fields of a contact."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.campaigns.errors import UnusableFile
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES, CONTACT_FIELDS

PHONE_HEADERS: Final = (
    "phone", "phone_number", "mobile", "mobile_phone", "mobile_number", "cell", "cell_phone", "cellphone", "tel",
    "telephone", "telephone_number", "number", "to_number", "contact_number",
)  # fmt: skip
# An import also reads names in two parts, which remain agent variables too.
NAME_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "first_name": ("first_name", "firstname", "given_name"),
    "last_name": ("last_name", "lastname", "surname", "family_name"),
}
HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": PHONE_HEADERS,
    **NAME_PARTS,
    **{field.name: field.headers for field in CONTACT_FIELDS},
}
"""The fields of an import, each with its recognized headers, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The column index of each known field, and every other column as an agent variable with its name."""

    fields: Mapping[str, int]
    variables: tuple[tuple[str, int], ...]

    def cell(self, cells: Sequence[str], field: str) -> str | None:
        """Return the trimmed value of `field` in a row, or None if it is empty."""
        index = self.fields.get(field)
        return None if index is None else cells[index].strip() or None

    def details(self, cells: Sequence[str]) -> dict[str, str | None]:
        """Return the values of CONTACT_FIELDS in a row. Without a full name, it is joined from its parts."""
        details = {name: self.cell(cells, name) for name in CONTACT_FIELD_NAMES}
        parts = (self.cell(cells, part) for part in NAME_PARTS)
        return details | {"name": details["name"] or " ".join(filter(None, parts)) or None}


def normalise(name: str) -> str:
    """Return a header's name trimmed, in lower case, with `_` for spaces and dashes."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def find_columns(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> Columns:
    """Match the columns of `header` with fields; `mapping` names the column of a field that has another header.

    Raises UnusableFile for columns without a name or with the same name, a wrong mapping, and a missing phone.
    """
    indices = _indices(header)
    fields = _mapped(indices, mapping or {})
    for field, names in HEADERS.items():
        known = next((name for name in names if name in indices and indices[name] not in fields.values()), None)
        if field not in fields and known is not None:
            fields[field] = indices[known]
    if "phone" not in fields:
        raise UnusableFile(f"no phone column among {', '.join(indices)}; name one of them phone, or map one")
    taken = {index for field, index in fields.items() if field not in NAME_PARTS}
    return Columns(fields, tuple((name, index) for name, index in indices.items() if index not in taken))


def _indices(header: Sequence[str]) -> dict[str, int]:
    indices: dict[str, int] = {}
    for index, name in enumerate(map(normalise, header)):
        if not name:
            raise UnusableFile(f"column {index + 1} has no name in the header row")
        if name in indices:
            raise UnusableFile(f"columns {indices[name] + 1} and {index + 1} are both named {name}")
        indices[name] = index
    return indices


def _mapped(indices: Mapping[str, int], mapping: Mapping[str, str]) -> dict[str, int]:
    fields: dict[str, int] = {}
    for field in HEADERS:
        if (column := mapping.get(field)) is None:
            continue
        index = indices.get(normalise(column))
        if index is None:
            raise UnusableFile(f"{field} is mapped to {column!r}, but the file has {', '.join(indices)}")
        if other := next((other for other, taken in fields.items() if taken == index), None):
            raise UnusableFile(f"{other} and {field} are both mapped to {column!r}")
        fields[field] = index
    if unknown := mapping.keys() - HEADERS.keys():
        raise UnusableFile(f"{min(unknown)!r} is not a field; map columns to {', '.join(HEADERS)}")
    return fields
