"""Area codes have every zone of their territory, and a new one is not taken for one of a single zone."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from outdial.domain.geography import area_codes, area_zones
from outdial.domain.geography.area_codes import AREA_CODES
from outdial.domain.geography.area_zones import (
    EXTRA_ZONES,
    OVERLAYS,
    SINGLE_ZONE,
    is_classified,
    regions_of_area_code,
    zones_of_area_code,
    zones_of_region,
)
from outdial.domain.geography.regions import REGION_OF_CODE, REGIONS
from tools.generate_area_codes import areas_with_zones, module, states_of_area_codes

EASTERN, CENTRAL, MOUNTAIN, PACIFIC = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
)  # fmt: skip

# From the laws on time of the United States and Canada, not from libphonenumber: hours behind UTC in January, by state.
_EASTERN, _CENTRAL = "CT DC DE GA MA MD ME NC NH NJ NY OH PA RI SC VA VT WV", "AR IA IL LA MN MO MS OK WI MB"
WINTER_OFFSETS = {
    "AL": {5, 6}, "AK": {9, 10}, "AZ": {7}, "FL": {5, 6}, "ID": {7, 8}, "IN": {5, 6}, "KS": {6, 7}, "KY": {5, 6},
    "MI": {5, 6}, "ND": {6, 7}, "NE": {6, 7}, "NV": {7, 8}, "OR": {7, 8}, "SD": {6, 7}, "TN": {5, 6}, "TX": {6, 7},
    "HI": {10}, "ON": {5, 6}, "QC": {4, 5},
    **{region: {5} for region in _EASTERN.split()},
    **{region: {6} for region in _CENTRAL.split()},
    **{region: {7} for region in ("CO", "MT", "NM", "UT", "WY")},
    **{region: {8} for region in ("CA", "WA")},
    **{region: {4} for region in ("NB", "NS", "PE")},
    "AS": {11}, "GU": {-10}, "MP": {-10}, "PR": {4}, "VI": {4},
}  # fmt: skip


def winter_offset(zone: str) -> int:
    offset = datetime(2024, 1, 15, 12, tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return -int(offset.total_seconds() // 3600)


def test_the_states_of_area_codes_are_those_of_the_installed_libphonenumber() -> None:
    found = {code: set(regions_of_area_code(code)) for codes in AREA_CODES.values() for code in codes.split()}

    assert found == states_of_area_codes()
    assert module() == Path(area_codes.__file__).read_text(), "python tools/generate_area_codes.py writes it"


def test_every_area_code_with_zones_is_of_a_state_or_of_another_country() -> None:
    countries = {code for code in areas_with_zones() if not regions_of_area_code(code)}

    assert countries == {
        "242", "246", "264", "268", "284", "340", "345", "441", "473", "649", "658", "664", "670", "671", "684", "721",
        "758", "767", "784", "787", "809", "829", "849", "868", "869", "876", "939",
    } - {code for codes in AREA_CODES.values() for code in codes.split()}  # fmt: skip


def test_an_area_code_of_a_state_with_several_zones_is_an_overlay_or_split_or_known_to_lie_in_one() -> None:
    unknown = {code for code in areas_with_zones() if not is_classified(code)}

    assert unknown == set(), "list them in OVERLAYS or SINGLE_ZONE of area_zones.py, with the older code or the reason"


def test_an_area_code_that_is_not_classified_has_every_zone_of_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {newer: older for newer, older in OVERLAYS.items() if newer != "364"}
    monkeypatch.setattr(area_zones, "OVERLAYS", without)
    zones_of_area_code.cache_clear()
    try:
        assert not is_classified("364")
        assert zones_of_area_code("364") == {EASTERN, CENTRAL}
    finally:
        zones_of_area_code.cache_clear()


def test_a_single_zone_is_listed_once_and_is_one() -> None:
    codes = [code for codes in SINGLE_ZONE.values() for code in codes.split()]

    assert len(codes) == len(set(codes))
    # libphonenumber gives the overlay 689 of Orlando the zone of Chicago, which does not count for 407 itself.
    assert {code: zones_of_area_code(code) for code in codes if len(zones_of_area_code(code)) != 1} == {}
    assert set(codes).isdisjoint(OVERLAYS)
    assert set(codes).isdisjoint(EXTRA_ZONES)


def test_an_overlay_has_the_zones_of_the_area_code_below_in_the_same_state() -> None:
    for newer, older in OVERLAYS.items():
        assert older not in OVERLAYS, f"{newer} overlays {older}, which is an overlay itself"
        assert zones_of_area_code(older) <= zones_of_area_code(newer), newer
        assert regions_of_area_code(newer) in ((), regions_of_area_code(older)), newer


def test_states_have_the_zones_of_the_law() -> None:
    found = {region: {winter_offset(zone) for zone in zones_of_region(region)} for region in WINTER_OFFSETS}

    # 689 is in Orlando, but libphonenumber gives it the zone of Chicago, which Florida has anyway.
    assert found == WINTER_OFFSETS


def test_every_state_and_province_has_zones() -> None:
    assert [region.code for region in REGIONS if not zones_of_region(region.code)] == []
    assert len(REGION_OF_CODE) == len(REGIONS) == 50 + 1 + 5 + 13


# Each of these was called at an hour that is forbidden in one of its zones while its exchange decided.
@pytest.mark.parametrize(
    ("area_code", "zones"),
    [
        ("423", {EASTERN, CENTRAL}), ("729", {EASTERN, CENTRAL}), ("219", {EASTERN, CENTRAL}),
        ("270", {EASTERN, CENTRAL}), ("364", {EASTERN, CENTRAL}), ("448", {EASTERN, CENTRAL}),
        ("850", {EASTERN, CENTRAL}), ("812", {EASTERN, CENTRAL}), ("930", {EASTERN, CENTRAL}),
        ("574", {EASTERN, CENTRAL}), ("906", {EASTERN, CENTRAL}), ("606", {EASTERN, CENTRAL}),
        ("308", {CENTRAL, MOUNTAIN}), ("785", {CENTRAL, MOUNTAIN}), ("620", {CENTRAL, MOUNTAIN}),
        ("541", {MOUNTAIN, PACIFIC}), ("458", {MOUNTAIN, PACIFIC}),
        ("250", {"America/Vancouver", "America/Edmonton"}), ("778", {"America/Vancouver", "America/Edmonton"}),
        ("418", {"America/Halifax", "America/Toronto"}), ("581", {"America/Halifax", "America/Toronto"}),
        ("807", {"America/Toronto", "America/Winnipeg"}),
        # Yukon keeps the hours of Fort Nelson all year, Nunavut has three zones.
        ("867", {f"America/{city}" for city in ("Edmonton", "Fort_Nelson", "Toronto", "Vancouver", "Winnipeg")}),
        ("212", {EASTERN}),
    ],
)  # fmt: skip
def test_an_area_code_has_every_zone_of_its_territory(area_code: str, zones: set[str]) -> None:
    assert zones_of_area_code(area_code) == zones


@pytest.mark.parametrize(
    ("area_code", "zone"),
    [
        ("775", "America/Denver"),  # West Wendover
        ("775", "America/Boise"),  # Jackpot
        ("928", "America/Denver"),  # the Navajo Nation
        ("306", "America/Edmonton"), ("639", "America/Edmonton"), ("474", "America/Edmonton"),  # Lloydminster
        ("306", "America/Winnipeg"),  # Creighton
        ("402", MOUNTAIN), ("531", MOUNTAIN),  # the west of Cherry County
        ("334", EASTERN), ("483", EASTERN),  # Phenix City
    ],
)  # fmt: skip
def test_places_that_live_by_the_clock_of_their_neighbors_add_its_zone(area_code: str, zone: str) -> None:
    assert zone in zones_of_area_code(area_code)


def test_numbers_without_a_place_have_no_zone() -> None:
    assert [code for code in ("800", "888", "900", "500", "600", "999") if zones_of_area_code(code)] == []
    assert all(isinstance(zones, tuple) for zones in TIMEZONE_DATA.values())
