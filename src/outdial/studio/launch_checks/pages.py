"""The page with the launch check of a campaign."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from outdial.studio.campaigns.service import find_campaign
from outdial.studio.forecasts.service import make_forecast
from outdial.studio.launch_checks import service as checks
from outdial.studio.test_calls.service import list_test_calls
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}/launch-check")

_SHOWN_TEST_CALLS: Final = 5


@router.get("")
async def launch_check_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show what the last launch check has found, which contacts will not be called, and the latest test calls."""
    return await show_launch_check(request, context, campaign_id, {}, {})


@router.post("")
async def check_now(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Request a launch check."""
    context.require("operator")
    async with context.transaction() as connection:
        await checks.request_check(connection, context, campaign_id)
    return redirect(shown_on(form, request.url.path), "Launch check requested.")


@router.post("/forecast")
async def forecast_here(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Forecast a campaign as if it started now, and show the forecast beside the check."""
    context.require("operator")
    url = shown_on(form, f"/o/{context.organization_id}/campaigns/{campaign_id}/launch-check")
    try:
        await make_forecast(context, campaign_id)
    except ResourceConflict as error:
        return redirect(url, error.message, "warn")
    return redirect(url, "Forecast updated.")


def shown_on(form: FormData, url: str) -> str:
    """Return the page that shows a launch check: the review of the setup if the form comes from there, else `url`."""
    return url.replace("/launch-check", "/setup/review") if text(form, "shown_on") == "setup" else url


async def show_launch_check(
    request: Request,
    context: OrganizationContext,
    campaign_id: UUID,
    test_form: Mapping[str, str],
    test_errors: Mapping[str, str],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return the page, with the fields of the test call's form as given and what is wrong with them."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        # A live update replaces other parts of the page than the counts, which are slow.
        is_update = "x-live" in request.headers
        check = await checks.show_check(connection, context, campaign_id, counts_contacts=not is_update)
        test_calls = await list_test_calls(connection, context, campaign_id, _SHOWN_TEST_CALLS)
    response = page(
        request,
        "launch_checks/show.html",
        context,
        status=status,
        campaign=campaign,
        check=check,
        test_calls=test_calls,
        is_calling=any(call.may_change(context.studio.clock.now()) for call in test_calls),
        test_form={"to": "", "row": "", "is_own_phone": ""} | dict(test_form),
        test_errors=test_errors,
    )
    response.headers.update(headers or {})
    return response
