"""Decisions about contacts in review."""

from typing import Annotated, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.review import Decided, Decision, ReviewConflict, decide_review
from outdial.db.session import Connection
from outdial.domain.contact import ReviewDecision
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.campaign_contacts.service import ContactTimeline, find_campaign, show_contact
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import StorableTime


class ReviewRequest(BaseModel):
    """A decision about a contact in review. `never_call` also puts the number on the do-not-call list."""

    model_config = ConfigDict(extra="forbid")
    decision: ReviewDecision
    note: Annotated[str | None, Field(max_length=LONGEST_DECISION_NOTE, pattern=r"^[^\x00]*$")] = None
    call_at: Annotated[
        StorableTime | None, Field(description="Earliest time to call again, default now; calling hours still apply")
    ] = None


async def decide(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    request: ReviewRequest,
) -> ContactTimeline:
    """Decide about a contact; raises InvalidItem, ResourceNotFound, PermissionDenied or ResourceConflict."""
    context.require("operator")
    # A decision finds the contact by id alone: check that its campaign belongs to the organization in the URL.
    await find_campaign(connection, context.organization_id, campaign_id)
    now = context.studio.clock.now()
    result = await decide_review(
        connection,
        campaign_id=campaign_id,
        campaign_contact_id=campaign_contact_id,
        decision=Decision(
            decision=request.decision, note=(request.note or "").strip() or None, call_at=request.call_at
        ),
        actor=context.actor,
        now=now,
    )
    match result:
        case Decided():
            timeline = await show_contact(
                connection,
                organization_id=context.organization_id,
                campaign_id=campaign_id,
                campaign_contact_id=campaign_contact_id,
                rules=context.studio.rules,
                now=now,
            )
            return timeline.model_copy(update={"act_id": result.act_id})
        case ReviewConflict(status, reason):
            raise ResourceConflict(sentence_case(reason), status=status)
        case NotFound():
            raise ResourceNotFound("Contact not found in this campaign")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
