"""Calling rules: list and show them, switch them off and on, add your own, and count contacts without a rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from outdial.campaigns import calling_rules as feature
from outdial.campaigns.errors import InvalidSwitch, RuleIdTaken
from outdial.db.queries import calling_rules
from outdial.db.session import Connection
from outdial.domain.calling_hours import ALL_HOURS
from outdial.domain.errors import InvalidRule
from outdial.domain.explaining.rule_wording import rule_text
from outdial.domain.geography.countries import country_name
from outdial.domain.geography.place_names import place_name
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rule_parsing import rule_document
from outdial.domain.rules import NO_RULE_SUFFIX, UNRESTRICTED, CallingRule, NoRules, RuleBook, RuleConfidence
from outdial.rules.organization import try_rule
from outdial.rules.pack import shipped_rules
from outdial.studio.view.format import sentence_case
from outdial.studio.web.audit import actor_emails
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import none_if_empty
from outdial.studio.web.paging import Page, PageRequest, paginate

RuleState = Literal["on", "off", "own"]


class RuleSwitched(BaseModel):
    """The switch of a rule off or on: who switched it, when and why. `actor` is a user id or a process name."""

    is_off: bool
    reason: str
    actor: str
    actor_email: str | None
    at: datetime


class RuleDetails(BaseModel):
    """A calling rule. `asks` describes it in words; `rule` has its fields, as docs/calling-rules.md describes them.

    `in_force` is about today. `is_stale` says that it was last checked more than 180 days ago. `switched` is the latest
    switch, null if it was never switched.
    """

    id: str
    jurisdiction: str
    place: str
    asks: str
    source: str
    checked_on: date
    confidence: RuleConfidence
    in_force: bool
    is_own: bool
    is_off: bool
    is_stale: bool
    switched: RuleSwitched | None
    rule: dict[str, Any]


class PlaceWithoutRule(BaseModel):
    """A country without a rule in which the organization has contacts.

    They are not called, unless `is_off`: an admin switched off the check `rule_id`.
    """

    country: str
    name: str
    contacts: int
    rule_id: str
    is_off: bool


@dataclass(frozen=True, slots=True)
class CountryCheck:
    """The check that blocks calls to a country without a rule. It has no effect once the country has one."""

    place: PlaceWithoutRule
    has_rule: bool


class UnreadableRule(BaseModel):
    """A stored rule of the organization that cannot be read, and why. No campaign calls until it is switched off."""

    id: str
    problem: str


class RulesOverview(BaseModel):
    """What needs attention: contacts in countries without a rule, rules checked too long ago, and unreadable ones."""

    pack_date: date
    are_ignored: Annotated[bool, Field(description="OUTDIAL_CALLING_RULES=ignore, for simulated calls")]
    stale_rules: int
    without_rule: list[PlaceWithoutRule]
    unreadable: list[UnreadableRule]


class RuleSwitchRequest(BaseModel):
    """Switches a rule off or on. The audit log keeps the reason."""

    model_config = ConfigDict(extra="forbid")
    is_off: bool
    reason: Annotated[str, Field(min_length=1, max_length=feature.LONGEST_REASON, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFilters:
    """Filters of the list of rules. `jurisdiction` is a code such as US-TX: all rules that apply there."""

    jurisdiction: Annotated[
        str | None,
        Query(pattern=r"^[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?$|^$", description="Rules that apply there, such as US-TX"),
        AfterValidator(none_if_empty),
    ] = None
    purpose: Annotated[Purpose | None, Query(description="Rules for calls with this purpose")] = None
    state: Annotated[
        RuleState | None, Query(description="Only rules that are on or off, or the organization's own")
    ] = None


RuleQuery = Annotated[RuleFilters, Depends()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredRules:
    """All rules of an organization, also those switched off, and the latest switch of each."""

    book: RuleBook
    own: frozenset[str]
    unreadable: Mapping[str, str]
    switches: Mapping[str, calling_rules.RuleSwitch]
    emails: Mapping[str, str | None]

    def is_off(self, rule_id: str) -> bool:
        switch = self.switches.get(rule_id)
        return switch is not None and switch.is_off

    def with_all_checks(self) -> RuleBook:
        """Return the shipped rules and own rules that are on, with the check of every country on."""
        own = tuple(rule for rule in self.book.rules if rule.id in self.own and not self.is_off(rule.id))
        return shipped_rules().for_organization(frozenset(), own)


async def list_rules(
    connection: Connection, context: OrganizationContext, page: PageRequest, filters: RuleFilters
) -> Page[RuleDetails]:
    """Return a page of rules, ordered by id, including those that are switched off."""
    key = page.key(tuple[str])
    stored = await _load(connection, context)
    today = context.studio.clock.now().date()
    rules = [
        rule for rule in stored.book.rules if _matches(rule, stored, filters) and (key is None or rule.id > key[0])
    ]
    shown, following = paginate(rules[: page.limit + 1], page.limit, lambda rule: [rule.id])
    return Page(items=[_details(rule, stored, today) for rule in shown], next=following)


async def find_rule(connection: Connection, context: OrganizationContext, rule_id: str) -> RuleDetails:
    """Return a rule; raises ResourceNotFound."""
    stored = await _load(connection, context)
    rule = stored.book.rule(rule_id)
    if rule is None:
        raise ResourceNotFound("Rule not found")
    return _details(rule, stored, context.studio.clock.now().date())


async def find_check(connection: Connection, context: OrganizationContext, rule_id: str) -> CountryCheck | None:
    """Return the check of a country by the id of its pseudo rule, such as ES-NO-RULE; None for any other id."""
    country = feature.missing_country(rule_id)
    if country is None:
        return None
    stored = await _load(connection, context)
    now = context.studio.clock.now()
    for place in await _without_rule(connection, context.organization_id, stored, now):
        if place.country == country:
            return CountryCheck(place, has_rule=False)
    place = PlaceWithoutRule(
        country=country, name=country_name(country), contacts=0, rule_id=rule_id, is_off=stored.is_off(rule_id)
    )
    return CountryCheck(place, has_rule=not _countries_without_rule(stored.with_all_checks(), country, now))


async def rule_history(connection: Connection, context: OrganizationContext, rule_id: str) -> list[RuleSwitched]:
    """Return how a rule was switched, newest first."""
    rows = await calling_rules.switches_of_rule(connection, organization_id=context.organization_id, rule_id=rule_id)
    emails = await actor_emails(connection, context.organization_id) if rows else {}
    return [_switched(row, emails) for row in rows]


async def overview(connection: Connection, context: OrganizationContext) -> RulesOverview:
    """Return what needs attention."""
    stored = await _load(connection, context)
    now = context.studio.clock.now()
    return RulesOverview(
        pack_date=stored.book.pack_date,
        are_ignored=context.studio.rules is UNRESTRICTED,
        stale_rules=len(stored.book.stale(now.date())),
        without_rule=await _without_rule(connection, context.organization_id, stored, now),
        unreadable=[
            UnreadableRule(id=rule_id, problem=problem)
            for rule_id, problem in stored.unreadable.items()
            if not stored.is_off(rule_id)
        ],
    )


async def add_rule(connection: Connection, context: OrganizationContext, document: Mapping[str, Any]) -> RuleDetails:
    """Add a rule of the organization; raises InvalidInput naming the field, and ResourceConflict for an id in use."""
    try:
        rule = await feature.add_rule(
            connection,
            organization_id=context.organization_id,
            document=document,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except InvalidRule as error:
        reason = sentence_case(str(error).removeprefix(f"{error.field}: "))
        raise InvalidInput(f"Invalid rule: {error}", {error.field or "rule": reason}) from error
    except RuleIdTaken as error:
        raise ResourceConflict(str(error)) from error
    return await find_rule(connection, context, rule.id)


async def switch_rule(
    connection: Connection, context: OrganizationContext, rule_id: str, *, is_off: bool, reason: str
) -> bool:
    """Switch a rule off or on; return whether that changed anything. Raises ResourceNotFound and InvalidInput."""
    try:
        return await feature.switch_rule(
            connection,
            organization_id=context.organization_id,
            change=feature.RuleSwitchChange(rule_id=rule_id, is_off=is_off, reason=reason),
            shipped=shipped_rules(),
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except InvalidSwitch as error:
        if error.field == "rule_id":
            raise ResourceNotFound("Rule not found") from error
        raise InvalidInput(f"Invalid {error}", {error.field: sentence_case(error.reason)}) from error


async def _load(connection: Connection, context: OrganizationContext) -> _StoredRules:
    organization_id = context.organization_id
    rows = await calling_rules.list_own_rules(connection, organization_id=organization_id)
    read = {row.rule_id: try_rule(row.body) for row in rows}
    own = tuple(rule for rule in read.values() if isinstance(rule, CallingRule))
    switches = await calling_rules.latest_switches(connection, organization_id=organization_id)
    return _StoredRules(
        book=shipped_rules().for_organization(frozenset(), own),
        own=frozenset(rule.id for rule in own),
        unreadable={rule_id: problem for rule_id, problem in read.items() if isinstance(problem, str)},
        switches={switch.rule_id: switch for switch in switches},
        emails=await actor_emails(connection, organization_id) if switches else {},
    )


async def _without_rule(
    connection: Connection, organization_id: UUID, stored: _StoredRules, now: datetime
) -> list[PlaceWithoutRule]:
    contacts: dict[str, int] = {}
    # A country whose check is switched off is listed as such.
    book = stored.with_all_checks()
    for row in await calling_rules.contacts_by_jurisdiction(connection, organization_id=organization_id):
        for country in _countries_without_rule(book, row.jurisdiction_key, now):
            contacts[country] = contacts.get(country, 0) + row.contacts
    return [
        PlaceWithoutRule(
            country=country,
            name=country_name(country),
            contacts=count,
            rule_id=country + NO_RULE_SUFFIX,
            is_off=stored.is_off(country + NO_RULE_SUFFIX),
        )
        for country, count in sorted(contacts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _countries_without_rule(book: RuleBook, jurisdiction_key: str, now: datetime) -> tuple[str, ...]:
    block = book.window(ALL_HOURS, Place("UTC", jurisdiction_key), Purpose.SALES).blocked_at(now)
    return block.countries if isinstance(block, NoRules) else ()


def _matches(rule: CallingRule, stored: _StoredRules, filters: RuleFilters) -> bool:
    if filters.purpose is not None and filters.purpose not in rule.purposes:
        return False
    if filters.jurisdiction is not None and not stored.book.applies(rule, filters.jurisdiction.upper()):
        return False
    match filters.state:
        case "own":
            return rule.id in stored.own
        case "off":
            return stored.is_off(rule.id)
        case "on":
            return not stored.is_off(rule.id)
        case None:
            return True


def _details(rule: CallingRule, stored: _StoredRules, today: date) -> RuleDetails:
    switch = stored.switches.get(rule.id)
    return RuleDetails(
        id=rule.id,
        jurisdiction=rule.jurisdiction,
        place=place_name(rule.jurisdiction),
        asks=rule_text(rule),
        source=rule.source,
        checked_on=rule.checked_on,
        confidence=rule.confidence,
        in_force=rule.in_force_on(today),
        is_own=rule.id in stored.own,
        is_off=stored.is_off(rule.id),
        is_stale=rule in stored.book.stale(today),
        switched=None if switch is None else _switched(switch, stored.emails),
        rule=rule_document(rule),
    )


def _switched(row: calling_rules.RuleSwitch, emails: Mapping[str, str | None]) -> RuleSwitched:
    return RuleSwitched(
        is_off=row.is_off, reason=row.reason, actor=row.actor, actor_email=emails.get(row.actor), at=row.at
    )
