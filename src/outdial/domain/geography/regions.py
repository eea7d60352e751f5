"""The states, provinces and territories of the United States and Canada: codes, names and how users write them."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MILITARY: Final = ("AA", "AE", "AP")
"""State codes in the addresses of the armed forces abroad. They say nothing about the place."""
TERRITORIES: Final = ("AS", "GU", "MP", "PR", "VI")
"""The territories of the United States that are also countries of ISO 3166."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A state, province or territory. `other_names` are abbreviations and spellings beside the code and the name."""

    country: str
    code: str
    name: str
    other_names: tuple[str, ...] = ()

    @property
    def jurisdiction(self) -> str:
        """The code of ISO 3166-2, such as US-TX."""
        return f"{self.country}-{self.code}"


# code: name, then other ways of writing it.
_UNITED_STATES: Final = """
AL Alabama, Ala
AK Alaska
AZ Arizona, Ariz
AR Arkansas, Ark
CA California, Calif
CO Colorado, Colo
CT Connecticut, Conn
DE Delaware, Del
DC District of Columbia, Washington DC, Washington District of Columbia
FL Florida, Fla
GA Georgia
HI Hawaii
ID Idaho
IL Illinois, Ill
IN Indiana, Ind
IA Iowa
KS Kansas, Kan, Kans
KY Kentucky
LA Louisiana
ME Maine
MD Maryland
MA Massachusetts, Mass
MI Michigan, Mich
MN Minnesota, Minn
MS Mississippi, Miss
MO Missouri
MT Montana, Mont
NE Nebraska, Neb, Nebr
NV Nevada, Nev
NH New Hampshire
NJ New Jersey
NM New Mexico
NY New York, New York State
NC North Carolina
ND North Dakota
OH Ohio
OK Oklahoma, Okla
OR Oregon, Ore
PA Pennsylvania, Penn, Penna
RI Rhode Island
SC South Carolina
SD South Dakota
TN Tennessee, Tenn
TX Texas, Tex
UT Utah
VT Vermont
VA Virginia
WA Washington, Washington State, Wash
WV West Virginia, W Virginia, W Va
WI Wisconsin, Wis, Wisc
WY Wyoming, Wyo
AS American Samoa
GU Guam
MP Northern Mariana Islands, Commonwealth of the Northern Mariana Islands
PR Puerto Rico
VI Virgin Islands, US Virgin Islands, United States Virgin Islands
"""
_CANADA: Final = """
AB Alberta, Alta
BC British Columbia
MB Manitoba, Man
NB New Brunswick
NL Newfoundland and Labrador, Newfoundland & Labrador, Newfoundland, Labrador, NF, Nfld
NS Nova Scotia
NT Northwest Territories
NU Nunavut
ON Ontario, Ont
PE Prince Edward Island, PEI
QC Quebec, Que, PQ
SK Saskatchewan, Sask
YT Yukon, Yukon Territory
"""


def _regions(country: str, lines: str) -> tuple[Region, ...]:
    entries = ((line[:2], line[3:].split(", ")) for line in lines.strip().splitlines())
    return tuple(
        Region(country=country, code=code, name=names[0], other_names=tuple(names[1:])) for code, names in entries
    )


REGIONS: Final = _regions("US", _UNITED_STATES) + _regions("CA", _CANADA)
REGION_OF_CODE: Final = {region.code: region for region in REGIONS}
"""States and provinces share no code."""


def fold(text: str) -> str:
    """Return a name for comparison: lower case, without accents and punctuation, with single spaces."""
    letters = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^\w]+", " ", kept.replace(".", "").replace("'", "").replace("’", "")).strip()


_BY_NAME: Final = {
    fold(name): region
    for region in REGIONS
    for name in (region.code, region.name, *region.other_names, region.jurisdiction)
}


@lru_cache(maxsize=1_000)
def find_region(text: str) -> Region | None:
    """Return the state or province that `text` names by its code or name, in any case: TX, Texas, US-TX, Québec."""
    return _BY_NAME.get(fold(text))
