"""The time zones and jurisdictions of area codes: North America, +1.

libphonenumber lists zones by exchange for some area codes with several zones, and a single zone for an overlay of the
same territory. An exchange that it does not list gets the zone of most others. So a number has every zone that is known
anywhere below its area code and below the area codes that it overlays.
"""

from functools import cache
from typing import Final

from phonenumbers.tzdata import TIMEZONE_DATA

from outdial.domain.geography.area_codes import AREA_CODES
from outdial.domain.geography.regions import REGION_OF_CODE

# Area codes laid over the territory of an older one. From the plan of the North American Numbering Plan Administration.
# Listed are those in states and provinces with several zones. Some are not in libphonenumber yet.
OVERLAYS: Final = {
    # Alabama
    "483": "334", "659": "205", "938": "256",
    # British Columbia: 604 and 250 share them
    "236": "250", "257": "250", "672": "250", "778": "250",
    # Florida
    "324": "904", "448": "850", "645": "305", "656": "813", "689": "407", "728": "561", "754": "954", "786": "305",
    # Idaho, Indiana, Kentucky
    "986": "208", "463": "317", "930": "812", "364": "270",
    # Michigan
    "679": "313", "947": "248",
    # Nebraska, Nevada, Newfoundland and Labrador, Oregon
    "531": "402", "725": "702", "879": "709", "458": "541", "971": "503",
    # Ontario
    "226": "519", "249": "705", "289": "905", "343": "613", "365": "905", "382": "519", "437": "416", "548": "519",
    "647": "416", "683": "705", "742": "905", "753": "613", "942": "416",
    # Quebec
    "263": "514", "273": "418", "354": "450", "367": "418", "438": "514", "468": "819", "579": "450", "581": "418",
    "873": "819",
    # Saskatchewan
    "474": "306", "639": "306",
    # Tennessee
    "629": "615", "729": "423",
    # Texas
    "281": "713", "346": "713", "430": "903", "469": "214", "621": "713", "682": "817", "726": "210", "737": "512",
    "832": "713", "945": "214", "972": "214",
}  # fmt: skip

# Zones that libphonenumber may not know, by area code.
EXTRA_ZONES: Final = {
    # Lloydminster keeps the time of Alberta, Creighton and Denare Beach that of Manitoba.
    "306": ("America/Edmonton", "America/Winnipeg"),
    # Phenix City, Smiths Station, Lanett and Valley live by the clock of Georgia, across the river.
    "334": ("America/New_York",),
    # Cody and the west of Cherry County are on Mountain Time, unlike the rest of the area code.
    "402": ("America/Denver",),
    # West Wendover and Jackpot, beside Utah and Idaho.
    "775": ("America/Boise", "America/Denver"),
    # The Navajo Nation changes its clocks, the rest of Arizona does not.
    "928": ("America/Denver",),
}

# Area codes of states and provinces with several zones that lie in one zone themselves, by the reason.
SINGLE_ZONE: Final = {
    "Alabama away from the Georgia line": "205 251 256",
    "Arizona without the Navajo Nation, all of which is in 928": "480 520 602 623",
    "the coast and the Fraser valley of British Columbia": "604",
    "the peninsula of Florida, east of the Apalachicola": "239 305 321 352 386 407 561 727 772 813 863 904 941 954",
    "Indiana without its corners beside Chicago and Evansville": "260 317 765",
    "Kansas east of the four counties on Mountain Time": "316 913",
    "Kentucky around Louisville, Lexington and Covington": "502 859",
    "the lower peninsula of Michigan": "231 248 269 313 517 586 616 734 810 989",
    "southern Nevada, around Las Vegas": "702",
    "Ontario east of Lake Superior": "416 519 613 705 905",
    "northwestern Oregon": "503",
    "Quebec without the Magdalen Islands and the Lower North Shore, which are in 418": "450 514 819",
    "middle and western Tennessee": "615 731 901 931",
    "Tennessee around Knoxville": "865",
    "Texas without El Paso and Hudspeth": "210 214 254 325 361 409 432 512 713 806 817 830 903 936 940 956 979",
    "El Paso and Hudspeth": "915",
}
_SINGLE_ZONE: Final = frozenset(code for codes in SINGLE_ZONE.values() for code in codes.split())


@cache
def zones_of_area_code(area_code: str) -> frozenset[str]:
    """Return every zone that a number with the area code may be in; none for an area code without a place.

    An area code that this module does not classify yet has all zones of its state.
    """
    known = _listed_zones(area_code)
    if not known or is_classified(area_code):
        return known
    regions = regions_of_area_code(area_code)
    return known.union(*(zones_of_region(region) for region in regions))


@cache
def zones_of_region(region: str) -> frozenset[str]:
    """Return the zones of a state or province by its code: those of all its area codes."""
    return frozenset(zone for code in _codes_of_region(region) for zone in _listed_zones(code))


@cache
def regions_of_area_code(area_code: str) -> tuple[str, ...]:
    """Return the states and provinces of an area code, such as ("NS", "PE"); none for other countries of +1."""
    return tuple(region for region, codes in AREA_CODES.items() if area_code in codes.split())


def is_classified(area_code: str) -> bool:
    """Return whether the zones of the area code are known to be all: one in a state of one zone always is."""
    return (
        area_code in OVERLAYS
        or area_code in _SINGLE_ZONE
        or len(_listed_zones(area_code)) > 1
        or all(len(zones_of_region(region)) <= 1 for region in regions_of_area_code(area_code))
    )


def jurisdictions_of_area_code(area_code: str) -> frozenset[str]:
    """Return the ISO 3166-2 codes of the states and provinces of an area code."""
    return frozenset(REGION_OF_CODE[region].jurisdiction for region in regions_of_area_code(area_code))


def _listed_zones(area_code: str) -> frozenset[str]:
    codes = {area_code, OVERLAYS.get(area_code, area_code)}
    extra = (zone for code in codes for zone in EXTRA_ZONES.get(code, ()))
    return frozenset(extra).union(*(_libphonenumber_zones().get(code, ()) for code in codes))


def _codes_of_region(region: str) -> tuple[str, ...]:
    return tuple(AREA_CODES[region].split()) if region in AREA_CODES else _TERRITORIES[region]


_TERRITORIES: Final = {"AS": ("684",), "GU": ("671",), "MP": ("670",), "PR": ("787", "939"), "VI": ("340",)}


@cache
def _libphonenumber_zones() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for prefix, zones in TIMEZONE_DATA.items():
        if prefix[:1] == "1" and len(prefix) > 3:
            found.setdefault(prefix[1:4], set()).update(zones)
    return {code: frozenset(zones) for code, zones in found.items()}
