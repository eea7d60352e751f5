"""The contacts in review of all campaigns, which wait for a member's decision."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import reviews
from outdial.db.session import Connection
from outdial.studio.web.paging import Page, PageRequest, paginate


class ContactInReview(BaseModel):
    """A contact in review. `reason` says why, `since` when it was last changed; the call is its last one."""

    model_config = ConfigDict(from_attributes=True)
    campaign_contact_id: Annotated[UUID, Field(validation_alias="id")]
    campaign_id: UUID
    campaign_name: str
    phone: str
    name: str | None
    reason: str | None
    since: datetime
    attempts: int
    call_count: int
    max_attempts: int
    last_outcome: str | None
    call_id: UUID | None
    summary: str | None


async def list_queue(
    connection: Connection, organization_id: UUID, page: PageRequest, campaign_id: UUID | None = None
) -> Page[ContactInReview]:
    """List the contacts in review, in the order in which they were added to their campaigns."""
    after = page.key(tuple[UUID])
    rows = await reviews.review_queue(
        connection,
        organization_id=organization_id,
        campaign_id=campaign_id,
        after_id=None if after is None else after[0],
        limit=page.limit + 1,
    )
    shown, cursor = paginate(rows, page.limit, lambda row: (row.id,))
    return Page(items=[ContactInReview.model_validate(row) for row in shown], next=cursor)
