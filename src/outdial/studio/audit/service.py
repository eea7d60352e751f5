"""The audit log: who did what, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel

from outdial.db.queries import audit, members
from outdial.db.session import Connection
from outdial.studio.web.dates import moment_of
from outdial.studio.web.paging import Page, PageRequest, paginate

Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class AuditEntry(BaseModel):
    """One entry; `actor` is a user's id or the name of a process, `actor_email` is known of present members."""

    id: int
    at: datetime
    actor: str
    actor_email: str | None
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """What the log is narrowed to; `until` is excluded."""

    action: str | None = None
    actor: str | None = None
    subject_id: str | None = None
    subject_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def audit_filters(
    action: Text = None,
    actor: Text = None,
    subject_id: Text = None,
    subject_type: Text = None,
    since: Annotated[AwareDatetime | None, Query(description="Entries from this moment on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Entries before this moment")] = None,
) -> AuditFilters:
    """Read what a request narrows the log to."""
    times = moment_of("since", since), moment_of("until", until)
    return AuditFilters(action or None, actor or None, subject_id or None, subject_type or None, *times)


AuditQuery = Annotated[AuditFilters, Depends(audit_filters)]


async def list_entries(
    connection: Connection, organization_id: UUID, page: PageRequest, filters: AuditFilters
) -> Page[AuditEntry]:
    """List entries, the newest first."""
    key = page.key(tuple[int])
    rows = await audit.list_audit(
        connection,
        organization_id=organization_id,
        before_id=None if key is None else key[0],
        action=filters.action,
        actor=filters.actor,
        subject_id=filters.subject_id,
        subject_type=filters.subject_type,
        since=filters.since,
        until=filters.until,
        limit=page.limit + 1,
    )
    people = await members.list_members(connection, organization_id=organization_id)
    emails = {str(person.user_id): person.email for person in people}
    kept, following = paginate(rows, page.limit, lambda row: (row.id,))
    return Page(items=[_entry(row, emails) for row in kept], next=following)


def _entry(row: audit.AuditRow, emails: Mapping[str, str | None]) -> AuditEntry:
    details = msgspec.json.decode(row.details)
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        actor_email=emails.get(row.actor),
        action=row.action,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        details=details if isinstance(details, dict) else {"value": details},
    )
