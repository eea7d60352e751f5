"""Bulk jobs: requesting one, its counts, the contacts it has left out, and cancelling it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.errors import CampaignsError, InvalidBulkAction
from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.operations.bulk_request import (
    BulkRefused,
    BulkRequest,
    BulkRequested,
    cancel_bulk_job,
    request_bulk_job,
)
from outdial.campaigns.undoing.acts import act_of_job
from outdial.db.queries.dialing import bulk_jobs
from outdial.db.session import Connection
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.errors import DomainError
from outdial.domain.jobs import BulkJobStatus
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.policies.bulk_action import BulkAction, CampaignJobAction
from outdial.domain.policies.undo import UNDO_WITHIN
from outdial.jobs.csv_cells import CsvBuffer, PlainPhone
from outdial.studio.campaign_contacts.new_campaign import CampaignNameGiven, SelectedContacts
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.view.format import sentence_case
from outdial.studio.view.payloads import decode_object
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import CursorTime, StorableTime
from outdial.studio.web.paging import Page, PageRequest, paginate

_ROWS_OF_FILE: Final = 1_000


class NewBulkJob(BaseModel):
    """An action on all contacts that match `filters`.

    `decide` takes a `decision`. `retry`, and the decision `call_again`, take `call_at`: the earliest time of the next
    call, default now. `new_campaign` takes the name of the campaign.
    """

    model_config = ConfigDict(extra="forbid")
    action: CampaignJobAction
    reason: Annotated[str, Field(max_length=LONGEST_DECISION_NOTE, pattern=r"^[^\x00]*$")]
    filters: Annotated[SelectedContacts, Field(default_factory=SelectedContacts)]
    decision: ReviewDecision | None = None
    call_at: StorableTime | None = None
    campaign_name: CampaignNameGiven = None


class BulkJobView(BaseModel):
    """A bulk job. `selected` contacts matched when it was requested; `done` and `left_out` count while it works.

    `other_status` counts contacts that matched, but to which the action does not apply. Of a search, `filters` keep
    only the names of the fields. A job that `undoes` another one has its contacts.
    """

    id: UUID
    campaign_id: Annotated[UUID | None, Field(description="Null: it acts on contacts, or calls, of all campaigns")]
    action: BulkAction
    decision: ReviewDecision | None
    reason: str
    call_at: datetime | None
    filters: dict[str, Any]
    new_campaign_id: UUID | None
    undoes: UUID | None
    status: BulkJobStatus
    selected: int
    other_status: int
    done: int
    left_out: int
    error: str | None
    requested_by: str
    created_at: datetime
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether the job is still waiting or at work."""
        return self.status in (BulkJobStatus.QUEUED, BulkJobStatus.RUNNING)

    @property
    def can_be_undone(self) -> bool:
        """Whether what the job does is an act, which can be undone for an hour."""
        return act_of_job(self.action, self.decision, self.selected) is not None


class LeftOutContact(BaseModel):
    """A contact that a bulk job has not acted on, and why. `status` is the present one, null once it is removed.

    In a job without a campaign, the id is that of a contact, or of a call.
    """

    campaign_contact_id: UUID
    phone: str | None
    name: str | None
    status: ContactStatus | None
    kind: str
    reason: str


async def create(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, new: NewBulkJob
) -> BulkJobView:
    """Queue a job; raises InvalidInput, ResourceNotFound, and ResourceConflict when no contact is selected."""
    await find_campaign(connection, context.organization_id, campaign_id)
    try:
        result = await request_bulk_job(
            connection,
            campaign_id=campaign_id,
            request=BulkRequest(
                action=new.action,
                selection=new.filters.selection(),
                reason=new.reason,
                decision=new.decision,
                call_at=new.call_at,
                campaign_name=new.campaign_name,
            ),
            by=context.caller.display_name,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except InvalidBulkAction as error:
        raise InvalidInput("Check the request", {error.field: error.reason}) from error
    except (CampaignsError, DomainError) as error:
        raise InvalidInput(sentence_case(str(error)), {}) from error
    match result:
        case BulkRequested():
            return await find(connection, context, campaign_id, result.job_id)
        case BulkRefused(reason):
            raise ResourceConflict(sentence_case(reason))
        case NotFound():
            raise ResourceNotFound("Campaign not found")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)


async def find(
    connection: Connection, context: OrganizationContext, campaign_id: UUID | None, bulk_job_id: UUID
) -> BulkJobView:
    """Return a bulk job of a campaign, or any of the organization; raises ResourceNotFound."""
    row = await bulk_jobs.show_bulk_job(connection, bulk_job_id=bulk_job_id, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("Bulk job not found")
    if campaign_id not in (None, row.campaign_id):
        raise ResourceNotFound("Bulk job not found in this campaign")
    return _view(row)


async def list_jobs(
    connection: Connection, context: OrganizationContext, campaign_id: UUID | None, page: PageRequest
) -> Page[BulkJobView]:
    """Return a page of the bulk jobs of a campaign, or of those without one, newest first."""
    after = page.key(tuple[CursorTime, UUID]) or (None, None)
    rows = await bulk_jobs.list_bulk_jobs(
        connection,
        campaign_id=campaign_id,
        organization_id=context.organization_id,
        after_at=after[0],
        after_id=after[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.created_at, row.id])
    return Page(items=[_view(row) for row in shown], next=following)


async def latest_change(connection: Connection, context: OrganizationContext, action: BulkAction) -> BulkJobView | None:
    """Return the newest job of a kind without a campaign that is at work, or was requested within the last hour."""
    row = await bulk_jobs.latest_change(
        connection,
        organization_id=context.organization_id,
        action=action,
        since=context.studio.clock.now() - UNDO_WITHIN,
    )
    return None if row is None else _view(row)


async def list_left_out(
    connection: Connection, context: OrganizationContext, bulk_job_id: UUID, page: PageRequest
) -> Page[LeftOutContact]:
    """Return a page of the contacts that a bulk job has left out."""
    key = page.key(tuple[UUID])
    rows = await bulk_jobs.list_left_out(
        connection,
        bulk_job_id=bulk_job_id,
        organization_id=context.organization_id,
        after_id=None if key is None else key[0],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.id])
    items = [
        LeftOutContact(
            campaign_contact_id=row.id,
            phone=row.phone,
            name=row.name,
            status=None if row.status is None else ContactStatus(row.status),
            kind=row.kind,
            reason=row.reason,
        )
        for row in shown
    ]
    return Page(items=items, next=following)


async def left_out_csv(context: OrganizationContext, bulk_job_id: UUID) -> AsyncIterator[bytes]:
    """Yield, as CSV, the rows that a bulk job has left out. Each page of rows is read in its own transaction."""
    text = CsvBuffer(["id", "phone", "name", "reason"])
    request = PageRequest(None, _ROWS_OF_FILE)
    while True:
        async with context.transaction() as connection:
            found = await list_left_out(connection, context, bulk_job_id, request)
        for row in found.items:
            text.add([row.campaign_contact_id, PlainPhone(row.phone or ""), row.name, row.reason])
        yield text.take()
        if found.next is None:
            return
        request = PageRequest(found.next, _ROWS_OF_FILE)


async def cancel(
    connection: Connection, context: OrganizationContext, campaign_id: UUID | None, bulk_job_id: UUID
) -> BulkJobView:
    """Cancel an unfinished job; raises ResourceNotFound and ResourceConflict."""
    found = await find(connection, context, campaign_id, bulk_job_id)
    if found.status is BulkJobStatus.CANCELLED:
        return found
    if not await cancel_bulk_job(
        connection,
        organization_id=context.organization_id,
        bulk_job_id=bulk_job_id,
        actor=context.actor,
        now=context.studio.clock.now(),
    ):
        found = await find(connection, context, campaign_id, bulk_job_id)
        raise ResourceConflict(f"The job is already {found.status}", status=found.status)
    return await find(connection, context, campaign_id, bulk_job_id)


def _view(row: bulk_jobs.BulkJobRow) -> BulkJobView:
    kept = {name: getattr(row, name) for name in BulkJobView.model_fields if name not in ("filters", "new_campaign_id")}
    return BulkJobView(**kept, filters=decode_object(row.filters), new_campaign_id=row.copy_id)
