"""Organization settings: name, daily call cap, limits of its Retell workspaces, caller numbers."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import accounts as account_queries
from outdial.db.queries import organizations
from outdial.db.session import Connection
from outdial.domain import limits
from outdial.domain.ids import new_id
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import MemberRole, OrganizationContext, StudioCaller
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import full_phone
from outdial.studio.web.preconditions import STALE, check_if_match, etag_of

MAX_MEMBERSHIPS: Final = 1000
_CHOOSE_WORKSPACE: Final = "choose one of your workspaces"
Name = Annotated[str, Field(min_length=1, max_length=limits.LONGEST_NAME, pattern=r"^[^\x00]*\S[^\x00]*$")]
Lines = Annotated[int | None, Field(ge=limits.CONCURRENCY_LIMIT.least, le=limits.CONCURRENCY_LIMIT.most)]
OptionalText = Annotated[str | None, Field(max_length=limits.LONGEST_NAME, pattern=r"^[^\x00]*$")]


class MemberOrganization(BaseModel):
    """An organization the caller is a member of, and their role in it."""

    id: UUID
    name: str
    role: MemberRole


class RetellWorkspace(BaseModel):
    """A Retell workspace. `provider_limit` is the limit Retell last reported; the smaller one applies."""

    id: UUID
    name: str
    credential: str
    concurrency_limit: int
    reserved_inbound: int
    calls_per_second: float
    provider_limit: int | None
    backoff_until: datetime | None


class CallerNumber(BaseModel):
    """A caller number."""

    id: UUID
    provider_account_id: UUID
    phone: str
    nickname: str | None
    retell_agent_id: str | None
    country: str | None


class Organization(BaseModel):
    """An organization; `daily_call_cap` limits the calls to one phone number in 24 hours."""

    id: UUID
    name: str
    daily_call_cap: int
    created_at: datetime
    etag: str


class OrganizationChanges(BaseModel):
    """Fields to change; omitted fields keep their value."""

    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    daily_call_cap: Annotated[int | None, Field(ge=limits.DAILY_CALL_CAP.least, le=limits.DAILY_CALL_CAP.most)] = None


class ProviderAccountChanges(BaseModel):
    """Limits to change; omitted fields keep their value."""

    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    concurrency_limit: Lines = None
    reserved_inbound: Lines = None
    calls_per_second: Annotated[float | None, Field(gt=0, le=limits.MOST_CALLS_PER_SECOND, allow_inf_nan=False)] = None


class NewPhoneNumber(BaseModel):
    """A caller number to add. `provider_account_id` is optional when there is one workspace."""

    model_config = ConfigDict(extra="forbid")
    phone: Annotated[str, Field(max_length=limits.LONGEST_PHONE_INPUT)]
    nickname: OptionalText = None
    retell_agent_id: OptionalText = None
    provider_account_id: UUID | None = None


class PhoneNumberChanges(BaseModel):
    """Nickname of a caller number, and the default agent of campaigns that call from it."""

    model_config = ConfigDict(extra="forbid")
    nickname: OptionalText = None
    retell_agent_id: OptionalText = None


async def list_memberships(connection: Connection, caller: StudioCaller) -> list[MemberOrganization]:
    """Return the caller's organizations, ordered by name."""
    rows = await organizations.list_memberships(connection, user_id=caller.user_id, limit=MAX_MEMBERSHIPS)
    return [MemberOrganization.model_validate(row, from_attributes=True) for row in rows]


async def show_organization(connection: Connection, context: OrganizationContext) -> Organization:
    """Return the organization and its settings."""
    row = await organizations.show_organization(connection, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("Organization not found, or you are not a member")
    etag = etag_of(row.id, row.name, row.daily_call_cap)
    return Organization(
        id=row.id, name=row.name, daily_call_cap=row.daily_call_cap, created_at=row.created_at, etag=etag
    )


async def change_organization(
    connection: Connection, context: OrganizationContext, changes: OrganizationChanges, if_match: str | None
) -> Organization:
    """Change the name or the cap; raises PreconditionFailed when someone else changed them first."""
    context.require("admin")
    former = await show_organization(connection, context)
    check_if_match(if_match, former.etag)
    changed = changes.model_dump(exclude_none=True)
    done = await organizations.change_organization(
        connection,
        organization_id=context.organization_id,
        name=(changed.get("name") or former.name).strip(),
        daily_call_cap=changed.get("daily_call_cap", former.daily_call_cap),
        former_name=former.name,
        former_cap=former.daily_call_cap,
    )
    if done is None:
        raise PreconditionFailed(STALE)
    await record_audit(
        connection,
        context=context,
        action="change_organization",
        subject_type="organization",
        subject_id=context.organization_id,
        details=changed,
    )
    return await show_organization(connection, context)


async def list_accounts(connection: Connection, context: OrganizationContext) -> list[RetellWorkspace]:
    """Return the Retell workspaces."""
    rows = await account_queries.list_accounts(connection, organization_id=context.organization_id)
    return [RetellWorkspace.model_validate(row, from_attributes=True) for row in rows]


async def change_account(
    connection: Connection, context: OrganizationContext, account_id: UUID, changes: ProviderAccountChanges
) -> RetellWorkspace:
    """Change the limits of a workspace; raises ResourceNotFound."""
    context.require("admin")
    former = await _find_account(connection, context, account_id)
    changed = changes.model_dump(exclude_none=True)
    wanted = former.model_copy(update=changed)
    await account_queries.change_account(
        connection,
        id=account_id,
        organization_id=context.organization_id,
        name=wanted.name,
        concurrency_limit=wanted.concurrency_limit,
        reserved_inbound=wanted.reserved_inbound,
        calls_per_second=wanted.calls_per_second,
    )
    await record_audit(
        connection,
        context=context,
        action="change_account",
        subject_type="provider_account",
        subject_id=account_id,
        details=changed,
    )
    return await _find_account(connection, context, account_id)


async def list_numbers(connection: Connection, context: OrganizationContext) -> list[CallerNumber]:
    """Return the caller numbers."""
    rows = await account_queries.list_numbers(connection, organization_id=context.organization_id)
    return [CallerNumber.model_validate(row, from_attributes=True) for row in rows]


async def add_number(connection: Connection, context: OrganizationContext, new: NewPhoneNumber) -> CallerNumber:
    """Add a caller number; raises InvalidInput or ResourceConflict."""
    context.require("admin")
    phone = full_phone("phone", new.phone)
    account_id = new.provider_account_id
    if account_id is None:
        accounts = await list_accounts(connection, context)
        if len(accounts) != 1:
            raise InvalidInput("Choose a Retell workspace", {"provider_account_id": _CHOOSE_WORKSPACE})
        account_id = accounts[0].id
    number_id = new_id(context.studio.clock.now())
    try:
        added = await account_queries.add_number(
            connection,
            id=number_id,
            organization_id=context.organization_id,
            provider_account_id=account_id,
            phone=phone,
            nickname=_none_if_blank(new.nickname),
            retell_agent_id=_none_if_blank(new.retell_agent_id),
            country=None,
            now=context.studio.clock.now(),
        )
    except asyncpg.ForeignKeyViolationError:
        raise InvalidInput("Unknown Retell workspace", {"provider_account_id": _CHOOSE_WORKSPACE}) from None
    if added is None:
        raise ResourceConflict(f"{phone} has already been added")
    await record_audit(
        connection, context=context, action="add_number", subject_type="phone_number", subject_id=number_id
    )
    return await _find_number(connection, context, number_id)


async def change_number(
    connection: Connection, context: OrganizationContext, number_id: UUID, changes: PhoneNumberChanges
) -> CallerNumber:
    """Change the nickname or the agent of a number; raises ResourceNotFound."""
    context.require("admin")
    former = await _find_number(connection, context, number_id)
    given: dict[str, Any] = changes.model_dump(exclude_unset=True)
    await account_queries.change_number(
        connection,
        id=number_id,
        organization_id=context.organization_id,
        nickname=_none_if_blank(given.get("nickname", former.nickname)),
        retell_agent_id=_none_if_blank(given.get("retell_agent_id", former.retell_agent_id)),
    )
    await record_audit(
        connection,
        context=context,
        action="change_number",
        subject_type="phone_number",
        subject_id=number_id,
        details=given,
    )
    return await _find_number(connection, context, number_id)


async def remove_number(connection: Connection, context: OrganizationContext, number_id: UUID) -> None:
    """Remove a caller number. Existing campaigns keep calling from it. Raises ResourceNotFound."""
    context.require("admin")
    await _find_number(connection, context, number_id)
    await account_queries.remove_number(connection, id=number_id, organization_id=context.organization_id)
    await record_audit(
        connection, context=context, action="remove_number", subject_type="phone_number", subject_id=number_id
    )


async def _find_account(connection: Connection, context: OrganizationContext, account_id: UUID) -> RetellWorkspace:
    for account in await list_accounts(connection, context):
        if account.id == account_id:
            return account
    raise ResourceNotFound("Retell workspace not found")


async def _find_number(connection: Connection, context: OrganizationContext, number_id: UUID) -> CallerNumber:
    for number in await list_numbers(connection, context):
        if number.id == number_id:
            return number
    raise ResourceNotFound("Number not found")


def _none_if_blank(text: str | None) -> str | None:
    return (text or "").strip() or None
