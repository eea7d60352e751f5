"""`outdial rules`: the calling rules that apply, and whether a number may be called at a time."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer

from outdial.campaigns.calling_rules import RuleSwitchChange, add_rule, switch_rule
from outdial.campaigns.lifecycle import Actor
from outdial.cli.errors import InvalidArgument, UnknownName
from outdial.cli.finding import Organization, find_campaign, find_organization, read_object, read_phone, read_zoned_time
from outdial.cli.output import AsJson, console, notes, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import calling_rules, campaigns
from outdial.db.rows import required
from outdial.db.session import Database
from outdial.dialer.organization_rules import organization_rules
from outdial.dialer.screening import screening_lists
from outdial.domain.calling_hours import CallingHours, parse_calling_hours
from outdial.domain.explaining.permission_gates import permission_gates
from outdial.domain.explaining.rule_explanation import Gate, PhoneHistory, RuleExplanation, explain_rules
from outdial.domain.explaining.rule_wording import (
    CONFIDENCES,
    NOT_LEGAL_ADVICE,
    force_text,
    purposes_text,
    rule_text,
    stale_text,
)
from outdial.domain.geography.countries import find_country
from outdial.domain.geography.place_names import place_name
from outdial.domain.location import StatedPlace, Unlocatable, locate
from outdial.domain.permission.consent import scopes_of
from outdial.domain.phone import Phone
from outdial.domain.place import Place
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.domain.rule_parsing import rule_document
from outdial.domain.rules import CallingRule, RuleBook
from outdial.rules.pack import shipped_rules
from outdial.stack.local import as_service

app = typer.Typer(no_args_is_help=True, help="Calling rules: what the law of a place allows.")
clock = SystemClock()
LONGEST_CAP: Final = timedelta(days=366)
"""How far back calls are counted; longer than the period of any cap of a shipped rule."""
SOURCES: Final = {
    "contact": "stated for the contact",
    "number": "from the number",
    "region": "from the state",
    "postal_code": "from the postal code",
    "country": "from the country",
    "conflict": "the sources disagree, so all of them apply",
}

BookOrganization = Annotated[
    str | None,
    typer.Option(help="Organization id or name (default: the shipped rules, without a database)."),
]
RuleId = Annotated[str, typer.Argument(metavar="RULE", help="Id of the rule, such as US-TX-HOURS.")]
Reason = Annotated[str, typer.Option(help="Reason, recorded in the audit log.")]


@app.command("list")
def list_rules(
    organization: BookOrganization = None,
    jurisdiction: Annotated[
        str | None, typer.Option(help="Only rules that apply there: a code such as US-TX or GB.")
    ] = None,
    purpose: Annotated[Purpose | None, typer.Option(help="Only rules for calls with this purpose.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the calling rules that apply, with their sources."""
    book = _book(organization)
    rules = [
        rule
        for rule in book.rules
        if (purpose is None or purpose in rule.purposes)
        and (jurisdiction is None or book.applies(rule, jurisdiction.upper()))
    ]
    if as_json:
        print_json([rule_document(rule) for rule in rules])
        return
    columns: Mapping[str, Callable[[CallingRule], Any]] = {
        "ID": lambda rule: rule.id,
        "PURPOSE": purposes_text,
        "ASKS": rule_text,
        "IN FORCE": force_text,
        "SOURCE": lambda rule: rule.source,
        "CHECKED": lambda rule: rule.checked_on,
        "SURE": lambda rule: rule.confidence,
    }
    print_rows(columns, rules, empty="No matching rules.")
    _warn(book)


@app.command()
def show(rule_id: RuleId, organization: BookOrganization = None, as_json: AsJson = False) -> None:
    """Show a rule with all its fields."""
    rule = _book(organization).rule(rule_id)
    if rule is None:
        raise UnknownName(f"unknown rule {rule_id!r}: outdial rules list shows all that apply")
    if as_json:
        print_json(rule_document(rule))
        return
    print_pairs(
        {
            "id": rule.id,
            "jurisdiction": rule.jurisdiction,
            "purpose": purposes_text(rule),
            "asks": rule_text(rule),
            "device": rule.device,
            "party": rule.party,
            "in force": force_text(rule),
            "note": rule.note or None,
            "source": rule.source,
            "checked on": rule.checked_on,
            "how sure": CONFIDENCES[rule.confidence],
        }
    )
    notes.print(NOT_LEGAL_ADVICE)


@app.command()
def explain(
    phone: Annotated[str, typer.Argument(help="Phone number in E.164 or, with --country, in national format.")],
    at: Annotated[
        str | None, typer.Option(help="Time to explain, with a zone, such as 2026-12-01T09:00Z (default: now).")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Country of the contact, such as US.")] = None,
    state: Annotated[str | None, typer.Option(help="State or province of the contact, such as TX.")] = None,
    postal_code: Annotated[str | None, typer.Option(help="Postal code of the contact.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of the contact, such as America/Chicago.")] = None,
    purpose: Annotated[
        Purpose | None, typer.Option(help="Purpose of the call (default: that of the campaign, or sales).")
    ] = None,
    campaign: Annotated[
        str | None, typer.Option(help="Campaign whose hours, purpose and contact to include; needs the database.")
    ] = None,
    organization: BookOrganization = None,
    as_json: AsJson = False,
) -> None:
    """Explain whether a number may be called at a time: every gate, and the next allowed minute.

    Without --campaign and --organization, only the number, the options and the shipped rules are evaluated: no database
    is needed, and calling hours, the do-not-call list and caps are left out.
    """
    moment = read_zoned_time("--at", at) or clock.now()
    number = read_phone(phone, find_country(country) if country else None)
    stated = StatedPlace(timezone=timezone, country=country, region=state, postal_code=postal_code)
    question = _Question(number=number, stated=stated, at=moment, purpose=purpose)
    if campaign is None and organization is None:
        facts = _CallFacts(book=shipped_rules(), purpose=purpose or Purpose.SALES)
    else:
        facts = as_service(lambda database: _stored_facts(database, question, campaign, organization))
    explained = _explain(question, facts)
    if as_json:
        print_json(explained.as_dict())
    else:
        explained.print()


@app.command("off")
def switch_off(rule_id: RuleId, reason: Reason, organization: Organization = None) -> None:
    """Switch a rule off for an organization, with a reason.

    ES-NO-RULE lets Spain be called without a rule.
    """
    _switch(RuleSwitchChange(rule_id=rule_id, is_off=True, reason=reason), organization)


@app.command("on")
def switch_on(rule_id: RuleId, reason: Reason, organization: Organization = None) -> None:
    """Switch a rule on again for an organization, with a reason."""
    _switch(RuleSwitchChange(rule_id=rule_id, is_off=False, reason=reason), organization)


@app.command()
def add(
    rule: Annotated[str, typer.Argument(help="The rule as JSON or @FILE. See docs/calling-rules.md for its fields.")],
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Add a rule for the organization. Its id starts with OWN-. Without an id, it gets the next free number."""
    document = read_object("RULE", rule)

    async def work(database: Database) -> CallingRule:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await add_rule(
                connection, organization_id=organization_id, document=document, actor=Actor(), now=clock.now()
            )

    added = as_service(work)
    if as_json:
        print_json(rule_document(added))
    else:
        console.print(f"Added {added.id}: {rule_text(added)}.", markup=False, soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A number, what is stated about its contact, a time, and the purpose, None for that of the campaign."""

    number: Phone
    stated: StatedPlace
    at: datetime
    purpose: Purpose | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _CallFacts:
    """The facts that decide about a call besides the number: `place` and `history` are None if not stored."""

    book: RuleBook
    hours: CallingHours | None = None
    purpose: Purpose = Purpose.SALES
    place: Place | None = None
    zone_source: str = ""
    history: PhoneHistory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExplainedNumber:
    """A number, what decided its time zones, and whether it may be called."""

    phone: Phone
    zone_source: str
    pack_date: date
    explanation: RuleExplanation

    def as_dict(self) -> dict[str, Any]:
        found = self.explanation
        states = {gate.name: gate for gate in found.gates}
        return {
            "phone": self.phone.e164,
            "at": found.at,
            "purpose": found.purpose,
            "zones": found.place.zone_key.split("|"),
            "zone_source": self.zone_source,
            "local_times": found.local_times,
            "jurisdictions": list(found.place.jurisdictions),
            "rules": [
                rule_document(rule)
                | {"is_open": states[rule.id].is_open, "next_open": states[rule.id].next_open, "asks": rule_text(rule)}
                for rule in found.rules
            ],
            "gates": [asdict(gate) for gate in found.gates],
            "open": found.is_open,
            "next_open": found.next_open,
            "pack_date": self.pack_date,
        }

    def print(self) -> None:
        found = self.explanation
        zones = ", ".join(f"{zone} {local[11:16]}" for zone, local in found.local_times.items())
        jurisdictions = ", ".join(f"{code} {place_name(code)}" for code in found.place.jurisdictions)
        print_pairs(
            {
                "phone": self.phone.e164,
                "at": found.at,
                "zones": f"{zones} ({SOURCES.get(self.zone_source, self.zone_source)})",
                "jurisdictions": jurisdictions or "not computed yet",
                "purpose": found.purpose,
                "open": "yes" if found.is_open else "no",
                "next open": "now" if found.is_open else found.next_open or "never under these rules",
            }
        )
        console.print()
        columns: Mapping[str, Callable[[Gate], Any]] = {
            "GATE": lambda gate: gate.name,
            "OPEN": lambda gate: "yes" if gate.is_open else "no",
            "OPENS": lambda gate: gate.next_open,
            "ASKS": lambda gate: gate.text,
        }
        print_rows(columns, found.gates, empty="No rule applies.")
        notes.print(NOT_LEGAL_ADVICE)


def _located(question: _Question, stored: Place | None, source: str) -> tuple[Place, str]:
    """Return where the contact may be and how that is known: as stated, or else as it is stored."""
    if stored is not None and question.stated == StatedPlace():
        return stored, source
    located = locate(question.number, question.stated)
    if isinstance(located, Unlocatable):
        raise InvalidArgument(f"{located.field.replace('_', ' ')}: {located.reason}")
    return located.place, located.zone_source


def _explain(question: _Question, facts: _CallFacts) -> _ExplainedNumber:
    place, source = _located(question, facts.place, facts.zone_source)
    return _ExplainedNumber(
        phone=question.number,
        zone_source=source,
        pack_date=facts.book.pack_date,
        explanation=explain_rules(
            facts.book,
            hours=facts.hours,
            place=place,
            purpose=facts.purpose,
            at=question.at,
            history=facts.history,
        ),
    )


async def _stored_facts(
    database: Database, question: _Question, campaign: str | None, organization: str | None
) -> _CallFacts:
    async with database.as_service() as connection:
        plan = None
        if campaign is not None:
            campaign_id = await find_campaign(connection, campaign)
            plan = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
        organization_id = plan.organization_id if plan else await find_organization(connection, organization)
        book = await organization_rules(connection, organization_id, shipped_rules())
        purpose = question.purpose or (Purpose(plan.purpose) if plan else Purpose.SALES)
        known = await calling_rules.phone_facts(
            connection,
            organization_id=organization_id,
            phone=question.number.e164,
            scopes=scopes_of(purpose),
            since=question.at - LONGEST_CAP,
        )
        lists = await screening_lists(connection, organization_id)
    place = None if known.zone_key is None else Place(known.zone_key, known.jurisdiction_key or "")
    history = PhoneHistory(
        do_not_call=known.do_not_call,
        called_at=tuple(known.called_at),
        daily_call_cap=known.daily_call_cap,
        permissions=permission_gates(
            purpose,
            consent_required=RequiredConsent(plan.consent_required) if plan else RequiredConsent.NONE,
            lists_required=[ListKind(kind) for kind in plan.lists_required] if plan else [],
            consent=known.consent,
            listed_on=[lists[list_id] for list_id in known.listed_on if list_id in lists],
            lists=list(lists.values()),
            jurisdictions=_located(question, place, "")[0].jurisdictions,
            today=question.at.date(),
        ),
    )
    return _CallFacts(
        book=book,
        hours=None if plan is None else parse_calling_hours(msgspec.json.decode(plan.calling_hours)),
        purpose=purpose,
        place=place,
        zone_source=known.zone_source or "",
        history=history,
    )


def _book(organization: str | None) -> RuleBook:
    if organization is None:
        return shipped_rules()

    async def work(database: Database) -> RuleBook:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await organization_rules(connection, organization_id, shipped_rules())

    return as_service(work)


def _switch(change: RuleSwitchChange, organization: str | None) -> None:
    async def work(database: Database) -> bool:
        async with database.as_service() as connection:
            return await switch_rule(
                connection,
                organization_id=await find_organization(connection, organization),
                change=change,
                shipped=shipped_rules(),
                actor=Actor(),
                now=clock.now(),
            )

    changed = as_service(work)
    state = "off" if change.is_off else "on"
    console.print(f"{change.rule_id} is {state}." if changed else f"{change.rule_id} is already {state}.")


def _warn(book: RuleBook) -> None:
    notes.print(NOT_LEGAL_ADVICE)
    if stale := book.stale(clock.now().date()):
        notes.print(stale_text(len(stale)))
