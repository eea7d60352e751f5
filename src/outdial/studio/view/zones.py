"""The time zones of a select: one name for each zone, by region, and the viewer's first."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from outdial.domain.calling_hours import is_zone_name

ZoneChoices = Sequence[tuple[str, str]]


def zone_groups(chosen: str) -> Mapping[str, ZoneChoices]:
    """Return pairs of zone and label by region. The first group has the chosen zone, even an alias, and UTC."""
    first = [(name, _label(name, whole=True)) for name in dict.fromkeys((chosen, "UTC")) if is_zone_name(name)]
    return {"Suggested": first, **_regions()}


@cache
def zone_names() -> Sequence[str]:
    """Return the selectable time zones, ordered by name."""
    return ["UTC", *sorted(name for zones in _regions().values() for name, _ in zones)]


@cache
def _regions() -> Mapping[str, ZoneChoices]:
    # zone.tab names each place once, without aliases such as US/Eastern.
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    names = sorted(line.split("\t")[2] for line in table.splitlines() if line and not line.startswith("#"))
    regions: dict[str, list[tuple[str, str]]] = {}
    for name in filter(is_zone_name, names):
        regions.setdefault(name.partition("/")[0], []).append((name, _label(name)))
    return regions


def _label(name: str, *, whole: bool = False) -> str:
    """Return "New York" of America/New_York, or with its region if `whole`: "New York, America"."""
    region, _, city = name.replace("_", " ").partition("/")
    if not city:
        return region
    label = ", ".join(reversed(city.split("/")))
    return f"{label}, {region}" if whole else label
