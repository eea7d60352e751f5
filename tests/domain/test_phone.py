"""Numbers become E.164 or a reason in words; zones come from the contact, else from the number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.calling_hours import zones_of
from outdial.domain.phone import InvalidPhone, NoZone, Phone, Zone, mask, parse_phone, zone_of


@pytest.mark.parametrize(
    ("raw", "region", "e164", "country"),
    [
        ("+14155552671", None, "+14155552671", "US"),
        (" (415) 555-2671 ", "US", "+14155552671", "US"),
        ("415.555.2671", "us", "+14155552671", "US"),
        ("+14165550123", "US", "+14165550123", "CA"),
        ("020 7946 0000", "GB", "+442079460000", "GB"),
        ("0039 02 1234 5678", "DE", "+390212345678", "IT"),
        ("４１５５５５２６７１", "US", "+14155552671", "US"),
        ("+80012345678", None, "+80012345678", None),
    ],
)
def test_a_number_is_written_as_e164_with_its_country(
    raw: str, region: str | None, e164: str, country: str | None
) -> None:
    assert parse_phone(raw, region) == Phone(e164, country)


@pytest.mark.parametrize(
    ("raw", "region", "reason"),
    [
        ("", "US", "the cell is empty"),
        ("NULL", "US", "no number: the cell says 'NULL'"),
        ("call me", "US", "holds letters ('call me'); leave only the number in the cell"),
        (
            "1.4155552671E+10",
            "US",
            "1.4155552671E+10 is in scientific notation and may have lost digits; "
            "format the column as text and export it again",
        ),
        ("415", "US", "has too few digits for US"),
        ("555-2671", "US", "has no area code for US"),
        ("+1415555267199", None, "has too many digits for US"),
        ("4155552671 4155552672", "US", "holds two numbers; give one number a row"),
        ("115 555 2671", "US", "is not a number in use in US"),
        ("+1 215 155 2671", None, "is not a number in use in US"),
        ("415 555 2671", None, "has no country code, and no default region is set"),
        ("+999 123456", "US", "begins with an unknown country code"),
        ("415 555 2671", "XX", "unknown default region XX; use a country code such as US"),
        ("415 555 2671 x12", "US", "has an extension (x12); give a number that can be dialed directly"),
        ("4155552671; 4155552672", "US", "holds ';', as between two numbers; give one number a row"),
    ],
)
def test_text_that_cannot_be_called_says_why(raw: str, region: str | None, reason: str) -> None:
    assert parse_phone(raw, region) == InvalidPhone(raw, reason)


@given(st.text() | st.text(alphabet="+0123456789 ()-x;", max_size=24), st.sampled_from([None, "US", "GB", "BR"]))
def test_any_text_gives_a_number_that_reads_back_as_itself_or_a_reason(raw: str, region: str | None) -> None:
    match parse_phone(raw, region):
        case Phone(e164=e164) as phone:
            assert parse_phone(e164, None) == phone
        case InvalidPhone(reason=reason):
            assert reason


def test_a_number_of_one_zone_has_that_zone() -> None:
    assert zone_of(Phone("+14155552671", "US"), None) == Zone("America/Los_Angeles", "number")
    assert zone_of(Phone("+14155552671", "US"), "  ") == Zone("America/Los_Angeles", "number")


def test_a_number_of_several_zones_has_them_all_sorted() -> None:
    found = zone_of(Phone("+61891234567", "AU"), None)

    assert found == Zone("Australia/Adelaide|Australia/Perth", "number")
    assert isinstance(found, Zone)
    assert [zone.key for zone in zones_of(found.key)] == ["Australia/Adelaide", "Australia/Perth"]


@pytest.mark.parametrize(
    ("e164", "country", "zone"),
    [
        ("+16235550142", "US", "America/Phoenix"),
        ("+18765550142", "JM", "America/Jamaica"),
        ("+12464290142", "BB", "America/Barbados"),
        ("+18687800142", "TT", "America/Port_of_Spain"),
        ("+14415050142", "BM", "Atlantic/Bermuda"),
        ("+12423593456", "BS", "America/Nassau"),
        ("+12687640142", "AG", "America/Antigua"),
        ("+2302012345", "MU", "Indian/Mauritius"),
    ],
)
def test_a_country_of_one_zone_has_that_zone(e164: str, country: str, zone: str) -> None:
    assert zone_of(Phone(e164, country), None) == Zone(zone, "number")


EASTERN, CENTRAL, MOUNTAIN = "America/New_York", "America/Chicago", "America/Denver"


# Each of these was called at an hour that is forbidden in one of its zones while its exchange decided.
@pytest.mark.parametrize(
    ("area_code", "zones"),
    [
        ("423", {EASTERN, CENTRAL}),
        ("219", {EASTERN, CENTRAL}),
        ("270", {EASTERN, CENTRAL}),
        ("364", {EASTERN, CENTRAL}),
        ("448", {EASTERN, CENTRAL}),
        ("850", {EASTERN, CENTRAL}),
        ("812", {EASTERN, CENTRAL}),
        ("930", {EASTERN, CENTRAL}),
        ("574", {EASTERN, CENTRAL}),
        ("906", {EASTERN, CENTRAL}),
        ("606", {EASTERN, CENTRAL}),
        ("308", {CENTRAL, MOUNTAIN}),
        ("785", {CENTRAL, MOUNTAIN}),
        ("620", {CENTRAL, MOUNTAIN}),
        ("541", {MOUNTAIN, "America/Los_Angeles"}),
        ("458", {MOUNTAIN, "America/Los_Angeles"}),
        ("250", {"America/Vancouver", "America/Edmonton"}),
        ("778", {"America/Vancouver", "America/Edmonton"}),
        ("418", {"America/Halifax", "America/Toronto"}),
        ("807", {"America/Toronto", "America/Winnipeg"}),
        ("212", {EASTERN}),
    ],
)
@pytest.mark.parametrize("exchange", ["2000123", "4000142", "9999999"])
def test_a_number_has_every_zone_of_its_area_code(area_code: str, zones: set[str], exchange: str) -> None:
    assert zone_of(Phone(f"+1{area_code}{exchange}", "US"), None) == Zone("|".join(sorted(zones)), "number")


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("236", "250"), ("257", "250"), ("364", "270"), ("367", "418"), ("448", "850"), ("458", "541"), ("581", "418"),
        ("672", "250"), ("778", "250"), ("879", "709"), ("930", "812"), ("986", "208"),
    ],
)  # fmt: skip
def test_an_overlay_has_the_zones_of_the_area_code_below(newer: str, older: str) -> None:
    below, over = (zone_of(Phone(f"+1{code}2000123", "US"), None) for code in (older, newer))
    assert isinstance(below, Zone)
    assert isinstance(over, Zone)
    assert set(below.key.split("|")) <= set(over.key.split("|"))


@pytest.mark.parametrize("e164", ["+18005550142", "+448001111111", "+19005550142"])
def test_toll_free_and_premium_numbers_have_no_zone(e164: str) -> None:
    reason = "toll-free and other special numbers have no time zone; set one for the contact"
    assert zone_of(Phone(e164, "US"), None) == NoZone(reason)
    assert zone_of(Phone(e164, "US"), "America/Denver") == Zone("America/Denver", "contact")


def test_the_zone_that_a_contact_names_wins() -> None:
    assert zone_of(Phone("+14155552671", "US"), "Europe/Paris") == Zone("Europe/Paris", "contact")


@pytest.mark.parametrize("name", ["Paris", "EST", "america/new_york", "Europe/Paris|Europe/Berlin", "Etc/GMT+5"])
def test_a_zone_name_that_is_in_doubt_gives_no_zone(name: str) -> None:
    assert isinstance(zone_of(Phone("+14155552671", "US"), name), NoZone)


def test_a_number_without_a_zone_has_none() -> None:
    assert zone_of(Phone("+870773111632", None), None) == NoZone("the number has no time zone; set one for the contact")


@pytest.mark.parametrize(
    ("e164", "masked"),
    [("+14155552671", "+1415*****71"), ("+39066982", "+39****82"), ("+2907", "***07"), ("+290", "****"), ("", "")],
)
def test_a_masked_number_keeps_its_area_and_two_digits(e164: str, masked: str) -> None:
    assert mask(e164) == masked


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_masked_number_hides_at_least_four_digits(e164: str) -> None:
    assert len(mask(e164)) == len(e164)
    assert mask(e164).count("*") >= 4
