"""What a user has chosen in the preview of an import: a page carries it from one form to the next in its fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outdial.campaigns.importing.preview import FIELDS
from outdial.domain.calling_hours import is_zone_name
from outdial.studio.imports.reading import LONGEST_COLUMN, LONGEST_ZONE_NAME, MOST_ZONE_NAMES, ImportOptions
from outdial.studio.web.forms import region_of

NO_COLUMN: Final = "-"
"""The value of a field that is left out, even if a column is recognized."""
NOT_FIELD: Final = "not-"
"""Before the field that a column is not, although its name stands for it."""
_DATA: Final = "data"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChoices:
    """The choices of a form. None stands for what the import was created with, and an empty `region` for no country.

    `zones` has what was typed for each name of a zone, `problems` what is wrong with it by the name of its field.
    """

    mapping: Mapping[str, str] | None = None
    region: str | None = None
    sheet: str | None = None
    zones: Mapping[str, str] = field(default_factory=dict)
    has_header: bool = True
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def zone_names(self) -> dict[str, str]:
        """The zone of each name whose zone exists and has no other problem."""
        return {
            name: zone
            for name, zone in self.zones.items()
            if is_zone_name(zone) and f"zone_{name}" not in self.problems
        }

    @property
    def options(self) -> ImportOptions:
        """The choices as options of the API."""
        return ImportOptions(
            mapping=None if self.mapping is None else dict(self.mapping),
            default_region=self.region,
            sheet=self.sheet,
            zone_names=self.zone_names,
            has_header=self.has_header,
        )

    def fields(self, mapping: Mapping[str, str], sheet: str | None) -> dict[str, str]:
        """Return the hidden fields that repeat the choices, with the mapping and the sheet of the preview."""
        return {
            "region": self.region or "",
            "sheet": sheet or "",
            "first_line": "" if self.has_header else _DATA,
            **{f"map_{name}": column or NO_COLUMN for name, column in mapping.items()},
            **{f"zone_{name}": zone for name, zone in self.zone_names.items()},
        }


def read_choices(values: Mapping[str, Any]) -> ImportChoices:
    """Read the fields of a form; raises InvalidInput for a country that is none."""
    texts = {name: value.replace("\0", "")[:_LONGEST] for name, value in values.items() if isinstance(value, str)}
    problems: dict[str, str] = {}
    zones = {name.removeprefix("zone_"): zone.strip() for name, zone in texts.items() if name.startswith("zone_")}
    kept = 0
    for name, zone in zones.items():
        if zone and not is_zone_name(zone):
            problems[f"zone_{name}"] = "Select a time zone from the list, such as America/New_York"
        elif zone and not 1 <= len(name) <= LONGEST_ZONE_NAME:
            problems[f"zone_{name}"] = f"The name is longer than {LONGEST_ZONE_NAME} characters: change it in the file"
        elif zone:
            kept += 1
            if kept > MOST_ZONE_NAMES:
                problems[f"zone_{name}"] = (
                    f"Only {MOST_ZONE_NAMES} names can have a zone: change the others in the file"
                )
    mapping = {name: "" if column == NO_COLUMN else column for name in FIELDS if (column := texts.get(f"map_{name}"))}
    _read_columns(texts, mapping, problems)
    return ImportChoices(
        mapping=mapping,
        region=(region_of(values) or "") if "region" in values else None,
        sheet=texts.get("sheet", "")[:100] or None,
        zones={name: zone for name, zone in zones.items() if zone},
        has_header=texts.get("first_line") != _DATA,
        problems=problems,
    )


def _read_columns(texts: Mapping[str, str], mapping: dict[str, str], problems: dict[str, str]) -> None:
    """Add what was chosen for each column: a field, or not to be the field that its name stands for."""
    chosen: dict[str, str] = {}
    for key, value in texts.items():
        if not key.startswith("column_") or not value:
            continue
        column = key.removeprefix("column_")
        if value.startswith(NOT_FIELD):
            mapping.setdefault(value.removeprefix(NOT_FIELD), "")
        elif len(column) > LONGEST_COLUMN:
            problems[key] = (
                f"The name of this column is longer than {LONGEST_COLUMN} characters: shorten it in the file"
            )
        elif value in chosen:
            problems[key] = f"{chosen[value]} already goes there: choose one of the two"
        elif value in FIELDS:
            chosen[value] = column
            mapping[value] = column
