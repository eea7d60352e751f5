"""The audit log: who did what, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel

from outdial.db.queries import audit
from outdial.db.session import Connection
from outdial.studio.audit.details import is_id
from outdial.studio.view.payloads import decode_object
from outdial.studio.web.audit import actor_emails
from outdial.studio.web.filters import SinceQuery, TextQuery, UntilQuery
from outdial.studio.web.paging import Page, PageRequest, paginate


class AuditEntry(BaseModel):
    """An audit entry. `actor` is a user id or a process name; `actor_email` is set for current members."""

    id: int
    at: datetime
    actor: str
    actor_email: str | None
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    """Filters and query parameters of the audit log; `until` is exclusive."""

    action: TextQuery = None
    actor: TextQuery = None
    subject_id: TextQuery = None
    subject_type: TextQuery = None
    since: SinceQuery = None
    until: UntilQuery = None


AuditQuery = Annotated[AuditFilters, Depends()]


async def list_entries(
    connection: Connection, organization_id: UUID, page: PageRequest, filters: AuditFilters
) -> Page[AuditEntry]:
    """Return a page of audit entries, newest first."""
    rows = await audit.list_audit(
        connection,
        organization_id=organization_id,
        before_id=page.before_id,
        action=filters.action,
        actor=filters.actor,
        subject_id=filters.subject_id,
        subject_type=filters.subject_type,
        since=filters.since,
        until=filters.until,
        limit=page.limit + 1,
    )
    emails = await actor_emails(connection, organization_id)
    kept, following = paginate(rows, page.limit, lambda row: (row.id,))
    items = [
        AuditEntry(
            id=row.id,
            at=row.at,
            actor=row.actor,
            actor_email=emails.get(row.actor),
            action=row.action,
            subject_type=row.subject_type,
            subject_id=row.subject_id,
            details=decode_object(row.details),
        )
        for row in kept
    ]
    return Page(items=items, next=following)


async def campaign_names(
    connection: Connection, organization_id: UUID, entries: Sequence[AuditEntry]
) -> Mapping[str, str]:
    """Return the names of the campaigns that entries are about, by their IDs. Deleted drafts have none."""
    ids = {entry.subject_id for entry in entries if entry.subject_type == "campaign"}
    parsed = [UUID(each) for each in sorted(ids) if is_id(each)]
    named = await audit.audited_campaigns(connection, organization_id=organization_id, ids=parsed)
    return {str(row.id): row.name for row in named}
