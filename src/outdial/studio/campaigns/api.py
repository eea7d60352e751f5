"""Routes of the API for campaigns."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from outdial.domain.campaign import CampaignStatus
from outdial.studio.campaigns import service as resource
from outdial.studio.campaigns.actions import CampaignAction, CampaignActionResult, run_action
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.service import (
    Campaign,
    CampaignChanges,
    CampaignDraft,
    CampaignProgress,
    CampaignSummary,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, IfMatch, idempotent_response

router = APIRouter(prefix="/organizations/{organization_id}/campaigns", tags=["campaigns"])


class CancelRequest(BaseModel):
    """How a campaign is cancelled: calls under way end by themselves, or are ended."""

    model_config = ConfigDict(extra="forbid")
    hang_up: bool = False


class BatchRequest(BaseModel):
    """How many calls the next batch may have; the campaign's own size when it is left out."""

    model_config = ConfigDict(extra="forbid")
    batch_size: Annotated[int | None, Field(ge=1, le=1000)] = None


@router.get("")
async def list_campaigns(
    context: CurrentOrganization,
    counter: Counter,
    page: PageQuery,
    status: Annotated[CampaignStatus | None, Query(description="Only campaigns that stand so")] = None,
    name: Annotated[str | None, Query(max_length=200, description="Only campaigns with this in their name")] = None,
) -> Page[CampaignSummary]:
    """List campaigns, the newest first, each with how far it is and why it is not dialing."""
    async with context.transaction() as connection:
        return await resource.list_campaigns(
            connection, counter, context.organization_id, page, context.studio.clock.now(), status=status, name=name
        )


@router.post("", status_code=201, response_model=Campaign)
async def create_campaign(
    context: CurrentOrganization, request: Request, new: CampaignDraft, key: IdempotencyKey = None
) -> Response:
    """Create a draft. Import contacts into it, then start it."""
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: resource.create_campaign(c, context, new))


@router.get("/{campaign_id}")
async def get_campaign(context: CurrentOrganization, campaign_id: UUID, response: Response) -> Campaign:
    """Return a campaign with its settings; the ETag is what a change of them may name in If-Match."""
    async with context.transaction() as connection:
        campaign = await resource.find_campaign(connection, context.organization_id, campaign_id)
    response.headers["etag"] = campaign.etag
    return campaign


@router.patch("/{campaign_id}")
async def change_campaign(
    context: CurrentOrganization,
    campaign_id: UUID,
    changes: CampaignChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Campaign:
    """Change settings of a draft, a scheduled or a paused campaign."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await resource.change_campaign(connection, context, campaign_id, changes.changes(), if_match)
    response.headers["etag"] = campaign.etag
    return campaign


@router.get("/{campaign_id}/progress")
async def get_progress(context: CurrentOrganization, counter: Counter, campaign_id: UUID) -> CampaignProgress:
    """Return how far a campaign is: counts, outcomes, cost, rate, time left, and why it is not dialing."""
    async with context.transaction() as connection:
        campaign = await resource.find_campaign(connection, context.organization_id, campaign_id)
        return await resource.campaign_progress(connection, counter, campaign, context.studio.clock.now())


@router.post("/{campaign_id}/start")
async def start_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Start a draft, or schedule it when its time has not come; a scheduled campaign starts at once."""
    return await _take(context, campaign_id, "start")


@router.post("/{campaign_id}/pause")
async def pause_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Stop placing calls; the campaign is `pausing` until the requests in flight are answered."""
    return await _take(context, campaign_id, "pause")


@router.post("/{campaign_id}/resume")
async def resume_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Let a paused campaign go on."""
    return await _take(context, campaign_id, "resume")


@router.post("/{campaign_id}/cancel")
async def cancel_campaign(
    context: CurrentOrganization, campaign_id: UUID, how: CancelRequest | None = None
) -> CampaignActionResult:
    """End a campaign for good; contacts that wait are not called any more."""
    return await _take(context, campaign_id, "cancel", hang_up=how is not None and how.hang_up)


@router.post("/{campaign_id}/process-batch")
async def process_batch(
    context: CurrentOrganization, campaign_id: UUID, asked: BatchRequest | None = None
) -> CampaignActionResult:
    """Let the dialer look at an active campaign now, once with another batch size where one is given."""
    return await _take(context, campaign_id, "process-batch", batch_size=None if asked is None else asked.batch_size)


async def _take(
    context: CurrentOrganization,
    campaign_id: UUID,
    step: CampaignAction,
    *,
    hang_up: bool = False,
    batch_size: int | None = None,
) -> CampaignActionResult:
    context.require("operator")
    async with context.transaction() as connection:
        return await run_action(connection, context, campaign_id, step, hang_up=hang_up, batch_size=batch_size)
