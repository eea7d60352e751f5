"""Numbers become E.164 or a reason in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.phone import InvalidPhone, Phone, mask, parse_phone, phone_of


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


@pytest.mark.parametrize(
    ("e164", "country"),
    [("+14155552671", "US"), ("+18765550142", "JM"), ("+80012345678", None), ("+442079460143", "GB")],
)
def test_a_stored_number_is_of_its_country(e164: str, country: str | None) -> None:
    assert phone_of(e164) == Phone(e164, country)


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
