"""Sign-in, sessions and users, as in Supabase Auth. Methods return a refusal instead of raising."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from outdial.auth.local.passwords import LONGEST, SHORTEST, PasswordHashing, PasswordQueueFull
from outdial.auth.local.signing import SigningKeys
from outdial.auth.local.throttle import SignInThrottle
from outdial.clock import Clock
from outdial.db.queries.auth import factors, sessions
from outdial.db.queries.auth import users as user_queries
from outdial.db.rows import required
from outdial.db.session import Connection, Database, encode_json
from outdial.domain.ids import new_id

ACCESS_LIVES: Final = timedelta(hours=1)
# Two requests of one browser may send the same refresh token. Supabase uses the same window.
REUSE_WINDOW: Final = timedelta(seconds=10)
SESSION_LIVES: Final = timedelta(days=30)
# Of user_metadata and app_metadata together. Both are in every access token, and tokens above 16 KiB are rejected.
MOST_METADATA_BYTES: Final = 8 * 1024
_FORGET_AT_ONCE: Final = 100
_LONGEST_DEVICE: Final = 400
RESET_LIVES: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class AuthSession:
    """The tokens of a session. `expires_at` is when the access token expires."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    user: user_queries.UserRow


@dataclass(frozen=True, slots=True)
class AuthRefusal:
    """Why a request is refused, with Supabase's code and message; `retry_after` comes with over_request_rate_limit."""

    code: str
    message: str
    retry_after: timedelta | None = None


BAD_CREDENTIALS: Final = AuthRefusal("invalid_credentials", "Invalid login credentials")
NO_SUCH_TOKEN: Final = AuthRefusal("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
USED_TOKEN: Final = AuthRefusal("refresh_token_already_used", "Invalid Refresh Token: Already Used")
EMAIL_EXISTS: Final = AuthRefusal("email_exists", "A user with this email address has already been registered")
BAD_EMAIL: Final = AuthRefusal("email_address_invalid", "Enter an email address, such as ada@example.com")
WEAK_PASSWORD: Final = AuthRefusal("weak_password", f"Password should have {SHORTEST} to {LONGEST} characters")

TOO_MUCH_METADATA: Final = AuthRefusal(
    "validation_failed", f"user_metadata and app_metadata may have at most {MOST_METADATA_BYTES} bytes together"
)


class _TooMuchMetadata(Exception):
    """Rolls a change back."""


class LocalAuth:
    """Users, passwords and sessions. `issuer` is the URL of Auth, for the `iss` claim."""

    def __init__(
        self, database: Database, clock: Clock, keys: SigningKeys, issuer: str, passwords: PasswordHashing | None = None
    ) -> None:
        self._database, self._clock, self._keys, self._issuer = database, clock, keys, issuer
        self._passwords = passwords or PasswordHashing()
        self._throttle = SignInThrottle(database, clock)

    @property
    def database(self) -> Database:
        """The database of users, as outdial_auth."""
        return self._database

    async def sign_up(
        self, email: str, password: str, client: str, user_metadata: Mapping[str, Any] | None = None
    ) -> AuthSession | AuthRefusal:
        """Create a user on their own request and begin a session. Attempts count like sign-in attempts.

        The address is only claimed, so it opens nothing that others have sent to it.
        """
        wait = await self._throttle.wait_for(email.strip().lower(), client)
        if wait is not None:
            return AuthRefusal("over_request_rate_limit", "Request rate limit reached", wait)
        made = await self.create_user(email, password, user_metadata=user_metadata, is_confirmed=False)
        return made if isinstance(made, AuthRefusal) else await self.begin(made.id)

    async def sign_in(self, email: str, password: str, client: str, device: str = "") -> AuthSession | AuthRefusal:
        """Check the password and begin a session. `client` is the address to count the attempt for.

        `device` is the user agent that the session is listed with.

        Raises PasswordQueueFull when too many passwords are being checked; the attempt then does not count.
        """
        email = email.strip().lower()
        wait = await self._throttle.wait_for(email, client)
        if wait is not None:
            return AuthRefusal("over_request_rate_limit", "Request rate limit reached", wait)
        async with self._database.transaction() as connection:
            user = await user_queries.user_by_email(connection, email=email)
        stored = None if user is None else user.encrypted_password
        try:
            checked = await self._passwords.check(stored, password)
        except PasswordQueueFull:
            await self._throttle.give_back(email, client, signed_in=False)
            raise
        if user is None or not checked.matches:
            return BAD_CREDENTIALS
        await self._throttle.give_back(email, client, signed_in=True)
        if checked.new_hash is not None:
            async with self._database.transaction() as connection:
                await user_queries.rehash_password(
                    connection, id=user.id, encrypted_password=checked.new_hash, former=user.encrypted_password
                )
        return await self.begin(user.id, client=client, device=device)

    async def begin(self, user_id: UUID, *, client: str = "", device: str = "") -> AuthSession | AuthRefusal:
        """Begin a session of an authenticated user."""
        now = self._clock.now()
        session_id = new_id(now)
        async with self._database.transaction() as connection:
            await user_queries.record_sign_in(connection, id=user_id, now=now)
            user = await user_queries.user_by_id(connection, id=user_id)
            if user is None:
                return BAD_CREDENTIALS
            await sessions.create_session(
                connection,
                id=session_id,
                user_id=user_id,
                user_agent=device.replace("\0", "")[:_LONGEST_DEVICE] or None,
                ip=client[:_LONGEST_DEVICE] or None,
                now=now,
            )
            await sessions.delete_old_sessions(connection, before=now - SESSION_LIVES, limit=_FORGET_AT_ONCE)
            refresh_token = await _add_token(connection, session_id, now)
        return await self._session(user, session_id, refresh_token, now)

    async def raise_session(self, user: user_queries.UserRow, session_id: UUID) -> AuthSession:
        """Record that a second factor was given in a session, and return its new tokens. Earlier refresh tokens end."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await sessions.raise_session(connection, id=session_id, now=now)
            # They were issued for a password alone, and one that was copied would give tokens of aal2.
            await sessions.delete_refresh_tokens(connection, session_id=session_id)
            refresh_token = await _add_token(connection, session_id, now)
        return await self._session(user, session_id, refresh_token, now, aal="aal2")

    async def refresh(self, refresh_token: str) -> AuthSession | AuthRefusal:
        """Give a refresh token for new ones; one that comes again after its window ends the session."""
        now, digest = self._clock.now(), _digest(refresh_token)
        async with self._database.transaction() as connection:
            found = await sessions.lock_refresh_token(connection, token_sha256=digest)
            if found is None or found.ended_at is not None or now - found.refreshed_at > SESSION_LIVES:
                return NO_SUCH_TOKEN
            if found.used_at is not None and now - found.used_at > REUSE_WINDOW:
                # A token that was replaced long ago is in use: it was stolen, or the thief has used it already.
                await sessions.end_sessions(connection, user_id=found.user_id, only=found.session_id, but=None, now=now)
                return USED_TOKEN
            await sessions.use_refresh_token(connection, token_sha256=digest, now=now)
            await sessions.refresh_session(connection, id=found.session_id, now=now)
            successor = await _add_token(connection, found.session_id, now)
            user = required(await user_queries.user_by_id(connection, id=found.user_id))
        return await self._session(user, found.session_id, successor, now, aal=found.aal)

    async def user_of(self, claims: Mapping[str, Any]) -> user_queries.UserRow | None:
        """Return the user of verified `claims`, None when the user is deleted or the session has ended."""
        try:
            user_id, session_id = UUID(claims.get("sub")), UUID(claims.get("session_id"))
        except (TypeError, ValueError, AttributeError):
            return None
        async with self._database.transaction() as connection:
            if await sessions.find_session(connection, id=session_id, user_id=user_id) is None:
                return None
            return await user_queries.user_by_id(connection, id=user_id)

    async def sign_out(self, claims: Mapping[str, Any], scope: str) -> None:
        """End the session of verified `claims` (local), the user's other sessions (others), or all (global)."""
        session_id = UUID(claims["session_id"])
        only, but = {"local": (session_id, None), "others": (None, session_id)}.get(scope, (None, None))
        async with self._database.transaction() as connection:
            await sessions.end_sessions(
                connection, user_id=UUID(claims["sub"]), only=only, but=but, now=self._clock.now()
            )

    async def create_user(
        self,
        email: str,
        password: str,
        *,
        app_metadata: Mapping[str, Any] | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        is_confirmed: bool = True,
    ) -> user_queries.UserRow | AuthRefusal:
        """Create a user. The email address is confirmed unless someone merely claims it."""
        email = email.strip().lower()
        if (refused := _check_email(email) or _check_password(password)) is not None:
            return refused
        provider = {"provider": "email", "providers": ["email"]}
        kept = encode_json({**(app_metadata or {}), **provider}), encode_json(user_metadata or {})
        if _size_in_token(*kept) > MOST_METADATA_BYTES:
            return TOO_MUCH_METADATA
        now, hashed = self._clock.now(), await self._passwords.hash(password)
        async with self._database.transaction() as connection:
            made = await user_queries.create_user(
                connection,
                id=new_id(now),
                email=email,
                encrypted_password=hashed,
                app_metadata=kept[0],
                user_metadata=kept[1],
                confirmed_at=now if is_confirmed else None,
                now=now,
            )
            return EMAIL_EXISTS if made is None else required(await user_queries.user_by_id(connection, id=made))

    async def change_user(
        self,
        user_id: UUID,
        *,
        email: str | None = None,
        password: str | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        keep_session: UUID | None = None,
        confirms: bool = False,
    ) -> user_queries.UserRow | AuthRefusal | None:
        """Update the given fields; None: unknown user.

        With `confirms`, the caller vouches that the address is the user's. A new password ends all sessions but
        `keep_session`, and the link that resets it.
        """
        email = None if email is None else email.strip().lower()
        refused = (None if email is None else _check_email(email)) or _check_password(password)
        if refused is not None:
            return refused
        now = self._clock.now()
        hashed = None if password is None else await self._passwords.hash(password)
        try:
            async with self._database.transaction() as connection:
                taken = None if email is None else await user_queries.user_by_email(connection, email=email)
                if taken is not None and taken.id != user_id:
                    return EMAIL_EXISTS
                changed = await user_queries.change_user(
                    connection,
                    id=user_id,
                    email=email,
                    encrypted_password=hashed,
                    app_metadata=None if app_metadata is None else encode_json(app_metadata),
                    user_metadata=None if user_metadata is None else encode_json(user_metadata),
                    confirms=confirms,
                    now=now,
                )
                if changed is None:
                    return None
                if hashed is not None:
                    await sessions.end_sessions(connection, user_id=user_id, only=None, but=keep_session, now=now)
                    await factors.delete_password_reset(connection, user_id=user_id)
                user = required(await user_queries.user_by_id(connection, id=user_id))
                size = _size_in_token(user.app_metadata, user.user_metadata)
                if (app_metadata or user_metadata) and size > MOST_METADATA_BYTES:
                    raise _TooMuchMetadata
                return user
        except _TooMuchMetadata:
            return TOO_MUCH_METADATA

    async def begin_reset(self, user_id: UUID, *, organization_id: UUID, made_by: UUID | None) -> str:
        """Return the token with which a user sets a new password, for 24 hours and once. An earlier one ends.

        `made_by` is the admin of the organization who asks for it; None: a back end with the secret key.
        """
        token = secrets.token_urlsafe(32)
        async with self._database.transaction() as connection:
            await factors.set_password_reset(
                connection,
                token_sha256=_digest(token),
                user_id=user_id,
                organization_id=organization_id,
                made_by=made_by,
                expires_at=self._clock.now() + RESET_LIVES,
            )
        return token

    async def find_reset(self, token: str) -> factors.PasswordResetRow | None:
        """Return the reset of a token; None when it was used or has expired. The caller checks its maker's rights."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return await factors.find_password_reset(connection, token_sha256=_digest(token), now=now)

    async def reset_password(self, token: str, password: str) -> UUID | AuthRefusal | None:
        """Set the password of a token's user and end all their sessions; return the user.

        None when the token was used or has expired. The user's address counts as unconfirmed from then on: otherwise
        the maker of the link could use it to accept what other organizations have sent to the address.
        """
        if (refused := _check_password(password)) is not None:
            return refused
        # Hashed before the token is used up: the link stays good when too many passwords are being checked.
        now, hashed = self._clock.now(), await self._passwords.hash(password)
        async with self._database.transaction() as connection:
            user_id = await factors.use_password_reset(connection, token_sha256=_digest(token), now=now)
            if user_id is None:
                return None
            await user_queries.reset_password(connection, id=user_id, encrypted_password=hashed, now=now)
            await sessions.end_sessions(connection, user_id=user_id, only=None, but=None, now=now)
        return user_id

    async def find_user(self, user_id: UUID) -> user_queries.UserRow | None:
        """Return a user by id."""
        async with self._database.transaction() as connection:
            return await user_queries.user_by_id(connection, id=user_id)

    async def users(self, page: int, per_page: int) -> list[user_queries.UserRow]:
        """Return a page of users; pages start at 1."""
        async with self._database.transaction() as connection:
            return await user_queries.list_users(connection, limit=per_page, skip=(page - 1) * per_page)

    async def delete_user(self, user_id: UUID) -> bool | AuthRefusal:
        """Delete a user; return False when there is none. The last owner of an organization cannot be deleted."""
        try:
            async with self._database.transaction() as connection:
                return await user_queries.delete_user(connection, id=user_id) is not None
        except asyncpg.IntegrityConstraintViolationError as error:
            return AuthRefusal("conflict", str(error))

    async def _session(
        self, user: user_queries.UserRow, session_id: UUID, refresh_token: str, now: datetime, aal: str = "aal1"
    ) -> AuthSession:
        expires = now + ACCESS_LIVES
        methods = ["password", "totp"] if aal == "aal2" else ["password"]
        claims = {
            "iss": self._issuer,
            "sub": str(user.id),
            "aud": "authenticated",
            "exp": int(expires.timestamp()),
            "iat": int(now.timestamp()),
            "email": user.email,
            # As in OpenID Connect. Supabase's tokens have no such claim.
            "email_verified": user.email_confirmed_at is not None,
            "phone": "",
            "app_metadata": msgspec.json.decode(user.app_metadata),
            "user_metadata": msgspec.json.decode(user.user_metadata),
            "role": "authenticated",
            "aal": aal,
            "amr": [{"method": method, "timestamp": int(now.timestamp())} for method in methods],
            "session_id": str(session_id),
            "is_anonymous": False,
        }
        return AuthSession(await self._keys.sign(claims), refresh_token, expires, user)


def _size_in_token(*documents: str) -> int:
    """Return the bytes that JSON documents take in a token, where characters beyond ASCII are escaped."""
    return sum(len(json.dumps(msgspec.json.decode(document))) for document in documents)


def _check_email(email: str) -> AuthRefusal | None:
    name, at, domain = email.partition("@")
    if not (name and at and "." in domain) or len(email) > 320 or any(c.isspace() or c == "\x00" for c in email):
        return BAD_EMAIL
    return None


def _check_password(password: str | None) -> AuthRefusal | None:
    return None if password is None or SHORTEST <= len(password) <= LONGEST else WEAK_PASSWORD


async def _add_token(connection: Connection, session_id: UUID, now: datetime) -> str:
    token = secrets.token_urlsafe(32)
    await sessions.add_refresh_token(connection, token_sha256=_digest(token), session_id=session_id, now=now)
    return token


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
