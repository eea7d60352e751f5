"""The page of members and their roles."""

from typing import Any, Final, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.studio.invitations import service as invitations
from outdial.studio.invitations.service import NewInvitation
from outdial.studio.members import service as members
from outdial.studio.web import forms
from outdial.studio.web.context import RANKS, CurrentOrganization, MemberRole, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page

router = APIRouter()
ROLES: Final = [
    ("viewer", "Viewer: read only"),
    ("operator", "Operator: manage campaigns"),
    ("admin", "Admin: manage settings and members"),
    ("owner", "Owner: full access"),
]


@router.get("/o/{organization_id}/members")
async def list_members_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the members."""
    return await _show(request, context)


@router.post("/o/{organization_id}/members")
async def invite_member_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Invite a user."""
    context.require("admin")
    given = {"email": forms.text(form, "email"), "role": forms.text(form, "role", "operator")}
    try:
        async with context.transaction() as connection:
            invited = await invitations.invite(connection, context, NewInvitation.model_validate(given))
    except ValidationError:
        return await _show(
            request,
            context=context,
            given=given,
            errors={"email": "Enter an email address, such as ada@example.com"},
            status=400,
        )
    except (ResourceConflict, PermissionDenied) as error:
        return await _show(request, context=context, given=given, errors={"email": error.message}, status=error.status)
    return forms.redirect(request.url.path, f"Invited {invited.email}. Outdial sends no email, so let them know.")


@router.post("/o/{organization_id}/members/{user_id}/role")
async def change_role_page(context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Change a member's role."""
    role = forms.text(form, "role")
    if role not in RANKS:
        raise InvalidInput("Unknown role", {"role": "choose one from the list"})
    async with context.transaction() as connection:
        member = await members.change_role(connection, context, user_id, cast("MemberRole", role))
    return forms.redirect(_url(context), f"{member.email} is now {member.role}.")


@router.post("/o/{organization_id}/members/{user_id}/remove")
async def remove_member_page(context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Remove a member."""
    async with context.transaction() as connection:
        await members.remove_member(connection, context, user_id)
    if user_id == context.caller.user_id:
        return forms.redirect("/", f"You left {context.name}.")
    return forms.redirect(_url(context), "Member removed.")


async def _show(
    request: Request, context: OrganizationContext, given: Any = None, errors: Any = None, status: int = 200
) -> HTMLResponse:
    async with context.transaction() as connection:
        found = await members.list_members(connection, context)
        invited = await invitations.list_invitations(connection, context) if context.may("admin") else []
    return page(
        request,
        "members/list.html",
        context,
        status=status,
        url=_url(context),
        members=found,
        invitations=invited,
        # Admins cannot appoint owners.
        roles=ROLES if context.may("owner") else ROLES[:-1],
        given=given or {"email": "", "role": "operator"},
        errors=errors or {},
    )


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/members"
