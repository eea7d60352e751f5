"""The ES256 keys that sign access tokens. The first use creates one; the newest signs and all verify."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from outdial.auth.jwks import JwksUnavailable, PublicKey
from outdial.clock import Clock
from outdial.db.queries.auth import sessions
from outdial.db.session import Database

# Another process may have created a key. An unknown key id triggers a new read, but not often.
_FRESH_FOR: Final = timedelta(minutes=5)
_PAUSE: Final = timedelta(seconds=5)
# How long a replaced key verifies: longer than its last token lives and than clients cache the JWK set.
_RETIRES_AFTER: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its id."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public key as a JWK (RFC 7517)."""
        jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}


class SigningKeys:
    """The signing keys in the database. Also a source of public keys for `outdial.auth.TokenVerifier`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._keys: list[SigningKey] = []
        self._read_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def sign(self, claims: Mapping[str, object]) -> str:
        """Return `claims` as a JWT signed with the newest key."""
        key = (await self._current(_FRESH_FOR))[0]
        return jwt.encode(dict(claims), key.private, algorithm="ES256", headers={"kid": key.kid})

    async def rotate(self) -> str:
        """Create a key that signs from now on; return its kid. The old key verifies until its tokens have expired."""
        now, kid, pem = self._clock.now(), uuid4(), _new_pem()
        async with self._database.transaction() as connection:
            await sessions.lock_signing_keys(connection)
            await sessions.delete_old_signing_keys(connection, before=now - _RETIRES_AFTER)
            await sessions.add_signing_key(connection, kid=kid, private_key=pem, now=now)
        self._read_at = None
        return str(kid)

    async def jwks(self) -> dict[str, object]:
        """Return the public keys as a JWK set."""
        return {"keys": [key.public_jwk for key in await self._current(_FRESH_FOR)]}

    async def find(self, kid: str) -> PublicKey | JwksUnavailable | None:
        """Return the public key named `kid`, or None."""
        keys = await self._current(_FRESH_FOR)
        if not any(key.kid == kid for key in keys):
            keys = await self._current(_PAUSE)
        return next((PublicKey("ES256", key.private.public_key()) for key in keys if key.kid == kid), None)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _current(self, at_most: timedelta) -> list[SigningKey]:
        async with self._lock:
            now = self._clock.now()
            if self._read_at is None or now - self._read_at >= at_most:
                async with self._database.transaction() as connection:
                    rows = await sessions.list_signing_keys(connection)
                    if not rows:
                        await sessions.lock_signing_keys(connection)
                        # Another process may have created one while this one waited for the lock.
                        rows = await sessions.list_signing_keys(connection)
                    if not rows:
                        await sessions.add_signing_key(connection, kid=uuid4(), private_key=_new_pem(), now=now)
                        rows = await sessions.list_signing_keys(connection)
                self._keys = []
                for row in rows:
                    private = serialization.load_pem_private_key(row.private_key.encode(), None)
                    assert isinstance(private, ec.EllipticCurvePrivateKey)
                    self._keys.append(SigningKey(str(row.kid), private))
                self._read_at = now
            return self._keys


def _new_pem() -> str:
    encoded = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()
