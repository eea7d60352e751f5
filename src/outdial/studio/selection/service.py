"""Acts on contacts that are selected by their ids, at once."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.errors import InvalidBulkAction
from outdial.campaigns.lifecycle import Forbidden
from outdial.campaigns.operations.selected import (
    PlannedSelection,
    SelectedDone,
    SelectedRequest,
    act_on_selected,
    plan_selection,
)
from outdial.campaigns.selection import MOST_TICKED
from outdial.db.session import Connection
from outdial.domain.policies.bulk_action import SelectedContact
from outdial.domain.policies.selection import SelectedAction
from outdial.studio.stop.service import ActionReason
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied

Seen = Mapping[UUID, SelectedContact]


class SelectedContactsAction(BaseModel):
    """An action on contacts of campaigns, by their ids there.

    `call_again` retries finished contacts and decides so about those in review. `do_not_call` puts the numbers on the
    do-not-call list. `completed` and `failed` decide about contacts in review.
    """

    model_config = ConfigDict(extra="forbid")
    action: SelectedAction
    campaign_contact_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_TICKED)]
    reason: ActionReason = None


class UnchangedContact(BaseModel):
    """A selected contact that was not changed, and why."""

    campaign_contact_id: UUID
    name: str | None
    kind: str
    reason: str


class SelectedContactsChanged(BaseModel):
    """How many contacts were changed, and which were not. The act can be undone; null: nothing was changed."""

    changed: int
    left_out: list[UnchangedContact]
    act_id: UUID | None


async def plan(connection: Connection, context: OrganizationContext, request: SelectedRequest) -> PlannedSelection:
    """Return what an action would do now; raises InvalidInput."""
    try:
        return await plan_selection(connection, context.organization_id, request)
    except InvalidBulkAction as error:
        raise InvalidInput("Check the selection", {error.field: error.reason}) from error


async def act(connection: Connection, context: OrganizationContext, request: SelectedRequest) -> SelectedDone:
    """Act on selected contacts; raises InvalidInput and PermissionDenied."""
    try:
        result = await act_on_selected(
            connection,
            organization_id=context.organization_id,
            request=request,
            by=context.caller.display_name,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except InvalidBulkAction as error:
        raise InvalidInput("Check the selection", {error.field: error.reason}) from error
    if isinstance(result, Forbidden):
        raise PermissionDenied("You need the Operator role to do this")
    return result
