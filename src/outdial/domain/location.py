"""Where a contact may be, from its phone number and from what its row says about the place.

Sources that agree narrow each other: a number of Florida's 850 may be in two zones, and so may one with the state FL.
Sources that disagree all apply: a number of California with the state TX may be in each of their zones. A value that
cannot be read is refused, never ignored: doubt must not open hours.
"""

import re
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import phonenumbers
from phonenumbers import PhoneNumberType
from phonenumbers.phonenumberutil import is_number_type_geographical
from phonenumbers.timezone import time_zones_for_geographical_number
from phonenumbers.tzdata import TIMEZONE_DATA

from outdial.domain.calling_hours import is_zone_name
from outdial.domain.geography.area_zones import jurisdictions_of_area_code, zones_of_area_code, zones_of_region
from outdial.domain.geography.countries import find_country, zones_of_country
from outdial.domain.geography.postal_codes import PostalCode, read_postal_code
from outdial.domain.geography.regions import MILITARY, REGION_OF_CODE, TERRITORIES, Region, find_region
from outdial.domain.phone import Phone
from outdial.domain.phone_reading import number_of
from outdial.domain.place import UNKNOWN_COUNTRY, UNKNOWN_STATE, Place

ZoneSource = Literal["contact", "number", "region", "postal_code", "country", "conflict"]
PlaceField = Literal["timezone", "country", "region", "postal_code"]

_DATA_VERSION: Final = 1
"""Raise it with any change of the tables and rules behind `locate`: stored keys are then computed again."""


def _keys_version() -> int:
    major, minor, patch, *_ = (*(int(part) for part in re.findall(r"\d+", phonenumbers.__version__)), 0, 0, 0)
    return _DATA_VERSION * 10_000_000 + major * 100_000 + minor * 1_000 + patch


KEYS_VERSION: Final = _keys_version()
"""The version of the data that `locate` uses, including that of libphonenumber. A contact stores it with its keys."""

_PLACELESS: Final = {
    PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.UAN,
    PhoneNumberType.PAGER, PhoneNumberType.VOICEMAIL,
}  # fmt: skip
_MOBILES_WITH_AREA_CODES: Final = (52, 54, 55)
"""Mexico, Argentina and Brazil. Elsewhere a mobile number may be in any zone of its country, also if it has a prefix
for which libphonenumber knows a zone, as in Indonesia."""
_LAW_GOES_BY_AREA_CODE: Final = frozenset({"US-SC", "US-VA"})
"""States whose law protects the owners of their area codes wherever they are."""
_WITH_STATES: Final = ("US", "CA")
_REGION_CODE: Final = re.compile(r"[A-Z0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPlace:
    """What a contact's row says about its place, as written; None where it says nothing."""

    timezone: str | None = None
    country: str | None = None
    region: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The place of a contact, what decided its zones, and what was stated, in the form in which it is stored.

    `zone_source` is `contact` for a stated time zone, and `conflict` if sources disagree and the zones of all apply.
    """

    place: Place
    zone_source: ZoneSource
    stated: StatedPlace

    def stored(self) -> dict[str, str | None]:
        """Return the columns of the contact that state its place."""
        return asdict(self.stated)


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """The keys of a contact that is stored already, and what decided its zones."""

    place: Place
    zone_source: ZoneSource


@dataclass(frozen=True, slots=True)
class Unlocatable:
    """The place cannot be computed: `field` is what has to be corrected or stated, `reason` says why."""

    field: PlaceField
    reason: str


@dataclass(frozen=True, slots=True)
class _Area:
    """Where one source says that a contact is. `is_certain` is False where two sources disagree."""

    jurisdictions: frozenset[str]
    zones: frozenset[str]
    is_certain: bool = True

    def and_also(self, other: "_Area") -> "_Area":
        """Return where the contact is by both: what they share, or if they disagree, all that either says."""
        shared = self.jurisdictions & other.jurisdictions
        if shared and self.is_certain and other.is_certain:
            return _Area(shared, (self.zones & other.zones) or (self.zones | other.zones))
        return _Area(self.jurisdictions | other.jurisdictions, self.zones | other.zones, is_certain=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """What was stated, read. `foreign_region` is one outside the United States and Canada, which has no effect."""

    timezone: str | None = None
    country: str | None = None
    region: Region | None = None
    foreign_region: str | None = None
    postal: PostalCode | None = None
    is_military: bool = False

    @property
    def stored_region(self) -> str | None:
        """The code of the region, as the database keeps it; None for the name of a foreign one."""
        code = self.region.code if self.region else self.foreign_region
        return code if code and _REGION_CODE.fullmatch(code) else None


def locate(phone: Phone, stated: StatedPlace) -> Location | Unlocatable:
    """Return where the contact may be, or why that cannot be computed."""
    read = _read(phone, stated)
    if isinstance(read, Unlocatable):
        return read
    number, problem = _area_of_number(phone)
    area, source = _combine(read, number)
    zones = frozenset({read.timezone}) if read.timezone else area.zones
    if not zones:
        return Unlocatable("timezone", _missing(read, problem))
    return Location(
        place=Place("|".join(sorted(zones)), "|".join(sorted(area.jurisdictions))),
        zone_source="contact" if read.timezone else source,
        stated=StatedPlace(
            timezone=read.timezone,
            country=read.country,
            region=read.stored_region,
            postal_code=read.postal.text if read.postal else None,
        ),
    )


def locate_stored(phone: Phone, stated: StatedPlace, zone_key: str) -> StoredKeys:
    """Return the keys of a stored contact, whose columns may contradict each other, unlike those of a new one.

    If they cannot be read together, the contact may be in any zone of its number and of its present `zone_key`, and in
    North America in any state.
    """
    found = locate(phone, stated)
    if isinstance(found, Location):
        return StoredKeys(found.place, found.zone_source)
    number, _ = _area_of_number(phone)
    zones = number.zones | frozenset(zone_key.split("|"))
    jurisdictions = frozenset({UNKNOWN_STATE}) if phone.e164.startswith("+1") else number.jurisdictions
    return StoredKeys(Place("|".join(sorted(zones)), "|".join(sorted(jurisdictions))), "conflict")


def _missing(read: _Stated, problem: str | None) -> str:
    if read.is_military:
        return "an address of the armed forces has no time zone; set one for the contact"
    if read.country in _WITH_STATES:
        kind = "state" if read.country == "US" else "province"
        return f"the number does not say in which {kind} the contact is; give its {kind}, postal code or time zone"
    return problem or "the contact has no time zone; set one"


def _read(phone: Phone, stated: StatedPlace) -> _Stated | Unlocatable:
    timezone = (stated.timezone or "").strip() or None
    country_text, region_text, postal_text = map(_text, (stated.country, stated.region, stated.postal_code))
    if timezone and not is_zone_name(timezone):
        return Unlocatable("timezone", f"{timezone!r} is not a time zone; use an IANA name")
    country = find_country(country_text) if country_text else None
    if country_text and country is None:
        return Unlocatable("country", f"{country_text!r} is not a country; write a code such as US")
    read = _read_region(region_text, country, phone) if region_text else _Stated()
    if isinstance(read, Unlocatable):
        return read
    postal = _read_postal_code(postal_text, country, read, phone) if postal_text else None
    if isinstance(postal, Unlocatable):
        return postal
    has_no_state = postal is not None and postal.country == "US" and not postal.regions
    is_military = read.is_military or has_no_state
    return replace(read, timezone=timezone, country=country, postal=postal, is_military=is_military)


def _text(text: str | None) -> str | None:
    """Return `text` trimmed; None for a dash and the like, which say that there is no value."""
    trimmed = (text or "").strip()
    return trimmed if any(letter.isalnum() for letter in trimmed) else None


def _read_region(text: str, country: str | None, phone: Phone) -> _Stated | Unlocatable:
    """Read the state or province, of `country` if that is stated, else of the number's country or of any of +1."""
    is_american = country in _WITH_STATES or (country is None and phone.country in (*_WITH_STATES, None))
    if not is_american and (country is not None or not phone.e164.startswith("+1")):
        return _Stated(foreign_region=text.upper())
    if country != "CA" and text.upper() in MILITARY:
        return _Stated(foreign_region=text.upper(), is_military=True)
    region = find_region(text)
    if region is not None and country in (None, region.country):
        return _Stated(region=region)
    if not is_american:
        return _Stated(foreign_region=text.upper())
    kinds = {"US": "a state of the United States; write a code such as TX", "CA": "a province of Canada; write ON"}
    return Unlocatable("region", f"{text!r} is not {kinds.get(country or '', 'a state or province; write TX or ON')}")


def _read_postal_code(text: str, country: str | None, read: _Stated, phone: Phone) -> PostalCode | Unlocatable:
    home = country or (read.region.country if read.region else "US" if read.is_military else phone.country)
    if home in TERRITORIES:
        home = "US"
    countries = (home,) if home else ("US", "CA")
    if country is None and home in _WITH_STATES:
        countries = ("US", "CA") if home == "US" else ("CA", "US")
    found = read_postal_code(text, countries)
    return found if isinstance(found, PostalCode) else Unlocatable("postal_code", found)


def _combine(read: _Stated, number: _Area) -> tuple[_Area, ZoneSource]:
    """Return where the contact may be by what was stated and by its number, and which of them decided."""
    if read.is_military:
        return _Area(frozenset({UNKNOWN_STATE}), frozenset()), "country"
    said = _stated_area(read, number)
    if said is None or said is number:
        return number, "number"
    if not said.zones:
        return said, "country"
    both = said.and_also(number) if number.zones else said
    if not both.is_certain:
        source: ZoneSource = "conflict"
    elif read.region:
        source = "region"
    else:
        source = "postal_code" if read.postal and read.postal.regions else "country"
    return _Area(said.jurisdictions | (number.jurisdictions & _LAW_GOES_BY_AREA_CODE), both.zones), source


def _stated_area(read: _Stated, number: _Area) -> _Area | None:
    """Return the stated area: that of the number if only its country is stated, None if nothing is."""
    areas = [_area_of_regions((read.region.code,))] if read.region else []
    if read.postal and read.postal.regions:
        areas.append(_area_of_regions(read.postal.regions))
    if areas:
        return areas[0] if len(areas) == 1 else areas[0].and_also(areas[1])
    # ZIP codes reach beyond the United States, to Palau and its neighbors.
    country = read.postal.country if read.postal and read.country in (None, "US") else read.country
    if country is None:
        return None
    if country in TERRITORIES:
        return _area_of_regions((country,))
    if any(name.partition("-")[0] == country for name in number.jurisdictions) and number.zones:
        return number
    if country in _WITH_STATES:
        return _Area(frozenset({_jurisdiction_of_country(country, is_american=True)}), frozenset())
    return _Area(frozenset({country}), zones_of_country(country))


@lru_cache(maxsize=1_000)
def _area_of_regions(codes: tuple[str, ...]) -> _Area:
    return _Area(
        frozenset(REGION_OF_CODE[code].jurisdiction for code in codes),
        frozenset(zone for code in codes for zone in zones_of_region(code)),
    )


def _area_of_number(phone: Phone) -> tuple[_Area, str | None]:
    """Return where the owner of a number may be, and why its zones are unknown, if they are."""
    is_american = phone.e164.startswith("+1")
    if is_american and (area := _area_of_area_code(phone.e164[2:5])) is not None:
        return area, None
    number = number_of(phone.e164)
    kind = phonenumbers.number_type(number)
    home = frozenset({_jurisdiction_of_country(phone.country, is_american)})
    wanted = "state, postal code or time zone" if is_american else "country or time zone"
    if kind in _PLACELESS:
        reason = f"toll-free and other special numbers have no time zone; give the contact's {wanted}"
        return _Area(home, frozenset()), reason
    if is_american:
        zones = zones_of_area_code(phone.e164[2:5])
    else:
        code = number.country_code or 0
        is_located = is_number_type_geographical(kind, code) and (
            kind != PhoneNumberType.MOBILE or code in _MOBILES_WITH_AREA_CODES
        )
        found = time_zones_for_geographical_number(number) if is_located else TIMEZONE_DATA.get(str(code), ())
        zones = frozenset(found)
    if not zones or not all(is_zone_name(name) for name in zones):
        return _Area(home, frozenset()), f"the number has no time zone; give the contact's {wanted}"
    return _Area(home, zones), None


@lru_cache(maxsize=1_000)
def _area_of_area_code(area_code: str) -> _Area | None:
    """Return where an area code of the United States and Canada is; None for one that is not theirs or has no place."""
    jurisdictions = jurisdictions_of_area_code(area_code)
    return _Area(jurisdictions, zones_of_area_code(area_code)) if jurisdictions else None


def _jurisdiction_of_country(country: str | None, is_american: bool) -> str:
    if country in TERRITORIES:
        return f"US-{country}"
    if country == "US" or (country is None and is_american):
        return UNKNOWN_STATE
    return country or UNKNOWN_COUNTRY
