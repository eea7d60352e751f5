"""The page of budgets, below the settings."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.domain.policies.budget import SCOPE_NAMES, amount_text, read_amount
from outdial.studio.budgets import service as budgets
from outdial.studio.budgets.service import NewBudgets
from outdial.studio.campaigns.service import find_campaign
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/settings/budgets")

LIMIT: Final = 25
HOW_TO_WRITE: Final = "Enter an amount such as 250 or 99.50, or leave it empty for no budget"
_LONGEST_AMOUNT: Final = 20

environment.globals |= {"budget_names": SCOPE_NAMES}


@router.get("")
async def budgets_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the budgets of the organization, and the calls with unknown cost."""
    return await _show(request, context)


@router.post("")
async def set_budgets_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Set the budgets of the organization."""
    context.require("admin")
    typed = {name: forms.text(form, name) for name in ("day", "month", "time_zone")}
    cents = {name: read_amount(typed[name]) if len(typed[name]) <= _LONGEST_AMOUNT else None for name in typed}
    wrong = {name: HOW_TO_WRITE for name in ("day", "month") if typed[name] and cents[name] is None}
    try:
        if wrong:
            raise InvalidInput("Please fix the fields below", wrong)
        new = NewBudgets.model_construct(
            time_zone=typed["time_zone"], day_cents=cents["day"], month_cents=cents["month"]
        )
        async with context.transaction() as connection:
            await budgets.change_budgets(connection, context, new)
    except InvalidInput as error:
        fields = {name.removesuffix("_cents"): reason for name, reason in error.fields.items()}
        return await _show(request, context, fields, typed)
    return forms.redirect(request.url.path, "Budgets saved. They apply to the next calls.")


async def _show(
    request: Request,
    context: OrganizationContext,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> HTMLResponse:
    query = request.query_params
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    campaign = None
    async with context.transaction() as connection:
        found = await budgets.organization_budgets(connection, context)
        if query.get("campaign"):
            campaign = await find_campaign(connection, context.organization_id, _campaign_id(query["campaign"]))
        calls, following = await budgets.list_unknown_costs(
            connection, context, page_request, campaign_id=None if campaign is None else campaign.id
        )
    has_budget = found.day_cents is not None or found.month_cents is not None
    form = typed or {
        "day": amount_text(found.day_cents),
        "month": amount_text(found.month_cents),
        "time_zone": found.time_zone if has_budget else viewer_zone(request).key,
    }
    return page(
        request,
        "budgets/show.html",
        context,
        status=400 if errors else 200,
        url=f"/o/{context.organization_id}/settings/budgets",
        budgets=found,
        form=form,
        errors=errors or {},
        calls=calls,
        campaign=campaign,
        **page_links(
            request.url.path, {"campaign": "" if campaign is None else str(campaign.id)}, page_request, following
        ),
    )


def _campaign_id(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise InvalidInput("Unknown campaign", {"campaign": "must be a campaign's id"}) from None
