"""Routes of the API for the audit log."""

from fastapi import APIRouter

from outdial.studio.context import AtWork
from outdial.studio.paging import AskedPage, Page
from outdial.studio.resources import audit
from outdial.studio.resources.audit import AskedEntries, AuditEntry

router = APIRouter(tags=["audit log"])


@router.get("/organizations/{organization_id}/audit")
async def list_entries(at: AtWork, page: AskedPage, narrowed: AskedEntries) -> Page[AuditEntry]:
    """List entries, the newest first."""
    async with at.transaction() as connection:
        return await audit.list_entries(connection, at.organization_id, page, narrowed)
