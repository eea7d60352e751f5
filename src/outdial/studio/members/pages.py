"""The page of members and their roles."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.studio.invitations import service as invitations
from outdial.studio.invitations.sending import show_sent
from outdial.studio.invitations.service import NewInvitation
from outdial.studio.members import service as members
from outdial.studio.web import forms
from outdial.studio.web.context import RANKS, CurrentOrganization, MemberRole, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page
from outdial.studio.web.visitors import own_url

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
            new = NewInvitation.model_validate(given)
            invited = await invitations.invite(connection, context, new, own_url(request, ""))
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
    return await show_sent(request, context, invited)


@router.post("/o/{organization_id}/members/{user_id}/role")
async def change_role_page(context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Change a member's role."""
    role = forms.text(form, "role")
    if role not in RANKS:
        raise InvalidInput("Unknown role", {"role": "choose one from the list"})
    async with context.transaction() as connection:
        member = await members.change_role(connection, context, user_id, cast("MemberRole", role))
    return forms.redirect(_url(context), f"{member.email} is now {member.role}.")


@router.post("/o/{organization_id}/members/{user_id}/password-reset")
async def reset_password_page(request: Request, context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Make a link with which a member sets a new password, and show it once."""
    context.require("admin")
    async with context.transaction() as connection:
        made = await members.begin_password_reset(connection, context, user_id)
    return await _show(request, context, reset_link=own_url(request, made.path))


@router.post("/o/{organization_id}/members/{user_id}/remove")
async def remove_member_page(context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Remove a member."""
    async with context.transaction() as connection:
        await members.remove_member(connection, context, user_id)
    if user_id == context.caller.user_id:
        return forms.redirect("/", f"You left {context.name}.")
    return forms.redirect(_url(context), "Member removed.")


async def _show(
    request: Request,
    context: OrganizationContext,
    given: Any = None,
    errors: Any = None,
    status: int = 200,
    reset_link: str | None = None,
) -> HTMLResponse:
    async with context.transaction() as connection:
        found = await members.list_members(connection, context)
        may_invite = context.may("admin")
        site = own_url(request, "")
        invited = await invitations.list_invitations(connection, context, site) if may_invite else []
    return page(
        request,
        "members/list.html",
        context,
        status=status,
        url=_url(context),
        members=found,
        invitations=invited,
        reset_link=reset_link,
        new_invitation=next((one for one in invited if one.email == request.query_params.get("invited")), None),
        has_email=context.studio.local_auth is None,
        days_left=partial(_days_left, now=context.studio.clock.now()),
        # Admins cannot appoint owners.
        roles=ROLES if context.may("owner") else ROLES[:-1],
        given=given or {"email": "", "role": "operator"},
        errors=errors or {},
    )


def _days_left(expires_at: datetime, now: datetime) -> str:
    """Say when a link expires, in whole days from now."""
    if expires_at <= now:
        return "expired"
    days = round((expires_at - now) / timedelta(days=1))
    return f"expires in {days} {'day' if days == 1 else 'days'}" if days else "expires today"


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/members"
