"""From what a person types to the thing that is meant: organizations, campaigns, numbers, JSON."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from outdial.cli.errors import Ambiguous, BadInput, NoSuchThing
from outdial.db import campaigns as db
from outdial.db import lookup
from outdial.db.statements import Connection
from outdial.domain.phone import InvalidPhone, parse_phone

SHORTEST_PREFIX = 4


async def find_organization(connection: Connection, given: str | None) -> UUID:
    """Return the organization with this id or name; the only one when none is given."""
    rows = await db.LIST_ORGANIZATIONS.all(connection)
    found = {row.id: row.name for row in rows if given is None or given in (str(row.id), row.name)}
    if len(found) == 1:
        return next(iter(found))
    if found:
        names = ", ".join(f"{name} ({id})" for id, name in found.items())
        raise Ambiguous(f"name one organization with --organization: {names}")
    if given is None:
        raise NoSuchThing("there is no organization yet: outdial organization create NAME")
    raise NoSuchThing(f"there is no organization {given!r}; outdial organization list shows them")


async def maybe_organization(connection: Connection, given: str | None) -> UUID | None:
    """Return the organization with this id or name; None, for all of them, when none is given."""
    return None if given is None else await find_organization(connection, given)


async def find_campaign(connection: Connection, given: str) -> UUID:
    """Return the campaign with this id, with this name, or the only one whose id begins like this."""
    rows = await lookup.FIND_CAMPAIGNS.all(connection, given=given)
    by_id = [row for row in rows if str(row.id) == given.lower()]
    by_name = [row for row in rows if row.name == given]
    found = by_id or by_name or (rows if len(given) >= SHORTEST_PREFIX else [])
    if len(found) == 1:
        return found[0].id
    if found:
        several = ", ".join(f"{row.name} ({row.id}, {row.status})" for row in found)
        raise Ambiguous(f"{given!r} fits several campaigns: {several}")
    raise NoSuchThing(f"there is no campaign {given!r}; outdial campaign list shows them")


def read_numbers(raw: Iterable[str], region: str | None) -> tuple[list[str], list[InvalidPhone]]:
    """Return the numbers in E.164, each once, and those that are none, with the reason."""
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
    """Return the JSON object in `text`, or in the file that it names as @FILE; empty when nothing is given."""
    if text is None:
        return {}
    content = Path(text[1:]).read_text() if text.startswith("@") else text
    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise BadInput(f"{option}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{option}: give a JSON object, such as {{...}}")
    return value


def read_pairs(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Return the NAME=VALUE pairs of a repeated option."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise BadInput(f"{option}: {pair!r} is not NAME=VALUE")
        found[name.strip()] = value
    return found
