"""A phone cell is read as the number that it says or refused with a reason; it never becomes another number."""

from collections.abc import Callable, Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from outdial.domain.phone import InvalidPhone, Phone, parse_phone
from outdial.domain.phone_reading import read_calling_code, read_cell, read_plain

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE, PhoneNumberType.VOIP)
FULL_WIDTH = str.maketrans("0123456789+", "０１２３４５６７８９＋")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")

Decoration = Callable[[PhoneNumber], str]


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def international(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def national(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)


def digits(number: PhoneNumber) -> str:
    return e164(number)[1:]


READ: dict[str, Decoration] = {
    "E.164": e164,
    "padded": lambda number: f"  {e164(number)}\t",
    "international": international,
    "no-break blanks": lambda number: international(number).replace(" ", "\N{NO-BREAK SPACE}"),
    "en dashes": lambda number: international(number).replace("-", "\N{EN DASH}"),
    "tel:": lambda number: f"tel:{e164(number)}",
    "an apostrophe": lambda number: f"'{e164(number)}",
    "a quoted formula": lambda number: f'="{e164(number)}"',
    "brackets": lambda number: f"(+{number.country_code}) {phonenumbers.national_significant_number(number)}",
    "a float": lambda number: f"{e164(number)}.0",
    "full width": lambda number: e164(number).translate(FULL_WIDTH),
    "Arabic digits": lambda number: e164(number).translate(ARABIC),
    "direction marks": lambda number: f"\N{LEFT-TO-RIGHT EMBEDDING}{e164(number)}\N{POP DIRECTIONAL FORMATTING}",
}
"""Each of these says the number beyond doubt, in any region."""

DOUBTFUL: dict[str, Decoration] = {
    "national": national,
    "no plus": digits,
    "no plus, a float": lambda number: f"{digits(number)}.0",
    "no trunk prefix": phonenumbers.national_significant_number,
    "no trunk prefix, a float": lambda number: f"{phonenumbers.national_significant_number(number)}.0",
    "00": lambda number: f"00{digits(number)}",
    "(0)": lambda number: f"+{number.country_code} (0){phonenumbers.national_significant_number(number)}",
    "two blanks": lambda number: national(number).replace(" ", "  "),
    "slashes": lambda number: national(number).replace(" ", "/"),
    "dots": lambda number: national(number).replace(" ", ".").replace("-", "."),
}
"""Each of these says the number in the number's own region, or says it unclearly."""

REFUSED: dict[str, Decoration] = {
    "an extension": lambda number: f"{international(number)} ext. 12",
    "x and an extension": lambda number: f"{international(number)} x12",
    "RFC 3966 extension": lambda number: f"{e164(number)};ext=12",
    "a word": lambda number: f"{international(number)} home",
    "a word in brackets": lambda number: f"{national(number)} (mobile)",
    "a label": lambda number: f"Cell: {international(number)}",
    "keypad letters": lambda number: f"{e164(number)[:-4]}XXXX",
    "the letter O": lambda number: f"{e164(number)[:-3]}O{e164(number)[-2:]}",
    "a second number": lambda number: f"{international(number)} / {international(number)}",
    "a second number behind a blank": lambda number: f"{e164(number)} {e164(number)}",
    "a second number behind a comma": lambda number: f"{national(number)}, {national(number)}",
    "a slash and the next ending": lambda number: f"{e164(number)}/17",
    "an exponent": lambda number: f"{int(digits(number)):.5E}",
    "an exact exponent": lambda number: f"{int(digits(number)):E}",
    "a plus inside": lambda number: f"{digits(number)[:3]}+{digits(number)[3:]}",
}
"""None of these may be read as a number."""


def examples() -> Iterator[tuple[str, PhoneNumber]]:
    for region in REGIONS:
        for kind in KINDS:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None and phonenumbers.is_valid_number(number):
                yield region, number


EXAMPLES = list(examples())


def test_there_are_examples_of_nearly_every_region() -> None:
    assert len(EXAMPLES) > 600
    assert len({region for region, _ in EXAMPLES}) > 240


@pytest.mark.parametrize("decoration", READ.values(), ids=READ)
def test_a_clear_cell_is_read_in_any_region(decoration: Decoration) -> None:
    wrong = {
        (decoration(number), region, str(found))
        for home, number in EXAMPLES
        for region in (home, "US", "DE", None)
        if getattr(found := parse_phone(decoration(number), region), "e164", None) != e164(number)
    }
    assert wrong == set()


@pytest.mark.parametrize("decoration", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_cell_in_its_own_region_is_read_or_refused(decoration: Decoration) -> None:
    wrong = set()
    read = 0
    for region, number in EXAMPLES:
        match parse_phone(decoration(number), region):
            case Phone(e164=found):
                read += found == e164(number)
                if found != e164(number):
                    wrong.add((decoration(number), region, found))
            case InvalidPhone(reason=reason):
                assert reason

    assert wrong == set()
    assert read > 0.6 * len(EXAMPLES)


@pytest.mark.parametrize("decoration", REFUSED.values(), ids=REFUSED)
def test_a_cell_that_holds_more_than_a_number_is_refused(decoration: Decoration) -> None:
    read = {
        (decoration(number), region, found.e164)
        for region, number in EXAMPLES
        if isinstance(found := parse_phone(decoration(number), region), Phone)
    }
    assert read == set()


def test_a_country_code_of_its_own_column_completes_the_number() -> None:
    wrong = {
        (text, found)
        for _, number in EXAMPLES
        if number.country_code
        for text in (national(number), phonenumbers.national_significant_number(number), e164(number))
        if isinstance(found := parse_phone(text, "US", number.country_code), Phone) and found.e164 != e164(number)
    }
    assert wrong == set()


SHORT_CUTS: dict[str, Decoration] = {
    "E.164": e164,
    "international": international,
    "national": national,
    "no trunk prefix": phonenumbers.national_significant_number,
    "blanks": lambda number: " ".join(international(number).replace("-", " ").split()),
    "a second number": lambda number: f"{e164(number)} {digits(number)}",
    "a second number behind a 0": lambda number: f"{e164(number)} 0{phonenumbers.national_significant_number(number)}",
    "more digits": lambda number: f"{e164(number)} 017",
}


@pytest.mark.parametrize("decoration", SHORT_CUTS.values(), ids=SHORT_CUTS)
def test_the_short_cut_reads_nothing_else_than_the_full_reading(decoration: Decoration) -> None:
    taken = 0
    for region, number in EXAMPLES:
        for default in (region, "US"):
            if (plain := read_plain(decoration(number), default)) is not None:
                taken += 1
                full = read_cell(decoration(number), default)
                assert isinstance(full, PhoneNumber), (decoration(number), default, plain, full)
                assert plain == (e164(full), phonenumbers.region_code_for_number(full))
    assert taken > len(EXAMPLES) or decoration is not e164


@pytest.mark.parametrize("text", ["2022000.0000", "202.200.0000", "(202) 200-0000 ", "+1 202  2000000", "٢٠٢2000000"])
def test_the_short_cut_leaves_other_forms_to_the_full_reading(text: str) -> None:
    assert read_plain(text, "US") is None


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        *((text, 44) for text in ("44", "+44", "0044", "44.0", " 44 ", "(+44)", "＋４４")),
        ("1", 1),
        ("GB", "GB"),
        ("gb", "GB"),
        *((text, None) for text in ("0", "999", "44 20", "1876", "United Kingdom", "4.4E1", "-44", "X1", "")),
    ],
)
def test_a_calling_code_is_read_or_not_one(raw: str, code: int | str | None) -> None:
    assert read_calling_code(raw) == code


@pytest.mark.parametrize(
    ("raw", "code", "found"),
    [
        ("2079460143", 44, "+442079460143"),
        ("020 7946 0143", 44, "+442079460143"),
        ("+442079460143", 44, "+442079460143"),
        ("876 555 0142", 1, "+18765550142"),
        ("12345678", 800, "+80012345678"),
        ("+442079460143", 1, "has the country code 44, but the column of country codes has 1"),
        ("12", 44, "has too few digits for GB"),
    ],
)
def test_a_calling_code_completes_the_number_or_contradicts_it(raw: str, code: int, found: str) -> None:
    phone = parse_phone(raw, "US", code)
    assert (phone.e164 if isinstance(phone, Phone) else phone.reason) == found


@pytest.mark.parametrize(
    ("raw", "region", "e164"),
    [
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("1 (800) GOT-JUNK", "CA", "+18004685865"),
        ("0044 20 7946 0127", "US", "+442079460127"),
        ("011 44 20 7946 0128", "US", "+442079460128"),
        ("001-415-555-0134", "US", "+14155550134"),
        ("030/23125169", "DE", "+493023125169"),
        ("030 23125-0", "DE", "+4930231250"),
        ("2079460143", "GB", "+442079460143"),
    ],
)
def test_usual_ways_of_writing_a_number_are_read(raw: str, region: str, e164: str) -> None:
    found = parse_phone(raw, region)
    assert isinstance(found, Phone)
    assert found.e164 == e164


@pytest.mark.parametrize(
    ("raw", "region", "reason"),
    [
        ("030 2312516/17", "DE", "looks like a range of numbers"),
        ("+49 30 2312516-18", "DE", "looks like a range of numbers"),
        ("030 2312517 / 030 2312518", "DE", "holds two numbers"),
        ("0301234 0305678", "DE", "holds two numbers"),
        ("4915123456789", "DE", "could be +4915123456789 or +494915123456789; write the number with +"),
        ("442079460143", "US", "a + is missing before the country code; write +442079460143"),
        ("415-555-CALL", "US", "holds letters"),
        ("1-800-FLOWERS", "DE", "holds letters"),
        ("030 2312 Mobil", "DE", "holds letters ('Mobil')"),
        ("4.4777E+11", "GB", "4.4777E+11 is in scientific notation"),
        ("#N/A", "US", "no number: the cell says '#N/A'"),
        ("+1 415 555 0142 @home", "US", "holds letters"),
        ("+1 415 555 0142 @", "US", "holds '@'"),
        ("+1 415-555-0195 ::: +1 415-555-0196", "US", "holds two numbers; give one number a row"),
    ],
)
def test_the_reason_names_what_is_in_the_way(raw: str, region: str, reason: str) -> None:
    found = parse_phone(raw, region)
    assert isinstance(found, InvalidPhone)
    assert found.reason.startswith(reason)
