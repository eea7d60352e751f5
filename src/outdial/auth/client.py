"""Client of Supabase Auth, or of our subset of it, at <SUPABASE_URL>/auth/v1."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, Self
from urllib.parse import urlencode
from uuid import UUID

import aiohttp

from outdial.clock import SystemClock

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_API_VERSION = "2024-01-01"
_DEFAULT_WAIT_S = 60.0
# How long the list of identity providers is kept, which every sign-in page shows.
_FRESH_FOR = timedelta(minutes=5)
# Entries of the settings that are no identity providers.
_NO_PROVIDER = frozenset({"email", "phone", "anonymous_users"})


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The tokens of a signed-in user. `expires_at` is when the access token expires.

    `factors` are the ids of the user's verified second factors. Until one is given, the tokens open nothing.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    user_id: UUID
    email: str | None
    factors: tuple[UUID, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthUser:
    """A user as Auth knows them."""

    id: UUID
    email: str
    name: str
    factors: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorEnrolment:
    """A second factor that counts once a code of it was verified; `uri` is what the app scans."""

    id: UUID
    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FactorVerified:
    """The session after a second factor was given. Our own Auth sends `recovery_codes` with the first code."""

    signed_in: SignedIn
    recovery_codes: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class FactorRemoved:
    """The user has this factor no more."""


@dataclass(frozen=True, slots=True)
class LinkSent:
    """Auth sends the email, or sends none because the address is unknown: it does not say which."""


@dataclass(frozen=True, slots=True)
class AuthRefused:
    """Auth rejects the request, with its own code and a message for the user."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ReturnLink:
    """Where the link in an email leads: to `url`, with a code that only the holder of `verifier` can use (RFC 7636)."""

    url: str
    verifier: str = field(repr=False)

    @property
    def challenge(self) -> dict[str, str]:
        """The fields that announce the verifier."""
        digest = base64.urlsafe_b64encode(sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        return {"code_challenge": digest, "code_challenge_method": "s256"}


SignInResult = SignedIn | BadCredentials | TooManyAttempts | AuthUnavailable
UserResult = AuthUser | SignedOut | AuthRefused | AuthUnavailable
LinkResult = LinkSent | AuthRefused | TooManyAttempts | AuthUnavailable


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    content: Any
    retry_after: str


class AuthClient:
    """Client of the Auth server at `base_url`, such as https://<project>.supabase.co/auth/v1.

    With `secret_key`, it also invites users where sign-ups are off.
    """

    def __init__(self, base_url: str, publishable_key: str, secret_key: str | None = None) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"apikey": publishable_key, "x-supabase-api-version": _API_VERSION}
        self._secret_key = secret_key
        self._providers: tuple[str, ...] = ()
        self._providers_at: datetime | None = None
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

    async def sign_in(self, email: str, password: str, *, address: str = "", device: str = "") -> SignInResult:
        """Sign in with a password. `address` is the browser's; Auth counts attempts per address.

        `device` is the browser's user agent, with which Auth lists the session.
        """
        return await self._token("password", {"email": email, "password": password}, address, device)

    async def refresh(self, refresh_token: str) -> SignInResult:
        """Exchange a refresh token, which is valid once, for new tokens."""
        return await self._token("refresh_token", {"refresh_token": refresh_token}, "")

    async def exchange(self, code: str, verifier: str) -> SignInResult:
        """Exchange the code that a link or an identity provider has led back with for tokens."""
        return await self._token("pkce", {"auth_code": code, "code_verifier": verifier}, "")

    async def send_invitation(self, email: str, link: ReturnLink) -> LinkResult:
        """Email a link that signs the user in, and makes them first if need be.

        The result is the same with and without a user of this address.
        """
        settings = await self._settings()
        if isinstance(settings, AuthUnavailable):
            return settings
        if not settings.get("disable_signup"):
            return await self._email("otp", {"email": email, "create_user": True, **link.challenge}, link.url)
        if self._secret_key is None:
            return AuthRefused("signup_disabled", "sign-ups are off, and the studio has no secret key to invite with")
        headers = {"apikey": self._secret_key}
        if self._secret_key.count(".") == 2:
            # An older key, which is a token.
            headers["authorization"] = f"Bearer {self._secret_key}"
        invited = await self._email("invite", {"email": email}, link.url, **headers)
        if isinstance(invited, AuthRefused) and invited.code == "email_exists":
            return await self.send_sign_in_link(email, link)
        return invited

    async def identity_providers(self) -> tuple[str, ...]:
        """Return the names of the identity providers that are switched on, such as google; none without a response."""
        now = SystemClock().now()
        if self._providers_at is None or now - self._providers_at > _FRESH_FOR:
            settings = await self._settings()
            if isinstance(settings, AuthUnavailable):
                return self._providers
            external = settings.get("external")
            listed = external.items() if isinstance(external, dict) else ()
            self._providers = tuple(
                sorted(name for name, is_on in listed if is_on is True and name not in _NO_PROVIDER)
            )
            self._providers_at = now
        return self._providers

    async def _settings(self) -> dict[str, Any] | AuthUnavailable:
        response = await self._send("GET", "settings", None, {})
        if isinstance(response, AuthUnavailable):
            return response
        if response.status != 200 or not isinstance(response.content, dict):
            return AuthUnavailable(f"HTTP {response.status}")
        return response.content

    async def send_sign_in_link(self, email: str, link: ReturnLink) -> LinkResult:
        """Email a link that signs a user in. Unknown addresses get none."""
        sent = await self._email("otp", {"email": email, "create_user": False, **link.challenge}, link.url)
        is_unknown = isinstance(sent, AuthRefused) and sent.code in ("otp_disabled", "signup_disabled")
        return LinkSent() if is_unknown else sent

    async def recover(self, email: str, link: ReturnLink) -> LinkResult:
        """Email a link with which a user sets a new password. Unknown addresses get none."""
        return await self._email("recover", {"email": email, **link.challenge}, link.url)

    async def sign_out(
        self, access_token: str, scope: Literal["local", "others", "global"] = "local"
    ) -> SignedOut | AuthUnavailable:
        """End the session that the token belongs to, the user's other sessions, or all of them."""
        response = await self._send("POST", f"logout?scope={scope}", None, _bearer(access_token))
        if isinstance(response, AuthUnavailable):
            return response
        # 401 and 403 mean that the token or its session is already invalid.
        return SignedOut() if response.status < 500 else AuthUnavailable(f"HTTP {response.status}")

    async def check_session(self, access_token: str) -> SessionActive | SignedOut | AuthUnavailable:
        """Return whether the session of a token that has not expired still exists."""
        response = await self._send("GET", "user", None, _bearer(access_token))
        if isinstance(response, AuthUnavailable):
            return response
        if response.status == 200:
            return SessionActive()
        # 401 is a rejected API key, which is our fault; without its session, a token gets 403, without its user 404.
        return SignedOut() if response.status in (403, 404) else AuthUnavailable(f"HTTP {response.status}")

    async def user(self, access_token: str) -> UserResult:
        """Return the user of a token."""
        return _user_result(await self._send("GET", "user", None, _bearer(access_token)))

    async def change_user(
        self, access_token: str, *, password: str | None = None, name: str | None = None
    ) -> UserResult:
        """Set the user's password, which ends their other sessions, or their name."""
        body: dict[str, Any] = {} if password is None else {"password": password}
        if name is not None:
            body["data"] = {"name": name}
        return _user_result(await self._send("PUT", "user", body, _bearer(access_token)))

    async def enroll_factor(self, access_token: str) -> FactorEnrolment | AuthRefused | AuthUnavailable:
        """Begin to enrol an authenticator app."""
        body = {"factor_type": "totp", "friendly_name": f"Outdial {SystemClock().now():%Y-%m-%d %H:%M:%S}"}
        response = await self._send("POST", "factors", body, _bearer(access_token))
        if isinstance(response, AuthUnavailable):
            return response
        if response.status != 200:
            return _refusal(response)
        try:
            totp = response.content["totp"]
            return FactorEnrolment(id=UUID(response.content["id"]), secret=totp["secret"], uri=totp["uri"])
        except (KeyError, TypeError, ValueError) as error:
            return AuthUnavailable(f"unreadable response: {error!r}")

    async def verify_factor(
        self, access_token: str, factor_id: UUID, code: str, *, address: str = ""
    ) -> FactorVerified | BadCredentials | TooManyAttempts | AuthUnavailable:
        """Give a code of a second factor; the session counts as aal2 from then on."""
        headers = _bearer(access_token) | ({"x-forwarded-for": address} if address else {})
        challenge = await self._send("POST", f"factors/{factor_id}/challenge", {}, headers)
        if isinstance(challenge, AuthUnavailable):
            return challenge
        if challenge.status != 200 or not isinstance(challenge.content, dict):
            return _sign_in_problem(challenge)
        body = {"challenge_id": challenge.content.get("id"), "code": code}
        response = await self._send("POST", f"factors/{factor_id}/verify", body, headers)
        if isinstance(response, AuthUnavailable):
            return response
        if response.status != 200:
            return _sign_in_problem(response)
        signed_in = _signed_in(response)
        if isinstance(signed_in, AuthUnavailable):
            return signed_in
        codes = response.content.get("recovery_codes") or ()
        return FactorVerified(signed_in, tuple(str(code) for code in codes))

    async def remove_factor(self, access_token: str, factor_id: UUID) -> FactorRemoved | AuthRefused | AuthUnavailable:
        """Remove a second factor, in a session in which it was given."""
        response = await self._send("DELETE", f"factors/{factor_id}", None, _bearer(access_token))
        if isinstance(response, AuthUnavailable):
            return response
        return FactorRemoved() if response.status == 200 else _refusal(response)

    async def _token(self, grant: str, body: dict[str, str], address: str, device: str = "") -> SignInResult:
        headers = {"x-forwarded-for": address} if address else {}
        if device:
            headers["user-agent"] = device
        response = await self._send("POST", f"token?grant_type={grant}", body, headers)
        if isinstance(response, AuthUnavailable):
            return response
        return _signed_in(response) if response.status == 200 else _sign_in_problem(response)

    async def _email(self, path: str, body: dict[str, Any], return_to: str, **headers: str) -> LinkResult:
        response = await self._send("POST", f"{path}?{urlencode({'redirect_to': return_to})}", body, headers)
        if isinstance(response, AuthUnavailable):
            return response
        if response.status == 200:
            return LinkSent()
        if response.status == 429:
            return _too_many(response)
        return _refusal(response)

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


def _bearer(access_token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {access_token}"}


def _signed_in(response: _Response) -> SignedIn | AuthUnavailable:
    content = response.content
    try:
        lives = timedelta(seconds=int(content["expires_in"]))
        expires = content.get("expires_at")
        return SignedIn(
            access_token=content["access_token"],
            refresh_token=content["refresh_token"],
            expires_at=datetime.fromtimestamp(expires, UTC) if expires else SystemClock().now() + lives,
            user_id=UUID(content["user"]["id"]),
            email=content["user"].get("email"),
            factors=_verified_factors(content["user"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return AuthUnavailable(f"unreadable response: {error!r}")


def _sign_in_problem(response: _Response) -> BadCredentials | TooManyAttempts | AuthUnavailable:
    if response.status == 429:
        return _too_many(response)
    # A rejected API key is our fault: it is no reason to report a wrong password.
    return BadCredentials() if response.status in (400, 403, 422) else AuthUnavailable(f"HTTP {response.status}")


def _user_result(response: _Response | AuthUnavailable) -> UserResult:
    if isinstance(response, AuthUnavailable):
        return response
    content = response.content
    if response.status == 200:
        try:
            metadata = content.get("user_metadata") or {}
            name = metadata.get("name") or metadata.get("full_name") or ""
            return AuthUser(
                id=UUID(content["id"]),
                email=content.get("email") or "",
                name=name if isinstance(name, str) else "",
                factors=_verified_factors(content),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return AuthUnavailable(f"unreadable response: {error!r}")
    # Without its session, a token gets 403, without its user 404.
    return SignedOut() if response.status in (403, 404) else _refusal(response)


def _verified_factors(user: Mapping[str, Any]) -> tuple[UUID, ...]:
    """Return the factors that the studio can ask for: authenticator apps."""
    return tuple(
        UUID(factor["id"])
        for factor in user.get("factors") or ()
        if factor.get("status") == "verified" and factor.get("factor_type") == "totp"
    )


def _too_many(response: _Response) -> TooManyAttempts:
    return TooManyAttempts(float(response.retry_after) if response.retry_after.isdecimal() else _DEFAULT_WAIT_S)


def _refusal(response: _Response) -> AuthRefused | AuthUnavailable:
    content = response.content if isinstance(response.content, dict) else {}
    code, message = content.get("code"), content.get("message")
    if response.status >= 500 or not isinstance(code, str) or not isinstance(message, str):
        return AuthUnavailable(f"HTTP {response.status}")
    return AuthRefused(code, message)
