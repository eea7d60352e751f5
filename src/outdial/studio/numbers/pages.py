"""The page of caller numbers."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.studio.numbers import service as numbers
from outdial.studio.numbers.service import CallerPhone, NumberLimits
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.rendering import page

_SHOWN_AGENTS: Final = 100

router = APIRouter(prefix="/o/{organization_id}/numbers")


@router.get("")
async def numbers_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the caller numbers with their health."""
    return await _show(request, context)


@router.post("/import")
async def import_numbers_page(context: CurrentOrganization, form: Form) -> Response:
    """Import the numbers of the Retell workspaces."""
    context.require("admin")
    async with context.transaction() as connection:
        await numbers.request_import(connection, context)
    return redirect(_url(context), "Import requested. Numbers and agents appear here in a few seconds.", "info")


@router.post("/{number_id}/limits")
async def number_limits_page(request: Request, context: CurrentOrganization, number_id: UUID, form: Form) -> Response:
    """Set the daily cap and the warm-up of a number."""
    context.require("admin")
    given = {name: value for name in ("daily_cap", "warm_up_days") if (value := text(form, name))}
    try:
        new = NumberLimits.model_validate(given)
    except ValidationError as error:
        return await _show(request, context, {f"{number_id}-{each['loc'][0]}": each["msg"] for each in error.errors()})
    async with context.transaction() as connection:
        changed = await numbers.change_limits(connection, context, number_id, new)
    return redirect(_url(context), f"Limits of {changed.phone} saved.")


@router.post("/rest")
async def rest_number_page(context: CurrentOrganization, form: Form) -> Response:
    """Let a number rest."""
    context.require("operator")
    async with context.transaction() as connection:
        rested = await numbers.rest(connection, context, CallerPhone(phone=text(form, "phone")))
    return redirect(_url(context), f"{rested.phone} rests for 24 hours.")


@router.post("/wake")
async def wake_number_page(context: CurrentOrganization, form: Form) -> Response:
    """End the rest of a number."""
    context.require("operator")
    try:
        async with context.transaction() as connection:
            woken = await numbers.wake(connection, context, CallerPhone(phone=text(form, "phone")))
    except ResourceConflict as error:
        return redirect(_url(context), error.message, "warn")
    return redirect(_url(context), f"{woken.phone} can be called from again.")


async def _show(
    request: Request, context: OrganizationContext, errors: Mapping[str, str] | None = None
) -> HTMLResponse:
    async with context.transaction() as connection:
        found = await numbers.list_health(connection, context)
        imports = await numbers.list_imports(connection, context)
        agents = await numbers.list_agents(connection, context)
    return page(
        request,
        "numbers/list.html",
        context,
        status=400 if errors else 200,
        url=_url(context),
        numbers=found,
        imports=imports,
        agents=agents[:_SHOWN_AGENTS],
        hidden_agents=max(0, len(agents) - _SHOWN_AGENTS),
        errors=errors or {},
    )


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/numbers"
