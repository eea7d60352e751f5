"""Renews sessions whose access token is about to expire: once for all the requests that come with the same one."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

from outdial.auth.client import AuthUnavailable, BadCredentials, SignedIn, TooManyAttempts
from outdial.clock import Clock
from outdial.studio.web.sessions import RenewalUnavailable, SessionEnded, SessionRenewal, StudioSession

# Requests that were sent with the old cookie may come for a while; Auth itself takes a used token for ten seconds.
_KEPT_FOR: Final = timedelta(seconds=30)
EARLY: Final = timedelta(seconds=60)


class RefreshClient(Protocol):
    """The part of Auth that renews."""

    async def refresh(self, refresh_token: str) -> SignedIn | BadCredentials | TooManyAttempts | AuthUnavailable:
        """Return new tokens, or why there are none."""
        ...


@dataclass(slots=True)
class _PendingRefresh:
    at: datetime
    task: asyncio.Task[SessionRenewal]


class TokenRefresher:
    """Renews each refresh token once, however many requests ask for it at the same time."""

    def __init__(self, auth: RefreshClient, clock: Clock) -> None:
        self._auth, self._clock = auth, clock
        self._known: dict[bytes, _PendingRefresh] = {}

    async def current(self, session: StudioSession) -> SessionRenewal:
        """Return the session with tokens that are good for a while."""
        if not session.expires_before(self._clock.now() + EARLY):
            return session
        self._forget_old()
        key = sha256(session.refresh_token.encode()).digest()
        known = self._known.get(key)
        if known is None:
            # A task of its own: it goes on when the request that began it is given up.
            known = _PendingRefresh(self._clock.now(), asyncio.create_task(self._renew(session)))
            self._known[key] = known
        renewal = await asyncio.shield(known.task)
        if isinstance(renewal, RenewalUnavailable):
            self._known.pop(key, None)
            return session if not session.expires_before(self._clock.now()) else renewal
        return renewal

    async def _renew(self, session: StudioSession) -> SessionRenewal:
        answer = await self._auth.refresh(session.refresh_token)
        match answer:
            case SignedIn():
                return session.renewed(
                    access_token=answer.access_token,
                    refresh_token=answer.refresh_token,
                    expires_at=int(answer.expires_at.timestamp()),
                )
            case BadCredentials():
                return SessionEnded()
            case TooManyAttempts() | AuthUnavailable():
                return RenewalUnavailable()

    def _forget_old(self) -> None:
        oldest = self._clock.now() - _KEPT_FOR
        for key in [key for key, known in self._known.items() if known.at < oldest and known.task.done()]:
            del self._known[key]
