"""API routes for test calls."""

from uuid import UUID

from fastapi import Request, Response

from outdial.studio.campaigns.service import find_campaign
from outdial.studio.test_calls import service as test_calls
from outdial.studio.test_calls.service import CampaignTestCall, NewTestCall
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

router = ApiRouter(prefix="/organizations/{organization_id}/campaigns/{campaign_id}/test-calls", tags=["campaigns"])


@router.get("")
async def list_test_calls(context: CurrentOrganization, campaign_id: UUID) -> list[CampaignTestCall]:
    """List the latest 50 test calls of a campaign, newest first."""
    async with context.transaction() as connection:
        await find_campaign(connection, context.organization_id, campaign_id)
        return await test_calls.list_test_calls(connection, context, campaign_id)


@router.get("/{test_call_id}")
async def get_test_call(context: CurrentOrganization, campaign_id: UUID, test_call_id: UUID) -> CampaignTestCall:
    """Return a test call with its transcript and analysis."""
    async with context.transaction() as connection:
        return await test_calls.show_test_call(connection, context, campaign_id, test_call_id)


@router.post("", status_code=202, response_model=CampaignTestCall)
async def request_test_call(
    context: CurrentOrganization, request: Request, campaign_id: UUID, new: NewTestCall, key: IdempotencyKey = None
) -> Response:
    """Have the campaign's agent call a phone now. A dialer places it within seconds. At most 10 an hour."""
    context.require("operator")
    return await idempotent_response(
        context,
        request,
        key,
        lambda connection: test_calls.create_test_call(connection, context, campaign_id, new),
        status=202,
    )
