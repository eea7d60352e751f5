"""Screening lists: numbers from outside the organization that must not be called, each list with its registry's day."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from outdial.domain.machine import Machine
from outdial.domain.purpose import ListKind, Purpose

MAX_LIST_AGE: Final = timedelta(days=31)
"""A list whose registry day is longer ago no longer counts as screened (16 CFR 310.4(b)(3)(iv))."""
LIFTED_BY_CONSENT: Final = frozenset({ListKind.NATIONAL, ListKind.STATE})
"""The kinds of lists that written consent lifts."""

_ALWAYS: Final = (ListKind.LITIGATOR, ListKind.REASSIGNED)
_FOR_SALES: Final = (ListKind.NATIONAL, ListKind.STATE)


class ScreeningListStatus(StrEnum):
    """The status of an uploaded list; only a `current` one keeps numbers from being called."""

    LOADING = "loading"
    CURRENT = "current"
    REPLACED = "replaced"
    REMOVED = "removed"
    FAILED = "failed"


_L = ScreeningListStatus

SCREENING_LIST: Final = Machine(
    "screening list",
    {
        _L.LOADING: (_L.CURRENT, _L.FAILED),
        _L.CURRENT: (_L.REPLACED, _L.REMOVED),
        _L.REPLACED: (),
        _L.REMOVED: (),
        _L.FAILED: (),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningList:
    """A complete list: its kind, its country or state if it has one, and the day of the registry."""

    kind: ListKind
    jurisdiction: str | None
    registry_date: date

    @property
    def name(self) -> str:
        """The list as sentences name it."""
        match self.kind:
            case ListKind.STATE:
                return f"{self.jurisdiction} list"
            case ListKind.NATIONAL:
                return f"national list of {self.jurisdiction}"
            case ListKind.LITIGATOR | ListKind.REASSIGNED:
                return f"{self.kind} list"

    def is_current(self, today: date) -> bool:
        """Return whether the list counts as screened on `today`, in UTC."""
        return today - self.registry_date <= MAX_LIST_AGE


def applied_kinds(purpose: Purpose, required: Collection[ListKind]) -> list[ListKind]:
    """Return the kinds of lists whose numbers a campaign does not call.

    Sales calls respect all lists. National and state lists do not concern other calls, unless the campaign requires
    them. An outdated list still keeps its numbers from being called.
    """
    kinds = {*_ALWAYS, *required, *(_FOR_SALES if purpose is Purpose.SALES else ())}
    return [kind for kind in ListKind if kind in kinds]


def listed_on(name: str, registry_date: date) -> str:
    """Return the status reason of a contact that is skipped because of a list.

    The triggers that reopen such contacts compare with this text.
    """
    return f"on the {name} of {registry_date.isoformat()}"


@dataclass(frozen=True, slots=True)
class MissingList:
    """A kind of list that a campaign requires and that is not current; `outdated` has its lists that are too old."""

    kind: ListKind
    outdated: Sequence[ScreeningList]
    today: date

    def advice(self) -> str:
        """Return what to upload."""
        oldest = (self.today - MAX_LIST_AGE).isoformat()
        if not self.outdated:
            return f"upload a {self.kind} list with a registry date of {oldest} or later"
        names = " and ".join(f"the {each.name} ({each.registry_date.isoformat()})" for each in self.outdated)
        age = f"older than {MAX_LIST_AGE.days} days"
        if len(self.outdated) == 1:
            return f"{names} is {age}: upload it again"
        return f"{names} are {age}: upload them again"


def missing_lists(required: Collection[ListKind], lists: Sequence[ScreeningList], today: date) -> list[MissingList]:
    """Return the required kinds that are not current: without any list, or with one that is outdated."""
    missing = []
    for kind in ListKind:
        if kind not in required:
            continue
        of_kind = [each for each in lists if each.kind is kind]
        outdated = [each for each in of_kind if not each.is_current(today)]
        if outdated or not of_kind:
            missing.append(MissingList(kind, outdated, today))
    return missing
