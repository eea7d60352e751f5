"""Renews sessions whose access token is about to expire, once for all concurrent requests.

It also asks Auth now and then whether a session still exists: an access token verifies until it expires, for up to an
hour after its user has signed out, and a cookie may have been copied.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

from outdial.auth.client import (
    AuthUnavailable,
    BadCredentials,
    SessionActive,
    SignedIn,
    SignedOut,
    TooManyAttempts,
)
from outdial.clock import Clock
from outdial.studio.web.sessions import RenewalUnavailable, SessionEnded, SessionRenewal, StudioSession

# Requests with the old cookie may still arrive; Auth itself accepts a used refresh token for ten seconds.
_REUSE_FOR: Final = timedelta(seconds=30)
RENEW_BEFORE: Final = timedelta(seconds=60)
CHECK_EVERY: Final = timedelta(seconds=30)
_MOST_CHECKED: Final = 10_000


class RefreshClient(Protocol):
    """The part of Auth that refreshes tokens and checks sessions."""

    async def check_session(self, access_token: str) -> SessionActive | SignedOut | AuthUnavailable:
        """Return whether the session of a token still exists."""
        ...

    async def refresh(self, refresh_token: str) -> SignedIn | BadCredentials | TooManyAttempts | AuthUnavailable:
        """Return new tokens, or the reason there are none."""
        ...


@dataclass(slots=True)
class _PendingRefresh:
    started_at: datetime
    task: asyncio.Task[SessionRenewal]


class TokenRefresher:
    """Uses each refresh token once, however many requests need it at the same time."""

    def __init__(self, auth: RefreshClient, clock: Clock) -> None:
        self._auth = auth
        self._clock = clock
        self._pending: dict[bytes, _PendingRefresh] = {}
        # When each session was checked last, the oldest first.
        self._checked: dict[bytes, datetime] = {}

    async def current(self, session: StudioSession) -> SessionRenewal:
        """Return the session, renewed when its access token expires within RENEW_BEFORE.

        Asks Auth every CHECK_EVERY whether the session has ended, and keeps the session while Auth cannot be reached.
        """
        if not session.expires_before(self._clock.now() + RENEW_BEFORE):
            now, key = self._clock.now(), sha256(session.access_token.encode()).digest()
            checked_at = self._checked.get(key)
            if checked_at is None or now - checked_at >= CHECK_EVERY:
                # Stored before Auth responds, so that concurrent requests do not ask too.
                self._checked.pop(key, None)
                self._checked[key] = now
                if len(self._checked) > _MOST_CHECKED:
                    del self._checked[next(iter(self._checked))]
                if isinstance(await self._auth.check_session(session.access_token), SignedOut):
                    self._checked.pop(key, None)
                    return SessionEnded()
            return session
        oldest = self._clock.now() - _REUSE_FOR
        self._pending = {
            key: refresh
            for key, refresh in self._pending.items()
            if refresh.started_at >= oldest or not refresh.task.done()
        }
        key = sha256(session.refresh_token.encode()).digest()
        pending = self._pending.get(key)
        if pending is None:
            # A separate task: it continues when the request that started it is cancelled.
            pending = _PendingRefresh(self._clock.now(), asyncio.create_task(self._renew(session)))
            self._pending[key] = pending
        renewal = await asyncio.shield(pending.task)
        if isinstance(renewal, RenewalUnavailable):
            self._pending.pop(key, None)
            return session if not session.expires_before(self._clock.now()) else renewal
        return renewal

    async def _renew(self, session: StudioSession) -> SessionRenewal:
        response = await self._auth.refresh(session.refresh_token)
        match response:
            case SignedIn():
                return session.renewed(
                    access_token=response.access_token,
                    refresh_token=response.refresh_token,
                    expires_at=int(response.expires_at.timestamp()),
                )
            case BadCredentials():
                return SessionEnded()
            case TooManyAttempts() | AuthUnavailable():
                return RenewalUnavailable()
