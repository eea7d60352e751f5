"""Write `src/outdial/domain/geography/area_codes.py`: the states and provinces of each area code, from libphonenumber.

`python tools/generate_area_codes.py` prints the module. It reads libphonenumber's names of places, which take 96 MB of
memory once loaded, so that no process of Outdial has to.
"""

import re
import textwrap
from collections import defaultdict
from typing import Final

from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

from outdial.domain.geography.regions import REGIONS

# Names of libphonenumber that are not those of the state, with the states that they stand for.
_OTHER_NAMES: Final = {
    "Washington State": ("WA",),
    "Washington D.C.": ("DC",),
    "British Colombia": ("BC",),
    "Nova Scotia/Prince Edward Island": ("NS", "PE"),
    "Northwest Territories/Nunavut/Yukon": ("NT", "NU", "YT"),
}
_HEADER: Final = '''"""Area codes by state and province, written by tools/generate_area_codes.py from libphonenumber."""

from typing import Final

AREA_CODES: Final[dict[str, str]] = {
'''


def states_of_area_codes() -> dict[str, set[str]]:
    """Return the codes of the states and provinces in which each area code of the US and Canada lies."""
    names = {region.name: (region.code,) for region in REGIONS} | _OTHER_NAMES
    codes = {region.code for region in REGIONS}
    found: dict[str, set[str]] = defaultdict(set)
    for prefix, places in GEOCODE_DATA.items():
        if not re.fullmatch(r"1\d{3,}", prefix) or "en" not in places:
            continue
        name = places["en"].split(",")[-1].strip()
        states = names.get(name) or ((name,) if name in codes else ())
        found[prefix[1:4]].update(states)
    return {code: states for code, states in found.items() if states}


def areas_with_zones() -> set[str]:
    """Return the area codes, of all countries of +1, for which libphonenumber knows time zones."""
    return {prefix[1:4] for prefix in TIMEZONE_DATA if re.fullmatch(r"1\d{3,}", prefix)}


def module() -> str:
    """Return the text of the generated module."""
    by_state: dict[str, list[str]] = defaultdict(list)
    for code, states in sorted(states_of_area_codes().items()):
        for state in states:
            by_state[state].append(code)
    lines = []
    for state in sorted(by_state):
        text = " ".join(by_state[state])
        if len(text) <= 100:
            lines.append(f'    "{state}": "{text}",\n')
        else:
            parts = textwrap.wrap(text, 100)
            quoted = "\n".join(f'        "{part} "' for part in parts[:-1]) + f'\n        "{parts[-1]}"'
            lines.append(f'    "{state}": (\n{quoted}\n    ),\n')
    return _HEADER + "".join(lines) + "}\n"


if __name__ == "__main__":
    print(module(), end="")  # noqa: T201
