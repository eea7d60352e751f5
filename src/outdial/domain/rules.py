"""What the law allows: calling rules, and when the hours of a campaign and every rule of a place are open together.

Pure functions of a rule book. The claim, the preview of an import, the forecast and the pages use the same
`RuleBook`. A window is evaluated per place, never per contact.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from outdial.domain.calling_hours import ALL_HOURS, CallingHours, zones_of
from outdial.domain.errors import UnknownZone
from outdial.domain.openings import (
    SEARCH,
    LocalSchedule,
    Windows,
    all_open,
    ever_open,
    intersect,
    local_time,
    next_opening,
)
from outdial.domain.place import NOT_COMPUTED, UNKNOWN_STATE, Place
from outdial.domain.public_holidays import HolidayCalendars
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent

STALE_AFTER: Final = timedelta(days=180)
"""A rule whose text was not checked for longer is out of date: pages and logs warn, and it stays in force."""
NO_RULE_SUFFIX: Final = "-NO-RULE"
"""`IN-NO-RULE` is the pseudo rule that closes India while no rule of it exists; an admin may switch it off."""

_VERSION = re.compile(r"-(19|20)[0-9]{2}$")
_NEAR: Final = timedelta(days=14)


class RuleDevice(StrEnum):
    """The calls a rule covers. Outdial's calls are automated: an AI voice counts as an artificial one."""

    ANY = "any"
    AUTOMATED = "automated"


class RuleParty(StrEnum):
    """Who a rule protects. Outdial does not know who owns a number, so every rule applies to every contact."""

    ANY = "any"
    CONSUMER = "consumer"
    RESIDENTIAL = "residential"


class RuleConfidence(StrEnum):
    """The confidence of a row: its source quotes the text of the law, is secondary, or must be verified before use."""

    QUOTED = "q"
    SECONDARY = "s"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class RuleCap:
    """At most `count` calls to a number within any `period`."""

    count: int
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CallingRule:
    """One row of a rule pack; a change of law is a new row.

    `jurisdiction` is an ISO 3166 code (`US`, `US-TX`, `GB`) or a group of countries of the pack (`EU`). `week` has the
    windows of each weekday, Monday first, None if the rule sets no hours; they apply in every zone of the
    contact, or in `zone` if the law names one. `holidays` are the calendars whose holidays are closed.
    `prohibited` forbids such calls. A rule that is not `adopted` was proposed or vacated and is never in force.
    `in_force_from` and `in_force_to` are the first and the last local date. `consent`, `lists` and `disclosure` are
    duties of the caller, which block no call. `by_area_code` says that the law goes by the area code of the number
    instead of the place of the contact.
    """

    id: str
    jurisdiction: str
    purposes: frozenset[Purpose]
    device: RuleDevice
    party: RuleParty
    week: tuple[Windows, ...] | None
    holidays: tuple[str, ...]
    zone: str | None
    by_area_code: bool
    adopted: bool
    prohibited: bool
    cap: RuleCap | None
    consent: RequiredConsent
    lists: tuple[ListKind, ...]
    disclosure: str
    note: str
    source: str
    in_force_from: date | None
    in_force_to: date | None
    checked_on: date
    confidence: RuleConfidence

    @property
    def family(self) -> str:
        """The id without the year that ends it: `US-PA-HOURS-2026` follows `US-PA-HOURS-2019`."""
        return _VERSION.sub("", self.id)

    @property
    def country(self) -> str:
        """The country of the jurisdiction, or its group of countries."""
        return self.jurisdiction.partition("-")[0]

    def in_force_on(self, day: date) -> bool:
        """Return whether the rule is in force on a local date."""
        if not self.adopted or (self.in_force_from is not None and day < self.in_force_from):
            return False
        return self.in_force_to is None or day <= self.in_force_to


@dataclass(frozen=True, slots=True)
class NoRules:
    """Some countries have no rule for the purpose: no calls go there until one is added or the check is off."""

    countries: tuple[str, ...]

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The ids of the pseudo rules that block the call."""
        return tuple(country + NO_RULE_SUFFIX for country in self.countries)


@dataclass(frozen=True, slots=True)
class Prohibited:
    """A rule forbids such calls, whatever the hour."""

    rule: CallingRule


@dataclass(frozen=True, slots=True)
class KeysMissing:
    """The place of the contact is not computed yet."""


Block: TypeAlias = NoRules | Prohibited | KeysMissing


class EffectiveWindow:
    """The hours of a campaign within every rule that may apply in a place, in all of its zones."""

    __slots__ = (
        "_ahead",
        "_covering",
        "_in_force",
        "_open",
        "_restricted",
        "_seen",
        "place",
        "purpose",
        "rules",
        "schedules",
    )

    def __init__(
        self,
        *,
        place: Place,
        purpose: Purpose,
        rules: tuple[CallingRule, ...],
        schedules: tuple[LocalSchedule, ...],
        covering: Mapping[str, tuple[CallingRule, ...]] | None,
        ahead: timedelta,
    ) -> None:
        self.place = place
        self.purpose = purpose
        self.rules = rules
        """The rules that apply in the place at some time, by id."""
        self.schedules = schedules
        """The hours in each zone of the place, then in the zones that rules name."""
        self._covering = covering or {}
        self._restricted = covering is not None
        self._ahead = ahead
        self._seen: dict[date, bool] = {}
        # What was computed last, with its minute: a claim asks for each of its calls, which start in one. Zones
        # differ from UTC by whole minutes, and windows begin and end on them.
        self._open: tuple[datetime, bool] | None = None
        self._in_force: tuple[datetime, tuple[CallingRule, ...]] | None = None

    def judged_at(self, at: datetime) -> datetime:
        """Return the time, in UTC, at which a call at `at` is judged: `at`, or later in a demo that shifts it."""
        return local_time(at, UTC) + self._ahead

    def blocked_at(self, at: datetime) -> Block | None:
        """Return what blocks all calls to the place at a time, whatever the hour."""
        prohibited = [rule for rule in self.rules_at(at) if rule.prohibited]
        return Prohibited(prohibited[0]) if prohibited else self._unknown_at(self.judged_at(at))

    def is_open(self, at: datetime) -> bool:
        """Return whether the campaign and every rule allow a call at `at`; False for an unknown zone or a block."""
        moment = self.judged_at(at)
        minute = moment.replace(second=0, microsecond=0)
        known = self._open
        if known is None or known[0] != minute:
            is_open = bool(self.schedules) and all_open(self.schedules, moment) and self._unknown_at(moment) is None
            known = self._open = (minute, is_open)
        return known[1]

    def next_open(self, after: datetime) -> datetime | None:
        """Return the earliest moment from `after` on, in UTC, when a call is allowed.

        None when there is none within SEARCH, or while the place is blocked because a rule or its keys are missing.
        `never_opens` reports whether there may be one later.
        """
        moment = self.judged_at(after)
        if not self.schedules or self._is_banned_for_good(moment) or self._unknown_at(moment) is not None:
            return None
        near = moment + _NEAR
        found = next_opening(self.schedules, moment, near)
        if found is None and not self.never_opens(after):
            found = next_opening(self.schedules, near, moment + SEARCH)
        return found and found - self._ahead

    def never_opens(self, at: datetime) -> bool:
        """Return whether no call is ever allowed from `at` on under the laws known today, or a zone is unknown.

        Excluded dates and holidays end, so they do not count. A place without a rule or without its keys may get them,
        so it does not count either.
        """
        moment = self.judged_at(at)
        if self._unknown_at(moment) is not None:
            return False
        if self._is_banned_for_good(moment):
            return True
        day = moment.date()
        if day not in self._seen:
            self._seen.clear()
            self._seen[day] = not (self.schedules and ever_open(self.schedules, day))
        return self._seen[day]

    def rules_at(self, at: datetime) -> tuple[CallingRule, ...]:
        """Return the rules in force at a time, on the local date of any zone of the place."""
        moment = self.judged_at(at)
        minute = moment.replace(second=0, microsecond=0)
        known = self._in_force
        if known is None or known[0] != minute:
            days = {local_time(moment, schedule.zone).date() for schedule in self.schedules}
            in_force = tuple(rule for rule in self.rules if any(rule.in_force_on(day) for day in days))
            known = self._in_force = (minute, in_force)
        return known[1]

    def _is_banned_for_good(self, moment: datetime) -> bool:
        # Spares the walk through 400 days in 40 zones. If it was in force a day ago, it is on every local date.
        day = moment.date() - timedelta(days=1)
        return any(rule.prohibited and rule.in_force_to is None and rule.in_force_on(day) for rule in self.rules)

    def _unknown_at(self, moment: datetime) -> NoRules | KeysMissing | None:
        if not self._restricted:
            return None
        if self.place.jurisdiction_key == NOT_COMPUTED or not self.place.zone_key:
            return KeysMissing()
        day = moment.date()
        missing = [name for name, rules in self._covering.items() if not any(rule.in_force_on(day) for rule in rules)]
        return NoRules(tuple(dict.fromkeys(name.partition("-")[0] for name in missing))) if missing else None


class RuleBook:
    """The rules that apply to an organization: the shipped ones, minus those switched off, plus its own.

    `groups` are the groups of countries that a jurisdiction may name. `covered` are the rules that show that a country
    has been researched for their purposes: switching all of them off does not close it. `default_hours` are the hours
    of each weekday where no rule sets hours. A book without a `pack_date` restricts nothing.
    `ahead` shifts the time at which the law and the calling hours are evaluated: for simulated calls only.
    """

    def __init__(
        self,
        rules: Iterable[CallingRule],
        *,
        pack_date: date | None,
        calendars: HolidayCalendars | None = None,
        groups: Mapping[str, frozenset[str]] | None = None,
        covered: Iterable[CallingRule] | None = None,
        default_hours: tuple[Windows, ...] | None = None,
        switched_off: frozenset[str] = frozenset(),
        ahead: timedelta = timedelta(),
    ) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: rule.id))
        self.calendars = calendars or HolidayCalendars()
        self.groups = groups or {}
        self.default_hours = default_hours
        self.switched_off = switched_off
        self.ahead = ahead
        self.pack_date = pack_date or date.min
        """The day of the newest check of a shipped rule."""
        self._restricted = pack_date is not None
        self._covered = frozenset(self.rules if covered is None else covered)
        self._known = self._covered.union(self.rules)
        self._by_id = {rule.id: rule for rule in self.rules}
        self._window = lru_cache(maxsize=4096)(self._build_window)
        self._for_organization = lru_cache(maxsize=256)(self._build_for_organization)
        self._without_rules = lru_cache(maxsize=1)(lambda: RuleBook((), pack_date=None, ahead=ahead))

    def rule(self, rule_id: str) -> CallingRule | None:
        """Return a rule of the book by its id."""
        return self._by_id.get(rule_id)

    def window(self, hours: CallingHours, place: Place, purpose: Purpose) -> EffectiveWindow:
        """Return when a campaign may call in a place; cached."""
        return self._window(hours, place, purpose)

    def for_organization(self, switched_off: frozenset[str], own: tuple[CallingRule, ...]) -> "RuleBook":
        """Return the book without the rules switched off by id, and with an organization's own rules; cached."""
        return self._for_organization(switched_off, own) if switched_off or own else self

    def at_another_time(self, ahead: timedelta) -> "RuleBook":
        """Return the book with hours and rules evaluated `ahead` later: for simulated calls only."""
        return self._with(self.rules, self.switched_off, ahead) if ahead else self

    def without_rules(self) -> "RuleBook":
        """Return a book without rules, which evaluates calling hours equally `ahead`; cached."""
        return self._without_rules() if self.ahead else UNRESTRICTED

    def alone(self, rule: CallingRule) -> "RuleBook":
        """Return a book of one rule, which does not block for missing rules: to see what that rule does."""
        return RuleBook((rule,), pack_date=None, calendars=self.calendars, groups=self.groups, covered=())

    def stale(self, today: date) -> tuple[CallingRule, ...]:
        """Return the rules whose text was last checked more than STALE_AFTER before `today`."""
        return tuple(rule for rule in self.rules if today - rule.checked_on > STALE_AFTER)

    def applies(self, rule: CallingRule, jurisdiction: str) -> bool:
        """Return whether a rule may apply to a contact of a jurisdiction.

        A contact whose state is unknown may be in the state of a rule that an organization added. Shipped rules of
        states do not apply to it: the pack has rows for the unknown state, `US-ZZ`.
        """
        country, _, subdivision = jurisdiction.partition("-")
        if self._names(rule, jurisdiction):
            return True
        unknown = not subdivision or (jurisdiction == UNKNOWN_STATE and rule not in self._covered)
        return unknown and rule.country == country

    def default_window(self, place: Place, purpose: Purpose, at: datetime) -> EffectiveWindow | None:
        """Return when the default hours alone are open, None if rules set hours everywhere in the place at a time."""
        window = self.window(ALL_HOURS, place, purpose)
        default = self._default_in(place, window.rules)
        days = [local_time(window.judged_at(at), schedule.zone).date() for schedule in window.schedules]
        if default is None or not any(default.counts_on(day) for day in days):
            return None
        alone = _RuledHours(ALL_HOURS, (), self.calendars, default)
        return EffectiveWindow(
            place=place,
            purpose=purpose,
            rules=(),
            schedules=tuple(LocalSchedule(zone, alone) for zone in zones_of(place.zone_key)),
            covering=None,
            ahead=self.ahead,
        )

    def _build_for_organization(self, switched_off: frozenset[str], own: tuple[CallingRule, ...]) -> "RuleBook":
        rules = [*(rule for rule in self.rules if rule.id not in switched_off), *own]
        return self._with(rules, switched_off, self.ahead)

    def _with(self, rules: Iterable[CallingRule], switched_off: frozenset[str], ahead: timedelta) -> "RuleBook":
        return RuleBook(
            rules,
            pack_date=self.pack_date if self._restricted else None,
            calendars=self.calendars,
            groups=self.groups,
            covered=self._covered,
            default_hours=self.default_hours,
            switched_off=switched_off,
            ahead=ahead,
        )

    def _build_window(self, hours: CallingHours, place: Place, purpose: Purpose) -> EffectiveWindow:
        rules = tuple(
            rule
            for rule in self.rules
            if purpose in rule.purposes and any(self.applies(rule, name) for name in place.jurisdictions)
        )
        return EffectiveWindow(
            place=place,
            purpose=purpose,
            rules=rules,
            schedules=self._schedules(hours, place, rules),
            covering=self._covering(place, purpose) if self._restricted else None,
            ahead=self.ahead,
        )

    def _schedules(
        self, hours: CallingHours, place: Place, rules: tuple[CallingRule, ...]
    ) -> tuple[LocalSchedule, ...]:
        try:
            zones = zones_of(place.zone_key)
        except UnknownZone:
            return ()
        ruled_locally = tuple(rule for rule in rules if rule.zone is None)
        local = _RuledHours(hours, ruled_locally, self.calendars, self._default_in(place, rules))
        schedules = [LocalSchedule(zone, local) for zone in zones]
        for name in sorted({rule.zone for rule in rules if rule.zone is not None}):
            own = _RuledHours(ALL_HOURS, tuple(rule for rule in rules if rule.zone == name), self.calendars)
            schedules.append(LocalSchedule(ZoneInfo(name), own))
        return tuple(schedules)

    def _default_in(self, place: Place, rules: tuple[CallingRule, ...]) -> "_DefaultHours | None":
        if self.default_hours is None:
            return None
        # For each jurisdiction of the place, the rules that certainly apply there and set hours.
        setting = tuple(
            tuple(rule for rule in rules if rule.week is not None and self._names(rule, jurisdiction))
            for jurisdiction in place.jurisdictions
        )
        return _DefaultHours(self.default_hours, setting)

    def _names(self, rule: CallingRule, jurisdiction: str) -> bool:
        country = jurisdiction.partition("-")[0]
        return rule.jurisdiction in (jurisdiction, country) or country in self.groups.get(rule.jurisdiction, ())

    def _covering(self, place: Place, purpose: Purpose) -> dict[str, tuple[CallingRule, ...]]:
        # The jurisdictions of the place, each with the rules for the purpose that are of it or of its country.
        covering = {}
        for jurisdiction in place.jurisdictions:
            country = jurisdiction.partition("-")[0]
            if country + NO_RULE_SUFFIX not in self.switched_off:
                covering[jurisdiction] = tuple(
                    rule
                    for rule in self._known
                    if rule.jurisdiction in (country, jurisdiction) and purpose in rule.purposes
                )
        return covering


UNRESTRICTED: Final = RuleBook((), pack_date=None)
"""No rules: every place is open in the hours of the campaign. For tests, and stacks whose provider is the simulator."""


@dataclass(frozen=True, slots=True)
class _DefaultHours:
    """Hours that apply while some jurisdiction has no rule that sets hours; `setting` lists such rules of each."""

    week: tuple[Windows, ...]
    setting: tuple[tuple[CallingRule, ...], ...]

    def counts_on(self, day: date) -> bool:
        return any(not any(rule.in_force_on(day) for rule in rules) for rules in self.setting)


@dataclass(frozen=True, slots=True)
class _RuledHours:
    """Hours within the rules in force on each date, and within the default hours where they apply."""

    hours: CallingHours
    rules: tuple[CallingRule, ...]
    calendars: HolidayCalendars
    default: _DefaultHours | None = None
    _days: dict[date, Windows] = field(default_factory=dict)

    @property
    def changes(self) -> list[date]:
        setting = () if self.default is None else self.default.setting
        rules = {*self.rules, *(rule for each in setting for rule in each)}
        dates = {rule.in_force_from for rule in rules} | {
            rule.in_force_to + timedelta(days=1) for rule in rules if rule.in_force_to is not None
        }
        return sorted(day for day in dates if day is not None)

    def windows(self, day: date) -> Windows:
        found = self._days.get(day)
        if found is None:
            if len(self._days) > 1000:
                self._days.clear()
            found = self._days[day] = () if self._closed(day) else self.usual_windows(day)
        return found

    def usual_windows(self, day: date) -> Windows:
        windows = self.hours.week[day.weekday()]
        if self.default is not None and self.default.counts_on(day):
            windows = intersect(windows, self.default.week[day.weekday()])
        for rule in self.rules:
            if rule.in_force_on(day):
                if rule.prohibited:
                    return ()
                if rule.week is not None:
                    windows = intersect(windows, rule.week[day.weekday()])
        return windows

    def _closed(self, day: date) -> bool:
        if day in self.hours.excluded_dates:
            return True
        return any(
            rule.in_force_on(day)
            and any(self.calendars.name_of(calendar, day) is not None for calendar in rule.holidays)
            for rule in self.rules
        )
