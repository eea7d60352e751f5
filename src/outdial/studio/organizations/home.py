"""Where a person begins: in their first organization."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from outdial.db import studio as db
from outdial.studio.web.context import AtWork, SignedIn
from outdial.studio.web.rendering import page

router = APIRouter()


@router.get("/")
async def begin(request: Request, member: SignedIn) -> Response:
    """Go to the caller's first organization, or say what to do when there is none."""
    async with member.transaction() as connection:
        first = await db.LIST_WORKPLACES.maybe(connection, user_id=member.user_id, limit=1)
    if first is not None:
        return RedirectResponse(f"/o/{first.id}/campaigns", 303)
    return page(request, "organizations/empty.html", email=member.email)


@router.get("/o/{organization_id}")
async def enter(at: AtWork) -> Response:
    """Go to the campaigns of an organization."""
    return RedirectResponse(f"/o/{at.organization_id}/campaigns", 303)


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that this process answers."""
    return {"message": "ok"}
