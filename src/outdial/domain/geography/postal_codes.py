"""Postal codes of the United States and Canada, and the states and provinces that they lie in."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from outdial.domain.geography.regions import MILITARY

LONGEST: Final = 12

# The first three digits of ZIP codes by state, from the US Postal Service. AA, AE, AP: armed forces.
_ZIP_PREFIXES: Final = """
NY 005 100-149
PR 006-007 009
VI 008
MA 010-027 055
RI 028-029
NH 030-038
ME 039-049
VT 050-054 056-059
CT 060-069
NJ 070-089
AE 090-098
PA 150-196
DE 197-199
DC 200 202-205 569
VA 201 220-246
MD 206-219
WV 247-268
NC 270-289
SC 290-299
GA 300-319 398-399
FL 320-339 341-342 344 346-347 349
AA 340
AL 350-352 354-369
TN 370-385
MS 386-397
KY 400-427
OH 430-459
IN 460-479
MI 480-499
IA 500-528
WI 530-532 534-535 537-549
MN 550-551 553-567
SD 570-577
ND 580-588
MT 590-599
IL 600-629
MO 630-658
KS 660-679
NE 680-693
LA 700-714
AR 716-729
OK 730-732 734-749
TX 733 750-799 885
CO 800-816
WY 820-831
ID 832-838
UT 840-847
AZ 850-865
NM 870-884
NV 889-898
CA 900-908 910-961
AP 962-966
HI 967-968
GU 969
OR 970-979
WA 980-986 988-994
AK 995-999
"""
# ZIP codes of another state, or of two, than their first three digits say. 969 is shared by islands.
_OTHER_ZIPS: Final = {
    "06390": ("NY",), "42223": ("KY", "TN"), "73949": ("OK", "TX"), "73960": ("TX",), "83414": ("WY",),
    "96799": ("AS",), "96950": ("MP",), "96951": ("MP",), "96952": ("MP",),
}  # fmt: skip
_FREELY_ASSOCIATED: Final = {"96939": "PW", "96940": "PW", "96960": "MH", "96970": "MH"} | {
    f"9694{last}": "FM" for last in "1234"
}
_PROVINCES: Final = {
    "A": ("NL",), "B": ("NS",), "C": ("PE",), "E": ("NB",), "G": ("QC",), "H": ("QC",), "J": ("QC",), "K": ("ON",),
    "L": ("ON",), "M": ("ON",), "N": ("ON",), "P": ("ON",), "R": ("MB",), "S": ("SK",), "T": ("AB",), "V": ("BC",),
    "X": ("NT",), "Y": ("YT",),
}  # fmt: skip
_NUNAVUT: Final = ("X0A", "X0B", "X0C")

_ZIP: Final = re.compile(r"(\d{5})(?:[- ]?\d{4})?")
# A spreadsheet drops the zeros in front: 2139 is 02139 in Massachusetts, 601 is 00601 in Puerto Rico.
_SHORT_ZIP: Final = re.compile(r"(\d{3,4})(?:\.0+)?|(\d{5})\.0+")
_CANADIAN: Final = re.compile(r"([ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z])[ -]?(\d[ABCEGHJ-NPRSTV-Z]\d)?")
_ANY: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9 -]*[A-Z0-9])?")


@dataclass(frozen=True, slots=True)
class PostalCode:
    """A postal code in its usual form, the country that it is of, and the states or provinces that it lies in.

    `regions` are codes such as TX. It is empty for addresses of the armed forces, and outside the US and Canada.
    """

    text: str
    country: str
    regions: tuple[str, ...] = ()


@lru_cache(maxsize=10_000)
def read_postal_code(text: str, countries: tuple[str, ...]) -> PostalCode | str:
    """Read a postal code of one of `countries` (ISO alpha-2), the first that it fits, or return why it is not one."""
    code = " ".join(text.upper().split())
    reasons = []
    for country in countries:
        found = _read(code, country)
        if isinstance(found, PostalCode):
            return found
        reasons.append(found)
    return reasons[0]


def _read(code: str, country: str) -> PostalCode | str:
    match country:
        case "US":
            return _read_zip(code)
        case "CA":
            if found := _CANADIAN.fullmatch(code):
                provinces = ("NU",) if found[1] in _NUNAVUT else _PROVINCES[code[0]]
                return PostalCode(" ".join(filter(None, found.groups())), "CA", provinces)
            return f"{code!r} is not a Canadian postal code such as K1A 0B1"
        case _:
            is_one = len(code) <= LONGEST and _ANY.fullmatch(code)
            return PostalCode(code, country) if is_one else f"{code!r} is not a postal code"


def _read_zip(code: str) -> PostalCode | str:
    if short := _SHORT_ZIP.fullmatch(code):
        code = (short[1] or short[2]).zfill(5)
    found = _ZIP.fullmatch(code)
    if found is None:
        return f"{code!r} is not a ZIP code such as 90210"
    if country := _FREELY_ASSOCIATED.get(found[1]):
        return PostalCode(code, country)
    states = _OTHER_ZIPS.get(found[1]) or _STATE_OF_PREFIX.get(found[1][:3])
    if states is None:
        return f"no state has ZIP codes that begin with {found[1][:3]} ({code!r})"
    return PostalCode(code, "US", tuple(state for state in states if state not in MILITARY))


def _prefixes() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in _ZIP_PREFIXES.strip().splitlines():
        state, *ranges = line.split()
        for each in ranges:
            first, _, last = each.partition("-")
            found.update({f"{number:03}": (state,) for number in range(int(first), int(last or first) + 1)})
    return found


_STATE_OF_PREFIX: Final = _prefixes()
