"""Contacts that programs and members add to a campaign, change, skip and retry."""

from datetime import datetime
from typing import Annotated, Any, Required, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model
from typing_extensions import TypedDict

from outdial.campaigns.entries.adding import ItemStatus, add_contacts, count_results
from outdial.campaigns.entries.changing import (
    EntryChanged,
    EntryChanges,
    EntryConflict,
    EntryResult,
    change_entry,
    retry_entry,
    skip_entry,
)
from outdial.campaigns.entries.items import ITEMS, read_not_before, read_priority, read_variables
from outdial.campaigns.errors import UnknownRegion
from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.db.session import Connection
from outdial.domain.contact import rank_of
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from outdial.domain.limits import LONGEST_DECISION_NOTE, PRIORITY
from outdial.studio.campaign_contacts.service import ContactTimeline, find_campaign, show_contact
from outdial.studio.stop.service import ActionReason
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import StorableTime
from outdial.studio.web.openapi import DescribedBy

Reason = Annotated[str, Field(max_length=LONGEST_DECISION_NOTE, pattern=r"^[^\x00]*$")]


class ConsentItem(TypedDict, total=False):
    """What a contact agreed to."""

    basis: Required[str]
    scope: str
    source: str
    text: str
    url: str
    given_at: Required[str]


_TEXTS: Any = dict.fromkeys(CONTACT_FIELD_NAMES, (str | None, None))
ContactItem = create_model(
    "ContactItem",
    __doc__="A contact to add. `phone` is in E.164, or in the national format of `country` or `default_region`.",
    phone=(str, ...),
    **_TEXTS,
    variables=(dict[str, str | float | bool], {}),
    not_before=(datetime | None, None),
    priority=(Annotated[int, Field(ge=PRIORITY.range.least, le=PRIORITY.range.most)], PRIORITY.default),
    consent=(ConsentItem | None, None),
)


class ContactsRequest(BaseModel):
    """Contacts to add. A refused one does not stop the others."""

    model_config = ConfigDict(extra="forbid")
    contacts: Annotated[
        list[Annotated[Any, DescribedBy(ContactItem)]], Field(min_length=ITEMS.least, max_length=ITEMS.most)
    ]
    default_region: Annotated[str | None, Field(max_length=2, examples=["US"])] = None


class ContactItemResult(BaseModel):
    """What became of a contact: added, already there, or refused with a kind and a reason."""

    status: ItemStatus
    campaign_contact_id: UUID | None
    contact_status: str | None
    kind: str | None
    reason: str | None


class ContactsAdded(BaseModel):
    """The results in the order of the request, and how many contacts have each."""

    added: int
    already_there: int
    refused: int
    results: list[ContactItemResult]


class CampaignContactChanges(BaseModel):
    """Changes of a pending contact. A variable with the value null is removed; others keep their value."""

    model_config = ConfigDict(extra="forbid")
    not_before: Annotated[str | None, Field(max_length=40, examples=["2026-12-01T09:00:00Z"])] = None
    priority: Annotated[int | None, Field(description="1 to 9; 9 goes first")] = None
    variables: dict[str, str | int | float | bool | None] | None = None


class RetryRequest(BaseModel):
    """The earliest time of the next call, by default now, and why, for the audit log."""

    model_config = ConfigDict(extra="forbid")
    not_before: StorableTime | None = None
    reason: ActionReason = None


async def add(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, request: ContactsRequest
) -> ContactsAdded:
    """Add contacts to a campaign; raises CampaignNotFound, or CampaignClosed if it accepts none."""
    try:
        results = await add_contacts(
            connection,
            organization_id=context.organization_id,
            campaign_id=campaign_id,
            items=request.contacts,
            region=request.default_region,
            erasure_keys=context.studio.settings.erasure_keys,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except UnknownRegion as error:
        raise InvalidInput(sentence_case(str(error)), {"default_region": str(error)}) from error
    return ContactsAdded(
        **count_results(results),
        results=[ContactItemResult.model_validate(result, from_attributes=True) for result in results],
    )


async def change(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    request: CampaignContactChanges,
) -> ContactTimeline:
    """Change a pending contact; raises InvalidItem, ResourceNotFound, or ResourceConflict with its status."""
    await find_campaign(connection, context.organization_id, campaign_id)
    now = context.studio.clock.now()
    priority = read_priority(request.priority)
    changes = EntryChanges(
        not_before=read_not_before(request.not_before, now),
        rank=None if priority is None else rank_of(priority),
        variables=read_variables(request.variables),
    )
    result = await change_entry(
        connection,
        campaign_id=campaign_id,
        campaign_contact_id=campaign_contact_id,
        changes=changes,
        actor=context.actor,
        now=now,
    )
    return await _timeline(connection, context, campaign_id, campaign_contact_id, result)


async def skip(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    reason: str | None,
) -> ContactTimeline:
    """Skip a pending contact; raises ResourceNotFound, or ResourceConflict with its status."""
    await find_campaign(connection, context.organization_id, campaign_id)
    result = await skip_entry(
        connection,
        campaign_id=campaign_id,
        campaign_contact_id=campaign_contact_id,
        by=context.caller.display_name,
        reason=(reason or "").strip() or None,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    return await _timeline(connection, context, campaign_id, campaign_contact_id, result)


async def retry(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    request: RetryRequest,
) -> ContactTimeline:
    """Make a finished contact pending again; raises InvalidItem, ResourceNotFound, ResourceConflict with a status."""
    await find_campaign(connection, context.organization_id, campaign_id)
    result = await retry_entry(
        connection,
        campaign_id=campaign_id,
        campaign_contact_id=campaign_contact_id,
        not_before=request.not_before,
        reason=request.reason,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    return await _timeline(connection, context, campaign_id, campaign_contact_id, result)


async def _timeline(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    result: EntryResult,
) -> ContactTimeline:
    match result:
        case EntryChanged():
            timeline = await show_contact(
                connection,
                organization_id=context.organization_id,
                campaign_id=campaign_id,
                campaign_contact_id=campaign_contact_id,
                rules=context.studio.rules,
                now=context.studio.clock.now(),
            )
            return timeline.model_copy(update={"act_id": result.act_id})
        case EntryConflict(status, reason):
            raise ResourceConflict(sentence_case(reason), status=status)
        case NotFound():
            raise ResourceNotFound("Contact not found in this campaign")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
