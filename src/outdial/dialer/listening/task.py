"""Asks the provider for the sound of the calls that members listen to: only dialers have the keys of the provider."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

import msgspec

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries.dialing import call_sound
from outdial.db.session import Database
from outdial.domain.call import CallWorkspace
from outdial.domain.errors import InvariantBroken
from outdial.domain.policies.listening import GIVEN_UP_AFTER, ListenRefusal
from outdial.log import log
from outdial.provider import (
    CallMissing,
    CallSound,
    CardDataSpoken,
    ProviderUnavailable,
    SoundInDashboardOnly,
    SoundOffered,
    TakenOver,
)
from outdial.provider_keys.replies import seal_reply

EVERY: Final = timedelta(seconds=2)
KEPT_FOR: Final = timedelta(hours=12)
"""Longer than any call: who listens may take over until it ends."""
_BATCH: Final = 50
_AT_ONCE: Final = 10
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class RefusedListening:
    """The request is refused, with what the provider said if it failed."""

    refusal: ListenRefusal
    reason: str | None = None


class CallListening:
    """A background task: `run_once` carries out the requests of members, and returns how many."""

    def __init__(self, database: Database, provider: CallSound, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock

    async def run_once(self) -> int:
        """Carry out the requests that are due and whose account this dialer has the key of."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            due = await call_sound.due_listen_requests(connection, now=now, since=now - GIVEN_UP_AFTER, limit=_BATCH)
        own = [each for each in due if self._provider.has_account(each.credential)]
        await run_each(
            own,
            self._carry_out,
            at_once=_AT_ONCE,
            on_error=lambda each, error: log(
                "dialer.listening_failed", level="error", request_id=str(each.request_id), error=error
            ),
        )
        return len(own)

    async def _carry_out(self, due: call_sound.DueListenRequest) -> None:
        now = self._clock.now()
        async with self._database.for_organization(due.organization_id) as connection:
            request = await call_sound.take_listen_request(connection, id=due.request_id, now=now)
        if request is None:
            return
        result = await self._ask(due.credential, request)
        async with self._database.for_organization(due.organization_id) as connection:
            match result:
                case SoundOffered(url, token, participant_id):
                    reply = msgspec.json.encode({"url": url, "token": token})
                    sealed = seal_reply(_reply_key(request), request.id, reply)
                    await call_sound.grant_listening(
                        connection, id=request.id, participant_id=participant_id, sealed=sealed, now=self._clock.now()
                    )
                case TakenOver():
                    await call_sound.grant_listening(
                        connection, id=request.id, participant_id=None, sealed=None, now=self._clock.now()
                    )
                case RefusedListening(refusal, reason):
                    await call_sound.refuse_listening(
                        connection, id=request.id, refusal=refusal, reason=reason, now=self._clock.now()
                    )
                case never:
                    assert_never(never)
            await call_sound.forget_listen_requests(
                connection, organization_id=due.organization_id, before=now - KEPT_FOR
            )

    async def _ask(
        self, credential: str, request: call_sound.ListenRequest
    ) -> SoundOffered | TakenOver | RefusedListening:
        if request.workspace == CallWorkspace.FORMER:
            return RefusedListening(ListenRefusal.OUT_OF_REACH)
        if not request.is_on_the_line or request.retell_call_id is None:
            return RefusedListening(ListenRefusal.NOT_ON_THE_LINE)
        match await self._request(credential, request.retell_call_id, request):
            case SoundOffered() | TakenOver() as granted:
                return granted
            case SoundInDashboardOnly():
                return RefusedListening(ListenRefusal.DASHBOARD_ONLY)
            case CardDataSpoken():
                return RefusedListening(ListenRefusal.CARD_DATA)
            case CallMissing() if request.workspace != CallWorkspace.CURRENT:
                return RefusedListening(ListenRefusal.OUT_OF_REACH)
            case CallMissing():
                return RefusedListening(ListenRefusal.NOT_ON_THE_LINE)
            case ProviderUnavailable(status=429):
                return RefusedListening(ListenRefusal.RATE_LIMITED)
            case ProviderUnavailable(reason=reason):
                log("dialer.listening_refused", level="warning", call_id=str(request.call_id), reason=reason)
                return RefusedListening(ListenRefusal.FAILED, reason[:_LONGEST_REASON])
            case never:
                assert_never(never)

    async def _request(
        self, credential: str, provider_call_id: str, request: call_sound.ListenRequest
    ) -> SoundOffered | SoundInDashboardOnly | TakenOver | CardDataSpoken | CallMissing | ProviderUnavailable:
        if request.action == "listen":
            return await self._provider.listen(credential, provider_call_id)
        return await self._provider.take_over(credential, provider_call_id, _participant(request))


def _reply_key(request: call_sound.ListenRequest) -> bytes:
    if request.reply_key is None:
        raise InvariantBroken("a request to listen has a reply key")
    return request.reply_key


def _participant(request: call_sound.ListenRequest) -> str:
    if request.participant_id is None:
        raise InvariantBroken("who takes over listens already")
    return request.participant_id
