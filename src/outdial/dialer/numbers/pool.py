"""Reads the number pool of a campaign for a claim, and lets numbers rest whose calls are blocked."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from outdial.db.queries import audit
from outdial.db.queries.dialing import number_pool
from outdial.db.session import Connection, encode_json
from outdial.domain.phone import mask
from outdial.domain.policies.number_pool import (
    COMPARED_CALLS,
    DAY,
    FIGURES_OF,
    NOT_OF_NUMBER,
    RECENT_CALLS,
    REST,
    NumberPool,
    PoolNumber,
    RestReason,
    blocked_at_once,
    cap_of_day,
    rest_after,
)
from outdial.log import log

WAITING_FOR_NUMBERS: Final = "numbers"
"""The word in `campaigns.waiting_for`."""


class OfAccount(Protocol):
    """A row of a provider account."""

    @property
    def organization_id(self) -> UUID: ...
    @property
    def provider_account_id(self) -> UUID: ...


class CallerNumbers(OfAccount, Protocol):
    """The caller numbers of a campaign, and whose they are."""

    @property
    def caller_numbers(self) -> Sequence[str]: ...


class RepeatedCall(OfAccount, Protocol):
    """A call whose request was lost."""

    @property
    def from_number(self) -> str: ...


class CallingCampaign(CallerNumbers, Protocol):
    """A campaign that claims, as its row has it."""

    @property
    def id(self) -> UUID: ...


async def lock_pool(connection: Connection, campaign: CallingCampaign, now: datetime) -> NumberPool:
    """Return the numbers of a campaign, and store the rest of those that have to begin one.

    Needs the lock of the campaign's account, so that no other claim counts the same calls.
    """
    rows = await _read_rows(connection, campaign, campaign.caller_numbers, now)
    due = {
        row.phone: reason
        for row in rows
        if (row.rests_until is None or row.rests_until <= now) and (reason := rest_after(row.blocked)) is not None
    }
    if due:
        await start_rests(connection, campaign.organization_id, due, now)
    pool = await _pool_of(connection, campaign, rows, frozenset(due), now)
    busy = pool.wait()
    if busy is not None and busy.all_rest:
        await report_all_rest(connection, campaign.organization_id, campaign.id, now)
    return pool


async def read_pool(connection: Connection, campaign: CallerNumbers, now: datetime) -> NumberPool:
    """Return the numbers of a campaign without a lock, for pages and commands."""
    return await _pool_of(
        connection, campaign, await _read_rows(connection, campaign, campaign.caller_numbers, now), frozenset(), now
    )


async def may_repeat(connection: Connection, call: RepeatedCall, now: datetime) -> bool:
    """Return whether the request of a call may be repeated from its number, which may have been blocked since.

    Stores a rest that the number has to begin. Needs the lock of the account. The daily cap counts the call already.
    """
    [row] = await _read_rows(connection, call, [call.from_number], now)
    reason = rest_after(row.blocked)
    if reason is not None and (row.rests_until is None or row.rests_until <= now):
        await start_rests(connection, call.organization_id, {row.phone: reason}, now)
        return False
    live = await number_pool.calls_in_flight(
        connection, provider_account_id=call.provider_account_id, phone=row.phone, now=now
    )
    number = PoolNumber(
        phone=row.phone, live=live, blocked_in_a_row=blocked_at_once(row.blocked), rests_until=row.rests_until
    )
    return number.room(now, is_alone=True) != 0


async def start_rests(
    connection: Connection, organization_id: UUID, reasons: dict[str, RestReason], now: datetime
) -> None:
    """Let numbers rest for 24 hours, and record it."""
    begun = await number_pool.start_rests(
        connection,
        organization_id=organization_id,
        phones=list(reasons),
        reasons=list(reasons.values()),
        until=now + REST,
        now=now,
    )
    for phone in begun:
        log("dialer.number_rests", level="warning", number=mask(phone), reason=reasons[phone].value)
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor="dialer",
            action="rest_number",
            subject_type="caller_number",
            subject_id=phone,
            details=encode_json({"reason": reasons[phone], "until": (now + REST).isoformat()}),
        )


async def report_all_rest(
    connection: Connection, organization_id: UUID, campaign_id: UUID | None, now: datetime
) -> None:
    """Report that all numbers of a campaign rest, or of any campaign of the organization, unless it was reported."""
    for pool in await number_pool.note_all_rest(
        connection, organization_id=organization_id, campaign_id=campaign_id, now=now
    ):
        until = pool.until.isoformat()
        log(
            "dialer.all_numbers_rest",
            level="warning",
            campaign_id=str(pool.campaign_id),
            numbers=pool.numbers,
            until=until,
        )
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor="dialer",
            action="all_numbers_rest",
            subject_type="campaign",
            subject_id=str(pool.campaign_id),
            details=encode_json({"numbers": pool.numbers, "until": until}),
        )


async def _read_rows(
    connection: Connection, owner: OfAccount, phones: Sequence[str], now: datetime
) -> list[number_pool.PoolNumberRow]:
    if len(phones) == 1 and (lone := await _read_lone(connection, owner, phones[0], now)) is not None:
        return [lone]
    return await number_pool.pool_numbers(
        connection,
        organization_id=owner.organization_id,
        provider_account_id=owner.provider_account_id,
        phones=phones,
        not_of_number=sorted(NOT_OF_NUMBER),
        day_ago=now - DAY,
        measured_from=now - FIGURES_OF,
        recent=RECENT_CALLS,
        compared=COMPARED_CALLS,
    )


async def _read_lone(
    connection: Connection, owner: OfAccount, phone: str, now: datetime
) -> number_pool.PoolNumberRow | None:
    """Return the only number of a campaign, None if its live calls or those of a day matter."""
    row = await number_pool.lone_number(
        connection,
        organization_id=owner.organization_id,
        phone=phone,
        not_of_number=sorted(NOT_OF_NUMBER),
        measured_from=now - FIGURES_OF,
        recent=RECENT_CALLS,
    )
    if row is None or blocked_at_once(row.blocked):
        return None
    return number_pool.PoolNumberRow(
        phone=phone,
        daily_cap=None,
        warm_up_days=0,
        warm_up_from=None,
        rests_until=row.rests_until,
        live=0,
        ended=0,
        last_call_at=None,
        blocked=row.blocked,
    )


async def _pool_of(
    connection: Connection,
    campaign: CallerNumbers,
    rows: Sequence[number_pool.PoolNumberRow],
    resting: frozenset[str],
    now: datetime,
) -> NumberPool:
    numbers = []
    for row in rows:
        number = PoolNumber(
            phone=row.phone,
            calls=row.ended + row.live,
            live=row.live,
            last_call_at=row.last_call_at,
            daily_cap=cap_of_day(row.daily_cap, warm_up_days=row.warm_up_days, warm_up_from=row.warm_up_from, now=now),
            blocked_in_a_row=blocked_at_once(row.blocked),
            is_tested=bool(row.blocked),
            rests_until=now + REST if row.phone in resting else row.rests_until,
        )
        if number.is_capped:
            number = replace(number, cap_frees_at=await _cap_frees_at(connection, campaign, number, now))
        numbers.append(number)
    return NumberPool(numbers, now)


async def _cap_frees_at(
    connection: Connection, campaign: CallerNumbers, number: PoolNumber, now: datetime
) -> datetime | None:
    return await number_pool.cap_frees_at(
        connection,
        organization_id=campaign.organization_id,
        provider_account_id=campaign.provider_account_id,
        phone=number.phone,
        day_ago=now - DAY,
        calls=number.daily_cap or 1,
    )
