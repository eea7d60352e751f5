"""Requests test calls: the agent of a campaign calls a phone at once, with the variables of one of its contacts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.db.queries import audit, campaign_status
from outdial.db.queries.dialing import stops, test_call_requests
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id
from outdial.domain.policies.test_calls import ALL_STOPPED, MOST_IN_AN_HOUR, on_do_not_call_list, too_many


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTestCall:
    """Whom to call, in E.164, and the row of the contact whose variables the agent gets, from 1.

    Without `is_own_phone`, the phone is protected like that of a contact: by hours, lists, consent and the hook.
    """

    phone: str
    row: int | None = None
    is_own_phone: bool = False


@dataclass(frozen=True, slots=True)
class RequestedTestCall:
    """A dialer places the call within seconds."""

    id: UUID


@dataclass(frozen=True, slots=True)
class NoSuchRow:
    """The campaign has no contact in this row."""

    row: int


@dataclass(frozen=True, slots=True)
class RejectedTestCall:
    """No test call is possible now; `reason` says what to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooManyRequested:
    """The organization has requested as many test calls as it may; `reason` says when the next one is possible."""

    reason: str
    next_at: datetime


RequestResult = RequestedTestCall | NoSuchRow | RejectedTestCall | TooManyRequested | NotFound | Forbidden


async def request_test_call(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_id: UUID,
    wanted: WantedTestCall,
    by: str,
    actor: Actor,
    now: datetime,
) -> RequestResult:
    """Have a dialer place a test call. Nothing is stored unless the result is RequestedTestCall.

    `by` names the actor to other members. Without `wanted.row`, the first contact of the campaign gives the variables.
    """
    campaign = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if campaign is None or campaign.organization_id != organization_id:
        return NotFound()
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if await stops.is_stopped(connection, organization_id=organization_id):
        return RejectedTestCall(ALL_STOPPED)
    if await test_call_requests.is_blocked(connection, campaign_id=campaign_id, phone=wanted.phone):
        return RejectedTestCall(on_do_not_call_list(wanted.phone))
    contact_id = await test_call_requests.find_row(connection, campaign_id=campaign_id, row=wanted.row or 1)
    if contact_id is None and wanted.row is not None:
        return NoSuchRow(wanted.row)
    test_call_id = new_id(now)
    requested = await test_call_requests.request_test_call(
        connection,
        organization_id=organization_id,
        id=test_call_id,
        campaign_id=campaign_id,
        phone=wanted.phone,
        is_own_phone=wanted.is_own_phone,
        contact_id=contact_id,
        contact_row=None if contact_id is None else wanted.row or 1,
        requested_by=by,
        most=MOST_IN_AN_HOUR,
        now=now,
    )
    if requested is None:
        oldest = await test_call_requests.oldest_of_hour(connection, organization_id=organization_id, now=now)
        next_at = (oldest or now) + timedelta(hours=1)
        return TooManyRequested(too_many(next_at), next_at)
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="request_test_call",
        subject_type="campaign",
        subject_id=str(campaign_id),
        details=encode_json({"test_call_id": test_call_id, "is_own_phone": wanted.is_own_phone}),
    )
    return RequestedTestCall(test_call_id)
