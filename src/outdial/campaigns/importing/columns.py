"""Which column of a file means what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from outdial.campaigns.errors import UnusableFile

Field = Literal[
    "phone", "name", "first_name", "last_name", "email", "company", "notes", "external_id", "timezone"
]  # fmt: skip

NAMES: Final[Mapping[Field, tuple[str, ...]]] = {
    "phone": (
        "phone", "phone_number", "mobile", "mobile_phone", "mobile_number", "cell", "cell_phone", "cellphone", "tel",
        "telephone", "telephone_number", "number", "to_number", "contact_number",
    ),
    "name": ("name", "full_name", "contact_name"),
    "first_name": ("first_name", "firstname", "given_name"),
    "last_name": ("last_name", "lastname", "surname", "family_name"),
    "email": ("email", "e_mail", "email_address"),
    "company": ("company", "company_name"),
    "notes": ("notes", "note"),
    "external_id": ("external_id",),
    "timezone": ("timezone", "time_zone", "tz"),
}  # fmt: skip
"""Names by which a column is known, the likeliest first: the first that a file has counts."""

# Parts of the name that an agent is also told by themselves.
_TOLD: Final[frozenset[str]] = frozenset({"first_name", "last_name"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each known field stands in a row, and every other column, which is a dynamic variable by its name."""

    fields: Mapping[Field, int]
    variables: tuple[tuple[str, int], ...]

    def cell(self, cells: Sequence[str], field: Field) -> str | None:
        """Return what the row says of `field`; None when it says nothing."""
        index = self.fields.get(field)
        return None if index is None else cells[index].strip() or None

    def name(self, cells: Sequence[str]) -> str | None:
        """Return the person's name, whole or put together."""
        parts = (self.cell(cells, "first_name"), self.cell(cells, "last_name"))
        return self.cell(cells, "name") or " ".join(filter(None, parts)) or None


def normalise(name: str) -> str:
    """Return a header's name trimmed, in lower case, with `_` for spaces and dashes."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def find_columns(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> Columns:
    """Return what the columns of `header` mean; `mapping` names the column of a field that is called otherwise.

    Raises UnusableFile for columns without a name or with the same one, a mapping that does not fit, and no phone.
    """
    indices = _indices(header)
    fields = _mapped(indices, mapping or {})
    for field, names in NAMES.items():
        known = next((name for name in names if name in indices and indices[name] not in fields.values()), None)
        if field not in fields and known is not None:
            fields[field] = indices[known]
    if "phone" not in fields:
        raise UnusableFile(f"no column holds the phone number among {', '.join(indices)}; name it phone, or map it")
    taken = {index for field, index in fields.items() if field not in _TOLD}
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


def _mapped(indices: Mapping[str, int], mapping: Mapping[str, str]) -> dict[Field, int]:
    fields: dict[Field, int] = {}
    for field in get_args(Field):
        if (column := mapping.get(field)) is None:
            continue
        index = indices.get(normalise(column))
        if index is None:
            raise UnusableFile(f"{field} is mapped to {column!r}, but the file has {', '.join(indices)}")
        if other := next((other for other, taken in fields.items() if taken == index), None):
            raise UnusableFile(f"{other} and {field} are both mapped to {column!r}")
        fields[field] = index
    if unknown := mapping.keys() - set(get_args(Field)):
        raise UnusableFile(f"{min(unknown)!r} is no field to map a column to; there are {', '.join(get_args(Field))}")
    return fields
