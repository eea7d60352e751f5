"""The English names of jurisdictions."""

from typing import Final

from outdial.domain.geography.countries import country_name
from outdial.domain.geography.regions import REGION_OF_CODE
from outdial.domain.place import UNKNOWN_COUNTRY, UNKNOWN_STATE

_OTHERS: Final = {
    UNKNOWN_STATE: "unknown US state",
    UNKNOWN_COUNTRY: "unknown country",
    "EU": "European Union",
    "GB": "United Kingdom",
    "US": "United States",
}


def place_name(jurisdiction: str) -> str:
    """Return the name of a jurisdiction, such as Texas for US-TX; its code if it has none."""
    if jurisdiction in _OTHERS:
        return _OTHERS[jurisdiction]
    country, _, code = jurisdiction.partition("-")
    region = REGION_OF_CODE.get(code)
    if region is not None and region.country == country:
        return region.name
    return f"{country_name(country)}, {code}" if code else country_name(country)


def place_names(jurisdiction_key: str) -> str:
    """Return the names of all jurisdictions of a key, such as Indiana or Kentucky."""
    return (
        " or ".join(place_name(name) for name in jurisdiction_key.split("|")) if jurisdiction_key else "Unknown place"
    )
