"""The page of members and roles."""

from typing import Any, Final, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.studio.members import service as members
from outdial.studio.members.service import NewMember
from outdial.studio.web import forms
from outdial.studio.web.context import RANKS, CurrentOrganization, MemberRole, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page

router = APIRouter()
ROLES: Final = [
    ("viewer", "Viewer: looks"),
    ("operator", "Operator: runs campaigns"),
    ("admin", "Admin: configures"),
    ("owner", "Owner: does everything"),
]


@router.get("/o/{organization_id}/members")
async def list_members_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show who works here."""
    return await _show(request, context)


@router.post("/o/{organization_id}/members")
async def add_member_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Take a user into the organization."""
    context.require("admin")
    given = {"email": forms.text(form, "email"), "role": forms.text(form, "role", "operator")}
    try:
        async with context.transaction() as connection:
            person = await members.add_member(connection, context, NewMember.model_validate(given))
    except ValidationError:
        return await _show(request, context, given, {"email": "give an e-mail address, such as ada@example.com"}, 400)
    except InvalidInput as error:
        return await _show(request, context, given, error.fields, 400)
    except (ResourceConflict, PermissionDenied) as error:
        return await _show(request, context, given, {"email": error.message}, error.status)
    return forms.redirect(request.url.path, f"{person.email} works here now")


@router.post("/o/{organization_id}/members/{user_id}/role")
async def change_role_page(context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Give somebody another role."""
    role = forms.text(form, "role")
    if role not in RANKS:
        raise InvalidInput("There is no such role", {"role": "choose one of the list"})
    async with context.transaction() as connection:
        person = await members.change_role(connection, context, user_id, cast("MemberRole", role))
    return forms.redirect(_url(context), f"{person.email} is now {person.role}")


@router.post("/o/{organization_id}/members/{user_id}/remove")
async def remove_member_page(context: CurrentOrganization, user_id: UUID, form: Form) -> Response:
    """Let somebody go."""
    async with context.transaction() as connection:
        await members.remove_member(connection, context, user_id)
    if user_id == context.caller.user_id:
        return forms.redirect("/", f"You have left {context.name}")
    return forms.redirect(_url(context), "They work here no more")


async def _show(
    request: Request, context: OrganizationContext, given: Any = None, errors: Any = None, status: int = 200
) -> HTMLResponse:
    async with context.transaction() as connection:
        people = await members.list_members(connection, context)
    return page(
        request,
        "members/list.html",
        context,
        status=status,
        url=_url(context),
        people=people,
        # An admin makes no owners.
        roles=ROLES if context.may("owner") else ROLES[:-1],
        given=given or {"email": "", "role": "operator"},
        errors=errors or {},
    )


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/members"
