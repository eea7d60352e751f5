"""API routes for the audit log."""

from outdial.studio.audit import service as audit
from outdial.studio.audit.service import AuditEntry, AuditQuery
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(tags=["audit log"])


@router.get("/organizations/{organization_id}/audit")
async def list_audit_entries(context: CurrentOrganization, page: PageQuery, filters: AuditQuery) -> Page[AuditEntry]:
    """List audit entries, newest first."""
    async with context.transaction() as connection:
        return await audit.list_entries(connection, context.organization_id, page, filters)
