"""Where a person begins: in their first organization."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.db.queries import organizations
from outdial.studio.web.context import CurrentCaller, CurrentOrganization
from outdial.studio.web.rendering import page

router = APIRouter()


@router.get("/")
async def begin(request: Request, caller: CurrentCaller) -> Response:
    """Go to the caller's first organization, or say what to do when there is none."""
    async with caller.transaction() as connection:
        first = await organizations.list_workplaces(connection, user_id=caller.user_id, limit=1)
    if first:
        return RedirectResponse(f"/o/{first[0].id}/campaigns", 303)
    return page(request, "organizations/empty.html", email=caller.email)


@router.get("/o/{organization_id}")
async def enter(context: CurrentOrganization) -> Response:
    """Go to the campaigns of an organization."""
    return RedirectResponse(f"/o/{context.organization_id}/campaigns", 303)


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that this process answers."""
    return {"message": "ok"}
