"""API routes for campaigns."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict

from outdial.dialer.budgets.limits import read_budgets
from outdial.domain.campaign import CampaignStatus
from outdial.studio.campaigns import actions
from outdial.studio.campaigns import effective_hours as hours
from outdial.studio.campaigns import service as campaigns
from outdial.studio.campaigns.actions import CampaignAction, CampaignActionResult, run_action
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.effective_hours import EffectiveHours, HoursQuestion
from outdial.studio.campaigns.launch import LaunchReport, launch_report
from outdial.studio.campaigns.service import (
    BatchSize,
    Campaign,
    CampaignChanges,
    CampaignDraft,
    CampaignName,
    CampaignProgress,
    CampaignSummary,
)
from outdial.studio.stop.service import ActionReason
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, IfMatch, idempotent_response

router = ApiRouter(prefix="/organizations/{organization_id}/campaigns", tags=["campaigns"])


class CancelRequest(BaseModel):
    """Options for cancelling. With `hang_up`, calls in progress are ended; otherwise they continue."""

    model_config = ConfigDict(extra="forbid")
    hang_up: bool = False


class BatchRequest(BaseModel):
    """Size of the next batch. Default: the campaign's batch size."""

    model_config = ConfigDict(extra="forbid")
    batch_size: BatchSize | None = None


class DuplicateRequest(BaseModel):
    """Name of the new draft, and why, for the audit log. Default: "Copy of" and the name of the campaign."""

    model_config = ConfigDict(extra="forbid")
    name: CampaignName | None = None
    reason: ActionReason = None


@router.get("")
async def list_campaigns(
    context: CurrentOrganization,
    counter: Counter,
    page: PageQuery,
    status: Annotated[CampaignStatus | None, Query(description="Filter by status")] = None,
    name: Annotated[str | None, Query(max_length=200, description="Words of the name")] = None,
    archived: Annotated[bool, Query(description="List the archived campaigns instead of the others")] = False,
) -> Page[CampaignSummary]:
    """List campaigns, newest first, each with its progress and why it is not dialing."""
    async with context.transaction() as connection:
        rows, following = await campaigns.list_campaigns(
            connection, context.organization_id, page, status=status, name=name, is_archived=archived
        )
        now = context.studio.clock.now()
        budgets = await read_budgets(connection, [row.id for row in rows], now)
        progress = await campaigns.progress_of(
            connection, counter, rows, budgets=budgets, rules=context.studio.rules, now=now
        )
    items = [CampaignSummary(**asdict(row), progress=progress[row.id]) for row in rows]
    return Page[CampaignSummary](items=items, next=following)


@router.post("", status_code=201, response_model=Campaign)
async def create_campaign(
    context: CurrentOrganization, request: Request, new: CampaignDraft, key: IdempotencyKey = None
) -> Response:
    """Create a draft. Then import contacts and start it."""
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: campaigns.create_campaign(c, context, new))


@router.post("/effective-hours")
async def evaluate_hours(context: CurrentOrganization, question: HoursQuestion) -> EffectiveHours:
    """Evaluate hours by the calling rules, without saving them: the usual week of each place."""
    async with context.transaction() as connection:
        return await hours.effective_hours(connection, context, question)


@router.get("/{campaign_id}")
async def get_campaign(context: CurrentOrganization, campaign_id: UUID, response: Response) -> Campaign:
    """Return a campaign with its settings. Send its ETag as If-Match when changing them."""
    async with context.transaction() as connection:
        campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
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
    """Change settings. An active campaign keeps agent, purpose, consent, lists and start; the rest applies at once."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await campaigns.change_campaign(connection, context, campaign_id, changes.changes(), if_match)
    response.headers["etag"] = campaign.etag
    return campaign


@router.delete("/{campaign_id}", status_code=204)
async def delete_campaign(context: CurrentOrganization, campaign_id: UUID) -> Response:
    """Delete a draft. A campaign that was scheduled or started can be cancelled instead."""
    context.require("operator")
    async with context.transaction() as connection:
        await actions.delete_campaign(connection, context, campaign_id)
    return Response(status_code=204)


@router.post("/{campaign_id}/duplicate", status_code=201, response_model=Campaign)
async def duplicate_campaign(
    context: CurrentOrganization,
    request: Request,
    campaign_id: UUID,
    options: DuplicateRequest | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Create a draft with the same settings, without contacts and start time."""
    context.require("operator")
    given = options or DuplicateRequest()
    return await idempotent_response(
        context,
        request,
        key,
        lambda c: actions.duplicate_campaign(c, context, campaign_id, name=given.name, reason=given.reason),
    )


@router.get("/{campaign_id}/progress")
async def get_campaign_progress(context: CurrentOrganization, counter: Counter, campaign_id: UUID) -> CampaignProgress:
    """Return the progress of a campaign: counts, outcomes, cost, rate, and why it is not dialing."""
    async with context.transaction() as connection:
        campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
        return await campaigns.campaign_progress(
            connection, counter, campaign, rules=context.studio.rules, now=context.studio.clock.now()
        )


@router.get("/{campaign_id}/launch-report")
async def get_launch_report(context: CurrentOrganization, campaign_id: UUID) -> LaunchReport:
    """Count the pending contacts that the campaign will not call, by reason. Takes seconds for a million contacts."""
    async with context.transaction() as connection:
        return await launch_report(connection, context, campaign_id)


@router.post("/{campaign_id}/start")
async def start_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Start a campaign. A draft with a future start time is scheduled; a scheduled campaign starts now."""
    return await _run(context, campaign_id, "start")


@router.post("/{campaign_id}/pause")
async def pause_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Pause a campaign. It is `pausing` until requests in flight have completed."""
    return await _run(context, campaign_id, "pause")


@router.post("/{campaign_id}/resume")
async def resume_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Resume a paused campaign."""
    return await _run(context, campaign_id, "resume")


@router.post("/{campaign_id}/cancel")
async def cancel_campaign(
    context: CurrentOrganization, campaign_id: UUID, options: CancelRequest | None = None
) -> CampaignActionResult:
    """Cancel a campaign permanently. Pending contacts are not called."""
    return await _run(context, campaign_id, "cancel", hang_up=options is not None and options.hang_up)


@router.post("/{campaign_id}/close")
async def close_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Let a campaign with `keep_open` complete once its contacts are finished."""
    return await _run(context, campaign_id, "close")


@router.post("/{campaign_id}/archive")
async def archive_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Archive a draft or a finished campaign: lists leave it out, and nothing else changes."""
    return await _run(context, campaign_id, "archive")


@router.post("/{campaign_id}/unarchive")
async def unarchive_campaign(context: CurrentOrganization, campaign_id: UUID) -> CampaignActionResult:
    """Unarchive a campaign."""
    return await _run(context, campaign_id, "unarchive")


@router.post("/{campaign_id}/process-batch")
async def process_batch(
    context: CurrentOrganization, campaign_id: UUID, batch: BatchRequest | None = None
) -> CampaignActionResult:
    """Process the next batch of an active campaign now. `batch_size` applies to this batch only."""
    return await _run(context, campaign_id, "process-batch", batch_size=None if batch is None else batch.batch_size)


async def _run(
    context: CurrentOrganization,
    campaign_id: UUID,
    action: CampaignAction,
    *,
    hang_up: bool = False,
    batch_size: int | None = None,
) -> CampaignActionResult:
    context.require("operator")
    async with context.transaction() as connection:
        return await run_action(connection, context, campaign_id, action, hang_up=hang_up, batch_size=batch_size)
