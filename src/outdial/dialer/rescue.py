"""Asks the provider about calls without events, and never places a second call for one attempt.

An `unknown` call is looked up by its metadata. If the provider does not list it, the same request is sent again with
the same key while the provider honors the key, and the call is released afterwards. If the account has a key of another
workspace since, a member decides. If the provider has the call, its state goes into the ledger, where the applier takes
it like a webhook.
"""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries import accounts, campaign_status, events, settlements
from outdial.db.queries.dialing import stops
from outdial.db.session import Database
from outdial.dialer.callbacks.planning import ON_TIME
from outdial.dialer.claim import DEADLINE_MARGIN
from outdial.dialer.clearance import ClearanceGate
from outdial.dialer.numbers.pool import may_repeat
from outdial.dialer.place import CallResponse, Placer, repeated
from outdial.dialer.plan import HOOK_TIME, PlannedCall, pace_of
from outdial.dialer.repeat import window_to_repeat
from outdial.dialer.settle import MAX_RESCUE_INTERVAL, CallAdoption, CallIdTaken, Settler
from outdial.dialer.starts import LOCK_WAIT, store_pace
from outdial.domain.call import CallStatus, CallWorkspace
from outdial.domain.campaign import CampaignStatus
from outdial.domain.pacing import after_slots, recovered, spacing, start_slots
from outdial.domain.rules import RuleBook
from outdial.log import log
from outdial.provider import CallFound, CallMissing, CallsFound, ProviderUnavailable, VoiceProvider
from outdial.settings import DialerSettings

BATCH = 200
MAX_CONCURRENT_CHECKS = 10
CANCELLED_RELEASE = timedelta(minutes=5)
"""A cancelled campaign repeats no request, so a call that Retell does not list is released this soon."""
MISSING_CHECKS = 4
"""After this many checks without a trace of the call, Retell is taken to have lost it."""
OUT_OF_REACH = "the call is in a former Retell workspace of the account, whose key Outdial no longer has"
ANALYSIS_CHECKS = 6
"""After this many checks without an analysis, none is expected."""


class Rescuer:
    """A background task: `run_once` checks every call that is due and returns how many it checked."""

    def __init__(
        self,
        database: Database,
        provider: VoiceProvider,
        placer: Placer,
        settler: Settler,
        clearance: ClearanceGate,
        clock: Clock,
        settings: DialerSettings,
        rules: RuleBook,
    ) -> None:
        self._database = database
        self._provider = provider
        self._rules = rules
        self._placer = placer
        self._settler = settler
        self._clearance = clearance
        self._clock = clock
        self._settings = settings
        self._unresponsive: set[UUID] = set()

    async def run_once(self) -> int:
        """Check the calls that are due, at most MAX_CONCURRENT_CHECKS at a time."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            due = await settlements.calls_to_check(connection, now=now, limit=BATCH)
        self._unresponsive.clear()
        await run_each(
            due,
            self._check,
            at_once=MAX_CONCURRENT_CHECKS,
            on_error=lambda silent, error: log(
                "rescue.failed", level="error", call_id=str(silent.call_id), error=error
            ),
        )
        return len(due)

    async def _check(self, silent: settlements.SilentCall) -> None:
        if silent.organization_id in self._unresponsive:
            return  # It stays due. The calls of others must not wait for timeouts.
        now = self._clock.now()
        async with self._database.for_organization(silent.organization_id) as connection:
            call = await settlements.take_call_to_check(
                connection,
                call_id=silent.call_id,
                now=now,
                rescue_after=self._settings.rescue_after,
                rescue_most=MAX_RESCUE_INTERVAL,
                reconcile_after=self._settings.reconcile_after,
                reconcile_most=self._settings.reconcile_most,
            )
        if call is None:
            return
        if call.status == CallStatus.UNKNOWN and call.needs_clearance and call.cleared_at is None:
            await self._clearance.release_abandoned(call.organization_id, call.id)
            return
        if not self._provider.has_account(call.credential):
            return
        if call.status == CallStatus.UNKNOWN:
            await self._rescue(call, now)
        elif call.retell_call_id is not None:
            await self._reconcile(call, call.retell_call_id, now)

    # Unknown calls: does Retell have them?

    async def _rescue(self, call: settlements.CheckedCall, now: datetime) -> None:
        match await self._provider.find_calls(call.credential, call.id):
            case ProviderUnavailable() as unavailable:
                await self._note_unavailable(call, unavailable, now)
            case CallsFound(ids) if ids:
                if len(ids) > 1:
                    log("rescue.several_calls", level="error", call_id=str(call.id), calls=len(ids))
                # Its webhooks may have come and gone, so its state is due at once.
                now = self._clock.now()
                adoption = CallAdoption(call.id, ids[-1])
                try:
                    async with self._database.for_organization(call.organization_id) as connection:
                        await self._settler.adopt(connection, call.credential, [adoption], now, check_at=now)
                except CallIdTaken as error:
                    # Both calls would share one id, so their events could not be told apart.
                    await self._review(call, str(error))
            case CallsFound():
                await self._resolve_unlisted(call)
            case never:
                assert_never(never)

    async def _resolve_unlisted(self, call: settlements.CheckedCall) -> None:
        """Repeat the request of a call that Retell does not list, or release the call once its key is too old."""
        now = self._clock.now()
        if call.workspace != CallWorkspace.CURRENT:
            # Retell may have placed it in the former workspace, whose idempotency key does not count in this one.
            await self._review(
                call, "the account has a key of another Retell workspace now, which does not list the call"
            )
            return
        age = now - call.created_at
        if age < self._settings.resend_until and call.campaign_status == "active":
            planned = await self._admit_again(call, now)
            if planned is None:
                return
            for response in await self._placer.place([planned]):
                await self._settler.settle([CallResponse(planned, repeated(response.response))])
            return
        cancelled = call.campaign_status in ("cancelling", "cancelled")
        if age >= (CANCELLED_RELEASE if cancelled else self._settings.release_after):
            async with self._database.for_organization(call.organization_id) as connection:
                await settlements.release_call(connection, call_id=call.id, reason="Retell has no such call", now=now)

    async def _admit_again(self, call: settlements.CheckedCall, now: datetime) -> PlannedCall | None:
        """Take a start slot for the same request if the campaign is active and its contact could be claimed now."""
        async with self._database.for_organization(call.organization_id, lock_timeout=LOCK_WAIT) as connection:
            if await campaign_status.share_active_campaign(connection, campaign_id=call.campaign_id) is None:
                return None
            window = await window_to_repeat(connection, call.organization_id, call.id, self._rules, now)
            if window is None:
                return None
            account = await accounts.lock_account(connection, provider_account_id=call.provider_account_id)
            if await stops.is_stopped(connection, organization_id=call.organization_id):
                return None
            if not await may_repeat(connection, call, now):
                return None
            pace = recovered(pace_of(account), now)
            # Claims of an organization with a hook take starts that lie further ahead.
            horizon = self._settings.claim_horizon + (HOOK_TIME if call.needs_clearance else timedelta())
            slots = start_slots(pace, now, 1, horizon)
            if not slots:
                return None
            deadline = slots[0] + self._settings.request_timeout + DEADLINE_MARGIN
            begun = await settlements.begin_resend(
                connection, call_id=call.id, start_at=slots[0], deadline=deadline, on_time=ON_TIME, now=now
            )
            if begun is None:
                return None
            await store_pace(connection, account, replace(pace, next_start_at=after_slots(pace, slots)))
        return PlannedCall(
            id=call.id,
            organization_id=call.organization_id,
            campaign_id=call.campaign_id,
            campaign_status=CampaignStatus.ACTIVE,
            provider_account_id=call.provider_account_id,
            credential=call.credential,
            phone=call.phone,
            start_at=slots[0],
            deadline=deadline,
            spacing=spacing(pace),
            body=call.request.encode(),
            window=window,
            limits_at=now,
            needs_clearance=call.needs_clearance,
            cleared_at=call.cleared_at,
        )

    # Calls that Retell has: what is their state?

    async def _reconcile(self, call: settlements.CheckedCall, retell_call_id: str, now: datetime) -> None:
        """Store the call's state in the ledger as the equivalent event. A call that only rings has none."""
        match await self._provider.get_call(call.credential, retell_call_id):
            case CallFound() as found:
                if found.event is None or found.body is None:
                    return
                if call.status == CallStatus.ENDED and call.checks >= ANALYSIS_CHECKS and not found.is_analyzed:
                    await self._give_up(call, f"Retell never reported why the call ended ({found.call_status})")
                    return
                async with self._database.for_organization(call.organization_id) as connection:
                    await events.store_reconciled_events(
                        connection,
                        credential=call.credential,
                        retell_call_id=retell_call_id,
                        organization_id=call.organization_id,
                        call_id=call.id,
                        events=[found.event],
                        bodies=[found.body],
                        hashes=[hashlib.sha256(found.body).digest()],
                        now=self._clock.now(),
                    )
            case CallMissing():
                if call.checks >= MISSING_CHECKS:
                    is_here = call.workspace == CallWorkspace.CURRENT
                    await self._give_up(call, "Retell no longer knows the call" if is_here else OUT_OF_REACH)
            case ProviderUnavailable() as unavailable:
                await self._note_unavailable(call, unavailable, now)
            case never:
                assert_never(never)

    async def _give_up(self, call: settlements.CheckedCall, reason: str) -> None:
        """Stop checking: a call without an outcome goes to review, and a known outcome stays."""
        if call.outcome is None and call.status != CallStatus.RELEASED:
            await self._review(call, reason)
            return
        async with self._database.for_organization(call.organization_id) as connection:
            await settlements.stop_checking(connection, call_id=call.id)

    async def _note_unavailable(
        self, call: settlements.CheckedCall, unavailable: ProviderUnavailable, now: datetime
    ) -> None:
        """Send an old call to review. Without a response, skip the other calls of its organization in this run."""
        if unavailable.status is None:
            self._unresponsive.add(call.organization_id)
        if now - call.created_at >= self._settings.review_after:
            await self._review(call, f"Retell is unavailable: {unavailable.reason}")

    async def _review(self, call: settlements.CheckedCall, reason: str) -> None:
        async with self._database.for_organization(call.organization_id) as connection:
            await settlements.review_call(connection, call_id=call.id, reason=reason, now=self._clock.now())
        log("rescue.review", level="warning", call_id=str(call.id), reason=reason)
