"""Asks the provider to end the calls that members hang up, until it has."""

from datetime import timedelta
from typing import Final, assert_never
from uuid import UUID

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries.dialing import hang_ups
from outdial.db.session import Database
from outdial.domain.call import CallWorkspace
from outdial.log import log
from outdial.provider import CallEnded, CallMissing, ProviderUnavailable, VoiceProvider
from outdial.provider_keys.entering import ENVIRONMENT_SEEN_WITHIN

EVERY: Final = timedelta(seconds=2)
RETRY_DELAY: Final = timedelta(seconds=5)
UNREACHED_DELAY: Final = timedelta(minutes=1)
"""How long a call rests that no key reaches. The key may be entered again while it is live."""
BATCH: Final = 100
MAX_CONCURRENT: Final = 10


class HangUps:
    """A background task: `run_once` tries every call that is due, and returns how many it tried.

    A call without Retell's id is due again until the response to its request has come, and one that no key reaches
    until its events report the end: it may be in a former workspace, or its account has no key. That is logged once.
    """

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._unreached: set[UUID] = set()

    async def run_once(self) -> int:
        """Try the calls that are due, at most MAX_CONCURRENT at a time."""
        async with self._database.transaction() as connection:
            due = await hang_ups.due_hang_ups(connection, now=self._clock.now(), limit=BATCH)
        await run_each(
            due,
            self._hang_up,
            at_once=MAX_CONCURRENT,
            on_error=lambda each, error: log(
                "dialer.hang_up_failed", level="warning", call_id=str(each.call_id), error=error
            ),
        )
        return len(due)

    async def _hang_up(self, due: hang_ups.DueHangUp) -> None:
        now = self._clock.now()
        async with self._database.for_organization(due.organization_id) as connection:
            call = await hang_ups.take_hang_up(
                connection,
                call_id=due.call_id,
                now=now,
                next_try_at=now + RETRY_DELAY,
                key_since=now - ENVIRONMENT_SEEN_WITHIN,
            )
        if call is None or not call.is_live:
            self._unreached.discard(due.call_id)
            return
        if call.retell_call_id is None:
            return
        if not self._provider.has_account(call.credential):
            # Another dialer may have the key, or this one reads it within seconds.
            if not call.has_key:
                await self._rest(call, "its account has no API key")
            return
        match await self._provider.end_call(call.credential, call.retell_call_id):
            case CallMissing() if call.workspace != CallWorkspace.CURRENT:
                await self._rest(call, f"the workspace of the call is {call.workspace}")
            case CallEnded() | CallMissing():
                self._unreached.discard(call.id)
                async with self._database.for_organization(call.organization_id) as connection:
                    await hang_ups.end_hang_up(connection, call_id=call.id)
                log("dialer.hung_up", call_id=str(call.id))
            case ProviderUnavailable(reason=reason):
                log("dialer.hang_up_failed", level="warning", call_id=str(call.id), reason=reason)
            case never:
                assert_never(never)

    async def _rest(self, call: hang_ups.HangUp, reason: str) -> None:
        next_try_at = self._clock.now() + UNREACHED_DELAY
        async with self._database.for_organization(call.organization_id) as connection:
            await hang_ups.postpone_hang_up(connection, call_id=call.id, next_try_at=next_try_at)
        if call.id not in self._unreached:
            self._unreached.add(call.id)
            log("dialer.hang_up_out_of_reach", level="warning", call_id=str(call.id), reason=reason)
