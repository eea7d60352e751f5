"""Deletes the calls of erased phones at the provider, until it has confirmed each deletion."""

from datetime import timedelta
from typing import Final, assert_never

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries.compliance import erasure_calls
from outdial.db.session import Database
from outdial.log import log
from outdial.provider import CallDeleted, CallMissing, CallsFound, ProviderUnavailable, VoiceProvider
from outdial.provider_keys.entering import ENVIRONMENT_SEEN_WITHIN

BATCH: Final = 100
MAX_CONCURRENT_DELETIONS: Final = 4
FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(hours=1)


class ProviderDeletions:
    """A background task: `run_once` tries every deletion that is due, and returns how many it tried.

    A failed deletion is retried until it succeeds, with growing delays: an erasure is finished only when all are
    confirmed. A call is out of reach if it is in a former workspace or its account has no key: an admin deletes it at
    the provider and confirms that, or enters the key again. That a call is missing counts only if the key has not been
    changed meanwhile.
    """

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock

    async def run_once(self) -> int:
        """Try the deletions that are due, at most MAX_CONCURRENT_DELETIONS at a time."""
        async with self._database.transaction() as connection:
            due = await erasure_calls.due_erasure_calls(connection, now=self._clock.now(), limit=BATCH)
        await run_each(
            due,
            self._delete,
            at_once=MAX_CONCURRENT_DELETIONS,
            on_error=lambda each, error: log(
                "erasure.deletion_failed", level="error", deletion_id=str(each.id), error=error
            ),
        )
        return len(due)

    async def _delete(self, due: erasure_calls.DueErasureCall) -> None:
        now = self._clock.now()
        async with self._database.for_organization(due.organization_id) as connection:
            deletion = await erasure_calls.take_erasure_call(
                connection,
                id=due.id,
                now=now,
                next_try_at=now + LONGEST_DELAY,
                key_since=now - ENVIRONMENT_SEEN_WITHIN,
            )
        if deletion is None:
            return
        if not self._provider.has_account(deletion.credential):
            await self._note_no_key(deletion)
            return
        retell_call_id = deletion.retell_call_id
        if retell_call_id is None:
            retell_call_id = await self._find(deletion)
            if retell_call_id is None:
                return
        match await self._provider.delete_call(deletion.credential, retell_call_id):
            case CallDeleted():
                await self._confirm(deletion)
            case CallMissing():
                await self._confirm_missing(deletion)
            case ProviderUnavailable(reason=reason):
                await self._postpone(deletion, reason)
            case never:
                assert_never(never)

    async def _find(self, deletion: erasure_calls.ErasureCall) -> str | None:
        """Return a call that Retell has under our id, and store the others; confirm the deletion if it has none."""
        if deletion.call_id is None:
            return None
        match await self._provider.find_calls(deletion.credential, deletion.call_id):
            case ProviderUnavailable(reason=reason):
                await self._postpone(deletion, reason)
                return None
            case CallsFound(provider_call_ids=ids):
                if not ids:
                    await self._confirm_missing(deletion)
                    return None
                async with self._database.for_organization(deletion.organization_id) as connection:
                    await erasure_calls.add_erasure_calls(
                        connection,
                        organization_id=deletion.organization_id,
                        erasure_id=deletion.erasure_id,
                        provider_account_id=deletion.provider_account_id,
                        call_id=deletion.call_id,
                        retell_call_ids=ids[1:],
                        now=self._clock.now(),
                    )
                return ids[0]
            case never:
                assert_never(never)

    async def _note_no_key(self, deletion: erasure_calls.ErasureCall) -> None:
        """Leave the call to the dialers that have the key, or to an admin if the account has none."""
        if deletion.has_key:
            await self._postpone(deletion, f"this dialer has no API key for the account {deletion.credential}")
            return
        now = self._clock.now()
        async with self._database.for_organization(deletion.organization_id) as connection:
            left = await erasure_calls.leave_without_key(
                connection,
                id=deletion.id,
                taken_until=deletion.taken_until,
                now=now,
                next_try_at=now + LONGEST_DELAY,
                key_since=now - ENVIRONMENT_SEEN_WITHIN,
            )
        if left:
            log("erasure.call_out_of_reach", level="warning", deletion_id=str(deletion.id), reason="no_key")

    async def _confirm_missing(self, deletion: erasure_calls.ErasureCall) -> None:
        """Confirm the deletion of a call that the workspace does not have, unless the call may be in a former one."""
        now, taken_until = self._clock.now(), deletion.taken_until
        async with self._database.for_organization(deletion.organization_id) as connection:
            if await erasure_calls.confirm_missing_call(connection, id=deletion.id, taken_until=taken_until, now=now):
                return
            if await erasure_calls.await_workspace(connection, id=deletion.id, taken_until=taken_until, now=now):
                return
            left = await erasure_calls.leave_erasure_call(
                connection, id=deletion.id, taken_until=taken_until, now=now, next_try_at=now + LONGEST_DELAY
            )
        if left:
            log("erasure.call_out_of_reach", level="warning", deletion_id=str(deletion.id), reason="workspace")

    async def _confirm(self, deletion: erasure_calls.ErasureCall) -> None:
        async with self._database.for_organization(deletion.organization_id) as connection:
            await erasure_calls.confirm_erasure_call(connection, id=deletion.id, now=self._clock.now())

    async def _postpone(self, deletion: erasure_calls.ErasureCall, reason: str) -> None:
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(deletion.tries - 1, 10))
        log("erasure.deletion_postponed", level="warning", deletion_id=str(deletion.id), reason=reason)
        async with self._database.for_organization(deletion.organization_id) as connection:
            await erasure_calls.postpone_erasure_call(
                connection,
                id=deletion.id,
                taken_until=deletion.taken_until,
                next_try_at=self._clock.now() + delay,
                error=reason,
                is_reachable=deletion.has_key and deletion.is_here,
            )
