"""API routes for retention, erasures and the export of a person's data."""

from typing import Any
from uuid import UUID

from fastapi import Response

from outdial.studio.privacy import service as privacy
from outdial.studio.privacy.service import ConfirmedDeletions, Erasure, Retention, RetentionChanges, SubjectPhone
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IfMatch

router = ApiRouter(prefix="/organizations/{organization_id}", tags=["privacy"])


@router.get("/retention")
async def get_retention(context: CurrentOrganization, response: Response) -> Retention:
    """Return how long personal data is kept. Send the ETag as If-Match when changing it."""
    async with context.transaction() as connection:
        found = await privacy.show_retention(connection, context)
    response.headers["etag"] = found.etag
    return found


@router.patch("/retention")
async def change_retention(
    context: CurrentOrganization, changes: RetentionChanges, response: Response, if_match: IfMatch = None
) -> Retention:
    """Change how long personal data is kept, or begin or end a legal hold."""
    context.require("admin")
    async with context.transaction() as connection:
        changed = await privacy.change_retention(connection, context, changes.model_dump(exclude_unset=True), if_match)
    response.headers["etag"] = changed.etag
    return changed


@router.get("/erasures")
async def list_erasures(context: CurrentOrganization, page: PageQuery) -> Page[Erasure]:
    """List erasures, newest first."""
    async with context.transaction() as connection:
        return await privacy.list_erasures(connection, context, page)


@router.post("/erasures", status_code=201)
async def erase_phone(context: CurrentOrganization, subject: SubjectPhone) -> Erasure:
    """Erase all data about a phone, also at Retell. Erasing it again is harmless."""
    context.require("admin")
    return await privacy.erase(context, subject)


@router.get("/erasures/{erasure_id}")
async def get_erasure(context: CurrentOrganization, erasure_id: UUID) -> Erasure:
    """Return an erasure and what remains of it."""
    async with context.transaction() as connection:
        return await privacy.find_erasure(connection, context, erasure_id)


@router.post("/erasures/{erasure_id}/confirm")
async def confirm_erasure(context: CurrentOrganization, erasure_id: UUID, confirmed: ConfirmedDeletions) -> Erasure:
    """Confirm that the calls of an erasure that were out of reach are deleted at Retell. Repeating it is harmless."""
    context.require("admin")
    async with context.transaction() as connection:
        _, erasure = await privacy.confirm(connection, context, erasure_id, confirmed)
        return erasure


@router.post("/subject-export")
async def export_subject(context: CurrentOrganization, subject: SubjectPhone) -> dict[str, Any]:
    """Return all data about a phone: lists of complete records by kind."""
    context.require("admin")
    async with context.transaction() as connection:
        return await privacy.export_phone(connection, context, subject)
