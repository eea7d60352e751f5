"""The calling rules of an organization: the shipped ones, those it has switched off, and its own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import asyncpg

from outdial.campaigns.errors import InvalidSwitch, RuleIdTaken
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit, batches, calling_rules
from outdial.db.session import Connection, encode_json
from outdial.domain.errors import InvalidRule
from outdial.domain.ids import new_id
from outdial.domain.rule_parsing import parse_rule, rule_document
from outdial.domain.rules import NO_RULE_SUFFIX, CallingRule, RuleBook

OWN_PREFIX: Final = "OWN-"
"""How the ids of an organization's own rules start; no shipped rule has such an id."""
LONGEST_REASON: Final = 1000
"""Characters of the reason for switching a rule off or on."""

_LONGEST_ID: Final = 100
_LARGEST_RULE: Final = 10_000
_PLACE: Final = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSwitchChange:
    """A rule to switch off, or on again, and why."""

    rule_id: str
    is_off: bool
    reason: str


async def add_rule(
    connection: Connection, *, organization_id: UUID, document: Mapping[str, object], actor: Actor, now: datetime
) -> CallingRule:
    """Add a rule of the organization, and audit it. Without an `id`, the rule gets the next free one of its place.

    Raises InvalidRule naming the field, and RuleIdTaken. The caller must be an admin.
    """
    existing = [row.rule_id for row in await calling_rules.list_own_rules(connection, organization_id=organization_id)]
    rule = read_new_rule(document, existing, now.date())
    if rule.id in existing:
        raise RuleIdTaken(rule.id)
    try:
        await calling_rules.add_rule(
            connection,
            id=new_id(now),
            organization_id=organization_id,
            rule_id=rule.id,
            body=encode_json(rule_document(rule)),
            created_by=actor.name,
            now=now,
        )
    except asyncpg.UniqueViolationError as error:
        raise RuleIdTaken(rule.id) from error
    await _record(
        connection,
        organization_id=organization_id,
        actor=actor,
        action="add_calling_rule",
        rule_id=rule.id,
        details={"rule": rule_document(rule)},
        now=now,
    )
    return rule


def read_new_rule(document: Mapping[str, object], existing: list[str], today: date) -> CallingRule:
    """Read a rule that an organization adds; raises InvalidRule naming the field.

    It was checked `today` if it does not say when. A prefix keeps its id apart from those of shipped rules.
    """
    _check_storable(document)
    given = dict(document)
    if not given.get("id"):
        place = str(given.get("jurisdiction"))
        # An unreadable place must not be reported as an unreadable id.
        stem = f"{OWN_PREFIX}{place if _PLACE.fullmatch(place) else 'RULE'}"
        numbered = (f"{stem}-{number}" for number in range(1, len(existing) + 2))
        given["id"] = next(name for name in numbered if name not in existing)
    rule = parse_rule(given, checked_on=today)
    if not rule.id.startswith(OWN_PREFIX):
        raise InvalidRule("id", f"must start with {OWN_PREFIX}, such as {OWN_PREFIX}{rule.id}")
    if len(rule.id) > _LONGEST_ID:
        raise InvalidRule("id", f"must have at most {_LONGEST_ID} characters")
    if rule.checked_on > today:
        raise InvalidRule("checked_on", f"{rule.checked_on} is in the future")
    return rule


def _check_storable(document: Mapping[str, object]) -> None:
    try:
        text = encode_json(document)
    except (TypeError, UnicodeEncodeError):
        raise InvalidRule("", "the rule must be JSON with readable text") from None
    # Postgres stores no null characters.
    if len(text) > _LARGEST_RULE or "\\u0000" in text:
        raise InvalidRule("", f"the rule must have at most {_LARGEST_RULE:,} characters, none of them null")


async def switch_rule(
    connection: Connection,
    *,
    organization_id: UUID,
    change: RuleSwitchChange,
    shipped: RuleBook,
    actor: Actor,
    now: datetime,
) -> bool:
    """Switch a rule off, or on again, and audit it with the reason; return whether that changed anything.

    Raises InvalidSwitch for an unknown rule, and without a reason. The caller must be an admin.
    """
    reason = change.reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidSwitch("reason", f"must have 1 to {LONGEST_REASON} characters: it is kept in the audit log")
    if "\0" in reason:
        raise InvalidSwitch("reason", "must not contain a null character")
    if not await _is_known(connection, organization_id, change.rule_id, shipped):
        raise InvalidSwitch("rule_id", f"unknown rule {change.rule_id[:100]!r}")
    changed = await calling_rules.switch_rule(
        connection,
        organization_id=organization_id,
        rule_id=change.rule_id,
        is_off=change.is_off,
        reason=reason,
        actor=actor.name,
        now=now,
    )
    if changed:
        await _record(
            connection,
            organization_id=organization_id,
            actor=actor,
            action="switch_off_calling_rule" if change.is_off else "switch_on_calling_rule",
            rule_id=change.rule_id,
            details={"reason": reason},
            now=now,
        )
    return bool(changed)


def missing_country(rule_id: str) -> str | None:
    """Return the country of the pseudo rule that closes a country without a rule: ES for ES-NO-RULE."""
    country = rule_id.removesuffix(NO_RULE_SUFFIX)
    is_country = len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
    return country if is_country and rule_id != country else None


async def _is_known(connection: Connection, organization_id: UUID, rule_id: str, shipped: RuleBook) -> bool:
    if shipped.rule(rule_id) is not None or missing_country(rule_id) is not None:
        return True
    own = await calling_rules.list_own_rules(connection, organization_id=organization_id)
    return any(row.rule_id == rule_id for row in own)


async def _record(
    connection: Connection,
    *,
    organization_id: UUID,
    actor: Actor,
    action: str,
    rule_id: str,
    details: Mapping[str, object],
    now: datetime,
) -> None:
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="calling_rule",
        subject_id=rule_id,
        details=encode_json(details),
    )
    woken = await calling_rules.wake_organization(connection, organization_id=organization_id, now=now)
    await batches.notify_campaigns(connection, ids=woken)
