"""The numbers that a campaign calls from: which one a call uses, how many calls a day each makes, when one rests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import ceil
from types import MappingProxyType
from typing import Final

from outdial.domain.geography.area_zones import jurisdictions_of_area_code
from outdial.domain.outcomes import Outcome
from outdial.domain.phone import phone_of

DAY: Final = timedelta(hours=24)
REST: Final = timedelta(hours=24)
FIGURES_OF: Final = timedelta(days=7)
BLOCKED_IN_A_ROW: Final = 3
"""So many blocked calls in a row, and the number rests."""
COMPARED_CALLS: Final = 100
"""Numbers with so many calls in 24 hours count as equally used: a claim does not count all calls of a busy pool."""
RECENT_CALLS: Final = 50
BLOCKED_SHARE: Final = 0.05
"""This share of the last RECENT_CALLS calls blocked, and the number rests."""
LEAST_MEASURED: Final = 50
"""Answer rates are compared when the number and the rest of its pool have made so many calls."""
ANSWER_SHARE: Final = 0.5
"""A number that is answered this share as often as the rest of its pool, or less often, rests."""


NOT_OF_NUMBER: Final = frozenset(
    {Outcome.PROVIDER_FAULT, Outcome.NO_CAPACITY, Outcome.ACCOUNT_FAULT, Outcome.UNKNOWN, Outcome.STOPPED}
)
"""Outcomes that say nothing about the caller number."""
BY_PERSON: Final = frozenset({Outcome.ANSWERED, Outcome.TRANSFERRED, Outcome.CALLBACK_REQUESTED, Outcome.DO_NOT_CALL})
"""Outcomes of calls that a person answered: the answer rate of a number is their share."""


class RestReason(StrEnum):
    """Why a number rests."""

    BLOCKED_IN_A_ROW = "blocked_in_a_row"
    BLOCKED_SHARE = "blocked_share"
    FEW_ANSWERS = "few_answers"
    BY_MEMBER = "by_member"


REST_SENTENCES: Final[Mapping[RestReason, str]] = MappingProxyType(
    {
        RestReason.BLOCKED_IN_A_ROW: f"{BLOCKED_IN_A_ROW} calls in a row were blocked or marked spam",
        RestReason.BLOCKED_SHARE: f"{BLOCKED_SHARE:.0%} of its last {RECENT_CALLS} calls were blocked or marked spam",
        RestReason.FEW_ANSWERS: "answered at most half as often as the campaign's other numbers",
        RestReason.BY_MEMBER: "rested by a member of the organization",
    }
)


class NumberChoice(StrEnum):
    """Why a call is made from its number; the value is in the decision of the call."""

    ONLY = "only_number"
    LAST = "last_number"
    SAME_AREA_CODE = "same_area_code"
    SAME_STATE = "same_state"
    SAME_COUNTRY = "same_country"
    LEAST_USED = "least_used"


_NEARNESS: Final = (
    NumberChoice.LAST,
    NumberChoice.SAME_AREA_CODE,
    NumberChoice.SAME_STATE,
    NumberChoice.SAME_COUNTRY,
    NumberChoice.LEAST_USED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNumber:
    """A caller number of a campaign, with what decides whether it may take a call now.

    `daily_cap` is the cap of today, None for none; `calls` are those of the last 24 hours, the `live` ones included;
    without a cap, they are counted up to COMPARED_CALLS ended ones. `cap_frees_at` is when the next call keeps to the
    cap again, where it is reached. `blocked_in_a_row` counts the latest ended calls that were blocked; `is_tested` says
    whether any call of the last 7 days has ended.
    """

    phone: str
    calls: int = 0
    live: int = 0
    last_call_at: datetime | None = None
    daily_cap: int | None = None
    cap_frees_at: datetime | None = None
    blocked_in_a_row: int = 0
    is_tested: bool = True
    rests_until: datetime | None = None

    @property
    def is_capped(self) -> bool:
        """Whether the number has made all calls that its daily cap allows."""
        return self.daily_cap is not None and self.calls >= self.daily_cap

    def rests(self, now: datetime) -> bool:
        """Return whether the number rests."""
        return self.rests_until is not None and self.rests_until > now

    def room(self, now: datetime, *, is_alone: bool) -> int | None:
        """Return how many calls may start from the number now, None for any number of them.

        While its latest calls were blocked, no more calls are live than may be blocked before it rests. A new number of
        a pool begins like that, too: a number that is burnt costs three calls.
        """
        if self.rests(now):
            return 0
        rooms = [] if self.daily_cap is None else [self.daily_cap - self.calls]
        if self.blocked_in_a_row or not (self.is_tested or is_alone):
            rooms.append(BLOCKED_IN_A_ROW - self.blocked_in_a_row - self.live)
        return max(0, min(rooms)) if rooms else None

    def free_at(self, now: datetime) -> datetime | None:
        """Return when a number without room may call again; None when the end of a call decides."""
        if self.rests(now):
            return self.rests_until
        return self.cap_frees_at if self.is_capped else None


@dataclass(frozen=True, slots=True)
class ChosenNumber:
    """The number that a call is made from, and why."""

    phone: str
    reason: NumberChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersBusy:
    """No number may take the call now; `until` is None when the end of a call decides.

    So many numbers are `resting`, and so many have reached their daily cap; the others wait for how their calls end.
    """

    until: datetime | None
    numbers: int
    resting: int
    capped: int

    @property
    def all_rest(self) -> bool:
        """Whether each of the numbers rests."""
        return self.resting == self.numbers

    def sentence(self, at: str) -> str:
        """Return why no call starts, without a period; `at` is `until` in words, empty without one."""
        waiting = self.numbers - self.resting - self.capped
        parts = [
            f"{self.resting} resting" if self.resting else "",
            f"{self.capped} at {'its' if self.capped == 1 else 'their'} daily cap" if self.capped else "",
            f"{waiting} waiting for the end of a call" if waiting else "",
        ]
        first = f"; the first is free {at}" if at else ""
        return f"No caller number is free: {', '.join(part for part in parts if part)}{first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFigures:
    """Calls of a number within 7 days and since its last rest, and those that a person answered."""

    phone: str
    calls: int
    answered: int


class NumberPool:
    """The numbers of a campaign in one claim. Each choice takes room from its number."""

    def __init__(self, numbers: Sequence[PoolNumber], now: datetime) -> None:
        # In the order of their last calls, so that of equally used numbers the first is chosen.
        first = datetime.min.replace(tzinfo=UTC)
        ordered = sorted(numbers, key=lambda number: number.last_call_at or first)
        self._numbers = {number.phone: number for number in ordered}
        self._now = now
        self.phones: Final = frozenset(self._numbers)
        """All numbers, also those without room."""

    def room(self) -> int | None:
        """Return how many calls may start now from all numbers together, None for any number of them."""
        rooms = [self._room(number) for number in self._numbers.values()]
        total = 0
        for room in rooms:
            if room is None:
                return None
            total += room
        return total

    def wait(self, avoid: Collection[str] = ()) -> NumbersBusy | None:
        """Return when a number may call again, None if one may now; numbers to `avoid` do not count."""
        numbers = [number for number in self._numbers.values() if number.phone not in avoid]
        return None if any(self._room(number) != 0 for number in numbers) else self._busy(numbers)

    def _busy(self, numbers: Sequence[PoolNumber]) -> NumbersBusy:
        moments = [number.free_at(self._now) for number in numbers]
        known = [moment for moment in moments if moment is not None]
        resting = sum(number.rests(self._now) for number in numbers)
        return NumbersBusy(
            until=min(known) if known and len(known) == len(moments) else None,
            numbers=len(numbers),
            resting=resting,
            capped=sum(number.is_capped and not number.rests(self._now) for number in numbers),
        )

    def choose(
        self, phone: str, jurisdictions: Sequence[str], *, last: str | None = None, avoid: Collection[str] = ()
    ) -> ChosenNumber | NumbersBusy:
        """Choose the number for a call to `phone`, whose contact may be in these jurisdictions.

        In order: the number that called the phone `last`, one with its area code, of its state, of its country, then
        any. Of several, the one with the fewest calls in 24 hours, up to COMPARED_CALLS; of equally used ones, the one
        whose last call is the longest ago. Numbers to `avoid` were blocked for the phone.
        """
        allowed = [each for each in self._numbers.values() if each.phone not in avoid]
        open_numbers = [each for each in allowed if self._room(each) != 0]
        if not open_numbers:
            return self._busy(allowed)
        if len(self._numbers) == 1:
            [only] = open_numbers
            if self._room(only) is not None:
                self._use(only)
            return ChosenNumber(only.phone, NumberChoice.ONLY)

        def nearness(number: PoolNumber) -> int:
            return _NEARNESS.index(_near(number.phone, phone, tuple(jurisdictions), last))

        chosen = min(open_numbers, key=lambda number: (nearness(number), min(number.calls, COMPARED_CALLS)))
        self._use(chosen)
        return ChosenNumber(chosen.phone, _NEARNESS[nearness(chosen)])

    def _use(self, number: PoolNumber) -> None:
        del self._numbers[number.phone]  # Its place is the last one now.
        self._numbers[number.phone] = replace(number, calls=number.calls + 1, live=number.live + 1)

    def _room(self, number: PoolNumber) -> int | None:
        return number.room(self._now, is_alone=len(self._numbers) == 1)


def _near(number: str, phone: str, jurisdictions: tuple[str, ...], last: str | None) -> NumberChoice:
    """Return what a caller number shares with a phone, the nearest of all."""
    if number == last:
        return NumberChoice.LAST
    area_code = _area_code(number)
    if area_code is not None and area_code == _area_code(phone):
        return NumberChoice.SAME_AREA_CODE
    if area_code is not None and not jurisdictions_of_area_code(area_code).isdisjoint(jurisdictions):
        return NumberChoice.SAME_STATE
    country = _country(number)
    if country is not None and country == _country(phone):
        return NumberChoice.SAME_COUNTRY
    return NumberChoice.LEAST_USED


def _area_code(phone: str) -> str | None:
    """Return the area code of a North American number; numbers of other countries have none of one length."""
    return phone[2:5] if phone.startswith("+1") else None


@lru_cache(maxsize=4096)
def _country(phone: str) -> str | None:
    return phone_of(phone).country


def cap_of_day(daily_cap: int | None, *, warm_up_days: int, warm_up_from: datetime | None, now: datetime) -> int | None:
    """Return how many calls a number may make in 24 hours now.

    During its warm-up, the cap grows every 24 hours in even steps: with a cap of 100 and 4 days it is 20, 40, 60, 80,
    and then 100.
    """
    if daily_cap is None or warm_up_from is None:
        return daily_cap
    day = max(0, (now - warm_up_from) // DAY)
    return daily_cap if day >= warm_up_days else ceil(daily_cap * (day + 1) / (warm_up_days + 1))


def blocked_at_once(blocked: Sequence[bool]) -> int:
    """Return how many of the latest calls were blocked in a row; `blocked` has the newest first."""
    return next((count for count, was_blocked in enumerate(blocked) if not was_blocked), len(blocked))


def rest_after(blocked: Sequence[bool]) -> RestReason | None:
    """Return why a number has to rest after its latest calls; `blocked` has the newest first."""
    if blocked_at_once(blocked) >= BLOCKED_IN_A_ROW:
        return RestReason.BLOCKED_IN_A_ROW
    recent = blocked[:RECENT_CALLS]
    if len(recent) == RECENT_CALLS and sum(recent) >= BLOCKED_SHARE * RECENT_CALLS:
        return RestReason.BLOCKED_SHARE
    return None


def seldom_answered(pool: Sequence[NumberFigures]) -> list[str]:
    """Return the numbers of a pool that are answered at most half as often as its other numbers together.

    Where the others are not answered at all, there is nothing to compare with.
    """
    seldom = []
    for number in pool:
        others = [each for each in pool if each.phone != number.phone]
        calls, answered = sum(each.calls for each in others), sum(each.answered for each in others)
        if min(number.calls, calls) < LEAST_MEASURED:
            continue
        # Without a division, the boundary is exact.
        if answered and number.answered * calls <= ANSWER_SHARE * answered * number.calls:
            seldom.append(number.phone)
    return seldom
