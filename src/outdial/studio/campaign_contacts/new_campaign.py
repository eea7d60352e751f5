"""Makes a new campaign from contacts of another one."""

from typing import Annotated, assert_never
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.errors import CampaignsError
from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.operations.new_campaign import ContactsCopied, NothingToCall, copy_to_new_campaign
from outdial.campaigns.selection import MOST_TICKED, SELECTION_FILTERS, ContactSelection
from outdial.db.session import Connection
from outdial.domain.contact import ContactStatus, FinalContactStatus
from outdial.domain.errors import DomainError
from outdial.domain.limits import LONGEST_NAME
from outdial.domain.outcomes import Outcome
from outdial.studio.campaign_contacts.service import REACHED_MEANS, ContactFilters, check_filters, find_campaign
from outdial.studio.stop.service import ActionReason
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict, ResourceNotFound

Term = Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]*$")]


CampaignNameGiven = Annotated[str | None, Field(max_length=LONGEST_NAME, pattern=r"^[^\x00]*\S[^\x00]*$")]


Reached = Annotated[bool | None, Field(description=REACHED_MEANS)]


class _ContactFilters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    outcome: Outcome | None = None
    reached: Reached = None
    search: Term = None
    phone: Term = None
    phone_ends: Term = None
    name: Term = None
    external_id: Term = None
    ids: Annotated[list[UUID] | None, Field(max_length=MOST_TICKED, description="Ids in the campaign")] = None

    def selection(self) -> ContactSelection:
        """Return the filters as the list of contacts reads them; raises InvalidInput."""
        given = {name: getattr(self, name) for name in SELECTION_FILTERS}
        selection = check_filters(ContactFilters(**given)).selection()
        return selection if self.ids is None else msgspec.structs.replace(selection, ids=tuple(self.ids))


class SelectedContacts(_ContactFilters):
    """Filters of the contact list. All contacts match when none is set."""

    status: ContactStatus | None = None


class NewCampaignRequest(_ContactFilters):
    """Which contacts the new campaign calls, by the filters of the list, its name, and why, for the audit log.

    Contacts that the campaign is not done with are left out, so `status` takes final ones only.
    """

    status: FinalContactStatus | None = None
    campaign_name: CampaignNameGiven = None
    reason: ActionReason = None


class CampaignOfContacts(BaseModel):
    """The new draft. `left_out` counts selected contacts that the first campaign is not done with."""

    campaign_id: UUID
    name: str
    added: int
    left_out: int


async def create_from_contacts(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, request: NewCampaignRequest
) -> CampaignOfContacts:
    """Create a draft with the selected contacts that have a final status.

    Raises InvalidInput, ResourceNotFound, or ResourceConflict when no contact is selected, or too many are.
    """
    await find_campaign(connection, context.organization_id, campaign_id)
    try:
        result = await copy_to_new_campaign(
            connection,
            campaign_id=campaign_id,
            selection=request.selection(),
            name=request.campaign_name,
            reason=request.reason,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except (CampaignsError, DomainError) as error:
        raise InvalidInput(sentence_case(str(error)), {}) from error
    match result:
        case ContactsCopied():
            return CampaignOfContacts.model_validate(result, from_attributes=True)
        case NothingToCall(reason):
            raise ResourceConflict(sentence_case(reason))
        case NotFound():
            raise ResourceNotFound("Campaign not found")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
