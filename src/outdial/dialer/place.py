"""Places calls: one request each, no automatic retry, no transaction open, and none sent too late."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from outdial.clock import Clock
from outdial.db.session import assert_no_transaction
from outdial.dialer.invariants import UNEVENNESS, OutstandingRequests
from outdial.dialer.plan import PlannedCall
from outdial.domain.errors import InvariantBroken
from outdial.log import log
from outdial.provider import CallPlaced, CallRefused, CallUncertain, VoiceProvider
from outdial.settings import DialerSettings


@dataclass(frozen=True, slots=True)
class TooLate:
    """Nothing was sent: the process was stalled for so long that the response could miss the call's deadline."""


PlacementResponse = CallPlaced | CallRefused | CallUncertain | TooLate


@dataclass(frozen=True, slots=True)
class CallResponse:
    """A call with the response to its request."""

    call: PlannedCall
    response: PlacementResponse


class Placer:
    """Sends create-phone-call for claimed calls, each at its start time, with the key of its account."""

    def __init__(self, provider: VoiceProvider, clock: Clock, settings: DialerSettings) -> None:
        self._provider = provider
        self._clock = clock
        self._settings = settings
        self._free_at: dict[UUID, datetime] = {}
        self._outstanding = OutstandingRequests(provider.read_request)

    async def place(self, calls: Sequence[PlannedCall]) -> list[CallResponse]:
        """Send the requests concurrently and return the responses in the order of the calls.

        A call that breaks an invariant is logged and left out: no request leaves for it, and the rescue takes it over
        after its deadline.
        """
        responses = await asyncio.gather(*(self._place_one(call) for call in calls))
        return [response for response in responses if response is not None]

    async def _place_one(self, call: PlannedCall) -> CallResponse | None:
        if not self._provider.has_account(call.credential):
            # The provider refuses the account without a request, so the call need not wait for its start time.
            return CallResponse(call, await self._provider.create_call(call.credential, call.body))
        await self._clock.sleep_until(call.start_at)
        if self._clock.now() < call.start_at - UNEVENNESS:
            # A sleep measures its span once, and the clock was set back meanwhile.
            await self._clock.sleep_until(call.start_at)
        await self._keep_distance(call)
        now = self._clock.now()
        if now + self._settings.request_timeout > call.deadline:
            return CallResponse(call, TooLate())
        assert_no_transaction()
        try:
            self._outstanding.begin(call, now, self._settings.request_timeout)
        except InvariantBroken as error:
            log("dialer.invariant_broken", level="error", call_id=str(call.id), error=error)
            return None
        try:
            return CallResponse(call, await self._provider.create_call(call.credential, call.body))
        finally:
            self._outstanding.end(call)

    async def _keep_distance(self, call: PlannedCall) -> None:
        """Space overdue requests out: a process that was stalled would send all of them at once."""
        now = self._clock.now()
        start_at = max(now, self._free_at.get(call.provider_account_id, now))
        self._free_at[call.provider_account_id] = start_at + call.spacing
        if start_at - now > UNEVENNESS:
            await self._clock.sleep_until(start_at)


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
