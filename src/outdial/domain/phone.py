"""Phone numbers: from typed text to E.164, and from a number to the time zones its owner may live in."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import phonenumbers
from phonenumbers import PhoneNumberType
from phonenumbers.phonenumberutil import is_number_type_geographical
from phonenumbers.timezone import time_zones_for_geographical_number, time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from outdial.domain.calling_hours import is_zone_name
from outdial.domain.phone_reading import number_of, read_cell, read_plain

_NON_GEOGRAPHIC = "001"
_PLACELESS = {
    PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.UAN,
    PhoneNumberType.PAGER, PhoneNumberType.VOICEMAIL,
}  # fmt: skip

# Newer area codes that cover the territory of an older one with several zones. libphonenumber lists zones by exchange
# only for the older code, and a single zone for the newer one. From the overlays of the North American Numbering Plan.
_OVERLAYS = {
    "236": "250", "257": "250", "364": "270", "367": "418", "448": "850", "458": "541", "581": "418", "672": "250",
    "778": "250", "879": "709", "930": "812", "986": "208",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Phone:
    """A valid number in E.164, and its ISO 3166 country; None for a number of no country, such as +800."""

    e164: str
    country: str | None


@dataclass(frozen=True, slots=True)
class InvalidPhone:
    """Text that is not a phone number, and the reason."""

    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone key of a contact, and whether it comes from the contact or from the number."""

    key: str
    source: Literal["contact", "number"]


@dataclass(frozen=True, slots=True)
class NoZone:
    """The zone is unknown; `reason` says why."""

    reason: str


def parse_phone(raw: str, default_region: str | None, calling_code: int | None = None) -> Phone | InvalidPhone:
    """Parse the number in `raw`; without a country code it belongs to `default_region` (ISO 3166, such as US).

    `calling_code`, such as 44, is the country code from a column of its own.
    """
    region = default_region.upper() if default_region else None
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        return InvalidPhone(raw, f"unknown default region {default_region}; use a country code such as US")
    if calling_code is None and (plain := read_plain(raw.strip(), region)):
        return Phone(plain[0], None if plain[1] == _NON_GEOGRAPHIC else plain[1])
    number = read_cell(raw, region, calling_code)
    if isinstance(number, str):
        return InvalidPhone(raw, number)
    country = phonenumbers.region_code_for_number(number)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(e164, None if country == _NON_GEOGRAPHIC else country)


def zone_of(phone: Phone, timezone: str | None) -> Zone | NoZone:
    """Return the contact's own zone, else all zones of the number, sorted and joined by `|`.

    An unknown zone name gives NoZone rather than the number's zones: doubt fails closed. The zones of numbers come
    from libphonenumber; a mobile number may have every zone of its country. A number of +1 has every zone of its area
    code: libphonenumber gives an exchange that it does not list the zone of most others.
    """
    name = (timezone or "").strip()
    if name:
        known = is_zone_name(name)
        return Zone(name, "contact") if known else NoZone(f"{name!r} is not a time zone; use an IANA name")
    number = number_of(phone.e164)
    kind = phonenumbers.number_type(number)
    if kind in _PLACELESS:
        return NoZone("toll-free and other special numbers have no time zone; set one for the contact")
    names = _area_code_zones(phone.e164[2:5]) if number.country_code == 1 else ()
    if not names:
        is_located = is_number_type_geographical(kind, number.country_code or 0)
        zones = time_zones_for_geographical_number(number) if is_located else time_zones_for_number(number)
        names = tuple(sorted(zones))
    if not names or not all(is_zone_name(name) for name in names):
        return NoZone("the number has no time zone; set one for the contact")
    return Zone("|".join(names), "number")


@cache
def _area_code_zones(area_code: str) -> tuple[str, ...]:
    prefixes = tuple("1" + code for code in (area_code, _OVERLAYS.get(area_code, area_code)))
    return tuple(
        sorted({zone for known, zones in TIMEZONE_DATA.items() if known.startswith(prefixes) for zone in zones})
    )


def mask(e164: str) -> str:
    """Mask a number for logs: `+14155552671` becomes `+1415*****71`; shorter numbers keep fewer digits."""
    head, tail = max(0, min(5, len(e164) - 6)), 2
    if len(e164) <= 2 * tail:
        return "*" * len(e164)
    return f"{e164[:head]}{'*' * (len(e164) - head - tail)}{e164[-tail:]}"
