"""A member hears a live call, or takes it over: a dialer asks Retell, and this process waits for its response."""

from datetime import timedelta
from typing import Annotated, Final, assert_never
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from outdial.db.queries.dialing import call_sound
from outdial.domain.ids import new_id
from outdial.domain.policies.listening import GIVEN_UP_AFTER, REFUSALS, ListenRefusal
from outdial.provider_keys.replies import ReplyKey
from outdial.studio.web.assets import assets
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import (
    ResourceConflict,
    ResourceNotFound,
    ServiceUnavailable,
    StudioError,
    TooManyRequests,
)
from outdial.studio.web.middleware.security import SOUND_DOMAIN

DASHBOARD_URL: Final = "https://dashboard.retellai.com"
PLAYER: Final = "livekit-client.js"
"""What plays the sound of calls; hatch_build.py takes it from npm's package."""
_ASKED_EVERY: Final = timedelta(seconds=0.1)
_RETRY_AFTER_S: Final = 5
_UNCONFIRMED: Final = "Retell has not confirmed that the agent has stopped"
"""A request to take over that failed, or whose response was lost, may have stopped the agent."""


class LiveSound(BaseModel):
    """Where a browser hears a call, with LiveKit's client. The token only hears, until the call is taken over."""

    listening_id: Annotated[UUID, Field(description="What to take the call over with")]
    url: str
    token: str
    is_simulated: Annotated[bool, Field(description="A simulated call has no sound, and its URL no server")]


class TakeOver(BaseModel):
    """Who takes a call over: the `listening_id` of the caller's own LiveSound."""

    listening_id: UUID


class _Reply(msgspec.Struct):
    url: str
    token: str


def has_player() -> bool:
    """Whether this installation can play calls."""
    return PLAYER in assets()


async def hear_call(context: OrganizationContext, call_id: UUID) -> LiveSound:
    """Ask for the sound of a call; raises a StudioError that says why there is none."""
    key = ReplyKey()
    request_id, answer = await _ask(context, call_id, reply_key=key.public)
    opened = None if answer.sealed is None else key.open(request_id, answer.sealed)
    if opened is None:
        raise ServiceUnavailable("The response to this request cannot be read. Try again")
    reply = msgspec.json.decode(opened, type=_Reply)
    is_simulated = bool(context.studio.settings.recordings)
    if not is_simulated and not _is_allowed(reply.url):
        raise _refused(ListenRefusal.DASHBOARD_ONLY, None)
    return LiveSound(listening_id=request_id, url=reply.url, token=reply.token, is_simulated=is_simulated)


async def take_call_over(context: OrganizationContext, call_id: UUID, listening_id: UUID) -> None:
    """Stop the agent of a call for good, and let the caller's listener speak; raises a StudioError if not."""
    await _ask(context, call_id, listening_id=listening_id)


async def _ask(
    context: OrganizationContext, call_id: UUID, *, reply_key: bytes | None = None, listening_id: UUID | None = None
) -> tuple[UUID, call_sound.ListeningAnswer]:
    now = context.studio.clock.now()
    request_id = new_id(now)
    async with context.transaction() as connection:
        outcome = await call_sound.request_listening(
            connection,
            organization_id=context.organization_id,
            call_id=call_id,
            id=request_id,
            reply_key=reply_key,
            listening_id=listening_id,
            now=now,
        )
    match outcome:
        case "requested":
            return request_id, await _answer(context, request_id, takes_over=listening_id is not None)
        case "missing":
            raise ResourceNotFound("Call not found")
        case "former":
            raise _refused(ListenRefusal.OUT_OF_REACH, None)
        case "no_listener":
            raise ResourceConflict("Listen to the call before you take it over")
        case _:
            raise _refused(ListenRefusal.NOT_ON_THE_LINE, None)


async def _answer(context: OrganizationContext, request_id: UUID, *, takes_over: bool) -> call_sound.ListeningAnswer:
    """Wait for the response of a dialer, with no transaction open."""
    clock = context.studio.clock
    given_up_at = clock.now() + GIVEN_UP_AFTER
    while True:
        async with context.transaction() as connection:
            answer = await call_sound.read_listening(connection, organization_id=context.organization_id, id=request_id)
        # Whatever deletes the call deletes the request.
        if answer is None:
            raise _refused(ListenRefusal.NOT_ON_THE_LINE, None)
        if answer.status == "refused":
            refusal = ListenRefusal(answer.refusal or ListenRefusal.FAILED)
            if takes_over and refusal == ListenRefusal.FAILED:
                raise ServiceUnavailable(f"{_UNCONFIRMED}: {answer.reason}" if answer.reason else _UNCONFIRMED)
            raise _refused(refusal, answer.reason)
        if answer.status == "granted":
            return answer
        if clock.now() >= given_up_at:
            break
        await clock.sleep_until(clock.now() + _ASKED_EVERY)
    if answer.status == "requested":
        raise ServiceUnavailable(
            "No dialer with the Retell key of this call has responded. Check that one is running, then try again"
        )
    raise ServiceUnavailable(
        f"{_UNCONFIRMED}. Try again" if takes_over else "Retell has not responded in time. Try again"
    )


def _refused(refusal: ListenRefusal, reason: str | None) -> StudioError:
    sentence = REFUSALS[refusal]
    match refusal:
        case ListenRefusal.RATE_LIMITED:
            return TooManyRequests(sentence, headers={"retry-after": str(_RETRY_AFTER_S)})
        case ListenRefusal.DASHBOARD_ONLY:
            return ResourceConflict(sentence, dashboard_url=DASHBOARD_URL)
        case ListenRefusal.FAILED:
            return ServiceUnavailable(f"{sentence}: {reason}" if reason else sentence)
        case ListenRefusal.NOT_ON_THE_LINE | ListenRefusal.OUT_OF_REACH | ListenRefusal.CARD_DATA:
            return ResourceConflict(sentence)
        case never:
            assert_never(never)


def _is_allowed(url: str) -> bool:
    """Whether the pages may connect to an address: their Content-Security-Policy names one domain."""
    parts = urlsplit(url)
    return parts.scheme == "wss" and (parts.hostname or "").endswith(f".{SOUND_DOMAIN}")
