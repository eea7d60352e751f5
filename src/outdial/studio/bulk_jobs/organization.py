"""Bulk jobs without a campaign: on all contacts, or all calls, of an organization that match the filters of a list."""

from typing import Annotated, Final, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.errors import InvalidBulkAction
from outdial.campaigns.lifecycle import Forbidden
from outdial.campaigns.operations.bulk_request import BULK_CONTACTS, BulkRefused, BulkRequested
from outdial.campaigns.operations.organization_bulk_request import (
    OrganizationBulkRequest,
    block_all_contacts,
    review_all_calls,
)
from outdial.campaigns.selection import SEARCH_TERMS
from outdial.db.queries.dialing import organization_bulk_jobs
from outdial.db.session import Connection
from outdial.domain.call import CallStatus
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.outcomes import Outcome
from outdial.studio.bulk_jobs.service import BulkJobView, find
from outdial.studio.calls.service import CallFilters, checked_selection, selected_calls
from outdial.studio.contacts.service import ContactSearch, chosen_contacts, contact_search
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict
from outdial.studio.web.filters import StorableTime

MOST: Final = BULK_CONTACTS.most + 1
_Reason = Annotated[str, Field(max_length=LONGEST_DECISION_NOTE, pattern=r"^[^\x00]*$")]
_Text = Annotated[str | None, Field(max_length=200)]
_Number = Annotated[str | None, Field(max_length=40)]


class AllContacts(BaseModel):
    """The filters of the list of all contacts: at most one of them."""

    model_config = ConfigDict(extra="forbid")
    search: _Text = None
    phone: _Number = None
    name: _Text = None
    external_id: _Text = None

    def selection(self) -> ContactSearch:
        """Return the search; raises InvalidInput."""
        return contact_search(self.search, self.phone, self.name, self.external_id)


class AllCalls(BaseModel):
    """The filters of the list of calls."""

    model_config = ConfigDict(extra="forbid")
    campaign_id: UUID | None = None
    status: CallStatus | None = None
    outcome: Outcome | None = None
    is_reviewed: bool | None = None
    since: StorableTime | None = None
    until: StorableTime | None = None
    phone: _Number = None
    search: _Text = None

    def selection(self) -> CallFilters:
        """Return the filters of the list."""
        return CallFilters(**dict(self))


class NewContactsJob(BaseModel):
    """Put the numbers of all contacts that match `filters` on the do-not-call list."""

    model_config = ConfigDict(extra="forbid")
    action: Literal["do_not_call"]
    reason: _Reason
    filters: Annotated[AllContacts, Field(default_factory=AllContacts)]


class NewCallsJob(BaseModel):
    """Mark all calls that match `filters`, and that no one has marked, as reviewed. The reason becomes their note."""

    model_config = ConfigDict(extra="forbid")
    action: Literal["mark_reviewed"]
    reason: _Reason
    filters: Annotated[AllCalls, Field(default_factory=AllCalls)]


NewOrganizationJob = Annotated[NewContactsJob | NewCallsJob, Field(discriminator="action")]


async def create_for_organization(
    connection: Connection, context: OrganizationContext, new: NewContactsJob | NewCallsJob
) -> BulkJobView:
    """Queue a job; raises InvalidInput, ResourceNotFound, and ResourceConflict when nothing is selected."""
    given = new.filters.model_dump(mode="json", exclude_none=True)
    searched = sorted(given.keys() & set(SEARCH_TERMS))
    request = OrganizationBulkRequest(
        reason=new.reason,
        filters={name: value for name, value in given.items() if name not in searched}
        | ({"searched": searched} if searched else {}),
        by=context.caller.display_name,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    try:
        if isinstance(new, NewContactsJob):
            chosen = chosen_contacts(new.filters.selection())
            result = await block_all_contacts(connection, context.organization_id, chosen, request)
        else:
            calls = await checked_selection(connection, context.organization_id, new.filters.selection())
            result = await review_all_calls(connection, context.organization_id, calls, request)
    except InvalidBulkAction as error:
        raise InvalidInput("Check the request", {error.field: error.reason}) from error
    match result:
        case BulkRequested():
            return await find(connection, context, None, result.job_id)
        case BulkRefused(reason):
            raise ResourceConflict(sentence_case(reason))
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)


async def count_contacts(
    connection: Connection, context: OrganizationContext, search: ContactSearch, *, limit: int = MOST
) -> int:
    """Return how many contacts the list has with a search, counted up to `limit`."""
    return await organization_bulk_jobs.count_chosen_contacts(
        connection, organization_id=context.organization_id, limit=limit, **chosen_contacts(search)
    )


async def count_calls(
    connection: Connection, context: OrganizationContext, filters: CallFilters
) -> organization_bulk_jobs.SelectedCallCounts:
    """Return how many calls the list has with filters, counted up to MOST; raises InvalidInput."""
    selection = await selected_calls(connection, context.organization_id, filters)
    return await organization_bulk_jobs.count_selected_calls(
        connection, organization_id=context.organization_id, limit=MOST, **selection
    )
