"""API routes for calling rules."""

from typing import Annotated, Any, Final

from fastapi import Body, Path

from outdial.studio.rules import service as rules
from outdial.studio.rules.service import RuleDetails, RuleQuery, RulesOverview, RuleSwitchRequest
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(prefix="/organizations/{organization_id}/rules", tags=["calling rules"])

_EXAMPLE: Final = {
    "jurisdiction": "ES",
    "purpose": "any",
    "hours": {"weekdays": [["09:00", "21:00"]]},
    "source": "Advice of counsel, 2026-11-01",
    "confidence": "s",
}
RuleId = Annotated[str, Path(max_length=100, pattern=r"^[^\x00]*$", description="Such as US-TX-HOURS")]


@router.get("")
async def list_rules(context: CurrentOrganization, page: PageQuery, filters: RuleQuery) -> Page[RuleDetails]:
    """List the calling rules, ordered by id, including those that are switched off. Not legal advice."""
    async with context.transaction() as connection:
        return await rules.list_rules(connection, context, page, filters)


@router.post("", status_code=201)
async def add_rule(
    context: CurrentOrganization, rule: Annotated[dict[str, Any], Body(examples=[_EXAMPLE])]
) -> RuleDetails:
    """Add a rule of the organization. Rules never change: switch one off, and add another. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await rules.add_rule(connection, context, rule)


@router.get("/overview")
async def get_rules_overview(context: CurrentOrganization) -> RulesOverview:
    """Return what needs attention: contacts in countries without a rule, and rules checked too long ago."""
    async with context.transaction() as connection:
        return await rules.overview(connection, context)


@router.get("/{rule_id}")
async def get_rule(context: CurrentOrganization, rule_id: RuleId) -> RuleDetails:
    """Return a calling rule."""
    async with context.transaction() as connection:
        return await rules.find_rule(connection, context, rule_id)


@router.post("/{rule_id}/switch", status_code=204)
async def switch_rule(context: CurrentOrganization, rule_id: RuleId, change: RuleSwitchRequest) -> None:
    """Switch a rule off or on. ES-NO-RULE lets contacts in Spain be called without a rule. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        await rules.switch_rule(connection, context, rule_id, is_off=change.is_off, reason=change.reason)
