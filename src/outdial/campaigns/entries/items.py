"""Reads the contacts in a request to add them: each item is a contact, or is refused with a kind and a reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

from phonenumbers import SUPPORTED_REGIONS

from outdial.campaigns.errors import InvalidItem
from outdial.campaigns.importing.contact_rows import NewContact
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.db.session import encode_json
from outdial.domain.contact import DEFAULT_RANK, rank_of
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES, CONTACT_FIELDS
from outdial.domain.geography.countries import find_country
from outdial.domain.limits import PRIORITY, IntRange
from outdial.domain.location import StatedPlace, Unlocatable, locate
from outdial.domain.permission.consent import Basis, GivenConsent, InvalidConsent, Scope, check_consent
from outdial.domain.phone import InvalidPhone, parse_phone

ITEMS: Final = IntRange(1, 1000)
"""Contacts in one request."""
LONGEST_WAIT: Final = timedelta(days=366)
"""How far ahead a contact may wait for its next call."""
TOO_LATE: Final = f"may be at most {LONGEST_WAIT.days} days ahead"
MOST_VARIABLES: Final = 200
LONGEST_VARIABLE_NAME: Final = 200
LONGEST_VARIABLE: Final = 10_000
"""Characters of an agent variable."""

_ALLOWED: Final = ("phone", *CONTACT_FIELD_NAMES, "variables", "not_before", "priority", "consent")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_CONSENT: Final = ("basis", "scope", "source", "text", "url", "given_at")


@dataclass(frozen=True, slots=True)
class ItemReader:
    """Reads items at `now`. Numbers without a country code belong to the country of their item, else to `region`."""

    region: str | None
    now: datetime

    def read(self, items: Sequence[object]) -> tuple[list[NewContact], list[RefusedRow]]:
        """Return the contacts with different phones, and the refused items; `line` is the index of an item."""
        contacts: dict[str, NewContact] = {}
        refused = []
        for index, item in enumerate(items):
            try:
                contact = self._read_item(index, item)
            except InvalidItem as error:
                refused.append(RefusedRow(index, "", error.kind, str(error)))
                continue
            if (first := contacts.setdefault(contact.phone, contact)) is not contact:
                reason = f"has the same number as item {first.line}"
                refused.append(RefusedRow(index, "", Refusal.DUPLICATE, reason))
        return list(contacts.values()), refused

    def _read_item(self, index: int, item: object) -> NewContact:
        if not isinstance(item, dict):
            raise InvalidItem(Refusal.BAD_ITEM, "", 'is not an object such as {"phone": "+14155550100"}')
        if unknown := [name for name in item if name not in _ALLOWED]:
            raise InvalidItem(
                Refusal.BAD_ITEM, unknown[0][:40], "is not a field; agent variables belong under variables"
            )
        written = _text(item, "phone", 100) or ""
        texts = {field.name: _text(item, field.name, field.longest) for field in CONTACT_FIELDS}
        country = find_country(texts["country"] or "")
        phone = parse_phone(written, country if country in SUPPORTED_REGIONS else self.region)
        if isinstance(phone, InvalidPhone):
            raise InvalidItem(Refusal.BAD_PHONE, "phone", phone.reason)
        stated = StatedPlace(**{name: texts[name] for name in ("timezone", "country", "region", "postal_code")})
        location = locate(phone, stated)
        if isinstance(location, Unlocatable):
            kind = Refusal.NO_TIME_ZONE if location.field == "timezone" else Refusal.BAD_PLACE
            raise InvalidItem(kind, location.field, location.reason)
        priority = read_priority(item.get("priority"))
        return NewContact(
            line=index,
            written=written,
            phone=phone.e164,
            details=texts | location.stored(),
            location=location,
            variables=encode_json(
                {name: value for name, value in read_variables(item.get("variables")).items() if value}
            ),
            consent=self._read_consent(item.get("consent")),
            cells=(),
            not_before=read_not_before(item.get("not_before"), self.now),
            rank=DEFAULT_RANK if priority is None else rank_of(priority),
        )

    def _read_consent(self, value: object) -> GivenConsent | None:
        if value is None:
            return None
        if not isinstance(value, dict) or any(name not in _CONSENT for name in value):
            raise InvalidItem(Refusal.BAD_CONSENT, "consent", f"must be an object with {', '.join(_CONSENT)}")
        basis, scope, given_at = value.get("basis"), value.get("scope", "any"), value.get("given_at")
        if basis not in list(Basis) or scope not in list(Scope):
            reason = f"basis is one of {', '.join(Basis)}, and scope one of {', '.join(Scope)}"
            raise InvalidItem(Refusal.BAD_CONSENT, "consent", reason)
        time = _time(given_at)
        if time is None:
            reason = "given_at must be a time with a zone, such as 2026-10-01T09:30:00Z"
            raise InvalidItem(Refusal.BAD_CONSENT, "consent", reason)
        source, text, url = (_text(value, name, 10_000) for name in ("source", "text", "url"))
        consent = GivenConsent(basis=Basis(basis), scope=Scope(scope), source=source, text=text, url=url, given_at=time)
        match check_consent(consent, self.now):
            case InvalidConsent(field, reason):
                raise InvalidItem(Refusal.BAD_CONSENT, "consent", f"{field} {reason}")
            case None:
                return consent


def read_not_before(value: object, now: datetime) -> datetime | None:
    """Return the time before which a contact is not called; a time that has passed means now."""
    if value is None:
        return None
    time = _time(value)
    if time is None:
        raise InvalidItem(Refusal.BAD_TIME, "not_before", "must be a time with a zone, such as 2026-12-01T09:00:00Z")
    check_wait(time, now)
    return max(time, now)


def check_wait(time: datetime | None, now: datetime, field: str = "not_before") -> None:
    """Raise InvalidItem, which names the field, when a contact would wait too long for its next call."""
    if time is not None and time > now + LONGEST_WAIT:
        raise InvalidItem(Refusal.BAD_TIME, field, TOO_LATE)


def read_priority(value: object) -> int | None:
    """Return the priority of a contact, None for the default."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value in PRIORITY.range):
        return value
    raise InvalidItem(Refusal.BAD_ITEM, "priority", f"must be a whole number {PRIORITY.range}; 9 goes first")


def read_variables(value: object) -> dict[str, str | None]:
    """Return agent variables as text, with None for a null."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MOST_VARIABLES:
        raise InvalidItem(Refusal.BAD_ITEM, "variables", f"must be an object with at most {MOST_VARIABLES} names")
    variables: dict[str, str | None] = {}
    for name, given in value.items():
        if not name.strip() or not _is_storable(name) or len(name) > LONGEST_VARIABLE_NAME:
            raise InvalidItem(Refusal.BAD_ITEM, "variables", f"{name[:40]!r} is not a name of a variable")
        variables[name] = _variable(name, given)
    return variables


def _variable(name: str, value: object) -> str | None:
    match value:
        case None:
            return None
        case str() if len(value) > LONGEST_VARIABLE:
            reason = f"{name[:40]} has {len(value):,} characters; at most {LONGEST_VARIABLE:,} are stored"
            raise InvalidItem(Refusal.TOO_LONG, "variables", reason)
        case str() if _is_storable(value):
            return value
        case float() if not isfinite(value):
            raise InvalidItem(Refusal.BAD_ITEM, "variables", f"{name[:40]} is not a number that JSON knows")
        case bool() | int() | float():
            return encode_json(value)
        case _:
            raise InvalidItem(Refusal.BAD_ITEM, "variables", f"{name[:40]} must be a text, a number or a boolean")


def _is_storable(text: str) -> bool:
    """Return whether Postgres can store the text: it has no NUL character, and no half of a surrogate pair."""
    return "\0" not in text and not _SURROGATE.search(text)


def _text(item: Mapping[str, Any], name: str, longest: int) -> str | None:
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _is_storable(value):
        raise InvalidItem(Refusal.BAD_ITEM, name, "must be a text without NUL characters and lone surrogates")
    if len(value) > longest:
        raise InvalidItem(Refusal.TOO_LONG, name, f"has {len(value):,} characters; at most {longest:,} are stored")
    return value.strip() or None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if time.tzinfo is None else time
