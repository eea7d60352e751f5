"""Phone numbers: from typed text to E.164, and from a number to the time zones its owner may live in."""

from dataclasses import dataclass
from typing import Literal

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, ValidationResult
from phonenumbers.timezone import time_zones_for_number

from outdial.domain.calling_hours import is_zone_name

_PARSE_REASONS = {
    NumberParseException.NOT_A_NUMBER: "not a phone number",
    NumberParseException.TOO_SHORT_AFTER_IDD: "too short",
    NumberParseException.TOO_SHORT_NSN: "too short",
    NumberParseException.TOO_LONG: "too long",
}
_LENGTH_REASONS = {
    ValidationResult.TOO_SHORT: "too short",
    ValidationResult.TOO_LONG: "too long",
    ValidationResult.INVALID_LENGTH: "has the wrong length",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "no area code",
}
_NON_GEOGRAPHIC = "001"


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


def parse_phone(raw: str, default_region: str | None) -> Phone | InvalidPhone:
    """Parse the number in `raw`; without a country code it belongs to `default_region` (ISO 3166, such as US)."""
    region = default_region.upper() if default_region else None
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        return InvalidPhone(raw, f"unknown default region {default_region}; use a country code such as US")
    try:
        number = phonenumbers.parse(raw, region)
    except NumberParseException as error:
        return InvalidPhone(raw, _PARSE_REASONS.get(error.error_type) or _no_country_reason(raw))
    if number.extension:
        return InvalidPhone(raw, "has an extension or a second number; use one number that can be dialed")
    country = phonenumbers.region_code_for_number(number)
    if country is None or not phonenumbers.is_valid_number_for_region(number, country):
        return InvalidPhone(raw, _invalid_reason(number))
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(e164, None if country == _NON_GEOGRAPHIC else country)


def zone_of(phone: Phone, timezone: str | None) -> Zone | NoZone:
    """Return the contact's own zone, else all zones of the number, sorted and joined by `|`.

    An unknown zone name gives NoZone rather than the number's zones: doubt fails closed. The zones of numbers come
    from libphonenumber; a mobile number may have every zone of its country.
    """
    name = (timezone or "").strip()
    if name:
        known = is_zone_name(name)
        return Zone(name, "contact") if known else NoZone(f"{name!r} is not a time zone; use an IANA name")
    names = sorted(time_zones_for_number(phonenumbers.parse(phone.e164)))
    if not names or not all(is_zone_name(name) for name in names):
        return NoZone("the number has no time zone; set one for the contact")
    return Zone("|".join(names), "number")


def mask(e164: str) -> str:
    """Mask a number for logs: `+14155552671` becomes `+1415*****71`; shorter numbers keep fewer digits."""
    head, tail = max(0, min(5, len(e164) - 6)), 2
    if len(e164) <= 2 * tail:
        return "*" * len(e164)
    return f"{e164[:head]}{'*' * (len(e164) - head - tail)}{e164[-tail:]}"


def _no_country_reason(raw: str) -> str:
    if "+" in raw:
        return "unknown country code"
    return "no country code, and no default region"


def _invalid_reason(number: PhoneNumber) -> str:
    reason = _LENGTH_REASONS.get(phonenumbers.is_possible_number_with_reason(number))
    country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return reason or f"is not a valid number in {country}"
