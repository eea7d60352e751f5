"""Read a phone cell as the number that it says, or refuse it with the reason.

libphonenumber's parser is built for text in messages: it drops what it does not understand, maps letters to keypad
digits and joins digits across whatever stands between them, so that `030 2312516/17` becomes a third number. A dialer
must not guess. This module admits digits, blanks, the usual punctuation and known prefixes only, collects every number
that the digits may stand for, and accepts the cell when exactly one is left.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    ValidationResult,
)

NO_COUNTRY_CODE = "has no country code, and no default region is set"
"""The reason of a number that a default region may cure."""

_EMPTY = {
    "", "-", "--", ".", "0", "null", "(null)", "\\n", "n/a", "#n/a", "na", "nan", "none", "nil", "undefined", "#value!",
    "#ref!",
}  # fmt: skip
_TOLL_FREE = {"800", "822", "833", "844", "855", "866", "877", "888"}
_NO_COUNTRY = "001"
# Digits with the country code; no valid number of any region has fewer.
_SHORTEST_E164 = 6
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")

_PLAIN_INTERNATIONAL = re.compile(r"\+[1-9]\d{0,14}(?: \d{1,14})*")
_PLAIN_AMERICAN = re.compile(r"\(?([2-9]\d\d)\)?[ -]?(\d{3})[ -]?(\d{4})")
_CALLING_CODE = re.compile(r"\(?(?:\+|00)?([1-9]\d{0,2})\)?(?:\.0+)?")
_SCHEME = re.compile(r"^tel:\s*", re.IGNORECASE)
_QUOTED = re.compile(r"""="(.*)"|'(.*)""")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?e[+-]?\d+", re.IGNORECASE)
_FLOAT = re.compile(r"(\+?\d+)\.0+")
_VANITY = re.compile(r"(?:\+?1[ -]?)?\(?(8\d\d)\)?[ -]?([a-z][a-z -]*)", re.IGNORECASE)
_EXTENSION = re.compile(r"(?:;\s*ext=|\bext(?:ension|n)?\b[.:]?|(?<![^\W\d_])x\.?|#)\s*\d+\s*$", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]+(?:\s+[^\W\d_]+)*")
_SHAPE = re.compile(r"\(?\+?[\d ().\-/]*")
_TAIL = re.compile(r"(.*\d)\s*([-/])\s*(\d{1,3})")
_OPTIONAL_ZERO = re.compile(r"\(\s*0\s*\)")
_PLUS = re.compile(r"\(?\s*\+")
_GAP = re.compile(r"\s*[-/]\s*|\s+")
_PLACES = {
    ValidationResult.TOO_SHORT: "too few digits",
    ValidationResult.TOO_LONG: "too many digits",
    ValidationResult.INVALID_LENGTH: "the wrong number of digits",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "no area code",
}


def read_plain(text: str, region: str | None) -> tuple[str, str] | None:
    """Return the E.164 number that `text` says in a plain form, and its region; None to have `read_cell` read it.

    This is a short cut for most cells of most files, and reads nothing that `read_cell` would read otherwise. Plain are
    E.164, also with single blanks, and ten digits of North America.
    """
    if not text.isascii():
        return None
    if region is not None and (american := _PLAIN_AMERICAN.fullmatch(text)):
        is_american = phonenumbers.country_code_for_region(region) == 1
        return _valid_e164("+1" + "".join(american.groups())) if is_american else None
    if not _PLAIN_INTERNATIONAL.fullmatch(text):
        return None
    found = _valid_e164(text.replace(" ", ""))
    for gap in re.finditer(" ", text):
        left, right = text[: gap.start()].replace(" ", ""), text[gap.end() :].replace(" ", "")
        starts_anew = right.startswith("0") or len(right) == len(left) - 1
        if starts_anew and len(left) > _SHORTEST_E164 and _valid_e164(left):
            return None
    return found


def number_of(e164: str) -> PhoneNumber:
    """Return the parts of a number in E.164, without checking it: much cheaper than libphonenumber's parser."""
    code = next((code for end in (2, 3, 4) if (code := int(e164[1:end])) in COUNTRY_CODE_TO_REGION_CODE), None)
    national = "" if code is None else e164[1 + len(str(code)) :]
    if not national or national.startswith("0"):
        return phonenumbers.parse(e164)
    return PhoneNumber(country_code=code, national_number=int(national))


def _valid_e164(e164: str) -> tuple[str, str] | None:
    try:
        number = number_of(e164)
    except NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(number)
    if region is None or not phonenumbers.is_valid_number_for_region(number, region):
        return None
    # Of a national number that begins with 0, libphonenumber may have dropped the 0 as a prefix.
    is_whole = f"+{number.country_code}{number.national_number}" == e164 or _e164(number) == e164
    return (e164, region) if is_whole else None


@lru_cache(maxsize=1_000)
def read_calling_code(raw: str) -> int | str | None:
    """Return the country code in `raw`: 44 for `44`, `+44`, `0044` and `44.0`, the region for ISO 3166 such as `GB`.

    None stands for anything else.
    """
    text = _plain(raw)
    if text.upper() in phonenumbers.SUPPORTED_REGIONS:
        return text.upper()
    found = _CALLING_CODE.fullmatch(text)
    code = int(found[1]) if found else 0
    return code if code in COUNTRY_CODE_TO_REGION_CODE else None


def read_cell(raw: str, region: str | None, calling_code: int | None = None) -> PhoneNumber | str:
    """Return the one valid number that `raw` says, or the reason why it says none.

    A number without a country code is one of `region` (ISO 3166, upper case). `calling_code`, such as 44, is a country
    code from a column of its own; the cell then holds a national number, or repeats the code.
    """
    text = _plain(raw)
    if text.lower() in _EMPTY:
        return f"no number: the cell says {text!r}" if text else "the cell is empty"
    if _SCIENTIFIC.fullmatch(text):
        return (
            f"{text} is in scientific notation and may have lost digits; format the column as text and export it again"
        )
    if whole := _FLOAT.fullmatch(text):
        text = whole[1]
    if vanity := _VANITY.fullmatch(text):
        text = _dialed(vanity[1], vanity[2], region) or text
    if reason := _obstacle(text) or _second_number(text, region):
        return reason
    numbers = {_e164(number): number for number in _readings(text, region, calling_code)}
    if len(numbers) == 1:
        (number,) = numbers.values()
        if calling_code is not None and number.country_code != calling_code:
            return f"has the country code {number.country_code}, but the column of country codes has {calling_code}"
        return number
    if numbers:
        return f"could be {' or '.join(sorted(numbers))}; write the number with + and its country code"
    return _invalid(text, region, calling_code)


def _plain(raw: str) -> str:
    """Return `raw` with ASCII digits, plain dashes and blanks, without invisible marks and spreadsheet quoting."""
    text = raw if raw.isascii() else _ascii(raw)
    text = text.strip()
    if quoted := _QUOTED.fullmatch(text):
        text = (quoted[1] or quoted[2] or "").strip()
    return " ".join(_SCHEME.sub("", text, count=1).split())


def _ascii(raw: str) -> str:
    characters: list[str] = []
    for character in unicodedata.normalize("NFKC", raw):
        category = unicodedata.category(character)
        if category == "Nd":
            characters.append(str(unicodedata.decimal(character)))
        elif category == "Pd" or character == "\N{MINUS SIGN}":
            characters.append("-")
        elif category in ("Zs", "Zl", "Zp") or character in "\t\r\n":
            characters.append(" ")
        elif category != "Cf":
            characters.append(character)
    return "".join(characters)


def _dialed(area: str, word: str, region: str | None) -> str | None:
    """Return a North American toll-free number that ends in one seven-letter word; other letters are not a number."""
    letters = re.sub(r"[ -]", "", word).upper()
    if (
        area not in _TOLL_FREE
        or len(letters) != 7
        or not (region and phonenumbers.country_code_for_region(region) == 1)
    ):
        return None
    return f"+1{area}{letters.translate(_KEYPAD)}"


def _obstacle(text: str) -> str | None:
    if extension := _EXTENSION.search(text):
        return f"has an extension ({extension[0].strip(' ;')}); give a number that can be dialed directly"
    if letters := _LETTERS.search(text):
        return f"holds letters ({letters[0]!r}); leave only the number in the cell"
    if text.count("+") > 1 or ":::" in text:
        return "holds two numbers; give one number a row"
    if other := next((character for character in text if character in ";,&|"), None):
        return f"holds {other!r}, as between two numbers; give one number a row"
    if "+" in text and not _PLUS.match(text):
        return "has a + after the first digit; a + stands before the country code only"
    if not _SHAPE.fullmatch(text):
        odd = next(character for character in text if not re.match(r"[\d ().\-/+]", character))
        return f"holds {odd!r}, which is no part of a phone number"
    return None if re.search(r"\d", text) else "holds no digits"


def _second_number(text: str, region: str | None) -> str | None:
    """Find a range (`2312516-18`) or two numbers, which libphonenumber would join into another number."""
    if (tail := _TAIL.fullmatch(text)) and list(_readings(tail[1], region, None)):
        before = re.sub(r"\D", "", tail[1])
        if tail[2] == "/" or int(tail[3]) > int(before[-len(tail[3]) :]):
            return f"looks like a range of numbers ({tail[0][-12:]}); give one number a row"
    for gap in _GAP.finditer(text):
        left, right = text[: gap.start()], text[gap.end() :]
        starts_anew = right.startswith(("+", "0", "(0", "(+")) or _count(right) == _count(left)
        if starts_anew and list(_readings(left, region, None)) and list(_readings(right, region, None)):
            return "holds two numbers; give one number a row"
    return None


def _readings(text: str, region: str | None, calling_code: int | None) -> Iterator[PhoneNumber]:
    """Yield each valid number that the digits may stand for."""
    digits = re.sub(r"\D", "", text)
    if _PLUS.match(text):
        yield from _international(digits)
        if optional_zero := _OPTIONAL_ZERO.search(text):
            yield from _international(re.sub(r"\D", "", text.replace(optional_zero[0], "")))
        return
    if digits.startswith("00"):
        yield from _international(digits[2:])
    if calling_code is not None:
        home = phonenumbers.region_code_for_country_code(calling_code)
        yield from _international(f"{calling_code}{digits}") if home == _NO_COUNTRY else _national(text, home)
        if digits.startswith(str(calling_code)):
            yield from _international(digits)
    elif region is not None:
        yield from _national(text, region)
        if digits.startswith(str(phonenumbers.country_code_for_region(region))):
            yield from _international(digits)


def _international(digits: str) -> Iterator[PhoneNumber]:
    """Yield +`digits` when it is valid as it stands, or with a national 0 behind the country code left out."""
    number = _parsed(f"+{digits}", None)
    if number is None:
        return
    e164 = _e164(number)
    code = str(number.country_code)
    if e164[1:] == digits or (digits.startswith(code + "0") and e164[1:] == code + digits[len(code) + 1 :]):
        yield number


def _national(text: str, region: str) -> Iterator[PhoneNumber]:
    if number := _parsed(text, region):
        yield number


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _invalid(text: str, region: str | None, calling_code: int | None) -> str:
    """Return why the digits stand for no valid number."""
    digits = re.sub(r"\D", "", text)
    if not text.startswith(("+", "(+", "0")) and (found := list(_international(digits))):
        return f"a + is missing before the country code; write {_e164(found[0])}"
    if calling_code is not None:
        region = phonenumbers.region_code_for_country_code(calling_code)
        if region == "ZZ":
            return f"{calling_code} is not a country code"
    if region is None and not re.match(r"\(?\s*\+|00", text):
        return NO_COUNTRY_CODE
    try:
        number = phonenumbers.parse(re.sub(r"^00", "+", text) if region is None else text, region)
    except NumberParseException as error:
        too_short = error.error_type in (NumberParseException.TOO_SHORT_NSN, NumberParseException.TOO_SHORT_AFTER_IDD)
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            return "begins with an unknown country code"
        return "has too few digits" if too_short or _count(text) < 7 else "has too many digits"
    country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    if place := _PLACES.get(phonenumbers.is_possible_number_with_reason(number)):
        return f"has {place} for {country}"
    return f"is not a number in use in {country}"


def _count(text: str) -> int:
    return sum(character.isdigit() for character in text)
