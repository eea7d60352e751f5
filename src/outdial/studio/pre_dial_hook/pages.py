"""The page of the pre-dial hook, below the settings."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.pre_dial.addresses import LONGEST_SECRET, LONGEST_URL, SHORTEST_SECRET
from outdial.studio.pre_dial_hook import service as hooks
from outdial.studio.pre_dial_hook.service import NewPreDialHook
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.forms import HOOK_SECRET, Form
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/settings/pre-dial-hook")

_BOUNDS: Final = {"longest_url": LONGEST_URL, "shortest_secret": SHORTEST_SECRET, "longest_secret": LONGEST_SECRET}


@router.get("")
async def hook_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the hook, its failures, and the form to set it."""
    return await _show(request, context)


@router.post("")
async def set_hook_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Set the hook."""
    context.require("admin")
    # A longer text fails the checks of the service, which say what to do.
    url, secret = forms.text(form, "url")[: LONGEST_URL + 1], forms.text(form, HOOK_SECRET)[: LONGEST_SECRET + 1]
    try:
        async with context.transaction() as connection:
            await hooks.set_hook(connection, context, NewPreDialHook(url=url, secret=secret or None))
    except InvalidInput as error:
        return await _show(request, context, error.fields, url)
    return forms.redirect(request.url.path, "Pre-dial hook saved. From now on, it allows or denies each call.")


@router.post("/remove")
async def remove_hook_page(context: CurrentOrganization, form: Form) -> Response:
    """Remove the hook."""
    context.require("admin")
    async with context.transaction() as connection:
        await hooks.remove_hook(connection, context)
    return forms.redirect(f"/o/{context.organization_id}/settings/pre-dial-hook", "Pre-dial hook removed.")


async def _show(
    request: Request, context: OrganizationContext, errors: Mapping[str, str] | None = None, url: str | None = None
) -> HTMLResponse:
    async with context.transaction() as connection:
        hook = await hooks.find_hook(connection, context)
    return page(
        request,
        "pre_dial_hook/show.html",
        context,
        status=400 if errors else 200,
        url=request.url.path,
        hook=hook,
        shown_url=url if url is not None else hook.url if hook else "",
        errors=errors or {},
        bounds=_BOUNDS,
        secret_field=HOOK_SECRET,
    )
