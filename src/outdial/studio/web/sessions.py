"""Browser sessions, kept in an encrypted cookie so that any studio process can read them."""

import base64
import binascii
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Response

COOKIE: Final = "outdial_session"
SESSION_LIFETIME: Final = timedelta(days=7)
_NONCE_BYTES: Final = 12
# Browsers limit name, value and attributes of a cookie to 4096 bytes in total.
_MAX_COOKIE_CHARS: Final = 3900

Content = TypeVar("Content")


def new_token() -> str:
    """Return an unguessable token."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioSession:
    """A signed-in user's tokens; `csrf` is the token of the forms rendered for this session."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: int
    user_id: str
    email: str
    csrf: str = field(default_factory=new_token, repr=False)

    def renewed(self, *, access_token: str, refresh_token: str, expires_at: int) -> "StudioSession":
        """Return the session with new tokens. The CSRF token stays, so open forms remain valid."""
        return replace(self, access_token=access_token, refresh_token=refresh_token, expires_at=expires_at)

    def expires_before(self, time: datetime) -> bool:
        """Return whether the access token has expired at `time`."""
        return datetime.fromtimestamp(self.expires_at, UTC) <= time


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session cannot be renewed: the user must sign in again."""


@dataclass(frozen=True, slots=True)
class RenewalUnavailable:
    """Auth cannot be reached: the session may or may not still be valid."""


SessionRenewal = StudioSession | SessionEnded | RenewalUnavailable
RenewSession = Callable[[StudioSession], Awaitable[SessionRenewal]]


class SessionTooLarge(Exception):
    """The tokens do not fit into a cookie: Auth includes the user's metadata, which is too long."""


class CookieSealer:
    """Encrypts and authenticates cookie values (AES-256-GCM).

    The first secret seals, every secret opens. To rotate, put the new secret first and remove the old one after the
    longest cookie lifetime.
    """

    def __init__(self, secrets_: Sequence[str]) -> None:
        self._ciphers = [AESGCM(sha256(b"outdial studio cookies\0" + secret.encode()).digest()) for secret in secrets_]

    def seal(self, purpose: str, value: object) -> str:
        """Encrypt `value` as text. Only the same secrets and the same `purpose` open it."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, msgspec.json.encode(value), purpose.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, purpose: str, text: str, kind: type[Content]) -> Content | None:
        """Decrypt a value sealed for `purpose`; None when it is not one."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
                return msgspec.json.decode(plain, type=kind)
            except (InvalidTag, ValueError, msgspec.MsgspecError):
                continue
        return None


def session_cookie(sealer: CookieSealer, session: StudioSession, *, secure: bool) -> str:
    """Return the Set-Cookie value that stores `session`; raises SessionTooLarge."""
    sealed = sealer.seal(COOKIE, session)
    if len(sealed) > _MAX_COOKIE_CHARS:
        raise SessionTooLarge
    return _set_cookie(COOKIE, sealed, SESSION_LIFETIME, secure=secure)


def expired_session_cookie(*, secure: bool) -> str:
    """Return the Set-Cookie value that deletes the session from the browser."""
    return _set_cookie(COOKIE, "", timedelta(0), secure=secure)


def _set_cookie(name: str, value: str, age: timedelta, *, secure: bool) -> str:
    response = Response()
    response.set_cookie(
        name, value, max_age=int(age.total_seconds()), httponly=True, samesite="lax", secure=secure, path="/"
    )
    return response.headers["set-cookie"]
