"""The page Retell of the settings: status, webhook URL, and the form for the API key."""

from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.provider_keys.entering import FORMER_ACCEPTED_FOR, LONGEST_KEY
from outdial.studio.retell_keys import service as keys
from outdial.studio.retell_keys.service import NewAccountKey
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ServiceUnavailable
from outdial.studio.web.forms import RETELL_KEY, Form
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/settings/retell")


@router.get("")
async def retell_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the status of the connection, and the form for the key."""
    return await _show(request, context)


@router.post("/{account_id}")
async def enter_key_page(request: Request, context: CurrentOrganization, account_id: UUID, form: Form) -> Response:
    """Test a key at Retell and store it."""
    context.require("admin")
    # A longer text fails the check of the service, which says what to do.
    new = NewAccountKey(api_key=forms.text(form, RETELL_KEY)[: LONGEST_KEY + 1])
    try:
        stored = await keys.enter_key(context, account_id, new)
    except InvalidInput as error:
        return await _show(request, context, account_id, error.fields["api_key"])
    except (ResourceConflict, ServiceUnavailable) as error:
        return await _show(request, context, account_id, error.message, status=error.status)
    message = f"Connected with the key ending in {stored.last_four}. Agents and numbers are being imported."
    return forms.redirect(_url(context), message)


@router.post("/{account_id}/remove")
async def remove_key_page(context: CurrentOrganization, account_id: UUID, form: Form) -> Response:
    """Remove a key."""
    context.require("admin")
    async with context.transaction() as connection:
        await keys.remove_key(connection, context, account_id)
    return forms.redirect(_url(context), "Key removed. Campaigns of this account wait for a new one.")


@router.post("/{account_id}/end-former")
async def end_former_keys_page(context: CurrentOrganization, account_id: UUID, form: Form) -> Response:
    """Refuse webhooks of former keys from now on."""
    context.require("admin")
    async with context.transaction() as connection:
        await keys.end_former_keys(connection, context, account_id)
    return forms.redirect(_url(context), "Webhooks signed with a former key are rejected from now on.")


async def _show(
    request: Request,
    context: OrganizationContext,
    wrong_account: UUID | None = None,
    error: str | None = None,
    *,
    status: int = 400,
) -> HTMLResponse:
    async with context.transaction() as connection:
        accounts = await keys.list_keys(connection, context)
    settings = context.studio.settings
    errors: Mapping[UUID, str] = {} if wrong_account is None or error is None else {wrong_account: error}
    return page(
        request,
        "retell_keys/show.html",
        context,
        status=status if errors else 200,
        url=_url(context),
        accounts=accounts,
        errors=errors,
        can_store=bool(settings.encryption_secrets),
        webhook_url=settings.webhook_url,
        key_field=RETELL_KEY,
        longest_key=LONGEST_KEY,
        hours=round(FORMER_ACCEPTED_FOR.total_seconds() / 3600),
    )


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/settings/retell"
