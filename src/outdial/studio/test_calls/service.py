"""Test calls of a campaign: requesting one, and how it went."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, assert_never
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.operations.test_calls import (
    NoSuchRow,
    RejectedTestCall,
    RequestedTestCall,
    TooManyRequested,
    WantedTestCall,
    request_test_call,
)
from outdial.db.queries.dialing import test_call_requests as queries
from outdial.db.session import Connection
from outdial.domain.limits import LONGEST_PHONE_INPUT
from outdial.domain.policies.test_calls import StatusOfTestCall
from outdial.studio.calls.service import safe_url
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import (
    InvalidInput,
    PermissionDenied,
    ResourceConflict,
    ResourceNotFound,
    TooManyRequests,
)
from outdial.studio.web.filters import full_phone

LIMIT: Final = 50
ANALYSIS_WITHIN: Final = timedelta(minutes=2)
"""Pages wait this long for the analysis of a call that has ended."""
_HIGHEST_ROW: Final = 10_000_000


class NewTestCall(BaseModel):
    """A phone to call now, and the row of the contact whose variables the agent gets, from 1: by default the first one.

    With `is_own_phone`, you state that the phone is yours: hours, screening lists and consent do not apply to it.
    """

    model_config = ConfigDict(extra="forbid")
    to: Annotated[str, Field(max_length=LONGEST_PHONE_INPUT, examples=["+14155550100"])]
    row: Annotated[int | None, Field(ge=1, le=_HIGHEST_ROW)] = None
    is_own_phone: bool = False


class CampaignTestCall(BaseModel):
    """A test call. It is in no count of the campaign.

    `sent` until its end is known; `refused` if no call was made, and `failed` if its end is not known, each with the
    `reason`. `retell_call_id` is null until Retell has confirmed the call.
    """

    id: UUID
    campaign_id: UUID
    phone: str
    is_own_phone: bool
    contact_row: int | None
    status: StatusOfTestCall
    reason: str | None
    requested_by: str
    requested_at: datetime
    from_number: str | None
    sent_at: datetime | None
    retell_call_id: str | None
    outcome: str | None
    disconnection_reason: str | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: float | None
    transcript: str | None
    recording_url: str | None
    public_log_url: str | None
    analysis: dict[str, Any] | None

    def may_change(self, now: datetime) -> bool:
        """Whether a page should wait for news: the call is not over, or its analysis may still come."""
        if self.status in (StatusOfTestCall.REQUESTED, StatusOfTestCall.SENT):
            return True
        return self.ended_at is not None and self.analysis is None and now < self.ended_at + ANALYSIS_WITHIN

    @property
    def summary(self) -> str | None:
        """What the agent's analysis says about the call."""
        found = (self.analysis or {}).get("call_summary")
        return found if isinstance(found, str) else None


async def list_test_calls(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, limit: int = LIMIT
) -> list[CampaignTestCall]:
    """Return the latest test calls of a campaign, newest first."""
    rows = await queries.list_test_calls(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        test_call_id=None,
        limit=limit,
    )
    return [_shown(row, context) for row in rows]


async def show_test_call(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, test_call_id: UUID
) -> CampaignTestCall:
    """Return a test call; raises ResourceNotFound."""
    rows = await queries.list_test_calls(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        test_call_id=test_call_id,
        limit=1,
    )
    if not rows:
        raise ResourceNotFound("Test call not found")
    return _shown(rows[0], context)


async def create_test_call(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, new: NewTestCall
) -> CampaignTestCall:
    """Request a test call, which a dialer places within seconds.

    Raises InvalidInput, PermissionDenied, ResourceNotFound, ResourceConflict and TooManyRequests. Each says what to do.
    """
    phone = full_phone("to", new.to)
    now = context.studio.clock.now()
    result = await request_test_call(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        wanted=WantedTestCall(phone=phone, row=new.row, is_own_phone=new.is_own_phone),
        by=context.caller.display_name,
        actor=context.actor,
        now=now,
    )
    match result:
        case RequestedTestCall(test_call_id):
            return await show_test_call(connection, context, campaign_id, test_call_id)
        case NoSuchRow(row):
            raise InvalidInput(
                "Invalid row",
                {"row": f"the campaign has no row {row}: choose a row of its contacts, or leave it empty"},
            )
        case RejectedTestCall(reason):
            raise ResourceConflict(f"No test call is possible: {reason}")
        case TooManyRequested(reason, next_at):
            seconds = max(1, round((next_at - now).total_seconds()))
            raise TooManyRequests(f"No test call is possible: {reason}", headers={"retry-after": str(seconds)})
        case NotFound():
            raise ResourceNotFound("Campaign not found")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)


def _shown(row: queries.TestCallRow, context: OrganizationContext) -> CampaignTestCall:
    recordings = context.studio.settings.recordings
    given = {
        "analysis": None if row.analysis is None else msgspec.json.decode(row.analysis),
        "recording_url": safe_url(row.recording_url, recordings),
        "public_log_url": safe_url(row.public_log_url, recordings),
    }
    return CampaignTestCall.model_validate({name: getattr(row, name) for name in CampaignTestCall.model_fields} | given)
