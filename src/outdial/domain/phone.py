"""Phone numbers: from typed text to E.164."""

from dataclasses import dataclass

import phonenumbers

from outdial.domain.phone_reading import NO_COUNTRY_CODE, number_of, read_cell, read_plain

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

    @property
    def lacks_country_code(self) -> bool:
        """Whether a default region may make it a number."""
        return self.reason.endswith(NO_COUNTRY_CODE)


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


def phone_of(e164: str) -> Phone:
    """Return a stored number with its country, without checking it again."""
    country = phonenumbers.region_code_for_number(number_of(e164))
    return Phone(e164, None if country == _NON_GEOGRAPHIC else country)


def mask(e164: str) -> str:
    """Mask a number for logs: `+14155552671` becomes `+1415*****71`; shorter numbers keep fewer digits."""
    head, tail = max(0, min(5, len(e164) - 6)), 2
    if len(e164) <= 2 * tail:
        return "*" * len(e164)
    return f"{e164[:head]}{'*' * (len(e164) - head - tail)}{e164[-tail:]}"
