"""The contact files of the demo: contacts in several states and countries, with the invalid rows of real files."""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Final

PHONE_COLUMN = "Customer Phone"
HEADER = (
    PHONE_COLUMN, "First Name", "Last Name", "Email", "Company", "State", "Time Zone", "plan", "balance_due",
    "appointment",
)  # fmt: skip

# Area codes by state. At LAW_OPENS, calls are allowed in New York, begin in the next five states, and are forbidden in
# Washington.
_AREAS: Final = {"212": "NY", "303": "CO", "312": "IL", "502": "KY", "512": "TX", "602": "AZ", "206": "WA"}
_CALLABLE: Final = tuple(_AREAS)[:6]
_ON_HOLIDAY: Final = {"205": "AL", "504": "LA"}
LAW_OPENS: Final = datetime(2027, 2, 9, 15, tzinfo=UTC)
"""Mardi Gras, a holiday in Alabama and Louisiana, at 9 in Chicago: the moment when five of the states open."""
_FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Tim", "Radia", "Ken", "Dennis", "Frances")
_LAST = ("Moreau", "Okafor", "Silva", "Novak", "Ivanov", "Tanaka", "Haddad", "Larsen", "O'Neill", "García")
_COMPANIES = ("Acme, Inc.", "Globex", 'The "Best" Bakery', "Initech", "")
_PLANS = ("basic", "plus", "premium")
_ZONES = {"NY": ("", "", "America/New_York"), "CO": ("", "", "America/Denver")}
_BAD_PHONES = ("n/a", "12345", "+1 212 555 01", "call the office", "+999 123 456", "(212) 555-0123 x42", "")
# Last digits that make the simulator misbehave: failures of every kind, lost responses, and webhooks that are dropped,
# repeated or reordered. Without those that are blocked whatever number calls: they wait for the one that rests.
_MAGIC = (
    "9904", "9905", "9908", "9915", "9926", "9928", "9930", "9931", "9932", "9933", "9934", "9941",
    "9951", "9952", "9953", "9954", "9955", "9956", "9961", "9962", "9963", "9964", "9965", "9966",
)  # fmt: skip
# Contacts who ask for a callback, in New York, where calls are allowed from the start.
_ASK_FOR_A_CALLBACK: Final = ("+12127979909", "+12127989909", "+12127999909")


@dataclass(frozen=True, slots=True)
class DemoFile:
    """A CSV file, the numbers to block before its import, and the expected counts of added and refused rows."""

    text: str
    do_not_call: Sequence[str]
    good: int
    refused: int


def make_contacts(rows: int, seed: int) -> DemoFile:
    """Return a file of `rows` rows, of every kind from 100 rows on. The same seed gives the same file."""
    rng = random.Random(seed)
    bad, bad_zones, duplicates, blocked = (max(1, rows * share // 100) for share in (4, 1, 4, 3))
    good = rows - bad - bad_zones - duplicates - blocked
    found = {f"+1{_CALLABLE[n % len(_CALLABLE)]}7{n:02}{digits}": None for n, digits in enumerate(_MAGIC)}
    found |= dict.fromkeys(_ASK_FOR_A_CALLBACK)
    count = good + blocked + bad_zones
    while len(found) < count:
        match rng.choice(("US", "US", "US", "GB", "IN")):
            case "GB":
                number = f"+447400{rng.randint(0, 999_999):06}"
            case "IN":
                number = f"+9198765{rng.randint(0, 99_999):05}"
            case _:
                number = f"+1{rng.choice(tuple(_AREAS))}{rng.randint(220, 699)}{rng.randint(0, 9999):04}"
        if number[-4:-2] != "99":
            found[number] = None
    # The magic numbers come last, so that neither a bad time zone nor the do-not-call list removes them.
    numbers = list(reversed(list(found)[:count]))
    contacts = [_row(rng, number) for number in numbers]
    for row in contacts[:bad_zones]:
        row[HEADER.index("Time Zone")] = "EST"
    contacts += [_row(rng, rng.choice(_BAD_PHONES)) for _ in range(bad)]
    rng.shuffle(contacts)
    repeated = rng.sample([row for row in contacts if row[0] in numbers[bad_zones + blocked :]], k=duplicates)
    contacts += [[_formatted(rng, row[0]), *row[1:]] for row in repeated]
    text = StringIO()
    csv.writer(text).writerows([HEADER, *([_formatted(rng, row[0]), *row[1:]] for row in contacts)])
    return DemoFile(
        text.getvalue(),
        numbers[bad_zones : bad_zones + blocked],
        good=good,
        refused=bad + bad_zones + duplicates + blocked,
    )


# In New York, where it is morning at LAW_OPENS: no answer once.
_CALLED_IN_THE_MORNING: Final = ("+12126019932", "+12126029932", "+12126039932")


def make_other_contacts(rows: int, seed: int) -> str:
    """Return a file of contacts in the states on a holiday at LAW_OPENS, and of some who answer the second call."""
    rng = random.Random(seed)
    text = StringIO()
    areas = tuple(_ON_HOLIDAY)
    numbers = [f"+1{areas[n % len(areas)]}{rng.randint(220, 699)}{n:04}" for n in range(rows)]
    numbers += _CALLED_IN_THE_MORNING
    csv.writer(text).writerows([HEADER, *(_row(rng, number) for number in numbers)])
    return text.getvalue()


def _formatted(rng: random.Random, number: str) -> str:
    """Return a number in a format that people use."""
    if not number.startswith("+1") or len(number) != 12:
        return number
    area, exchange, line = number[2:5], number[5:8], number[8:]
    return rng.choice(
        (number, f"({area}) {exchange}-{line}", f"{area}.{exchange}.{line}", f"1-{area}-{exchange}-{line}")
    )


def _row(rng: random.Random, number: str) -> list[str]:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    state = (_AREAS | _ON_HOLIDAY).get(number[2:5], "") if number.startswith("+1") else ""
    return [
        number,
        first,
        last,
        f"{first}.{last}@example.com".lower().replace("'", ""),
        rng.choice(_COMPANIES),
        rng.choice((state, "")),
        rng.choice(_ZONES.get(state, ("",))),
        rng.choice(_PLANS),
        f"{rng.uniform(5, 500):.2f}",
        f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    ]
