"""Signs people in through Supabase Auth, or through our subset of it: both answer under <SUPABASE_URL>/auth/v1."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_API_VERSION = "2024-01-01"
_DEFAULT_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Tokens of a user; `expires_at` is that of the access token."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    user_id: UUID
    email: str | None


@dataclass(frozen=True, slots=True)
class BadCredentials:
    """The password, or the refresh token, is not good (any more)."""


@dataclass(frozen=True, slots=True)
class TooManyAttempts:
    """Auth wants to be left alone for a while, in seconds."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class AuthUnavailable:
    """Auth could not be asked, or has no answer; `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    """The session has ended, or had before."""


SignInResult = SignedIn | BadCredentials | TooManyAttempts | AuthUnavailable


class AuthClient:
    """A client of the Auth at `base_url`, such as https://<project>.supabase.co/auth/v1."""

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
        """Sign in with a password; `address` is that of the person's browser, whose attempts are counted."""
        return await self._token("password", {"email": email, "password": password}, address)

    async def refresh(self, refresh_token: str) -> SignInResult:
        """Give a refresh token, which is good once, for new tokens."""
        return await self._token("refresh_token", {"refresh_token": refresh_token}, "")

    async def sign_out(self, access_token: str) -> SignedOut | AuthUnavailable:
        """End the session that the token belongs to."""
        headers = {"authorization": f"Bearer {access_token}"}
        try:
            status, _, _ = await self._post("logout?scope=local", None, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return AuthUnavailable(repr(error))
        # 401 and 403 say that the token or its session is good no more.
        return SignedOut() if status < 500 else AuthUnavailable(f"HTTP {status}")

    async def _token(self, grant: str, body: dict[str, str], address: str) -> SignInResult:
        headers = {"x-forwarded-for": address} if address else {}
        try:
            status, answer, retry_after = await self._post(f"token?grant_type={grant}", body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return AuthUnavailable(repr(error))
        if status == 200:
            return _signed_in(answer)
        if status == 429:
            return TooManyAttempts(float(retry_after) if retry_after.isdecimal() else _DEFAULT_WAIT_S)
        # A key that is not accepted is our fault, and the person must not be told of a wrong password.
        return BadCredentials() if status in (400, 403, 422) else AuthUnavailable(f"HTTP {status}")

    async def _post(self, path: str, body: object, headers: dict[str, str]) -> tuple[int, Any, str]:
        if self._session is None:
            # One client signs many people in: a cookie that comes with one answer is not for the next.
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        url, sent = f"{self._base}/{path}", {**self._headers, **headers}
        async with self._session.post(url, json=body, headers=sent, allow_redirects=False) as response:
            is_json = response.content_type == "application/json"
            answer = await response.json() if is_json else None
            return response.status, answer, response.headers.get("retry-after", "")


def _signed_in(answer: Any) -> SignedIn | AuthUnavailable:
    try:
        user = answer["user"]
        lives = timedelta(seconds=int(answer["expires_in"]))
        expires = answer.get("expires_at")
        return SignedIn(
            answer["access_token"],
            answer["refresh_token"],
            datetime.fromtimestamp(expires, UTC) if expires else _now() + lives,
            UUID(user["id"]),
            user.get("email"),
        )
    except (KeyError, TypeError, ValueError) as error:
        return AuthUnavailable(f"an answer that cannot be read: {error!r}")


def _now() -> datetime:
    from outdial.clock import SystemClock

    return SystemClock().now()
