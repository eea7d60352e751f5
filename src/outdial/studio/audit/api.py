"""Routes of the API for the audit log."""

from fastapi import APIRouter

from outdial.studio.audit import service as audit
from outdial.studio.audit.service import AskedEntries, AuditEntry
from outdial.studio.web.context import AtWork
from outdial.studio.web.paging import AskedPage, Page

router = APIRouter(tags=["audit log"])


@router.get("/organizations/{organization_id}/audit")
async def list_entries(at: AtWork, page: AskedPage, narrowed: AskedEntries) -> Page[AuditEntry]:
    """List entries, the newest first."""
    async with at.transaction() as connection:
        return await audit.list_entries(connection, at.organization_id, page, narrowed)
