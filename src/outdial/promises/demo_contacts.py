"""The contact file of the demo: people of several countries, and the rows that every real file has."""

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO

PHONE_COLUMN = "Customer Phone"
HEADER = (
    PHONE_COLUMN, "First Name", "Last Name", "Email", "Company", "Time Zone", "plan", "balance_due", "appointment"
)  # fmt: skip

_AREAS = ("212", "312", "303", "415", "602", "808")
_FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Tim", "Radia", "Ken", "Dennis", "Frances")
_LAST = ("Moreau", "Okafor", "Silva", "Novak", "Ivanov", "Tanaka", "Haddad", "Larsen", "O'Neill", "García")
_COMPANIES = ("Acme, Inc.", "Globex", 'The "Best" Bakery', "Initech", "")
_PLANS = ("basic", "plus", "premium")
_ZONES = ("", "", "", "America/Denver", "America/New_York")
_BAD_PHONES = ("n/a", "12345", "+1 212 555 01", "call the office", "+999 123 456", "(212) 555-0123 x42", "")
# What the simulator does with a number by its last digits: failures of every kind, lost answers, webhooks that stay
# away, come twice or in the wrong order.
_MAGIC = (
    "9904", "9905", "9908", "9909", "9915", "9919", "9926", "9928", "9930", "9931", "9932", "9933", "9934", "9941",
    "9951", "9952", "9953", "9954", "9955", "9956", "9961", "9962", "9963", "9964", "9965", "9966",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoFile:
    """The text of a CSV file, the numbers to put on the do-not-call list first, and what an import is to make of it."""

    text: str
    do_not_call: Sequence[str]
    good: int
    refused: int


def make_contacts(rows: int, seed: int) -> DemoFile:
    """Return a file of `rows` rows, 100 at least for every kind to be there; the same seed gives the same file."""
    chance = random.Random(seed)
    bad, zoneless, twice, blocked = (max(1, rows * share // 100) for share in (4, 1, 4, 3))
    good = rows - bad - zoneless - twice - blocked
    numbers = _numbers(chance, good + blocked + zoneless)
    people = [_row(chance, number) for number in numbers]
    for row in people[:zoneless]:
        row[HEADER.index("Time Zone")] = "EST"
    people += [_row(chance, chance.choice(_BAD_PHONES)) for _ in range(bad)]
    chance.shuffle(people)
    repeated = chance.sample([row for row in people if row[0] in numbers[zoneless + blocked :]], k=twice)
    people += [[_as_written(chance, row[0]), *row[1:]] for row in repeated]
    text = StringIO()
    csv.writer(text).writerows([HEADER, *([_as_written(chance, row[0]), *row[1:]] for row in people)])
    return DemoFile(
        text.getvalue(), numbers[zoneless : zoneless + blocked], good=good, refused=bad + zoneless + twice + blocked
    )


def _numbers(chance: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    for number in (f"+1{_AREAS[n % len(_AREAS)]}7{n:02}{digits}" for n, digits in enumerate(_MAGIC)):
        found[number] = None
    makers: Sequence[Callable[[random.Random], str]] = (_american, _american, _american, _british, _indian)
    while len(found) < count:
        number = chance.choice(makers)(chance)
        if number[-4:-2] != "99":
            found[number] = None
    # The magic ones last, where neither a zone nor the do-not-call list takes them away.
    return list(reversed(list(found)[:count]))


def _american(chance: random.Random) -> str:
    return f"+1{chance.choice(_AREAS)}{chance.randint(220, 699)}{chance.randint(0, 9999):04}"


def _british(chance: random.Random) -> str:
    return f"+447400{chance.randint(0, 999_999):06}"


def _indian(chance: random.Random) -> str:
    return f"+9198765{chance.randint(0, 99_999):05}"


def _as_written(chance: random.Random, number: str) -> str:
    """Return a number as people write it."""
    if not number.startswith("+1") or len(number) != 12:
        return number
    area, exchange, line = number[2:5], number[5:8], number[8:]
    return chance.choice(
        (number, f"({area}) {exchange}-{line}", f"{area}.{exchange}.{line}", f"1-{area}-{exchange}-{line}")
    )


def _row(chance: random.Random, number: str) -> list[str]:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    return [
        number,
        first,
        last,
        f"{first}.{last}@example.com".lower().replace("'", ""),
        chance.choice(_COMPANIES),
        chance.choice(_ZONES) if number.startswith("+1") else "",
        chance.choice(_PLANS),
        f"{chance.uniform(5, 500):.2f}",
        f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
    ]
