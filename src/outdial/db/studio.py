"""Statements that every page and route needs (`queries/studio.sql`)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from outdial.db.statements import Statement, Touched


@dataclass(frozen=True, slots=True)
class WorkplaceRow:
    """An organization, and the caller's role in it."""

    id: UUID
    name: str
    role: str


FIND_WORKPLACE = Statement("find_workplace", WorkplaceRow)
LIST_WORKPLACES = Statement("list_workplaces", WorkplaceRow)


@dataclass(frozen=True, slots=True)
class KeyUsed:
    """The request that an idempotency key was used for, and the answer to it; the body is JSON."""

    request_sha256: bytes
    status: int | None
    body: str | None


TAKE_IDEMPOTENCY_KEY = Statement("take_idempotency_key", Touched)
READ_IDEMPOTENCY_KEY = Statement("read_idempotency_key", KeyUsed)
KEEP_ANSWER: Statement[Any] = Statement("keep_answer")
FORGET_IDEMPOTENCY_KEYS: Statement[Any] = Statement("forget_idempotency_keys")
VISIBLE_CAMPAIGNS = Statement("visible_campaigns", Touched)
ADOPT_ORGANIZATIONS: Statement[Any] = Statement("adopt_organizations")
DEFAULT_ACCOUNT = Statement("default_account", Touched)
