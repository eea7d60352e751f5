"""An organization and its settings: its name and cap, the limits of its Retell workspaces, its numbers."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import accounts as account_queries
from outdial.db.queries import organizations
from outdial.db.session import Connection
from outdial.domain.ids import new_id
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.studio.web.audit import record
from outdial.studio.web.context import OrganizationContext, StudioCaller
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, ResourceNotFound
from outdial.studio.web.preconditions import check_if_match, etag_of

MOST_WORKPLACES = 1000
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*\S[^\x00]*$")]
Optional = Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]*$")]


class OrganizationMembership(BaseModel):
    """An organization that the caller works for."""

    id: UUID
    name: str
    role: str


class Organization(BaseModel):
    """An organization; `daily_call_cap` is how many calls one phone may get in 24 hours."""

    id: UUID
    name: str
    daily_call_cap: int
    created_at: datetime
    etag: str


class OrganizationChanges(BaseModel):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    daily_call_cap: Annotated[int | None, Field(ge=1, le=100)] = None


class ProviderAccount(BaseModel):
    """A Retell workspace: `provider_limit` is what Retell last said, and the smaller limit counts."""

    id: UUID
    name: str
    credential: str
    concurrency_limit: int
    reserved_inbound: int
    calls_per_second: float
    provider_limit: int | None
    backoff_until: datetime | None


class ProviderAccountChanges(BaseModel):
    """Limits that are to be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    concurrency_limit: Annotated[int | None, Field(ge=0, le=100_000)] = None
    reserved_inbound: Annotated[int | None, Field(ge=0, le=100_000)] = None
    calls_per_second: Annotated[float | None, Field(gt=0, le=1000, allow_inf_nan=False)] = None


class PhoneNumber(BaseModel):
    """A number to call from."""

    id: UUID
    provider_account_id: UUID
    phone: str
    nickname: str | None
    retell_agent_id: str | None
    country: str | None


class NewPhoneNumber(BaseModel):
    """A number of a Retell workspace; the only one when none is named."""

    model_config = ConfigDict(extra="forbid")
    phone: Annotated[str, Field(max_length=40)]
    nickname: Optional = None
    retell_agent_id: Optional = None
    provider_account_id: UUID | None = None


class PhoneNumberChanges(BaseModel):
    """What a number is called, and which agent speaks there unless a campaign names another."""

    model_config = ConfigDict(extra="forbid")
    nickname: Optional = None
    retell_agent_id: Optional = None


async def list_memberships(connection: Connection, caller: StudioCaller) -> list[OrganizationMembership]:
    """List the organizations that the caller works for, by name."""
    rows = await organizations.list_workplaces(connection, user_id=caller.user_id, limit=MOST_WORKPLACES)
    return [OrganizationMembership(id=row.id, name=row.name, role=row.role) for row in rows]


async def show_organization(connection: Connection, context: OrganizationContext) -> Organization:
    """Return the organization with what can be set."""
    row = await organizations.show_organization(connection, organization_id=context.organization_id)
    if row is None:
        raise ResourceNotFound("There is no such organization, or you do not work for it")
    etag = etag_of(row.id, row.name, row.daily_call_cap)
    return Organization(
        id=row.id, name=row.name, daily_call_cap=row.daily_call_cap, created_at=row.created_at, etag=etag
    )


async def change_organization(
    connection: Connection, context: OrganizationContext, changes: OrganizationChanges, if_match: str | None
) -> Organization:
    """Change the name or the cap; raises Outdated when somebody else did so meanwhile."""
    context.require("admin")
    former = await show_organization(connection, context)
    check_if_match(if_match, former.etag)
    wanted = changes.model_dump(exclude_none=True)
    done = await organizations.change_organization(
        connection,
        organization_id=context.organization_id,
        name=(wanted.get("name") or former.name).strip(),
        daily_call_cap=wanted.get("daily_call_cap", former.daily_call_cap),
        former_name=former.name,
        former_cap=former.daily_call_cap,
    )
    if done is None:
        raise PreconditionFailed("Somebody has changed it meanwhile: load it again, and repeat your change")
    await record(connection, context, "change_organization", "organization", context.organization_id, wanted)
    return await show_organization(connection, context)


async def list_accounts(connection: Connection, context: OrganizationContext) -> list[ProviderAccount]:
    """List the Retell workspaces."""
    rows = await account_queries.list_accounts(connection, organization_id=context.organization_id)
    return [ProviderAccount.model_validate(row, from_attributes=True) for row in rows]


async def change_account(
    connection: Connection, context: OrganizationContext, account_id: UUID, changes: ProviderAccountChanges
) -> ProviderAccount:
    """Change the limits of a workspace; raises NotFound."""
    context.require("admin")
    former = await _account(connection, context, account_id)
    wanted = changes.model_dump(exclude_none=True)
    limits = {name: wanted.get(name, getattr(former, name)) for name in ProviderAccountChanges.model_fields}
    await account_queries.change_account(connection, id=account_id, organization_id=context.organization_id, **limits)
    await record(connection, context, "change_account", "provider_account", account_id, wanted)
    return await _account(connection, context, account_id)


async def list_numbers(connection: Connection, context: OrganizationContext) -> list[PhoneNumber]:
    """List the numbers that the organization calls from."""
    rows = await account_queries.list_numbers(connection, organization_id=context.organization_id)
    return [PhoneNumber.model_validate(row, from_attributes=True) for row in rows]


async def add_number(connection: Connection, context: OrganizationContext, new: NewPhoneNumber) -> PhoneNumber:
    """Add a number to call from; raises InvalidInput or Conflict."""
    context.require("admin")
    phone = parse_phone(new.phone, None)
    if isinstance(phone, InvalidPhone):
        reason = f"{phone.reason}; give it with its country, such as +14155550100"
        raise InvalidInput("This number cannot be used", {"phone": reason})
    account_id = new.provider_account_id or await _only_account(connection, context)
    number_id = new_id(context.studio.clock.now())
    try:
        added = await account_queries.add_number(
            connection,
            id=number_id,
            organization_id=context.organization_id,
            provider_account_id=account_id,
            phone=phone.e164,
            nickname=_clean(new.nickname),
            retell_agent_id=_clean(new.retell_agent_id),
            country=None,
            now=context.studio.clock.now(),
        )
    except asyncpg.ForeignKeyViolationError:
        raise InvalidInput("There is no such workspace", {"provider_account_id": "name one of yours"}) from None
    if added is None:
        raise ResourceConflict(f"{phone.e164} is there already")
    await record(connection, context, "add_number", "phone_number", number_id)
    return await _number(connection, context, number_id)


async def change_number(
    connection: Connection, context: OrganizationContext, number_id: UUID, changes: PhoneNumberChanges
) -> PhoneNumber:
    """Rename a number or give it another agent; raises NotFound."""
    context.require("admin")
    former = await _number(connection, context, number_id)
    given: dict[str, Any] = changes.model_dump(exclude_unset=True)
    await account_queries.change_number(
        connection,
        id=number_id,
        organization_id=context.organization_id,
        nickname=_clean(given.get("nickname", former.nickname)),
        retell_agent_id=_clean(given.get("retell_agent_id", former.retell_agent_id)),
    )
    await record(connection, context, "change_number", "phone_number", number_id, given)
    return await _number(connection, context, number_id)


async def remove_number(connection: Connection, context: OrganizationContext, number_id: UUID) -> None:
    """Call from a number no more: running campaigns keep theirs. Raises NotFound."""
    context.require("admin")
    await _number(connection, context, number_id)
    await account_queries.remove_number(connection, id=number_id, organization_id=context.organization_id)
    await record(connection, context, "remove_number", "phone_number", number_id)


async def _account(connection: Connection, context: OrganizationContext, account_id: UUID) -> ProviderAccount:
    for account in await list_accounts(connection, context):
        if account.id == account_id:
            return account
    raise ResourceNotFound("There is no such Retell workspace here")


async def _only_account(connection: Connection, context: OrganizationContext) -> UUID:
    accounts = await list_accounts(connection, context)
    if len(accounts) != 1:
        raise InvalidInput("Say of which Retell workspace it is", {"provider_account_id": "name one of yours"})
    return accounts[0].id


async def _number(connection: Connection, context: OrganizationContext, number_id: UUID) -> PhoneNumber:
    for number in await list_numbers(connection, context):
        if number.id == number_id:
            return number
    raise ResourceNotFound("There is no such number here")


def _clean(text: str | None) -> str | None:
    return (text or "").strip() or None
