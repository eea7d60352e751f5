"""Who is signed in at a browser: kept in an encrypted cookie, so that any process of the studio can read it."""

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
KEPT_FOR: Final = timedelta(days=7)
_NONCE_BYTES: Final = 12
# A browser keeps 4096 bytes of name, value and attributes.
_LONGEST_COOKIE: Final = 3900

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
        """Return the session with fresh tokens: forms that are open now remain good."""
        return replace(self, access_token=access_token, refresh_token=refresh_token, expires_at=expires_at)

    def expires_before(self, moment: datetime) -> bool:
        """Tell whether the access token is no longer good at `moment`."""
        return datetime.fromtimestamp(self.expires_at, UTC) <= moment


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session cannot be renewed: its user must sign in again."""


@dataclass(frozen=True, slots=True)
class RenewalUnavailable:
    """Auth does not answer now: nobody knows whether the session goes on."""


SessionRenewal = StudioSession | SessionEnded | RenewalUnavailable
RenewSession = Callable[[StudioSession], Awaitable[SessionRenewal]]


class SessionTooLarge(Exception):
    """The tokens do not fit into a cookie: the user's metadata, which Auth puts into them, is too long."""


class CookieSealer:
    """Encrypts and authenticates values for a browser to keep (AES-256-GCM), and reads them again.

    The first secret seals, all of them open: to replace one, put the new one in front, and take the old one away after
    the longest life of a cookie.
    """

    def __init__(self, secrets_: Sequence[str]) -> None:
        self._ciphers = [AESGCM(sha256(b"outdial studio cookies\0" + secret.encode()).digest()) for secret in secrets_]

    def seal(self, purpose: str, value: object) -> str:
        """Return `value` as text that only this studio can read, and only for the same purpose."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, msgspec.json.encode(value), purpose.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, purpose: str, text: str, kind: type[Content]) -> Content | None:
        """Return what was sealed for `purpose`; None for anything else."""
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


def cookie_of(sealer: CookieSealer, session: StudioSession, *, secure: bool) -> str:
    """Return the value of a Set-Cookie header that keeps `session`; raises SessionTooLarge."""
    sealed = sealer.seal(COOKIE, session)
    if len(sealed) > _LONGEST_COOKIE:
        raise SessionTooLarge
    return _set_cookie(COOKIE, sealed, KEPT_FOR, secure=secure)


def no_cookie(*, secure: bool) -> str:
    """Return the value of a Set-Cookie header that ends the session at the browser."""
    return _set_cookie(COOKIE, "", timedelta(0), secure=secure)


def _set_cookie(name: str, value: str, age: timedelta, *, secure: bool) -> str:
    response = Response()
    response.set_cookie(
        name, value, max_age=int(age.total_seconds()), httponly=True, samesite="lax", secure=secure, path="/"
    )
    return response.headers["set-cookie"]
