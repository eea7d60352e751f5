"""The pages of organizations: those of the caller, and the settings of one."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from outdial.studio.inbox import service as inbox
from outdial.studio.organizations import service as resource
from outdial.studio.organizations.service import NewPhoneNumber, OrganizationChanges, ProviderAccountChanges
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentCaller, CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page

router = APIRouter()
Model = TypeVar("Model", bound=BaseModel)


@router.get("/organizations")
async def list_organizations_page(request: Request, caller: CurrentCaller) -> HTMLResponse:
    """Show the organizations that the caller works for."""
    async with caller.transaction() as connection:
        mine = await resource.list_memberships(connection, caller)
    return page(request, "organizations/list.html", organizations=mine)


@router.get("/o/{organization_id}/settings")
async def settings_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the settings, and the address to paste into Retell."""
    return await _show(request, context)


@router.post("/o/{organization_id}/settings")
async def change_organization_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Change the name or the daily cap."""
    context.require("admin")
    try:
        changes = _read(OrganizationChanges, form, ("name", "daily_call_cap"))
    except InvalidInput as error:
        return await _show(request, context, error.fields, form)
    async with context.transaction() as connection:
        await resource.change_organization(connection, context, changes, forms.text(form, "etag") or None)
    return forms.redirect(request.url.path, "Saved")


@router.post("/o/{organization_id}/settings/accounts/{account_id}")
async def change_account_page(request: Request, context: CurrentOrganization, account_id: UUID, form: Form) -> Response:
    """Change the limits of a Retell workspace."""
    context.require("admin")
    names = ("name", "concurrency_limit", "reserved_inbound", "calls_per_second")
    try:
        changes = _read(ProviderAccountChanges, form, names)
    except InvalidInput as error:
        return await _show(
            request, context, {f"{account_id}-{name}": text for name, text in error.fields.items()}, form
        )
    async with context.transaction() as connection:
        await resource.change_account(connection, context, account_id, changes)
    return forms.redirect(_url(context), "The limits hold from now on")


@router.post("/o/{organization_id}/settings/numbers")
async def add_number_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Add a number to call from."""
    context.require("admin")
    try:
        new = _read(NewPhoneNumber, form, ("phone", "nickname", "retell_agent_id", "provider_account_id"))
        async with context.transaction() as connection:
            added = await resource.add_number(connection, context, new)
    except InvalidInput as error:
        return await _show(request, context, error.fields, form)
    except ResourceConflict as error:
        return await _show(request, context, {"phone": error.message}, form)
    return forms.redirect(_url(context), f"{added.phone} can be called from now")


@router.post("/o/{organization_id}/settings/numbers/{number_id}/remove")
async def remove_number_page(context: CurrentOrganization, number_id: UUID, form: Form) -> Response:
    """Call from a number no more."""
    async with context.transaction() as connection:
        await resource.remove_number(connection, context, number_id)
    return forms.redirect(_url(context), "The number is removed")


async def _show(
    request: Request,
    context: OrganizationContext,
    errors: Mapping[str, str] | None = None,
    form: FormData | None = None,
) -> HTMLResponse:
    async with context.transaction() as connection:
        organization = await resource.show_organization(connection, context)
        accounts = await resource.list_accounts(connection, context)
        numbers = await resource.list_numbers(connection, context)
        odd = await inbox.count_events_to_review(connection, context.organization_id)
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
        last_event_at=odd.last_event_at,
        settings=context.studio.settings,
        errors=errors or {},
        given=given,
    )


def _read(model: type[Model], form: FormData, names: tuple[str, ...]) -> Model:
    given: dict[str, Any] = {name: value for name in names if (value := forms.text(form, name))}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = {str(one["loc"][0]): one["msg"] for one in error.errors()}
        raise InvalidInput("Something in this form cannot be used", wrong) from None


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/settings"
