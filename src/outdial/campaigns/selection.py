"""A selection of a campaign's contacts: the filters of the list, as the parameters of queries."""

import re
from collections.abc import Mapping
from typing import Final, TypedDict
from uuid import UUID

import msgspec

from outdial.campaigns.errors import InvalidSelection
from outdial.domain.policies.number_pool import BY_PERSON

MAX_PHONE_DIGITS: Final = 15
LAST_TEXT: Final = "\U0010ffff"
"""Sorts after every text that begins with the same characters."""
REACHED_OUTCOMES: Final[list[str]] = sorted(str(outcome) for outcome in BY_PERSON)
"""The outcomes of calls in which a person was reached."""

_DIGITS: Final = re.compile(rf"[0-9]{{1,{MAX_PHONE_DIGITS}}}")
_SEPARATORS: Final = re.compile(r"[\s()./-]")
# Numbers of this length and more may be written with a national or international prefix.
_NATIONAL_DIGITS: Final = 7


class PhoneRange(TypedDict):
    """The lowest and highest phone number of a range, inclusive."""

    first: str
    last: str


class SearchTerms(TypedDict):
    """The filters of which at most one is set."""

    search: str | None
    phone: str | None
    phone_ends: str | None
    name: str | None
    external_id: str | None


class SearchPatterns(TypedDict):
    """What a search looks for, as patterns for `like`: each word as typed, and the digits of a number."""

    words: list[str]
    digits: str | None


class SelectionParameters(TypedDict):
    """A selection as the parameters of a query; None where it does not filter."""

    status: str | None
    last_outcome: str | None
    reached: bool | None
    reached_outcomes: list[str]
    first_phone: str | None
    last_phone: str | None
    first_ending: str | None
    last_ending: str | None
    name: str | None
    last_text: str
    external_id: str | None
    words: list[str] | None
    digits: str | None
    contact_ids: list[UUID] | None


class ContactSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Filters of a campaign's contacts. Jobs store it as JSON.

    `outcome` is the last one. `reached`: a person was reached in one of the calls; false: the campaign is
    done with the contact without that. `search` are words, each in any column, in any order; `phone` and
    `phone_ends` are digits at the start and at the end of the number; `name` is the beginning of the name in
    any case. `ids` are rows that a member has ticked.
    """

    status: str | None = None
    outcome: str | None = None
    reached: bool | None = None
    search: str | None = None
    phone: str | None = None
    phone_ends: str | None = None
    name: str | None = None
    external_id: str | None = None
    ids: tuple[UUID, ...] | None = None

    @classmethod
    def read(
        cls, status: str | None, outcome: str | None, reached: bool | None, terms: Mapping[str, str | None]
    ) -> "ContactSelection":
        """Return the selection for filters as they were typed; raises InvalidSelection."""
        return cls(status=status, outcome=outcome, reached=reached, **read_terms(terms))

    def parameters(self) -> SelectionParameters:
        """Return the selection as the parameters of a query."""
        phones = None if self.phone is None else phone_range(self.phone)
        patterns = None if self.search is None else search_patterns(self.search)
        ending = None if self.phone_ends is None else self.phone_ends[::-1]
        return {
            "status": self.status,
            "last_outcome": self.outcome,
            "reached": self.reached,
            "reached_outcomes": REACHED_OUTCOMES,
            "first_phone": None if phones is None else phones["first"],
            "last_phone": None if phones is None else phones["last"],
            "first_ending": ending,
            "last_ending": None if ending is None else ending + LAST_TEXT,
            "name": self.name,
            "last_text": LAST_TEXT,
            "external_id": self.external_id,
            "words": None if patterns is None else patterns["words"],
            "digits": None if patterns is None else patterns["digits"],
            "contact_ids": None if self.ids is None else list(self.ids),
        }


MOST_TICKED: Final = 1_000
"""Rows that a member can select by their ids."""
SELECTION_FILTERS: Final = tuple(name for name in ContactSelection.__struct_fields__ if name != "ids")
"""The filters of the list, of the API, and of the commands that take contacts of a campaign."""
SEARCH_TERMS: Final = tuple(SearchTerms.__annotations__)


def read_terms(terms: Mapping[str, str | None]) -> SearchTerms:
    """Return search terms as they are looked for, None where blank; raises InvalidSelection, also for two terms."""
    read: SearchTerms = {
        "search": text_term("search", terms.get("search")),
        "phone": digits_term("phone", terms.get("phone")),
        "phone_ends": digits_term("phone_ends", terms.get("phone_ends")),
        "name": text_term("name", terms.get("name")),
        "external_id": text_term("external_id", terms.get("external_id")),
    }
    check_single_term(read)
    return read


def text_term(name: str, value: str | None) -> str | None:
    """Return a trimmed search term, None when empty; raises InvalidSelection."""
    if "\0" in (value or ""):
        raise InvalidSelection("This text cannot be searched", {name: "contains a NUL character"})
    return (value or "").strip() or None


def digits_term(name: str, value: str | None) -> str | None:
    """Return the digits of a partial phone number, None when there are none; raises InvalidSelection."""
    digits = without_separators(value or "")
    if not digits:
        return None
    if not digits.isascii() or _DIGITS.fullmatch(digits) is None:
        reason = f"up to {MAX_PHONE_DIGITS} digits, such as +1 212 or 0134"
        raise InvalidSelection("This is not part of a phone number", {name: reason})
    return digits


def check_single_term(terms: Mapping[str, object]) -> None:
    """Raise InvalidSelection when more than one search term is given."""
    given = [name for name, value in terms.items() if value is not None]
    if len(given) > 1:
        raise InvalidSelection("Search by one field at a time", dict.fromkeys(given, "use only one of these"))


def without_separators(number: str) -> str:
    """Return a number, or a part of one, without the characters that people put between digits."""
    return _SEPARATORS.sub("", number).removeprefix("+")


def phone_range(digits: str | None) -> PhoneRange:
    """Return the lowest and highest E.164 number that starts with `digits`, as the parameters `first` and `last`."""
    first = f"+{digits or ''}"
    return {"first": first, "last": first.ljust(MAX_PHONE_DIGITS + 2, "9")}


def name_patterns(name: str | None) -> list[str] | None:
    """Return the patterns for the words of the name of a campaign, in any order; None without a name."""
    return search_patterns(name)["words"] if name else None


def search_patterns(term: str) -> SearchPatterns:
    """Return the patterns for the words of `term`, in any order; a number also matches without its separators."""
    digits = without_separators(term)
    if not digits.isascii() or not digits.isdigit():
        digits = ""
    elif len(digits) >= _NATIONAL_DIGITS:
        # National and international prefixes, as in 030 1234567 or 0049 30 1234567, are not stored.
        digits = digits.lstrip("0")
    literal = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"words": [f"%{word}%" for word in literal.split()], "digits": f"%{digits}%" if digits else None}
