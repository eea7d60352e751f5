"""Client of Supabase Auth, or of our subset of it, at <SUPABASE_URL>/auth/v1."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import aiohttp

from outdial.clock import SystemClock

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_API_VERSION = "2024-01-01"
_DEFAULT_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The tokens of a signed-in user. `expires_at` is when the access token expires."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    user_id: UUID
    email: str | None


@dataclass(frozen=True, slots=True)
class BadCredentials:
    """The password or refresh token is invalid or expired."""


@dataclass(frozen=True, slots=True)
class TooManyAttempts:
    """Auth rejects further attempts for `retry_after_s` seconds."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class AuthUnavailable:
    """Auth is unreachable or failed. `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class SessionActive:
    """The session of the token exists."""


@dataclass(frozen=True, slots=True)
class SignedOut:
    """The session has ended, now or earlier."""


SignInResult = SignedIn | BadCredentials | TooManyAttempts | AuthUnavailable


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    content: Any
    retry_after: str


class AuthClient:
    """Client of the Auth server at `base_url`, such as https://<project>.supabase.co/auth/v1."""

    def __init__(self, base_url: str, publishable_key: str) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"apikey": publishable_key, "x-supabase-api-version": _API_VERSION}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def sign_in(self, email: str, password: str, *, address: str = "") -> SignInResult:
        """Sign in with a password. `address` is the browser's; Auth counts attempts per address."""
        return await self._token("password", {"email": email, "password": password}, address)

    async def refresh(self, refresh_token: str) -> SignInResult:
        """Exchange a refresh token, which is valid once, for new tokens."""
        return await self._token("refresh_token", {"refresh_token": refresh_token}, "")

    async def sign_out(self, access_token: str) -> SignedOut | AuthUnavailable:
        """End the session that the token belongs to."""
        headers = {"authorization": f"Bearer {access_token}"}
        response = await self._send("POST", "logout?scope=local", None, headers)
        if isinstance(response, AuthUnavailable):
            return response
        # 401 and 403 mean that the token or its session is already invalid.
        return SignedOut() if response.status < 500 else AuthUnavailable(f"HTTP {response.status}")

    async def check_session(self, access_token: str) -> SessionActive | SignedOut | AuthUnavailable:
        """Return whether the session of a token that has not expired still exists."""
        headers = {"authorization": f"Bearer {access_token}"}
        response = await self._send("GET", "user", None, headers)
        if isinstance(response, AuthUnavailable):
            return response
        if response.status == 200:
            return SessionActive()
        # 401 is a rejected API key, which is our fault; without its session, a token gets 403, without its user 404.
        return SignedOut() if response.status in (403, 404) else AuthUnavailable(f"HTTP {response.status}")

    async def _token(self, grant: str, body: dict[str, str], address: str) -> SignInResult:
        headers = {"x-forwarded-for": address} if address else {}
        response = await self._send("POST", f"token?grant_type={grant}", body, headers)
        if isinstance(response, AuthUnavailable):
            return response
        status, content = response.status, response.content
        if status == 200:
            try:
                lives = timedelta(seconds=int(content["expires_in"]))
                expires = content.get("expires_at")
                return SignedIn(
                    access_token=content["access_token"],
                    refresh_token=content["refresh_token"],
                    expires_at=datetime.fromtimestamp(expires, UTC) if expires else SystemClock().now() + lives,
                    user_id=UUID(content["user"]["id"]),
                    email=content["user"].get("email"),
                )
            except (KeyError, TypeError, ValueError) as error:
                return AuthUnavailable(f"unreadable response: {error!r}")
        if status == 429:
            return TooManyAttempts(float(response.retry_after) if response.retry_after.isdecimal() else _DEFAULT_WAIT_S)
        # A rejected API key is our fault: the user must not be told that the password is wrong.
        return BadCredentials() if status in (400, 403, 422) else AuthUnavailable(f"HTTP {status}")

    async def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> _Response | AuthUnavailable:
        if self._session is None:
            # One client signs in many users: the cookie of one must not go to the next.
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        url, sent = f"{self._base}/{path}", {**self._headers, **headers}
        try:
            async with self._session.request(method, url, json=body, headers=sent, allow_redirects=False) as response:
                is_json = response.content_type == "application/json"
                content = await response.json() if is_json else None
                return _Response(response.status, content, response.headers.get("retry-after", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return AuthUnavailable(repr(error))
