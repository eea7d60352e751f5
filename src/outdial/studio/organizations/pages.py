"""Pages for organizations: start page, list, and settings."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from outdial.db.queries import organizations as organization_queries
from outdial.domain.limits import LONGEST_NAME
from outdial.studio.invitations import service as invitations
from outdial.studio.organizations import creation
from outdial.studio.organizations import service as organizations
from outdial.studio.organizations.creation import OwnOrganization
from outdial.studio.organizations.service import NewPhoneNumber, OrganizationChanges, ProviderAccountChanges
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page

router = APIRouter()
Model = TypeVar("Model", bound=BaseModel)


@router.get("/")
async def start_page(request: Request, caller: CurrentCaller) -> Response:
    """Redirect to the caller's first organization, or explain how to get one."""
    async with caller.transaction() as connection:
        first = await organization_queries.list_memberships(connection, user_id=caller.user_id, limit=1)
        received = [] if first else await invitations.received_invitations(connection, caller)
    if first:
        return RedirectResponse(f"/o/{first[0].id}/campaigns", 303)
    if not received and await creation.may_create(caller):
        return RedirectResponse("/organizations/new", 303)
    return page(request, "organizations/empty.html", email=caller.email, invitations=received)


@router.get("/o/{organization_id}")
async def organization_page(context: CurrentOrganization) -> Response:
    """Redirect to the organization's campaigns."""
    return RedirectResponse(f"/o/{context.organization_id}/campaigns", 303)


@router.get("/organizations")
async def list_organizations_page(request: Request, caller: CurrentCaller) -> HTMLResponse:
    """Show the caller's organizations, and their invitations to others."""
    async with caller.transaction() as connection:
        memberships = await organizations.list_memberships(connection, caller)
        received = await invitations.received_invitations(connection, caller)
    may_create = not memberships and await creation.may_create(caller)
    return page(
        request, "organizations/list.html", organizations=memberships, invitations=received, may_create=may_create
    )


@router.get("/organizations/new")
async def new_organization_page(request: Request, caller: CurrentCaller) -> HTMLResponse:
    """Show the form that creates an organization, to those who may."""
    if not await creation.may_create(caller):
        raise PermissionDenied(creation.MAY_NOT)
    return _new_organization(request, {"name": "", "time_zone": viewer_zone(request).key})


@router.post("/organizations/new")
async def create_organization_page(request: Request, caller: CurrentCaller, form: Form) -> Response:
    """Create an organization that the caller owns, and go on to its Retell key."""
    given = {name: forms.short_text(form, name, LONGEST_NAME + 1) for name in ("name", "time_zone")}
    try:
        organization_id = await creation.create_own(caller, OwnOrganization.model_validate(given))
    except ValidationError:
        return _new_organization(request, given, {"name": f"Enter a name of 1 to {LONGEST_NAME} characters"})
    except InvalidInput as error:
        return _new_organization(request, given, error.fields)
    return forms.redirect(f"/o/{organization_id}/settings/retell", "Organization created. Connect Retell next.")


@router.get("/o/{organization_id}/settings")
async def settings_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the settings and the webhook URL for Retell."""
    return await _show(request, context)


@router.post("/o/{organization_id}/settings")
async def change_organization_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Change the name or the daily call cap."""
    context.require("admin")
    try:
        changes = _read(
            OrganizationChanges, form, (), {"name": "Enter a name", "daily_call_cap": "Enter a number of calls"}
        )
    except InvalidInput as error:
        return await _show(request, context, error.fields, form)
    async with context.transaction() as connection:
        await organizations.change_organization(connection, context, changes, forms.text(form, "etag") or None)
    return forms.redirect(request.url.path, "Settings saved.")


@router.post("/o/{organization_id}/settings/accounts/{account_id}")
async def change_account_page(request: Request, context: CurrentOrganization, account_id: UUID, form: Form) -> Response:
    """Change the limits of a Retell workspace."""
    context.require("admin")
    required = dict.fromkeys(("concurrency_limit", "reserved_inbound", "calls_per_second"), "Enter a number")
    try:
        changes = _read(ProviderAccountChanges, form, ("name",), required)
    except InvalidInput as error:
        errors = {f"{account_id}-{name}": text for name, text in error.fields.items()}
        return await _show(request, context, errors, form, account_id)
    async with context.transaction() as connection:
        await organizations.change_account(connection, context, account_id, changes)
    return forms.redirect(_url(context), "Limits saved.")


@router.post("/o/{organization_id}/settings/numbers")
async def add_number_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Add a caller number."""
    context.require("admin")
    try:
        new = _read(NewPhoneNumber, form, ("phone", "nickname", "retell_agent_id", "provider_account_id"))
        async with context.transaction() as connection:
            added = await organizations.add_number(connection, context, new)
    except InvalidInput as error:
        return await _show(request, context, error.fields, form)
    except ResourceConflict as error:
        return await _show(request, context, {"phone": error.message}, form)
    return forms.redirect(_url(context), f"{added.phone} added.")


@router.post("/o/{organization_id}/settings/numbers/{number_id}/remove")
async def remove_number_page(context: CurrentOrganization, number_id: UUID, form: Form) -> Response:
    """Remove a caller number."""
    async with context.transaction() as connection:
        await organizations.remove_number(connection, context, number_id)
    return forms.redirect(_url(context), "Number removed.")


async def _show(
    request: Request,
    context: OrganizationContext,
    errors: Mapping[str, str] | None = None,
    form: FormData | None = None,
    account_id: UUID | None = None,
) -> HTMLResponse:
    async with context.transaction() as connection:
        organization = await organizations.show_organization(connection, context)
        accounts = await organizations.list_accounts(connection, context)
        numbers = await organizations.list_numbers(connection, context)
    given = {} if form is None else {name: forms.text(form, name) for name in form}
    return page(
        request,
        "organizations/settings.html",
        context,
        status=400 if errors else 200,
        url=_url(context),
        organization=organization,
        accounts=accounts,
        numbers=numbers,
        errors=errors or {},
        given=given,
        account_id=account_id,
    )


def _new_organization(
    request: Request, given: Mapping[str, str], errors: Mapping[str, str] | None = None
) -> HTMLResponse:
    status = 400 if errors else 200
    return page(request, "organizations/new.html", status=status, given=given, errors=errors or {})


def _read(
    model: type[Model], form: FormData, names: tuple[str, ...], required: Mapping[str, str] | None = None
) -> Model:
    """Read fields of a form; `required` are further ones that may not be empty, with what to say if they are."""
    required = required or {}
    given: dict[str, Any] = {name: value for name in (*names, *required) if (value := forms.text(form, name))}
    if empty := {name: text for name, text in required.items() if name not in given}:
        raise InvalidInput("Please fix the fields below", empty)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = {str(one["loc"][0]): one["msg"] for one in error.errors()}
        raise InvalidInput("Please fix the fields below", wrong) from None


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/settings"
