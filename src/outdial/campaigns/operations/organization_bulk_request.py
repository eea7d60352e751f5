"""Requests an action on all contacts, or all calls, of an organization that match a filter. A job carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, may_run
from outdial.campaigns.operations.bulk_request import (
    BULK_CONTACTS,
    PORTION_SIZE,
    BulkRefused,
    BulkRequested,
    check_reason,
    queue_bulk_job,
    record_bulk_job,
)
from outdial.campaigns.undoing.acts import record_act
from outdial.db.queries.dialing import organization_bulk_jobs
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id
from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.undo import MOST_UNDONE, ActKind

OrganizationBulkResult = BulkRequested | BulkRefused | Forbidden


class ChosenContacts(TypedDict):
    """The filters of the list of all contacts, as the parameters of queries; None where they do not filter."""

    contact_ids: list[UUID] | None
    first_phone: str | None
    last_phone: str | None
    name: str | None
    last_text: str
    external_id: str | None
    words: list[str] | None
    digits: str | None


class SelectedCalls(TypedDict):
    """The filters of the list of calls, as the parameters of queries; None where they do not filter."""

    campaign_id: UUID | None
    status: str | None
    outcome: str | None
    is_reviewed: bool | None
    since: datetime | None
    until: datetime | None
    first_phone: str | None
    last_phone: str | None
    contact_ids: list[UUID] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationBulkRequest:
    """Who requests a job and why. `filters` are stored: of a search only the name, because it may name a person."""

    reason: str
    filters: Mapping[str, object]
    by: str
    actor: Actor
    now: datetime


async def block_all_contacts(
    connection: Connection, organization_id: UUID, chosen: ChosenContacts, request: OrganizationBulkRequest
) -> OrganizationBulkResult:
    """Queue a job that puts the numbers of the contacts that match now on the do-not-call list.

    Raises InvalidBulkAction.
    """
    reason = check_reason(request.reason)
    if not await may_run(connection, organization_id, request.actor):
        return Forbidden()
    matching = await organization_bulk_jobs.count_chosen_contacts(
        connection, organization_id=organization_id, limit=BULK_CONTACTS.most + 1, **chosen
    )
    if (refused := _refusal(matching, "contact")) is not None:
        return refused
    job_id = new_id(request.now)
    selected = await organization_bulk_jobs.create_contacts_job(
        connection,
        id=job_id,
        organization_id=organization_id,
        reason=reason,
        filters=encode_json(request.filters),
        portion_size=PORTION_SIZE,
        most=BULK_CONTACTS.most,
        created_by=request.actor.user_id,
        requested_by=request.by,
        now=request.now,
        **chosen,
    )
    await _record_act(connection, organization_id, job_id, ActKind.LIST, selected, request.now)
    await _record(connection, organization_id, job_id, BulkAction.DO_NOT_CALL, selected, request)
    return BulkRequested(job_id=job_id, selected=selected, other_status=0)


async def review_all_calls(
    connection: Connection, organization_id: UUID, selection: SelectedCalls, request: OrganizationBulkRequest
) -> OrganizationBulkResult:
    """Queue a job that marks the calls that match now, and that no one has marked, as reviewed.

    Raises InvalidBulkAction.
    """
    reason = check_reason(request.reason)
    if not await may_run(connection, organization_id, request.actor):
        return Forbidden()
    counts = await organization_bulk_jobs.count_selected_calls(
        connection, organization_id=organization_id, limit=BULK_CONTACTS.most + 1, **selection
    )
    if (refused := _refusal(counts.calls, "call")) is not None:
        return refused
    if counts.calls == counts.reviewed:
        return BulkRefused("all calls that match are marked as reviewed: change the filter")
    job_id = new_id(request.now)
    stored = await organization_bulk_jobs.create_calls_job(
        connection,
        id=job_id,
        organization_id=organization_id,
        reason=reason,
        filters=encode_json(request.filters),
        portion_size=PORTION_SIZE,
        created_by=request.actor.user_id,
        requested_by=request.by,
        now=request.now,
        **selection,
    )
    await _record_act(connection, organization_id, job_id, ActKind.REVIEW, stored.selected, request.now)
    await _record(connection, organization_id, job_id, BulkAction.MARK_REVIEWED, stored.selected, request)
    return BulkRequested(job_id=job_id, selected=stored.selected, other_status=stored.other_status)


def _refusal(matching: int, noun: str) -> BulkRefused | None:
    if not matching:
        return BulkRefused(f"no {noun} matches: change the filter")
    if matching > BULK_CONTACTS.most:
        return BulkRefused(f"more than {BULK_CONTACTS.most:,} {noun}s match: narrow the filter")
    return None


async def _record_act(
    connection: Connection, organization_id: UUID, job_id: UUID, kind: ActKind, selected: int, now: datetime
) -> None:
    """Store that the job is an act, if it can be undone."""
    if selected <= MOST_UNDONE:
        await record_act(connection, organization_id=organization_id, kind=kind, now=now, act_id=job_id, is_bulk=True)


async def _record(
    connection: Connection,
    organization_id: UUID,
    job_id: UUID,
    action: BulkAction,
    selected: int,
    request: OrganizationBulkRequest,
) -> None:
    await record_bulk_job(
        connection,
        organization_id=organization_id,
        campaign_id=None,
        job_id=job_id,
        actor=request.actor,
        action=f"bulk_{action}",
        details={"reason": request.reason.strip(), "filters": request.filters, "selected": selected},
    )
    await queue_bulk_job(connection, organization_id, job_id)
