"""API routes for budgets."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from outdial.studio.budgets import service as budgets
from outdial.studio.budgets.service import CostlessCall, NewBudgets, OrganizationBudgets
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(prefix="/organizations/{organization_id}/budgets", tags=["organizations"])


@router.get("")
async def get_budgets(context: CurrentOrganization) -> OrganizationBudgets:
    """Return the budgets of the organization and their use."""
    async with context.transaction() as connection:
        return await budgets.organization_budgets(connection, context)


@router.put("")
async def set_budgets(context: CurrentOrganization, new: NewBudgets) -> OrganizationBudgets:
    """Set the budgets of the organization. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await budgets.change_budgets(connection, context, new)


@router.get("/unknown-costs")
async def list_unknown_costs(
    context: CurrentOrganization,
    page: PageQuery,
    campaign_id: Annotated[UUID | None, Query(description="Only calls of this campaign")] = None,
) -> Page[CostlessCall]:
    """List the calls that ended without a known cost, newest first."""
    async with context.transaction() as connection:
        items, following = await budgets.list_unknown_costs(connection, context, page, campaign_id=campaign_id)
    return Page[CostlessCall](items=list(items), next=following)
