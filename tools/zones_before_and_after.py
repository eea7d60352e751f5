"""Print the zones of numbers before and after zones by area code: `python -m tools.zones_before_and_after [NUMBER]`.

Before, as in revision 528c413, libphonenumber gave a number the zones of its exchange.
"""

import sys

import phonenumbers
from phonenumbers.timezone import time_zones_for_number

from outdial.domain.location import Location, StatedPlace, locate
from outdial.domain.phone import phone_of

NUMBERS = (
    "+14232000123", "+12192000123", "+12702000123", "+13642000123", "+14482000123", "+18502000123", "+18122000123",
    "+19302000123", "+15742000123", "+13082000123", "+19062000123", "+16062000123", "+17852000123", "+16202000123",
    "+15412000123", "+14582000123", "+12502000123", "+14182000123", "+18072000123", "+18672000123",
)  # fmt: skip


def row(e164: str) -> str:
    """Return the line of a number: its zones before, its zones now, its jurisdictions."""
    before = "|".join(sorted(time_zones_for_number(phonenumbers.parse(e164))))
    now = locate(phone_of(e164), StatedPlace())
    zones, jurisdictions = (
        (now.place.zone_key, now.place.jurisdiction_key) if isinstance(now, Location) else (now.reason, "")
    )
    short = (text.replace("America/", "") for text in (before, zones))
    return f"{e164}  {next(short):<22}{next(short):<50}{jurisdictions}"


if __name__ == "__main__":
    print(f"{'number':<14}{'before':<22}{'now':<50}law")  # noqa: T201
    for number in sys.argv[1:] or NUMBERS:
        print(row(number))  # noqa: T201
