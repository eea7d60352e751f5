"""Launch checks: requesting one, and showing what a dialer has found."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from outdial.db.queries import reports
from outdial.db.queries.dialing import launch_checks
from outdial.db.session import Connection
from outdial.studio.campaigns.launch import COUNTED_AT_ONCE, LaunchReport, launch_report
from outdial.studio.campaigns.service import find_campaign
from outdial.studio.forecasts.service import CampaignForecastRecord, newest_forecast
from outdial.studio.web.context import OrganizationContext


class LaunchFinding(BaseModel):
    """One finding. `code` is key, agent, number, webhooks, variables or voicemail; `level` is ok, warning, problem."""

    code: str
    level: str
    text: str


class LaunchCheck(BaseModel):
    """The last launch check. While `checked_at` is null, no dialer has carried out the newest request."""

    requested_at: datetime | None
    checked_at: datetime | None
    findings: list[LaunchFinding]
    contacts: Annotated[
        LaunchReport | None,
        Field(description="Null with more than 100,000 contacts: GET …/launch-report takes seconds to count them"),
    ]
    forecast: Annotated[CampaignForecastRecord | None, Field(description="The newest; POST …/forecasts makes another")]


async def show_check(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, *, counts_contacts: bool = True
) -> LaunchCheck:
    """Return the last launch check of a campaign; raises ResourceNotFound."""
    await find_campaign(connection, context.organization_id, campaign_id)
    forecast = await newest_forecast(connection, context, campaign_id)
    counts = await reports.count_contacts_by_status(connection, campaign_ids=[campaign_id])
    is_small = counts_contacts and sum(row.contacts for row in counts) <= COUNTED_AT_ONCE
    contacts = await launch_report(connection, context, campaign_id) if is_small else None
    row = await launch_checks.show_launch_check(
        connection, campaign_id=campaign_id, organization_id=context.organization_id
    )
    if row is None:
        return LaunchCheck(requested_at=None, checked_at=None, findings=[], contacts=contacts, forecast=forecast)
    return LaunchCheck(
        requested_at=row.requested_at,
        checked_at=row.checked_at,
        findings=[LaunchFinding(**each) for each in msgspec.json.decode(row.findings)],
        contacts=contacts,
        forecast=forecast,
    )


async def request_check(connection: Connection, context: OrganizationContext, campaign_id: UUID) -> LaunchCheck:
    """Request a launch check; a dialer carries it out within seconds. Raises ResourceNotFound."""
    await find_campaign(connection, context.organization_id, campaign_id)
    await launch_checks.request_launch_check(
        connection,
        campaign_id=campaign_id,
        organization_id=context.organization_id,
        now=context.studio.clock.now(),
    )
    return await show_check(connection, context, campaign_id)
