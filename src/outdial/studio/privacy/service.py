"""Retention of personal data, erasures, and the export of a person's data."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from outdial.campaigns.erasure import ErasureRefused, confirm_deletions, request_erasure, wake_campaigns
from outdial.campaigns.errors import ErasureKeyMissing, InvalidRetention
from outdial.campaigns.retention import change_retention as store_retention
from outdial.campaigns.retention import read_retention
from outdial.campaigns.retention_policy import CALL_DAYS, EVENT_DAYS, RECORDING_DAYS, TRANSCRIPT_DAYS, RetentionPolicy
from outdial.campaigns.subject import export_subject
from outdial.db.queries import erasures
from outdial.db.queries.compliance import erasure_calls
from outdial.db.rows import required
from outdial.db.session import Connection
from outdial.domain import limits
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import Region
from outdial.studio.web.paging import Page, PageRequest, paginate
from outdial.studio.web.preconditions import STALE, check_if_match, etag_of

MOST_UNREACHED: Final = 500


class Retention(BaseModel):
    """Days that each kind of data is kept; null keeps it. A legal hold stops every removal and erasure."""

    transcript_days: int | None
    recording_days: int | None
    event_days: int | None
    call_days: int | None
    legal_hold: bool
    legal_hold_reason: str | None
    etag: str


class RetentionChanges(BaseModel):
    """Fields to change; omitted fields keep their value, null keeps the data."""

    model_config = ConfigDict(extra="forbid")
    transcript_days: Annotated[int | None, Field(description=TRANSCRIPT_DAYS.hint, default_factory=lambda: None)]
    recording_days: Annotated[int | None, Field(description=RECORDING_DAYS.hint, default_factory=lambda: None)]
    event_days: Annotated[int | None, Field(description=EVENT_DAYS.hint, default_factory=lambda: None)]
    call_days: Annotated[int | None, Field(description=CALL_DAYS.hint, default_factory=lambda: None)]
    legal_hold: Annotated[bool, Field(default_factory=lambda: False)]
    legal_hold_reason: Annotated[
        str | None, Field(max_length=1000, pattern=r"^[^\x00]*$", description="Why", default_factory=lambda: None)
    ]


class SubjectPhone(BaseModel):
    """A phone number, in E.164 or in the national format of `default_region`."""

    model_config = ConfigDict(extra="forbid")
    phone: Annotated[str, Field(max_length=limits.LONGEST_PHONE_INPUT, examples=["+14155550100"])]
    default_region: Region = None


UnreachedReason = Literal["former_workspace", "unclear_workspace", "no_key"]


class UnreachedCall(BaseModel):
    """A call that an admin has to delete at Retell. Retell knows it by its id, or by `call_id` in the call's metadata.

    With the reason `former_workspace`, it is in a workspace whose key Outdial no longer has. With `unclear_workspace`,
    it was placed while the key was changed, and the workspace of the key in use does not have it. With `no_key`, its
    account has no key.
    """

    reason: UnreachedReason
    workspace_name: str | None
    retell_call_id: str | None
    call_id: UUID | None


class Erasure(BaseModel):
    """An erasure and what remains of it.

    `swept_at` says when the number was gone from here, `waiting_for` what keeps it, and `finished_at` when the deletion
    of all `calls` at Retell was confirmed. No key reaches `calls_out_of_reach`: enter that of their workspace, or
    delete them at Retell and confirm that. `out_of_reach` lists them, at most 500 of all erasures of a response, and
    `out_of_reach_until` is when the last one was found to be out of reach. `finished_without_proof_at` is when the
    erasure was reported as finished by mistake. `removed` counts what was removed by place.
    """

    id: UUID
    requested_by: str
    requested_at: datetime
    waiting_for: str | None
    removed: dict[str, int]
    swept_at: datetime | None
    finished_at: datetime | None
    finished_without_proof_at: datetime | None
    calls: int
    calls_deleted: int
    calls_out_of_reach: int
    out_of_reach_until: datetime | None
    out_of_reach: list[UnreachedCall]
    last_error: str | None


class ConfirmedDeletions(BaseModel):
    """Which calls are deleted at Retell: those that were out of reach at `until`, the `out_of_reach_until` you read."""

    model_config = ConfigDict(extra="forbid")
    until: AwareDatetime


async def show_retention(connection: Connection, context: OrganizationContext) -> Retention:
    """Return how long the organization keeps personal data."""
    policy = await _policy(connection, context)
    return Retention(**asdict(policy), etag=_etag(context, policy))


async def change_retention(
    connection: Connection, context: OrganizationContext, changes: Mapping[str, Any], if_match: str | None
) -> Retention:
    """Change how long the organization keeps personal data.

    Raises InvalidInput, and PreconditionFailed when someone else changed it first.
    """
    context.require("admin")
    former = await _policy(connection, context)
    check_if_match(if_match, _etag(context, former))
    wanted = replace(former, **changes)
    if not wanted.legal_hold and "legal_hold_reason" not in changes:
        wanted = replace(wanted, legal_hold_reason=None)
    try:
        done = await store_retention(connection, context.organization_id, former, wanted, context.actor)
    except InvalidRetention as error:
        raise InvalidInput("Invalid retention", error.problems) from None
    if not done:
        raise PreconditionFailed(STALE)
    return await show_retention(connection, context)


async def list_erasures(
    connection: Connection, context: OrganizationContext, page: PageRequest, most_unreached: int = MOST_UNREACHED
) -> Page[Erasure]:
    """Return a page of erasures, newest first, which lists at most `most_unreached` calls that are out of reach."""
    after = page.key(tuple[datetime, UUID]) or (None, None)
    rows = await erasures.list_erasures(
        connection,
        organization_id=context.organization_id,
        after_at=after[0],
        after_id=after[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: [row.requested_at, row.id])
    unreached = await _unreached(connection, context, shown, most_unreached)
    return Page(items=[_erasure(row, unreached[row.id]) for row in shown], next=following)


async def find_erasure(connection: Connection, context: OrganizationContext, erasure_id: UUID) -> Erasure:
    """Return an erasure; raises ResourceNotFound."""
    row = await erasures.show_erasure(connection, organization_id=context.organization_id, erasure_id=erasure_id)
    if row is None:
        raise ResourceNotFound("Erasure not found")
    return _erasure(row, (await _unreached(connection, context, [row]))[row.id])


async def confirm(
    connection: Connection, context: OrganizationContext, erasure_id: UUID, confirmed: ConfirmedDeletions
) -> tuple[int, Erasure]:
    """Store that calls of an erasure that are out of reach are deleted at Retell; return how many, and the erasure.

    Calls that were out of reach only after `until` were not shown to the admin, and stay unconfirmed. Raises
    ResourceNotFound.
    """
    context.require("admin")
    await find_erasure(connection, context, erasure_id)
    now = context.studio.clock.now()
    number = await confirm_deletions(
        connection, context.organization_id, erasure_id, context.actor, until=confirmed.until, now=now
    )
    return number, await find_erasure(connection, context, erasure_id)


async def erase(context: OrganizationContext, subject: SubjectPhone) -> Erasure:
    """Erase all data about a phone, in its own transaction; raises InvalidInput and ResourceConflict."""
    context.require("admin")
    phone, now = read_phone(subject), context.studio.clock.now()
    try:
        async with context.transaction() as connection:
            result = await request_erasure(
                connection, context.organization_id, phone, context.studio.settings.erasure_keys, context.actor, now
            )
    except ErasureKeyMissing as error:
        raise ResourceConflict(str(error)) from None
    if isinstance(result, ErasureRefused):
        raise ResourceConflict(f"Nothing was erased: {result.reason}")
    async with context.transaction() as connection:
        await wake_campaigns(connection, result.campaign_ids, now)
        return await find_erasure(connection, context, result.erasure_id)


async def export_phone(connection: Connection, context: OrganizationContext, subject: SubjectPhone) -> dict[str, Any]:
    """Return all data about a phone; raises InvalidInput."""
    context.require("admin")
    phone = read_phone(subject)
    return await export_subject(
        connection, context.organization_id, phone, context.studio.settings.erasure_keys, context.actor
    )


def read_phone(subject: SubjectPhone) -> str:
    """Return the number as it is stored; raises InvalidInput."""
    phone = parse_phone(subject.phone, subject.default_region)
    if isinstance(phone, InvalidPhone):
        raise InvalidInput("Invalid phone number", {"phone": phone.reason})
    return phone.e164


async def _policy(connection: Connection, context: OrganizationContext) -> RetentionPolicy:
    return required(await read_retention(connection, context.organization_id))


def _etag(context: OrganizationContext, policy: RetentionPolicy) -> str:
    return etag_of(context.organization_id, *asdict(policy).values())


async def _unreached(
    connection: Connection,
    context: OrganizationContext,
    rows: Sequence[erasures.ErasureRow],
    most: int = MOST_UNREACHED,
) -> Mapping[UUID, list[UnreachedCall]]:
    found = defaultdict[UUID, list[UnreachedCall]](list)
    unreached = [row.id for row in rows if row.calls_out_of_reach]
    if not unreached:
        return found
    for call in await erasure_calls.calls_out_of_reach(
        connection, organization_id=context.organization_id, erasure_ids=unreached, limit=most
    ):
        found[call.erasure_id].append(
            UnreachedCall(
                reason=cast("UnreachedReason", call.reason),
                workspace_name=call.workspace_name,
                retell_call_id=call.retell_call_id,
                call_id=call.call_id,
            )
        )
    return found


def _erasure(row: erasures.ErasureRow, unreached: list[UnreachedCall]) -> Erasure:
    return Erasure(**asdict(row) | {"removed": msgspec.json.decode(row.removed), "out_of_reach": unreached})
