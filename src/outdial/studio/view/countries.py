"""Countries to select for numbers without a country code, and the one that the viewer most likely means."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from phonenumbers import SUPPORTED_REGIONS

from outdial.domain.geography.countries import country_name, zones_of_country
from outdial.domain.geography.place_names import place_name
from outdial.domain.geography.regions import REGIONS
from outdial.domain.public_holidays import has_calendar

# They have telephone numbers of their own, but no code of ISO 3166.
_NAMES_OUTSIDE_ISO: Final = {"AC": "Ascension Island", "TA": "Tristan da Cunha", "XK": "Kosovo"}
_LANGUAGE_OF_REGION: Final = re.compile(r"\s*[A-Za-z]{2,3}(?:-[A-Za-z]{4})?-([A-Za-z]{2})\b")


@cache
def country_options() -> Sequence[tuple[str, str]]:
    """Return the code and the name of each country that has telephone numbers, ordered by name."""
    named = ((code, _NAMES_OUTSIDE_ISO.get(code) or country_name(code)) for code in SUPPORTED_REGIONS)
    return sorted(named, key=lambda option: option[1])


def likely_country(accept_language: str, zone: str) -> str | None:
    """Return the country of the viewer by the languages of the browser, else by its time zone."""
    for language in accept_language.split(",")[:10]:
        if (found := _LANGUAGE_OF_REGION.match(language)) and (code := found[1].upper()) in SUPPORTED_REGIONS:
            return code
    return _countries_of_zones().get(zone)


@cache
def _countries_of_zones() -> dict[str, str]:
    return {zone: code for code in sorted(SUPPORTED_REGIONS) for zone in zones_of_country(code)}


@cache
def calendar_groups() -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return the places of `place_groups` whose public holidays are known."""
    return {
        group: [(code, name) for code, name in places if has_calendar(code)] for group, places in place_groups().items()
    }


@cache
def place_groups() -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return pairs of jurisdiction and name to select a country or a state, in groups."""
    states = {
        country_name(country): [
            (region.jurisdiction, region.name)
            for region in REGIONS
            if region.country == country and region.jurisdiction.startswith(f"{country}-")
        ]
        for country in ("US", "CA")
    }
    return {"Countries": [("EU", place_name("EU")), *country_options()], **states}
