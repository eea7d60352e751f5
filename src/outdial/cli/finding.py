"""Resolves and parses arguments: organizations, campaigns, numbers, JSON."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from outdial.cli.errors import AmbiguousName, InvalidArgument, UnknownName
from outdial.db.queries import campaigns, organizations
from outdial.db.session import Connection
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.phone import InvalidPhone, Phone, parse_phone

SHORTEST_PREFIX = 4

Organization = Annotated[str | None, typer.Option(help="Organization id or name (default: the only one).")]


def read_reason(reason: str | None) -> str | None:
    """Return the reason of an action without spaces around it; None for an empty one."""
    if reason is not None and len(reason) > LONGEST_DECISION_NOTE:
        raise InvalidArgument(f"--reason: may have at most {LONGEST_DECISION_NOTE} characters")
    return (reason or "").strip() or None


ActionReason = Annotated[str | None, typer.Option("--reason", help="Why, for the audit log.", callback=read_reason)]


async def find_organization(connection: Connection, reference: str | None) -> UUID:
    """Return the organization with this id or name; without one, the only organization."""
    rows = await organizations.list_organizations(connection)
    found = {row.id: row.name for row in rows if reference is None or reference in (str(row.id), row.name)}
    if len(found) == 1:
        return next(iter(found))
    if found:
        names = ", ".join(f"{name} ({id})" for id, name in found.items())
        raise AmbiguousName(f"choose an organization with --organization: {names}")
    if reference is None:
        raise UnknownName("there is no organization yet: run outdial organization create NAME")
    raise UnknownName(f"unknown organization {reference!r}: outdial organization list shows all")


async def maybe_organization(connection: Connection, reference: str | None) -> UUID | None:
    """Return the organization with this id or name; None, for all, when none is given."""
    return None if reference is None else await find_organization(connection, reference)


async def find_campaign(connection: Connection, reference: str) -> UUID:
    """Return the id of the campaign that `find_campaign_row` returns."""
    return (await find_campaign_row(connection, reference)).id


async def find_campaign_row(connection: Connection, reference: str) -> campaigns.FoundCampaign:
    """Return the campaign with this id or name, or the only one whose id starts with `reference`."""
    rows = await campaigns.find_campaigns(connection, given=reference)
    by_id = [row for row in rows if str(row.id) == reference.lower()]
    by_name = [row for row in rows if row.name == reference]
    found = by_id or by_name or (rows if len(reference) >= SHORTEST_PREFIX else [])
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{row.name} ({row.id}, {row.status})" for row in found)
        raise AmbiguousName(f"{reference!r} matches several campaigns: {several}")
    raise UnknownName(f"unknown campaign {reference!r}: outdial campaign list shows all")


def read_numbers(raw: Iterable[str], region: str | None) -> tuple[list[str], list[InvalidPhone]]:
    """Return the valid numbers in E.164, without duplicates, and the invalid ones with the reason."""
    good: dict[str, None] = {}
    bad = []
    for text in raw:
        phone = parse_phone(text, region)
        if isinstance(phone, InvalidPhone):
            bad.append(phone)
        else:
            good[phone.e164] = None
    return list(good), bad


def read_object(option: str, text: str | None) -> dict[str, Any]:
    """Return the JSON object in `text`, or in the file that @FILE names. None gives an empty object."""
    if text is None:
        return {}
    content = Path(text[1:]).read_text() if text.startswith("@") else text
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"{option}: invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"{option}: must be a JSON object, {{...}}")
    return value


def read_time(option: str, text: str | None) -> datetime | None:
    """Return the time in `text`, which may have no zone."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(f"{option}: {text!r} is not a time such as 2026-12-01T09:00:00Z") from None


def read_zoned_time(option: str, text: str | None) -> datetime | None:
    """Return the time in `text`, which must have a zone."""
    time = read_time(option, text)
    if time is not None and time.tzinfo is None:
        raise InvalidArgument(f"{option}: must be a time with a zone, such as 2026-12-01T09:00:00Z")
    return time


def read_phone(text: str, region: str | None = None) -> Phone:
    """Return the number of the argument PHONE, in E.164 or in the national format of `region`."""
    phone = parse_phone(text, region)
    if isinstance(phone, InvalidPhone):
        raise InvalidArgument(f"PHONE: {text!r}: {phone.reason}; use E.164, such as +14155550100")
    return phone


def read_pairs(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Return the NAME=VALUE pairs of a repeated option."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidArgument(f"{option}: {pair!r} is not NAME=VALUE")
        found[name.strip()] = value
    return found
