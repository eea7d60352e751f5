"""Screening lists: numbers from outside the organization that must not be called, each list with its registry's day."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, assert_never

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
    """A kind of list that a campaign requires and that is not current in each of its places.

    `outdated` has the lists that are too old, `jurisdictions` the countries or states without any such list.
    """

    kind: ListKind
    outdated: Sequence[ScreeningList]
    today: date
    jurisdictions: Sequence[str] = ()

    def advice(self) -> str:
        """Return what to upload."""
        parts = []
        if self.jurisdictions or not self.outdated:
            oldest = (self.today - MAX_LIST_AGE).isoformat()
            where = f" of {' and of '.join(self.jurisdictions)}" if self.jurisdictions else ""
            parts.append(f"upload a {self.kind} list{where} with a registry date of {oldest} or later")
        if self.outdated:
            names = " and ".join(f"the {each.name} ({each.registry_date.isoformat()})" for each in self.outdated)
            those, them = ("is", "it") if len(self.outdated) == 1 else ("are", "them")
            parts.append(f"{names} {those} older than {MAX_LIST_AGE.days} days: upload {them} again")
        return "; ".join(parts)


def missing_lists(
    required: Collection[ListKind], lists: Sequence[ScreeningList], jurisdictions: Collection[str], today: date
) -> list[MissingList]:
    """Return the required kinds of lists that are not current for contacts in all of the jurisdictions.

    They need a national list of each country, and a list of each state or province. Other lists hold everywhere.
    """
    missing = []
    for kind in ListKind:
        if kind not in required:
            continue
        found = {each.jurisdiction: each for each in lists if each.kind is kind}
        # Where no place is known, some list of the kind is needed, and none may be outdated.
        needed = _needed(kind, jurisdictions) if jurisdictions else (sorted(found, key=str) or [None])
        outdated = [found[name] for name in needed if name in found and not found[name].is_current(today)]
        absent = [name for name in needed if name not in found]
        if outdated or absent:
            missing.append(MissingList(kind, outdated, today, [name for name in absent if name is not None]))
    return missing


def _needed(kind: ListKind, jurisdictions: Collection[str]) -> Sequence[str | None]:
    match kind:
        case ListKind.NATIONAL:
            return sorted({name.partition("-")[0] for name in jurisdictions})
        case ListKind.STATE:
            return sorted({name for name in jurisdictions if "-" in name})
        case ListKind.LITIGATOR | ListKind.REASSIGNED:
            return [None]
        case never:
            assert_never(never)
