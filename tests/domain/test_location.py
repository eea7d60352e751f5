"""Where a contact may be: what narrows, what disagrees, what is refused, and which law may apply."""

import json
import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.calling_hours import zones_of
from outdial.domain.location import KEYS_VERSION, Location, StatedPlace, Unlocatable, locate, locate_stored
from outdial.domain.phone import Phone, parse_phone, phone_of
from outdial.domain.place import Place

EASTERN, CENTRAL, MOUNTAIN, PACIFIC = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
)  # fmt: skip
TOLL_FREE = "toll-free and other special numbers have no time zone; give the contact's "


def keys(e164: str, **stated: str | None) -> tuple[str, str, str]:
    found = locate(phone_of(e164), StatedPlace(**stated))
    assert isinstance(found, Location), found
    return found.place.zone_key, found.place.jurisdiction_key, found.zone_source


def problem(e164: str, **stated: str | None) -> Unlocatable:
    found = locate(phone_of(e164), StatedPlace(**stated))
    assert isinstance(found, Unlocatable), found
    return found


# Each of these was called at an hour that is forbidden in one of its zones while its exchange decided.
@pytest.mark.parametrize(
    ("e164", "zones", "jurisdiction"),
    [
        ("+14232000123", (CENTRAL, EASTERN), "US-TN"),
        ("+12192000123", (CENTRAL, EASTERN), "US-IN"),
        ("+12702000123", (CENTRAL, EASTERN), "US-KY"),
        ("+13642000123", (CENTRAL, EASTERN), "US-KY"),
        ("+14482000123", (CENTRAL, EASTERN), "US-FL"),
        ("+18502000123", (CENTRAL, EASTERN), "US-FL"),
        ("+18122000123", (CENTRAL, EASTERN), "US-IN"),
        ("+19302000123", (CENTRAL, EASTERN), "US-IN"),
        ("+15742000123", (CENTRAL, EASTERN), "US-IN"),
        ("+13082000123", (CENTRAL, MOUNTAIN), "US-NE"),
        ("+19062000123", (CENTRAL, EASTERN), "US-MI"),
        ("+16062000123", (CENTRAL, EASTERN), "US-KY"),
        ("+17852000123", (CENTRAL, MOUNTAIN), "US-KS"),
        ("+16202000123", (CENTRAL, MOUNTAIN), "US-KS"),
        ("+15412000123", (MOUNTAIN, PACIFIC), "US-OR"),
        ("+14582000123", (MOUNTAIN, PACIFIC), "US-OR"),
        ("+12502000123", ("America/Edmonton", "America/Vancouver"), "CA-BC"),
        ("+14182000123", ("America/Halifax", "America/Toronto"), "CA-QC"),
        ("+18072000123", ("America/Toronto", "America/Winnipeg"), "CA-ON"),
        ("+14155552671", (PACIFIC,), "US-CA"),
    ],
)
@pytest.mark.parametrize("exchange", ["200", "400", "555", "999"])
def test_a_number_may_be_anywhere_in_its_area_code(
    e164: str, zones: tuple[str, ...], jurisdiction: str, exchange: str
) -> None:
    assert keys(f"{e164[:5]}{exchange}{e164[8:]}") == ("|".join(zones), jurisdiction, "number")


def test_the_territories_of_canada_share_an_area_code() -> None:
    zone_key, jurisdiction_key, _ = keys("+18672000123")

    assert {"America/Edmonton", "America/Toronto", "America/Winnipeg"} < set(zone_key.split("|"))
    assert jurisdiction_key == "CA-NT|CA-NU|CA-YT"


def test_arizona_without_the_navajo_nation_has_one_zone_and_with_it_two() -> None:
    # The Navajo Nation, all of it in 928, moves its clocks in summer; the rest of Arizona does not.
    assert keys("+16022000123") == ("America/Phoenix", "US-AZ", "number")
    assert keys("+16022000123", region="AZ") == ("America/Phoenix", "US-AZ", "region")
    assert keys("+19282000123") == ("America/Denver|America/Phoenix", "US-AZ", "number")
    # The state alone does not say whether the contact lives in the Navajo Nation.
    assert keys("+19282000123", region="Arizona") == ("America/Denver|America/Phoenix", "US-AZ", "region")
    assert keys("+18005550142", region="AZ") == ("America/Denver|America/Phoenix", "US-AZ", "region")
    assert keys("+19282000123", timezone="America/Phoenix") == ("America/Phoenix", "US-AZ", "contact")


@pytest.mark.parametrize(
    ("e164", "zone", "jurisdiction"),
    [
        # Territories of the United States are its states here; the other countries of +1 are not in it.
        ("+17875550142", "America/Puerto_Rico", "US-PR"),
        ("+19395550142", "America/Puerto_Rico", "US-PR"),
        ("+13405550142", "America/St_Thomas", "US-VI"),
        ("+16712000142", "Pacific/Guam", "US-GU"),
        ("+16702345678", "Pacific/Saipan", "US-MP"),
        ("+16846221234", "Pacific/Pago_Pago", "US-AS"),
        ("+18765550142", "America/Jamaica", "JM"),
        ("+12464290142", "America/Barbados", "BB"),
        ("+18687800142", "America/Port_of_Spain", "TT"),
        ("+14415050142", "Atlantic/Bermuda", "BM"),
        ("+12423593456", "America/Nassau", "BS"),
        ("+12687640142", "America/Antigua", "AG"),
        ("+18092345678", "America/Santo_Domingo", "DO"),
        ("+2302012345", "Indian/Mauritius", "MU"),
        ("+442079460143", "Europe/London", "GB"),
    ],
)
def test_a_country_of_one_zone_has_that_zone(e164: str, zone: str, jurisdiction: str) -> None:
    assert keys(e164) == (zone, jurisdiction, "number")


@pytest.mark.parametrize(
    ("e164", "zones"),
    [
        # A mobile number does not say where in its country it is used, a fixed one does.
        ("+61412345678", {"Australia/Perth", "Australia/Sydney", "Australia/Adelaide", "Australia/Lord_Howe"}),
        ("+79161234567", {"Europe/Moscow", "Asia/Vladivostok", "Asia/Kamchatka"}),
        ("+628123456789", {"Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"}),
        ("+61891234567", {"Australia/Perth", "Australia/Adelaide"}),
    ],
)
def test_a_number_abroad_has_every_zone_that_it_may_be_in(e164: str, zones: set[str]) -> None:
    found = locate(phone_of(e164), StatedPlace())
    assert isinstance(found, Location)
    assert zones <= set(found.place.zone_key.split("|"))
    assert [zone.key for zone in zones_of(found.place.zone_key)] == sorted(found.place.zone_key.split("|"))
    assert found.place.jurisdiction_key == parse_phone(e164, None).country  # type: ignore[union-attr]


@pytest.mark.parametrize("e164", ["+18005550142", "+18885550142", "+19002345678"])
def test_toll_free_and_premium_numbers_say_nothing_about_the_place(e164: str) -> None:
    assert problem(e164) == Unlocatable("timezone", f"{TOLL_FREE}state, postal code or time zone")
    # They may be of any state, so that the strictest law counts, until the contact names its own.
    assert keys(e164, timezone="America/Denver") == ("America/Denver", "US-ZZ", "contact")
    assert keys(e164, region="Texas") == (f"{CENTRAL}|{MOUNTAIN}", "US-TX", "region")
    assert keys(e164, postal_code="02139") == (EASTERN, "US-MA", "postal_code")
    assert keys(e164, timezone=EASTERN, country="US") == (EASTERN, "US-ZZ", "contact")


@pytest.mark.parametrize(("e164", "jurisdiction"), [("+15002345678", "US-ZZ"), ("+16002345678", "CA")])
def test_non_geographic_numbers_of_north_america_have_no_state(e164: str, jurisdiction: str) -> None:
    assert problem(e164).field == "timezone"
    assert keys(e164, timezone=EASTERN) == (EASTERN, jurisdiction, "contact")


def test_numbers_of_no_country_need_a_country_or_a_time_zone() -> None:
    assert problem("+80012345678") == Unlocatable("timezone", f"{TOLL_FREE}country or time zone")
    assert problem("+870773111632").reason == "the number has no time zone; give the contact's country or time zone"
    assert keys("+870773111632", timezone="Europe/Paris") == ("Europe/Paris", "ZZ", "contact")
    assert keys("+80012345678", country="France") == ("Europe/Paris", "FR", "country")
    assert keys("+448001111111", country="UK") == ("Europe/London", "GB", "country")


def test_a_dash_states_nothing() -> None:
    assert keys("+14155552671", region="-", country=" -- ", postal_code=".") == (PACIFIC, "US-CA", "number")
    # A time zone opens hours, so that nothing that is written there is passed over.
    assert problem("+14155552671", timezone="-").field == "timezone"


def test_sources_that_agree_narrow_each_other() -> None:
    assert keys("+15122000123", region="TX") == (CENTRAL, "US-TX", "region")
    assert keys("+19152000123", region="TX") == (MOUNTAIN, "US-TX", "region")
    # The state says which of the provinces of the area code counts.
    assert keys("+19022000123") == ("America/Halifax", "CA-NS|CA-PE", "number")
    assert keys("+19022000123", region="PE") == ("America/Halifax", "CA-PE", "region")
    assert keys("+18672000123", postal_code="X0A 0H0")[1] == "CA-NU"
    assert keys("+12125550142", region="NY", postal_code="10001-1234") == (EASTERN, "US-NY", "region")
    # The country alone does not narrow a number that is in it.
    assert keys("+14232000123", country="usa") == (f"{CENTRAL}|{EASTERN}", "US-TN", "number")


def test_sources_that_disagree_all_hold() -> None:
    # A number of New York, kept after a move: the law is that of the state, and the zones are those of both.
    assert keys("+12125550142", region="CA") == (f"{PACIFIC}|{EASTERN}", "US-CA", "conflict")
    # Alike zones are no agreement: a contact in Texas may be in El Paso, whatever the zone of a number of Chicago.
    assert keys("+13125550142", region="TX") == (f"{CENTRAL}|{MOUNTAIN}", "US-TX", "conflict")
    assert keys("+12125550142", region="TX", postal_code="10001") == (
        f"{CENTRAL}|{MOUNTAIN}|{EASTERN}", "US-NY|US-TX", "conflict",
    )  # fmt: skip
    assert keys("+12125550142", country="DE") == (f"{EASTERN}|Europe/Berlin|Europe/Busingen", "DE", "conflict")
    assert keys("+4930123456", country="US", region="CA") == (f"{PACIFIC}|Europe/Berlin", "US-CA", "conflict")
    assert keys("+18765550142", region="FL")[1:] == ("US-FL", "conflict")


def test_the_time_zone_that_a_contact_names_wins() -> None:
    assert keys("+14155552671", timezone=" Europe/Paris ") == ("Europe/Paris", "US-CA", "contact")
    found = keys("+14155552671", timezone=EASTERN, region="NY", postal_code="73301")
    assert found == (EASTERN, "US-NY|US-TX", "contact")


def test_the_law_of_virginia_and_south_carolina_follows_their_area_codes() -> None:
    assert keys("+17035550142", region="TX")[1] == "US-TX|US-VA"
    assert keys("+18035550142", country="GB")[1] == "GB|US-SC"
    assert keys("+12125550142", region="TX")[1] == "US-TX"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("TX", "TX"), ("tx", "TX"), ("Texas", "TX"), ("TEXAS", "TX"), ("Tex.", "TX"), ("US-TX", "TX"), ("N.Y.", "NY"),
        (" New  York ", "NY"), ("Washington, D.C.", "DC"), ("Washington", "WA"), ("W. Virginia", "WV"),
        ("Ontario", "ON"), ("Québec", "QC"), ("Quebec", "QC"), ("PQ", "QC"), ("Newfoundland & Labrador", "NL"),
        ("P.E.I.", "PE"), ("puerto rico", "PR"), ("CA-BC", "BC"),
    ],
)  # fmt: skip
def test_states_are_read_as_users_write_them(written: str, code: str) -> None:
    found = locate(Phone("+18005550142", "US"), StatedPlace(region=written, timezone="UTC"))
    assert isinstance(found, Location)
    assert found.stated.region == code


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("US", "US"), ("us", "US"), ("USA", "US"), ("U.S.A.", "US"), ("United States of America", "US"), ("CAN", "CA"),
        ("Canada", "CA"), ("UK", "GB"), ("England", "GB"), ("GBR", "GB"), ("Deutschland", "DE"), ("Österreich", "AT"),
        ("Ivory Coast", "CI"), ("Côte d'Ivoire", "CI"), ("Trinidad and Tobago", "TT"), ("Korea", "KR"),
        ("Turkiye", "TR"), ("PRI", "PR"), ("Virgin Islands (US)", "VI"), ("Georgia", "GE"),
    ],
)  # fmt: skip
def test_countries_are_read_as_users_write_them(written: str, code: str) -> None:
    found = locate(Phone("+18005550142", "US"), StatedPlace(country=written, timezone="UTC"))
    assert isinstance(found, Location)
    assert found.stated.country == code


@pytest.mark.parametrize(
    ("written", "stored", "jurisdiction"),
    [
        ("90210", "90210", "US-CA"), ("90210-1234", "90210-1234", "US-CA"), ("902101234", "902101234", "US-CA"),
        # Spreadsheets drop the zeros in front.
        ("2139", "02139", "US-MA"), ("601", "00601", "US-PR"), ("2139.0", "02139", "US-MA"),
        ("06390", "06390", "US-NY"), ("42223", "42223", "US-KY|US-TN"), ("96799", "96799", "US-AS"),
        ("20500", "20500", "US-DC"), ("20101", "20101", "US-VA"), ("79901", "79901", "US-TX"), ("96940", "96940", "PW"),
        ("K1A 0B1", "K1A 0B1", "CA-ON"), ("k1a0b1", "K1A 0B1", "CA-ON"), ("H2X", "H2X", "CA-QC"),
        ("X1A 2B3", "X1A 2B3", "CA-NT"), ("X0A 0H0", "X0A 0H0", "CA-NU"),
    ],
)  # fmt: skip
def test_postal_codes_are_read_as_users_write_them(written: str, stored: str, jurisdiction: str) -> None:
    found = locate(Phone("+18005550142", "US"), StatedPlace(postal_code=written, timezone="UTC"))
    assert isinstance(found, Location)
    assert (found.stated.postal_code, found.place.jurisdiction_key) == (stored, jurisdiction)


@pytest.mark.parametrize(
    ("stated", "field", "reason"),
    [
        ({"timezone": "EST"}, "timezone", "'EST' is not a time zone; use an IANA name"),
        ({"timezone": "Europe/Paris|Europe/Berlin"}, "timezone", "'Europe/Paris|Europe/Berlin' is not a time zone"),
        ({"country": "Atlantis"}, "country", "'Atlantis' is not a country; write a code such as US"),
        ({"country": "+1"}, "country", "'+1' is not a country"),
        ({"region": "Texass"}, "region", "'Texass' is not a state or province; write TX or ON"),
        ({"region": "48"}, "region", "'48' is not a state or province"),
        ({"region": "ON", "country": "US"}, "region", "'ON' is not a state of the United States; write"),
        ({"region": "TX", "country": "Canada"}, "region", "'TX' is not a province of Canada; write ON"),
        ({"postal_code": "00000"}, "postal_code", "no state has ZIP codes that begin with 000 ('00000')"),
        ({"postal_code": "9021O"}, "postal_code", "'9021O' is not a ZIP code such as 90210"),
        ({"postal_code": "12"}, "postal_code", "'12' is not a ZIP code"),
        ({"postal_code": "K1A 0B1", "country": "US"}, "postal_code", "'K1A 0B1' is not a ZIP code"),
        ({"postal_code": "90210", "country": "CA"}, "postal_code", "'90210' is not a Canadian postal code such as"),
        ({"postal_code": "D1A 0B1", "country": "CA"}, "postal_code", "'D1A 0B1' is not a Canadian postal code"),
        ({"region": "AE", "postal_code": "09012"}, "timezone", "an address of the armed forces has no time zone"),
        ({"postal_code": "34002"}, "timezone", "an address of the armed forces has no time zone"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_reason(stated: dict[str, str], field: str, reason: str) -> None:
    found = problem("+12125550142", **stated)
    assert (found.field, found.reason[: len(reason)]) == (field, reason)


def test_a_country_of_several_zones_needs_its_state() -> None:
    number = "+442079460143"
    assert problem(number, country="US").reason.startswith("the number does not say in which state the contact is")
    assert problem("+18005550142", country="Canada").reason.startswith("the number does not say in which province")
    assert problem("+18765550142", country="US").field == "timezone"
    assert keys(number, country="US", timezone=CENTRAL) == (CENTRAL, "US-ZZ", "contact")


def test_the_states_of_other_countries_are_not_read() -> None:
    # Goa and Berlin are not Georgia and Delaware: no rule of ours depends on the states of India and Germany.
    assert keys("+919876543210", region="GA") == ("Asia/Calcutta", "IN", "number")
    found = locate(phone_of("+4930123456"), StatedPlace(region="Berlin", postal_code="10115", country="DE"))
    assert isinstance(found, Location)
    assert found.stated == StatedPlace(country="DE", region=None, postal_code="10115")


def test_stored_columns_that_contradict_each_other_close_hours_and_open_none() -> None:
    stated = StatedPlace(country="CA", region="TX")
    found = locate_stored(phone_of("+12125550142"), stated, "America/Denver")

    assert found.place == Place(f"{MOUNTAIN}|{EASTERN}", "US-ZZ")
    assert found.zone_source == "conflict"
    assert locate_stored(phone_of("+12125550142"), StatedPlace(), "UTC").place == Place(EASTERN, "US-NY")
    assert locate_stored(phone_of("+870773111632"), StatedPlace(), "UTC").place == Place("UTC", "ZZ")


PLACES = st.sampled_from(
    [None, "", "TX", "texas", "ON", "90210", "K1A 0B1", "US", "CA", "GB", "PR", "AE", "x", "10115"]
)
NUMBERS = st.sampled_from(
    ["+14155552671", "+14232000123", "+18005550142", "+14165550123", "+18765550142", "+17875550142", "+442079460143",
     "+80012345678", "+15002345678", "+17035550142"]
)  # fmt: skip


@given(NUMBERS, PLACES, PLACES, PLACES, st.sampled_from([None, "America/Denver", "EST"]))
def test_what_is_stored_is_read_as_the_same_place(
    e164: str, country: str | None, region: str | None, postal_code: str | None, timezone: str | None
) -> None:
    """Stored columns give the same keys again, so that recomputing them changes nothing."""
    stated = StatedPlace(timezone=timezone, country=country, region=region, postal_code=postal_code)
    found = locate(phone_of(e164), stated)
    if isinstance(found, Unlocatable):
        assert found.reason
        return
    assert locate(phone_of(e164), found.stated) == found
    assert found.place.zone_key
    assert found.place.jurisdiction_key
    assert list(found.place.jurisdictions) == sorted(found.place.jurisdictions)
    assert zones_of(found.place.zone_key)


def test_the_version_of_the_keys_grows_with_that_of_libphonenumber() -> None:
    major, minor, patch = (int(part) for part in phonenumbers.__version__.split("."))
    assert major * 100_000 + minor * 1_000 + patch == KEYS_VERSION % 10_000_000
    assert 10_000_000 < KEYS_VERSION < 2**31


def test_places_are_found_without_the_names_of_libphonenumber() -> None:
    """`phonenumbers.geodata` takes 96 MB of memory."""
    code = (
        "import sys, json\n"
        "from outdial.domain.location import *\n"
        "from outdial.domain.phone import phone_of\n"
        "locate(phone_of('+14232000123'), StatedPlace(region='TN', postal_code='37402', country='US'))\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('phonenumbers.geodata')]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
