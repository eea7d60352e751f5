"""Places calls: one request each, no automatic retry, no transaction open, and none sent that comes too late."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from outdial.clock import Clock
from outdial.db.session import assert_no_transaction
from outdial.dialer.plan import PlannedCall
from outdial.retell.client import RetellClient
from outdial.retell.responses import Ambiguous, Placed, RefusalKind, Refused
from outdial.settings import DialerSettings

# Less than this is the event loop's own jitter, which the headroom of the spacing absorbs.
UNEVENNESS = timedelta(milliseconds=5)


@dataclass(frozen=True, slots=True)
class TooLate:
    """Nothing was sent: the process had stood still for so long that the answer could miss the call's deadline."""


Answer = Placed | Refused | Ambiguous | TooLate


@dataclass(frozen=True, slots=True)
class Answered:
    """A call with what Retell said."""

    call: PlannedCall
    answer: Answer


class Placer:
    """Sends create-phone-call for claimed calls, each at its start time, with the key of its account."""

    def __init__(self, clients: Mapping[str, RetellClient], clock: Clock, settings: DialerSettings) -> None:
        self._clients, self._clock, self._settings = clients, clock, settings
        self._free_at: dict[UUID, datetime] = {}

    async def place(self, calls: Sequence[PlannedCall]) -> list[Answered]:
        """Send the requests concurrently and return the answers in the order of the calls."""
        return list(await asyncio.gather(*(self._place_one(call) for call in calls)))

    async def _place_one(self, call: PlannedCall) -> Answered:
        client = self._clients.get(call.credential)
        if client is None:
            message = f"no API key for the account {call.credential!r}: set {key_name(call.credential)}"
            return Answered(call, Refused(RefusalKind.account, None, message))
        await self._clock.sleep_until(call.start_at)
        await self._keep_distance(call)
        if self._clock.now() + self._settings.request_timeout > call.deadline:
            return Answered(call, TooLate())
        assert_no_transaction()
        return Answered(call, await client.create_phone_call(call.body))

    async def _keep_distance(self, call: PlannedCall) -> None:
        """Space overdue requests out: a process that had stood still would send all of them at once."""
        now = self._clock.now()
        start_at = max(now, self._free_at.get(call.provider_account_id, now))
        self._free_at[call.provider_account_id] = start_at + call.spacing
        if start_at - now > UNEVENNESS:
            await self._clock.sleep_until(start_at)


def key_name(credential: str) -> str:
    """Return the name of the environment variable that holds the API key of `credential`."""
    return "RETELL_API_KEY" if credential == "default" else f"RETELL_API_KEY_{credential.upper()}"


def is_certain(answer: Answer) -> bool:
    """Tell whether the answer to a repeated request settles the call: only the call itself does.

    Retell may refuse a repetition, for capacity or for anything else, though it has taken the first request.
    """
    match answer:
        case Placed():
            return True
        case Refused() | Ambiguous() | TooLate():
            return False
        case never:
            assert_never(never)
