"""Time zones as people write them, such as Eastern or Pacific Standard Time, with the IANA zone they most likely mean.

The names of zones in North America are those of the United States Department of Transportation (49 CFR part 71) and of
the National Research Council Canada; the others are the English names and the Windows names of Unicode CLDR
(`metaZones`, `windowsZones`). A name such as CST or IST means several zones, so this is a suggestion for a user to
confirm, never a reading.
"""

from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from outdial.domain.geography.area_zones import zones_of_region
from outdial.domain.geography.countries import find_country, zones_of_country
from outdial.domain.geography.regions import find_region, fold

# One zone each: what its standard, daylight and general time is called, and the abbreviations.
_NAMES: Final = """
America/New_York: Eastern, Eastern Time, Eastern Standard Time, Eastern Daylight Time, ET, EST, EDT, EST5EDT, US Eastern
America/Chicago: Central, Central Time, Central Standard Time, Central Daylight Time, CT, CST, CDT, US Central
America/Denver: Mountain, Mountain Time, Mountain Standard Time, Mountain Daylight Time, MT, MST, MDT, US Mountain
America/Phoenix: Arizona, Arizona Time, US Mountain Standard Time
America/Los_Angeles: Pacific, Pacific Time, Pacific Standard Time, Pacific Daylight Time, PT, PST, PDT, US Pacific
America/Anchorage: Alaska, Alaska Time, Alaskan Standard Time, Alaska Standard Time, AKT, AKST, AKDT
Pacific/Honolulu: Hawaii, Hawaii Time, Hawaiian Standard Time, Hawaii Standard Time, HT, HST, HAST
America/Halifax: Atlantic, Atlantic Time, Atlantic Standard Time, Atlantic Daylight Time, AT, AST, ADT
America/St_Johns: Newfoundland, Newfoundland Time, Newfoundland Standard Time, NT, NST, NDT
Europe/London: UK, UK Time, British Time, British Summer Time, GMT Standard Time, BST
Europe/Lisbon: Western European Time, Western European Summer Time, WEST
Europe/Berlin: Central European Time, Central European Summer Time, CEST, MEZ, MESZ, W. Europe Standard Time
Europe/Paris: Romance Standard Time
Europe/Warsaw: Central European Standard Time
Europe/Athens: Eastern European Time, Eastern European Summer Time, EEST, GTB Standard Time
Europe/Kiev: FLE Standard Time
Europe/Moscow: Moscow Time, Moscow Standard Time, Russian Standard Time, MSK
Europe/Istanbul: Turkey Time, Turkey Standard Time, TRT
Asia/Dubai: Gulf Time, Gulf Standard Time, Arabian Standard Time
Asia/Kolkata: India Time, India Standard Time, IST
Asia/Singapore: Singapore Time, Singapore Standard Time, SGT
Asia/Hong_Kong: Hong Kong Time, HKT
Asia/Shanghai: China Time, China Standard Time
Asia/Tokyo: Japan Time, Japan Standard Time, Tokyo Standard Time, JST
Asia/Seoul: Korea Time, Korean Standard Time, Korea Standard Time, KST
Australia/Sydney: Australian Eastern Time, AUS Eastern Standard Time, AET, AEST, AEDT
Australia/Adelaide: Australian Central Time, Cen. Australia Standard Time, ACST, ACDT
Australia/Perth: Australian Western Time, W. Australia Standard Time, AWST
Pacific/Auckland: New Zealand Time, New Zealand Standard Time, NZT, NZST, NZDT
America/Sao_Paulo: Brasilia Time, E. South America Standard Time, BRT
America/Argentina/Buenos_Aires: Argentina Time, Argentina Standard Time, ART
America/Bogota: Colombia Time, SA Pacific Standard Time, COT
America/Mexico_City: Central Standard Time (Mexico), Mexico City Time
Africa/Johannesburg: South Africa Time, South Africa Standard Time, SAST
Africa/Lagos: West Africa Time, W. Central Africa Standard Time, WAT
Africa/Nairobi: East Africa Time, E. Africa Standard Time, EAT
"""


@lru_cache(maxsize=1_000)
def suggest_zone(text: str) -> str | None:
    """Return the IANA zone that `text` most likely means: by a common name, a city, or a place with one zone only."""
    if (zone := _by_name().get(fold(text.replace("_", " ")))) is not None:
        return zone
    region = find_region(text)
    zones = zones_of_region(region.code) if region else zones_of_country(find_country(text) or "")
    return next(iter(zones)) if len(zones) == 1 else None


@cache
def _by_name() -> dict[str, str]:
    table = (files("tzdata.zoneinfo") / "zone.tab").read_text(encoding="utf-8").splitlines()
    zones = [line.split("\t")[2] for line in table if line and not line.startswith("#")]
    found = {fold(zone.rpartition("/")[2].replace("_", " ")): zone for zone in zones}
    found |= {fold(zone.replace("_", " ")): zone for zone in zones}
    for line in _NAMES.strip().splitlines():
        zone, names = line.split(": ")
        found.update((fold(name), zone) for name in names.split(", "))
    return found
