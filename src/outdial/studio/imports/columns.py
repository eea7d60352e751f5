"""The mapping of an import as a table: each column of the file with its values, where it goes, and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.campaigns.importing.preview import FIELDS
from outdial.domain.contact_fields import CONTACT_FIELDS
from outdial.studio.imports.choices import NO_COLUMN, NOT_FIELD, ImportChoices
from outdial.studio.imports.previews import ColumnPreview, ImportPreview
from outdial.studio.view.badges import humanize

MOST_COLUMNS: Final = 30
"""Columns in the table; a page with more would be too large."""
_LABELS: Final = {
    **{field.name: field.label for field in CONTACT_FIELDS},
    "calling_code": "Country calling code",
    "consent_at": "Consent given at",
    "consent_url": "Consent URL",
}
FIELD_LABELS: Final[Mapping[str, str]] = {name: _LABELS.get(name, humanize(name)) for name in FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRow:
    """A row of the table. `selected` is the value of the option that is chosen, `options` are pairs of value and label.

    `error` is about the choice, `problems` are about the values.
    """

    name: str
    samples: Sequence[str]
    options: Sequence[tuple[str, str]]
    selected: str
    error: str | None
    problems: Sequence[str]


def column_rows(preview: ImportPreview, choices: ImportChoices) -> list[ColumnRow]:
    """Return the rows of the first columns of the file."""
    return [_row(column, preview, choices) for column in preview.columns[:MOST_COLUMNS]]


def hidden_mapping(preview: ImportPreview, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the hidden fields of the form of the table: all choices but those that its selects make."""
    shown = {NO_COLUMN, *(column.name for column in preview.columns[:MOST_COLUMNS])}
    return {name: value for name, value in fields.items() if not (name.startswith("map_") and value in shown)}


def missing_fields(preview: ImportPreview) -> list[str]:
    """Return the labels of the contact's fields that no column has."""
    has_name = {"first_name", "last_name"} & preview.mapping.keys()
    missing = (name for name in ("phone", *(field.name for field in CONTACT_FIELDS)) if not preview.mapping.get(name))
    return [FIELD_LABELS[name] for name in missing if not (name == "name" and has_name)]


def _row(column: ColumnPreview, preview: ImportPreview, choices: ImportChoices) -> ColumnRow:
    is_left_out = column.automatic is not None and preview.mapping.get(column.automatic) == ""
    chosen = column.field if column.field != column.automatic else None
    automatic = _automatic(column, is_free=chosen is None and not is_left_out)
    options = [("", f"Automatic ({automatic})")]
    if column.automatic is not None:
        options.append((f"{NOT_FIELD}{column.automatic}", f"Variable {column.name}"))
    options.extend(FIELD_LABELS.items())
    if column.field is None and column.variable is None and column.automatic is None:
        options = []
    return ColumnRow(
        name=column.name,
        samples=column.samples,
        options=options,
        selected=chosen or (f"{NOT_FIELD}{column.automatic}" if is_left_out else ""),
        error=choices.problems.get(f"column_{column.name}"),
        problems=[
            _PROBLEMS.get(kind, "{n} rows cannot be read").format(n=f"{rows:,}")
            for kind, rows in column.refused.items()
        ],
    )


def _automatic(column: ColumnPreview, *, is_free: bool) -> str:
    """Return what the column is without a choice: its field unless another column has it, else a variable."""
    field = column.field if is_free else column.automatic
    if field is not None:
        return FIELD_LABELS[field]
    return f"variable {column.name}"


_PROBLEMS: Final = {
    "no_country_code": "{n} without a country code",
    "bad_phone": "{n} invalid",
    "unknown_time_zone": "{n} unknown",
    "no_time_zone": "{n} missing",
    "bad_place": "{n} cannot be read",
    "bad_priority": "{n} not from 1 to 9",
    "bad_consent": "{n} cannot be read",
}
