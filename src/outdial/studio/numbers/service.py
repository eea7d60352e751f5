"""Caller numbers of an organization with their health, and what members do about it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns import caller_numbers
from outdial.db.queries import accounts as account_queries
from outdial.db.queries.dialing import agents as agent_queries
from outdial.db.queries.dialing import caller_numbers as number_queries
from outdial.db.session import Connection
from outdial.domain import limits
from outdial.domain.policies.number_pool import DAY, REST_SENTENCES, RestReason, cap_of_day
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import full_phone

_NOT_ADDED: Final = "the organization has not added this number; add it first, or import the numbers of the workspace"


class CallerNumberHealth(BaseModel):
    """A caller number with its calls of the last 7 days. `id` is null for one that only campaigns name.

    `cap_today` is the daily cap at this point of the warm-up, and `calls_of_day` the calls that it counts: those of 24
    hours. Both are null without a cap. `rests_until` is null unless the number rests now. The rates are null without a
    call in 7 days.
    """

    phone: str
    id: UUID | None
    provider_account_id: UUID | None
    nickname: str | None
    is_imported: bool
    daily_cap: int | None
    cap_today: int | None
    calls_of_day: int | None
    warm_up_days: int
    rests_until: datetime | None
    rest_reason: RestReason | None
    calls: int
    answered: int
    voicemail: int
    blocked: int
    answer_rate: float | None
    voicemail_share: float | None
    blocked_share: float | None
    measured_at: datetime | None

    @property
    def why(self) -> str:
        """The reason of the rest in words; empty without one."""
        return "" if self.rest_reason is None else REST_SENTENCES[self.rest_reason]


class NumberLimits(BaseModel):
    """The daily cap of a number, null for none, and the days in which it grows to its full height."""

    model_config = ConfigDict(extra="forbid")
    daily_cap: Annotated[int | None, Field(ge=limits.NUMBER_DAILY_CAP.least, le=limits.NUMBER_DAILY_CAP.most)] = None
    warm_up_days: Annotated[int, Field(ge=limits.WARM_UP_DAYS.least, le=limits.WARM_UP_DAYS.most)] = 0


class CallerPhone(BaseModel):
    """A caller number in E.164."""

    model_config = ConfigDict(extra="forbid")
    phone: Annotated[str, Field(max_length=limits.LONGEST_PHONE_INPUT, examples=["+14155550100"])]


class NumberImport(BaseModel):
    """The latest import of a workspace's numbers and agents; `finished_at` is null while the dialer works on it."""

    provider_account_id: UUID
    account_name: str
    requested_at: datetime
    finished_at: datetime | None
    listed: int | None
    added: int | None
    agents_listed: int | None
    error: str | None


class WorkspaceAgent(BaseModel):
    """A voice agent of a Retell workspace, as a dialer has read it."""

    agent_id: str
    name: str
    is_suspended: bool
    provider_account_id: UUID
    account_name: str
    seen_at: datetime


async def list_agents(connection: Connection, context: OrganizationContext) -> list[WorkspaceAgent]:
    """Return the voice agents of the workspaces, by name."""
    rows = await agent_queries.list_agents(connection, organization_id=context.organization_id)
    return [WorkspaceAgent.model_validate(row, from_attributes=True) for row in rows]


async def list_health(
    connection: Connection, context: OrganizationContext, pool: Sequence[str] | None = None
) -> list[CallerNumberHealth]:
    """Return the numbers of a pool in its order, or all by number: those added, and those of running campaigns."""
    now = context.studio.clock.now()
    rows = await number_queries.number_health(
        connection, organization_id=context.organization_id, phones=pool, day_ago=now - DAY
    )
    if pool is not None:
        rows.sort(key=lambda row: pool.index(row.phone))
    return [_health(row, now) for row in rows]


async def change_limits(
    connection: Connection, context: OrganizationContext, number_id: UUID, new: NumberLimits
) -> CallerNumberHealth:
    """Set the daily cap and the warm-up of a number; raises ResourceNotFound."""
    context.require("admin")
    number = await _find(connection, context, number_id)
    await caller_numbers.set_number_limits(
        connection,
        context.organization_id,
        number.phone,
        daily_cap=new.daily_cap,
        warm_up_days=new.warm_up_days,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    [changed] = await list_health(connection, context, [number.phone])
    return changed


async def rest(connection: Connection, context: OrganizationContext, given: CallerPhone) -> CallerNumberHealth:
    """Let a number rest for 24 hours; raises InvalidInput and ResourceNotFound."""
    context.require("operator")
    phone = await _known_phone(connection, context, given)
    now = context.studio.clock.now()
    await caller_numbers.rest_number(connection, context.organization_id, phone, actor=context.actor, now=now)
    [changed] = await list_health(connection, context, [phone])
    return changed


async def wake(connection: Connection, context: OrganizationContext, given: CallerPhone) -> CallerNumberHealth:
    """End the rest of a number; raises InvalidInput, ResourceNotFound, and ResourceConflict when it does not rest."""
    context.require("operator")
    phone = await _known_phone(connection, context, given)
    now = context.studio.clock.now()
    if not await caller_numbers.wake_number(connection, context.organization_id, phone, actor=context.actor, now=now):
        raise ResourceConflict(f"{phone} does not rest")
    [changed] = await list_health(connection, context, [phone])
    return changed


async def request_import(connection: Connection, context: OrganizationContext) -> list[NumberImport]:
    """Ask the dialer to import the numbers and agents of every workspace."""
    context.require("admin")
    for account in await account_queries.list_accounts(connection, organization_id=context.organization_id):
        await caller_numbers.request_import(
            connection,
            context.organization_id,
            account.id,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    return await list_imports(connection, context)


async def list_imports(connection: Connection, context: OrganizationContext) -> list[NumberImport]:
    """Return the latest import of each workspace that had one."""
    rows = await number_queries.list_imports(connection, organization_id=context.organization_id)
    return [NumberImport.model_validate(row, from_attributes=True) for row in rows]


def _health(row: number_queries.NumberHealthRow, now: datetime) -> CallerNumberHealth:
    rests = row.rests_until is not None and row.rests_until > now

    def share(calls: int) -> float | None:
        return calls / row.calls if row.calls else None

    return CallerNumberHealth(
        phone=row.phone,
        id=row.id,
        provider_account_id=row.provider_account_id,
        nickname=row.nickname,
        is_imported=row.imported_at is not None,
        daily_cap=row.daily_cap,
        cap_today=cap_of_day(row.daily_cap, warm_up_days=row.warm_up_days, warm_up_from=row.warm_up_from, now=now),
        calls_of_day=row.calls_of_day,
        warm_up_days=row.warm_up_days,
        rests_until=row.rests_until if rests else None,
        rest_reason=RestReason(row.rest_reason) if rests and row.rest_reason else None,
        calls=row.calls,
        answered=row.answered,
        voicemail=row.voicemail,
        blocked=row.blocked,
        answer_rate=share(row.answered),
        voicemail_share=share(row.voicemail),
        blocked_share=share(row.blocked),
        measured_at=row.measured_at,
    )


async def _find(connection: Connection, context: OrganizationContext, number_id: UUID) -> CallerNumberHealth:
    for number in await list_health(connection, context):
        if number.id == number_id:
            return number
    raise ResourceNotFound("Number not found")


async def _known_phone(connection: Connection, context: OrganizationContext, given: CallerPhone) -> str:
    phone = full_phone("phone", given.phone)
    if all(number.phone != phone for number in await list_health(connection, context)):
        raise ResourceNotFound(_NOT_ADDED)
    return phone
