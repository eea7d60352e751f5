"""Exchanges missed start times: after a stall, other processes may already use the time that this one missed."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import accounts, campaign_status, settlements
from outdial.db.queries.dialing import stops
from outdial.db.session import Connection, Database
from outdial.dialer.plan import PlannedCall, pace_of
from outdial.domain.pacing import Pace, after_slots, recovered, start_slots
from outdial.log import log
from outdial.settings import DialerSettings

LOCK_WAIT: Final = timedelta(milliseconds=200)
"""Claims and renewals wait this long for the account. A claim takes about 10 ms, so a longer wait means a stall."""
MAX_SLACK: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewedStart:
    """A new start time, how late the request may leave, and when the limits were read."""

    start_at: datetime
    slack: timedelta
    limits_at: datetime


class StartRenewer:
    """Reserves a new start time under the lock of the account's row, as a claim does."""

    def __init__(self, database: Database, clock: Clock, settings: DialerSettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        # One renewal at a time for each account: the lock on the account's row would make the others wait anyway.
        self._gates: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def renew(self, call: PlannedCall) -> RenewedStart | None:
        """Return a new start time for a claimed call, or None if its request must not leave any more.

        It must not when the campaign is no longer active, all calls of the organization are stopped, the account has
        more live calls than a lowered limit allows, no start is free before the deadline, or the database does not
        respond in time. No other call starts within the slack of the new time. The slack doubles each
        time, so that a process that is always late slows down instead of getting stuck.
        """
        async with self._gates[call.provider_account_id]:
            now = self._clock.now()
            horizon = call.deadline - self._settings.request_timeout - now
            try:
                async with self._database.for_organization(call.organization_id, lock_timeout=LOCK_WAIT) as connection:
                    if await campaign_status.share_active_campaign(connection, campaign_id=call.campaign_id) is None:
                        return None
                    account = await accounts.lock_account(connection, provider_account_id=call.provider_account_id)
                    if await stops.is_stopped(connection, organization_id=call.organization_id):
                        return None
                    live = await accounts.count_account_live(connection, provider_account_id=account.id)
                    pace = recovered(pace_of(account), now)
                    starts = start_slots(pace, now, 1, horizon)
                    if live > account.concurrency_limit - account.reserved_inbound or not starts:
                        return None
                    moved = await settlements.move_start(
                        connection, call_id=call.id, deadline=call.deadline, start_at=starts[0], now=now
                    )
                    if moved is None:
                        return None
                    slack = min(2 * call.slack, MAX_SLACK)
                    next_start_at = after_slots(pace, starts) + slack
                    await store_pace(connection, account, replace(pace, next_start_at=next_start_at))
            except Exception as error:  # such as a lost connection: what cannot be reserved is not sent
                log("dialer.start_not_renewed", level="warning", call_id=str(call.id), reason=repr(error))
                return None
        return RenewedStart(start_at=starts[0], slack=slack, limits_at=now)


async def store_pace(connection: Connection, account: accounts.LockedAccount, pace: Pace) -> None:
    """Write the pacing state to the account's row, under its lock."""
    await accounts.update_pace(
        connection,
        provider_account_id=account.id,
        next_start_at=pace.next_start_at,
        rate_factor=pace.rate_factor,
        backoff_until=pace.backoff_until,
    )
