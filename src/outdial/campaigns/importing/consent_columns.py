"""Reads the consent of a contact from the columns of a row."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from outdial.campaigns.importing.columns import CONSENT_HEADERS, Columns
from outdial.domain.permission.consent import Basis, GivenConsent, InvalidConsent, Scope, check_consent

_COLUMN_OF: Final = {"given_at": "consent_at", "source": "consent_source", "text": "consent_text", "url": "consent_url"}
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_consent(columns: Columns, cells: Sequence[str], now: datetime) -> GivenConsent | str | None:
    """Return the consent in a row, None if its cells are empty, or the reason why it cannot be read."""
    found = {field: columns.cell(cells, field) for field in CONSENT_HEADERS}
    if not any(found.values()):
        return None
    basis = _word(found["consent"])
    if basis not in set(Basis):
        given = "is empty" if found["consent"] is None else f"is {found['consent']!r}"
        return f"{_name(columns, 'consent')} {given}: write {', '.join(Basis)}, or leave all consent columns empty"
    scope = _word(found["consent_scope"]) or Scope.ANY.value
    if scope not in set(Scope):
        return f"{_name(columns, 'consent_scope')} is {found['consent_scope']!r}: write {', '.join(Scope)}"
    given_at = _read_time(found["consent_at"])
    if given_at is None:
        given = "is empty" if found["consent_at"] is None else f"is {found['consent_at']!r}"
        return f"{_name(columns, 'consent_at')} {given}: write a day or a time with a zone, such as 2026-10-01T09:30Z"
    consent = GivenConsent(
        basis=Basis(basis),
        scope=Scope(scope),
        source=found["consent_source"],
        text=found["consent_text"],
        url=found["consent_url"],
        given_at=given_at,
    )
    match check_consent(consent, now):
        case InvalidConsent(field, reason):
            return f"{_name(columns, _COLUMN_OF[field])} {reason}"
        case None:
            return consent


def _word(cell: str | None) -> str:
    return re.sub(r"[\s-]+", "_", (cell or "").strip().lower())


def _read_time(cell: str | None) -> datetime | None:
    """Read a time with a zone. A day stands for its first moment in UTC, so that a revocation that day counts."""
    if cell is None:
        return None
    try:
        if _DAY.fullmatch(cell):
            return datetime.combine(date.fromisoformat(cell), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _name(columns: Columns, field: str) -> str:
    index = columns.fields.get(field)
    return field if index is None else columns.names[index]
