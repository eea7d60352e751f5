"""Places calls: one request each, no automatic retry, no transaction open, and each at its reserved start time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, assert_never
from uuid import UUID

from outdial.clock import Clock
from outdial.db.session import Database, assert_no_transaction
from outdial.dialer.admission import may_ring
from outdial.dialer.invariants import UNEVENNESS, OutstandingRequests
from outdial.dialer.plan import PlannedCall
from outdial.dialer.starts import StartRenewer
from outdial.domain.errors import InvariantBroken
from outdial.domain.pacing import is_unlimited
from outdial.log import log
from outdial.provider import CallPlaced, CallRefused, CallUncertain, VoiceProvider
from outdial.settings import DialerSettings

GROUP_S: Final = 1.0
"""Responses that come within this time are settled together: each settlement costs a transaction."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """Nothing was sent: the call missed its start time, would ring outside its hours, or its account has no key."""


PlacementResponse = CallPlaced | CallRefused | CallUncertain | TooLate


@dataclass(frozen=True, slots=True)
class CallResponse:
    """A call with the response to its request."""

    call: PlannedCall
    response: PlacementResponse


class StartMissed(Exception):
    """A request does not leave: its call missed its start and no other is free, or it would ring outside its hours."""


class Placer:
    """Sends create-phone-call for claimed calls, each at its start time, with the key of its account."""

    def __init__(self, database: Database, provider: VoiceProvider, clock: Clock, settings: DialerSettings) -> None:
        self._provider = provider
        self._clock = clock
        self._settings = settings
        self._starts = StartRenewer(database, clock, settings)
        self._lowered_at: dict[UUID, datetime] = {}
        self._all_lowered_at = datetime.min.replace(tzinfo=UTC)
        self._outstanding = OutstandingRequests(provider.read_request)

    def recheck(self, provider_account_id: UUID) -> None:
        """Check the limits of an account again for calls that wait for their start: a limit was lowered."""
        self._lowered_at[provider_account_id] = self._clock.now()

    def recheck_all(self) -> None:
        """Do as `recheck` does for all accounts: notifications of lowered limits may have been lost."""
        self._all_lowered_at = self._clock.now()

    async def place(self, calls: Sequence[PlannedCall]) -> list[CallResponse]:
        """Send the requests concurrently and return the responses in the order of the calls.

        A call that breaks an invariant is logged and left out: no request leaves for it, and the rescue takes it over
        after its deadline.
        """
        responses = await asyncio.gather(*(self._place_one(call) for call in calls))
        return [response for response in responses if response is not None]

    async def place_in_groups(self, calls: Sequence[PlannedCall]) -> AsyncIterator[list[CallResponse]]:
        """Like `place`, but yield responses as they come: a request that hangs does not hold up the others.

        A call whose placing raises is logged and left out, too.
        """
        pending = {asyncio.create_task(self._place_one(call)) for call in calls}
        while pending:
            done, pending = await asyncio.wait(pending, timeout=GROUP_S)
            responses = []
            for task in done:
                if (error := task.exception()) is not None:
                    log("dialer.place_failed", level="error", error=error)
                elif (response := task.result()) is not None:
                    responses.append(response)
            if responses:
                yield responses

    async def _place_one(self, call: PlannedCall) -> CallResponse | None:
        if not self._provider.has_account(call.credential):
            # The key was removed after the claim. The next claim waits for one.
            return CallResponse(call, TooLate())
        has_left = False

        async def leave() -> None:
            nonlocal call, has_left
            if has_left:  # Its connection closed before the first byte, and the request leaves on another one.
                self._outstanding.end(call)
                has_left = False
            call = await self._reach_start(call)
            self._outstanding.begin(call, self._clock.now(), self._settings.request_timeout)
            has_left = True

        try:
            response = await self._provider.create_call(call.credential, call.body, before_sending=leave)
            return CallResponse(call, response)
        except StartMissed:
            return CallResponse(call, TooLate())
        except InvariantBroken as error:
            log("dialer.invariant_broken", level="error", call_id=str(call.id), error=error)
            return None
        finally:
            if has_left:
                self._outstanding.end(call)

    async def _reach_start(self, call: PlannedCall) -> PlannedCall:
        """Wait until the start time of a call, and exchange a start time that was missed for a new one.

        Runs when the connection is ready, so that nothing but the network lies between the start and the provider.
        Raises StartMissed.
        """
        while True:
            assert_no_transaction()
            await self._clock.sleep_until(call.start_at)
            if self._clock.now() < call.start_at - UNEVENNESS:
                # A sleep measures its span once, and the clock was set back meanwhile.
                await self._clock.sleep_until(call.start_at)
            now = self._clock.now()
            if now + self._settings.request_timeout > call.deadline or not may_ring(call.window, now):
                raise StartMissed
            lowered_at = max(self._lowered_at.get(call.provider_account_id, self._all_lowered_at), self._all_lowered_at)
            is_current = lowered_at < call.limits_at
            if is_current and (now <= call.start_at + call.slack or is_unlimited(call.spacing)):
                return call
            renewed = await self._starts.renew(call)
            if renewed is None:
                raise StartMissed
            call = replace(call, start_at=renewed.start_at, slack=renewed.slack, limits_at=renewed.limits_at)


def repeated(response: PlacementResponse) -> CallPlaced | CallUncertain:
    """Return what the response to a repeated request says about the call: only a placed call settles it.

    Retell may refuse the repetition, for capacity or any other reason, although it accepted the first request.
    """
    match response:
        case CallPlaced():
            return response
        case CallRefused(kind, _, message):
            reason = f"{kind}: {message}"
        case CallUncertain():
            reason = response.reason
        case TooLate():
            reason = "not sent in time"
        case never:
            assert_never(never)
    return CallUncertain(f"repeated request: {reason}"[:500])
