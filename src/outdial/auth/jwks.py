"""Public keys (JWK set) of a project, from a setting or fetched and cached."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import jwt
import msgspec

from outdial.clock import Clock
from outdial.log import log

if TYPE_CHECKING:
    import aiohttp

# Supabase Auth serves the set with max-age=600.
_FRESH_FOR = timedelta(minutes=10)
_PAUSE_AFTER_FETCH = timedelta(seconds=30)
_PAUSE_AFTER_FAILURE = timedelta(seconds=5)
_FETCH_TIMEOUT_S = 5
_MOST_BYTES = 1 << 20
# Symmetric keys ("oct") are ignored: the set is public, so its keys are no secrets.
_ALGORITHMS: Mapping[tuple[object, object], Literal["ES256", "RS256"]] = {
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key and the only algorithm allowed for it."""

    algorithm: Literal["ES256", "RS256"]
    key: Any


@dataclass(frozen=True, slots=True)
class JwksUnavailable:
    """The JWK set could not be fetched, so the token cannot be checked."""

    reason: str


class JwksSource(Protocol):
    """A source of public keys."""

    async def find(self, kid: str) -> PublicKey | JwksUnavailable | None:
        """Return the key named `kid`, None when the set does not contain it."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


def read_jwks(document: object) -> dict[str, PublicKey]:
    """Return the supported keys of a JWK set (RFC 7517) by `kid`. Ignore unsupported ones."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError('a JWK set is an object with a list "keys"')
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(kid := entry.get("kid"), str):
            continue
        algorithm = _ALGORITHMS.get((entry.get("kty"), entry.get("crv")))
        if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
            continue
        with suppress(jwt.PyJWTError):
            found[kid] = PublicKey(algorithm, jwt.PyJWK.from_dict(entry, algorithm).key)
    return found


class StaticJwks:
    """A JWK set from a setting."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._keys = read_jwks(dict(document))

    async def find(self, kid: str) -> PublicKey | JwksUnavailable | None:
        """Return the key named `kid`, or None."""
        return self._keys.get(kid)

    async def close(self) -> None:
        """Do nothing: there is no connection."""


class RemoteJwks:
    """A JWK set at a URL, cached for ten minutes. The cached set stays in use while the URL is unreachable.

    An unknown key triggers a new fetch, at most every 30 seconds, because anyone can make up tokens.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._keys: dict[str, PublicKey] = {}
        self._stale_at: datetime | None = None
        self._not_before: datetime | None = None
        # Why the last fetch failed.
        self.failure: str | None = None
        self._lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def find(self, kid: str) -> PublicKey | JwksUnavailable | None:
        """Return the key named `kid`. Fetch the set when it is stale or lacks the key."""
        if not self._is_current(kid):
            async with self._lock:
                if not self._is_current(kid) and self._may_fetch():
                    await self._fetch()
        key = self._keys.get(kid)
        if key is None and self.failure is not None:
            return JwksUnavailable(self.failure)
        return key

    async def retry(self) -> None:
        """Fetch the set again when the last fetch failed, so that `failure` is up to date."""
        async with self._lock:
            if self.failure is not None and self._may_fetch():
                await self._fetch()

    @property
    def has_succeeded(self) -> bool:
        """Whether the set was ever fetched."""
        return self._stale_at is not None

    async def close(self) -> None:
        """Close the HTTP session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _is_current(self, kid: str) -> bool:
        return kid in self._keys and self._stale_at is not None and self._clock.now() < self._stale_at

    def _may_fetch(self) -> bool:
        return self._not_before is None or self._clock.now() >= self._not_before

    async def _fetch(self) -> None:
        # Importing aiohttp takes a third of a second, and each command of the command line imports this module.
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S))
        document = bytearray()
        try:
            async with self._session.get(self._url, raise_for_status=True, allow_redirects=False) as response:
                if response.status != 200:
                    raise ValueError(f"it responds {response.status}")
                # read(n) may return fewer bytes than n, so count the chunks.
                async for chunk in response.content.iter_any():
                    document += chunk
                    if len(document) > _MOST_BYTES:
                        raise ValueError(f"it sends more than {_MOST_BYTES} bytes")
            keys = read_jwks(msgspec.json.decode(bytes(document)))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            reason = str(error) or ("it does not respond in time" if isinstance(error, TimeoutError) else repr(error))
            self.failure = f"{self._url}: {reason}"
            self._not_before = self._clock.now() + _PAUSE_AFTER_FAILURE
            log("auth.jwks_unavailable", level="error", reason=self.failure, has_cached_keys=bool(self._keys))
            return
        if self.failure is not None:
            log("auth.jwks_available", url=self._url)
        now = self._clock.now()
        self._keys = keys
        self.failure = None
        self._stale_at = now + _FRESH_FOR
        self._not_before = now + _PAUSE_AFTER_FETCH
