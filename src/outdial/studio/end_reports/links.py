"""Links that show the report of a campaign to people without an account, until they expire or are revoked."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.results.report import FORMAT, EndReport, decode_report
from outdial.db.queries.results import report as queries
from outdial.db.session import Connection
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.ids import new_id
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext, StudioState
from outdial.studio.web.errors import ResourceConflict, ResourceNotFound
from outdial.studio.web.signed_links import sign_link, token_digest

LONGEST_DAYS: Final = 90
DEFAULT_DAYS: Final = 30
MOST_LINKS: Final = 20
LINK_ENDED: Final = "This link has expired or was revoked. Ask for a new one."
_PURPOSE: Final = "report links"


class NewReportLink(BaseModel):
    """How many days the link works."""

    model_config = ConfigDict(extra="forbid")
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = DEFAULT_DAYS


class ReportLink(BaseModel):
    """A link to the report of a campaign, as a path of the studio. It is null when the studio's secret has changed."""

    id: UUID
    path: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedReport:
    """The report that a link leads to; it is None while the report is added up."""

    organization_name: str
    expires_at: datetime
    report: EndReport | None = field(repr=False)


async def create_link(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, new: NewReportLink
) -> ReportLink:
    """Make a link to the report of a campaign that has ended; raises ResourceNotFound and ResourceConflict."""
    campaign = await find_campaign(connection, context.organization_id, campaign_id)
    if CampaignStatus(campaign.status) not in CAMPAIGN.final:
        raise ResourceConflict("The report can be shared once the campaign has ended")
    now = context.studio.clock.now()
    if (
        await queries.count_report_links(
            connection, organization_id=context.organization_id, campaign_id=campaign_id, now=now
        )
        >= MOST_LINKS
    ):
        raise ResourceConflict(f"A report has at most {MOST_LINKS} links: revoke one first")
    link_id, expires_at = new_id(now), now + timedelta(days=new.days)
    token = sign_link(_PURPOSE, context.studio.settings.secrets[0], link_id)
    await queries.create_report_link(
        connection,
        id=link_id,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        token_sha256=token_digest(token),
        created_by=context.actor.name,
        created_at=now,
        expires_at=expires_at,
    )
    details = {"link_id": str(link_id), "expires_at": expires_at}
    await record_audit(connection, context, "share_report", "campaign", campaign_id, details)
    return ReportLink(id=link_id, path=_path(token), created_at=now, expires_at=expires_at)


async def list_links(connection: Connection, context: OrganizationContext, campaign_id: UUID) -> list[ReportLink]:
    """Return the links of a campaign that still work, newest first."""
    rows = await queries.list_report_links(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        now=context.studio.clock.now(),
    )
    links = []
    for row in rows:
        tokens = [sign_link(_PURPOSE, secret, row.id) for secret in context.studio.settings.secrets]
        token = next((token for token in tokens if token_digest(token) == row.token_sha256), None)
        path = None if token is None else _path(token)
        links.append(ReportLink(id=row.id, path=path, created_at=row.created_at, expires_at=row.expires_at))
    return links


async def revoke_link(connection: Connection, context: OrganizationContext, campaign_id: UUID, link_id: UUID) -> None:
    """End a link; raises ResourceNotFound for one that is gone."""
    revoked = await queries.delete_report_link(
        connection, organization_id=context.organization_id, campaign_id=campaign_id, id=link_id
    )
    if revoked is None:
        raise ResourceNotFound("Link not found: it has already been revoked")
    await record_audit(connection, context, "revoke_report_link", "campaign", campaign_id, {"link_id": str(link_id)})


async def open_link(studio: StudioState, token: str) -> SharedReport:
    """Return the report of a link; raises ResourceNotFound for one that has expired or was revoked."""
    async with studio.database.as_service() as connection:
        row = await queries.shared_report(
            connection, token_sha256=token_digest(token), format=FORMAT, now=studio.clock.now()
        )
    # A member may insert rows past the studio: a hash alone does not show that the studio has made the link.
    if row is None or not any(
        hmac.compare_digest(token.encode(), sign_link(_PURPOSE, secret, row.id).encode())
        for secret in studio.settings.secrets
    ):
        raise ResourceNotFound(LINK_ENDED)
    return SharedReport(
        organization_name=row.organization_name,
        expires_at=row.expires_at,
        report=None if row.report is None else decode_report(row.report),
    )


def _path(token: str) -> str:
    return f"/shared/reports/{token}"
