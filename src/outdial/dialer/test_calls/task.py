"""Sends the test calls that members request, each at most once, and finds the end of those that stay silent."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries import accounts, events
from outdial.db.queries.dialing import stops
from outdial.db.queries.dialing import test_calls as queries
from outdial.db.session import Database, LockNotAvailable
from outdial.dialer.claim import DEADLINE_MARGIN
from outdial.dialer.plan import pace_of
from outdial.dialer.rescue import ANALYSIS_CHECKS, CANCELLED_RELEASE, MISSING_CHECKS, OUT_OF_REACH
from outdial.dialer.starts import MAX_SLACK, store_pace
from outdial.dialer.test_calls.admission import RefusedTest, admit_test_call, planned_request
from outdial.domain.call import CallWorkspace
from outdial.domain.pacing import after_slots, recovered, start_slots
from outdial.domain.policies.test_calls import ALL_STOPPED, END_UNKNOWN, MISSED_START, NO_SUCH_CALL
from outdial.domain.rules import RuleBook
from outdial.log import log
from outdial.provider import (
    CallFound,
    CallMissing,
    CallPlaced,
    CallRefused,
    CallsFound,
    CallUncertain,
    ProviderUnavailable,
    VoiceProvider,
)
from outdial.settings import DialerSettings

EVERY: Final = timedelta(seconds=2)
BATCH: Final = 20
AT_ONCE: Final = 4
NEXT_TRY: Final = timedelta(seconds=2)
"""Wait of a requested call while no line of its account is free."""
CLAIM_LOCK_WAIT: Final = timedelta(milliseconds=10)
"""Wait for each account of the organization. It is short: claims wait for the accounts that are locked already."""
FARTHEST_START: Final = timedelta(seconds=10)
"""A test call takes the next free start of its account, which lies behind those that a claim has just reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTest:
    """A test call that is marked as sent: `body` leaves at `start_at`, or never."""

    due: queries.DueTestCall
    credential: str
    body: bytes
    start_at: datetime
    deadline: datetime


class MustNotLeave(Exception):
    """The request of a test call does not leave: it is late, its phone was erased, or all calls were stopped."""


class CallTester:
    """A background task: `run_once` works on every test call that is due, and returns how many."""

    def __init__(
        self, database: Database, provider: VoiceProvider, clock: Clock, settings: DialerSettings, rules: RuleBook
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._settings = settings
        self._rules = rules

    async def run_once(self) -> int:
        """Send what has been requested, and ask about calls whose end has not come."""
        async with self._database.transaction() as connection:
            due = await queries.due_test_calls(connection, now=self._clock.now(), limit=BATCH)
        await run_each(
            due,
            self._work,
            at_once=AT_ONCE,
            on_error=lambda each, error: log(
                "dialer.test_call_failed", level="error", test_call_id=str(each.test_call_id), error=error
            ),
        )
        return len(due)

    async def _work(self, due: queries.DueTestCall) -> None:
        try:
            planned = await self._claim(due)
        except LockNotAvailable:
            return  # A claim has the account; the call stays due.
        if planned is not None:
            await self._send(planned)
        else:
            await self._check(due)

    async def _claim(self, due: queries.DueTestCall) -> PlannedTest | None:
        """Mark a requested test call as sent, with a start time under the locks of its organization's accounts.

        Returns None where there is nothing to send: it is refused, waits for a line, or was sent before.
        """
        now = self._clock.now()
        async with self._database.for_organization(due.organization_id, lock_timeout=CLAIM_LOCK_WAIT) as connection:
            facts = await queries.claim_facts(connection, id=due.test_call_id, now=now)
            if facts is None:
                return None
            # A call of any account may ring the phone, and stopping all calls takes these locks: read what forbids the
            # call after them.
            locked = await accounts.lock_accounts(connection, organization_id=facts.organization_id)
            [account] = [each for each in locked if each.id == facts.provider_account_id]
            facts = await queries.claim_facts(connection, id=due.test_call_id, now=now)
            if facts is None:
                return None
            from_number = await admit_test_call(connection, facts, self._rules, now)
            if isinstance(from_number, RefusedTest):
                await queries.refuse_test_call(connection, id=facts.id, reason=from_number.reason)
                return None
            if not self._provider.has_account(account.credential):
                return None  # It stays due for a dialer that has the key.
            live = await accounts.count_account_live(connection, provider_account_id=account.id)
            pace = recovered(pace_of(account), now)
            starts = start_slots(pace, now, 1, FARTHEST_START)
            if live >= account.concurrency_limit - account.reserved_inbound or not starts:
                await queries.postpone_test_call(connection, id=facts.id, next_check_at=now + NEXT_TRY)
                return None
            start_at, deadline = starts[0], starts[0] + self._settings.request_timeout + DEADLINE_MARGIN
            request = planned_request(facts, from_number, start_at, self._provider.fills_variable)
            body = self._provider.encode_request(request)
            await queries.send_test_call(
                connection,
                id=facts.id,
                request=body.decode(),
                from_number=from_number,
                start_at=start_at,
                deadline=deadline,
            )
            await store_pace(connection, account, replace(pace, next_start_at=after_slots(pace, starts)))
        return PlannedTest(due=due, credential=account.credential, body=body, start_at=start_at, deadline=deadline)

    async def _send(self, planned: PlannedTest) -> None:
        """Send the only request of a test call and settle its response. After a lost one, the call is looked up."""

        async def reach_start() -> None:
            await self._clock.sleep_until(planned.start_at)
            async with self._database.for_organization(organization_id) as connection:
                leaves = await queries.leave_test_call(
                    connection,
                    id=test_call_id,
                    now=self._clock.now(),
                    request_timeout=self._settings.request_timeout,
                    latest_start=planned.start_at + MAX_SLACK,
                )
            # The transaction may have taken long: nothing leaves so late that it outlives the deadline.
            if leaves is None or self._clock.now() + self._settings.request_timeout > planned.deadline:
                raise MustNotLeave

        test_call_id, organization_id = planned.due.test_call_id, planned.due.organization_id
        try:
            response = await self._provider.create_call(planned.credential, planned.body, before_sending=reach_start)
        except MustNotLeave:
            response = None
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            match response:
                case CallPlaced(provider_call_id):
                    await queries.adopt_test_call(
                        connection,
                        id=test_call_id,
                        retell_call_id=provider_call_id,
                        next_check_at=now + self._settings.reconcile_after,
                    )
                case CallRefused(kind=kind, message=message):
                    await queries.refuse_test_call(connection, id=test_call_id, reason=f"Retell, {kind}: {message}")
                case CallUncertain():
                    await queries.end_test_request(
                        connection, id=test_call_id, next_check_at=now + self._settings.rescue_after
                    )
                case None:
                    is_stopped = await stops.is_stopped(connection, organization_id=organization_id)
                    await queries.refuse_test_call(
                        connection, id=test_call_id, reason=ALL_STOPPED if is_stopped else MISSED_START
                    )
                case never:
                    assert_never(never)

    async def _check(self, due: queries.DueTestCall) -> None:
        """Ask the provider about a sent call: whether it exists, and how it has ended."""
        now, settings = self._clock.now(), self._settings
        async with self._database.for_organization(due.organization_id) as connection:
            call = await queries.take_sent_test_call(
                connection, id=due.test_call_id, now=now, first=settings.rescue_after, most=settings.reconcile_most
            )
        if call is None:
            return
        if call.retell_call_id is None:
            await self._find(call, now)
        else:
            await self._reconcile(call, call.retell_call_id, now)

    async def _find(self, call: queries.SentTestCall, now: datetime) -> None:
        match await self._provider.find_calls(call.credential, call.id, is_test=True):
            case CallsFound(provider_call_ids=ids) if ids:
                async with self._database.for_organization(call.organization_id) as connection:
                    # Its events may have come and gone, so its state is due at once.
                    await queries.adopt_test_call(connection, id=call.id, retell_call_id=ids[-1], next_check_at=now)
            case CallsFound() if now - call.requested_at >= CANCELLED_RELEASE:
                is_here = call.workspace == CallWorkspace.CURRENT
                await self._give_up(call, NO_SUCH_CALL if is_here else OUT_OF_REACH)
            case CallsFound():
                pass
            case ProviderUnavailable(reason=reason):
                await self._note_unavailable(call, reason, now)
            case never:
                assert_never(never)

    async def _reconcile(self, call: queries.SentTestCall, retell_call_id: str, now: datetime) -> None:
        """Store the state of the call in the ledger as the equivalent event."""
        match await self._provider.get_call(call.credential, retell_call_id):
            case CallFound(event=str() as event, body=bytes() as body) as found:
                if call.status == "ended" and call.checks >= ANALYSIS_CHECKS and not found.is_analyzed:
                    await self._give_up(call, END_UNKNOWN)
                    return
                async with self._database.for_organization(call.organization_id) as connection:
                    await events.store_reconciled_events(
                        connection,
                        credential=call.credential,
                        retell_call_id=retell_call_id,
                        organization_id=call.organization_id,
                        call_id=None,
                        events=[event],
                        bodies=[body],
                        hashes=[hashlib.sha256(body).digest()],
                        now=now,
                    )
            case CallFound():
                pass  # It rings.
            case CallMissing():
                if call.checks >= MISSING_CHECKS:
                    is_here = call.workspace == CallWorkspace.CURRENT
                    await self._give_up(call, END_UNKNOWN if is_here else OUT_OF_REACH)
            case ProviderUnavailable(reason=reason):
                await self._note_unavailable(call, reason, now)
            case never:
                assert_never(never)

    async def _note_unavailable(self, call: queries.SentTestCall, reason: str, now: datetime) -> None:
        if now - call.requested_at >= self._settings.review_after:
            await self._give_up(call, f"Retell is unavailable, and the end of the call is not known: {reason}")

    async def _give_up(self, call: queries.SentTestCall, reason: str) -> None:
        async with self._database.for_organization(call.organization_id) as connection:
            await queries.fail_test_call(connection, id=call.id, reason=reason)
        log("dialer.test_call_given_up", level="warning", test_call_id=str(call.id), reason=reason)
