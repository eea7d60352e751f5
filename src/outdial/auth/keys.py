"""API keys and JWT secret of a project, and the well-known ones of local stacks."""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, Self

import jwt

from outdial.settings import SettingError, unquoted, web_url

KeyKind = Literal["publishable", "secret"]

DEFAULT_NAME = "default"
LEGACY_NAME = "legacy"

# Supabase ships these with every local stack. They are public and protect nothing.
LOCAL_JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
LOCAL_PUBLISHABLE_KEY = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
LOCAL_SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"
_LOCAL_EXPIRY = 1983812996

# Kind, the setting with keys by name, and the older setting with one key.
_SETTINGS: tuple[tuple[KeyKind, str, str], ...] = (
    ("publishable", "SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_ANON_KEY"),
    ("secret", "SUPABASE_SECRET_KEYS", "SUPABASE_SERVICE_ROLE_KEY"),
)


def new_api_key(kind: KeyKind) -> str:
    """Return a random API key in the form of Supabase's: prefix, 128 random bits, and a checksum of both."""
    body = f"sb_{kind}_{secrets.token_urlsafe(16)}"
    return f"{body}_{base64.urlsafe_b64encode(sha256(body.encode()).digest()).decode()[:8]}"


def mint_jwt(secret: str, claims: Mapping[str, object]) -> str:
    """Return `claims` as a JWT signed HS256 with `secret`."""
    return jwt.encode(dict(claims), secret, algorithm="HS256")


def local_anon_jwt() -> str:
    """Return the legacy anon key of a local Supabase stack, byte for byte."""
    return _local_jwt("anon")


def local_service_role_jwt() -> str:
    """Return the legacy service-role key of a local Supabase stack, byte for byte."""
    return _local_jwt("service_role")


def _local_jwt(role: str) -> str:
    return mint_jwt(LOCAL_JWT_SECRET, {"iss": "supabase-demo", "role": role, "exp": _LOCAL_EXPIRY})


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key. The keys of the older settings, one per kind, are named `legacy`."""

    kind: KeyKind
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys and secrets to authenticate callers. `repr` shows names, never values.

    `jwks` is a fixed JWK set (`{"keys": [...]}`). Without it, the set at `jwks_url` is fetched.
    """

    keys: tuple[ApiKey, ...] = ()
    jwt_secret: str | None = field(default=None, repr=False)
    jwks_url: str | None = None
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read Supabase's settings. Raise SettingError naming an invalid one.

        SUPABASE_PUBLISHABLE_KEYS and SUPABASE_SECRET_KEYS are JSON objects from name to key; SUPABASE_ANON_KEY and
        SUPABASE_SERVICE_ROLE_KEY hold one key each, of either form; SUPABASE_JWT_SECRET verifies HS256; SUPABASE_JWKS
        (JSON) or the JWK set of SUPABASE_URL verifies ES256 and RS256.
        """
        keys: list[ApiKey] = []
        for kind, several, one in _SETTINGS:
            for name, value in _json_object(env, several).items():
                if not isinstance(value, str) or not value.strip():
                    raise SettingError(f"{several} must give each key as a string; {name!r} is not one")
                keys.append(ApiKey(kind, name, value.strip()))
            if legacy := unquoted(env.get(one, "")):
                keys.append(ApiKey(kind, LEGACY_NAME, legacy))
        url = web_url(env, "SUPABASE_URL")
        return cls(
            keys=tuple(keys),
            jwt_secret=unquoted(env.get("SUPABASE_JWT_SECRET", "")) or None,
            jwks_url=f"{url}/auth/v1/.well-known/jwks.json" if url else None,
            jwks=_json_object(env, "SUPABASE_JWKS") or None,
        )

    def matching(self, candidate: str) -> tuple[ApiKey, ...]:
        """Return the keys whose value is `candidate`; one value may have several names.

        Compares in constant time.
        """
        digest = sha256(candidate.encode()).digest()
        matches = [hmac.compare_digest(digest, sha256(key.value.encode()).digest()) for key in self.keys]
        return tuple(key for key, is_match in zip(self.keys, matches, strict=True) if is_match)

    @property
    def has_public_secrets(self) -> bool:
        """Whether a secret key or the JWT secret is one that every local stack has."""
        public = {LOCAL_SECRET_KEY, local_service_role_jwt()}
        return self.jwt_secret == LOCAL_JWT_SECRET or any(key.value in public for key in self.keys)

    def can_check(self, kind: KeyKind | Literal["user"]) -> bool:
        """Return whether the configuration allows any caller of `kind`."""
        if kind == "user":
            return bool(self.jwt_secret or self.jwks or self.jwks_url)
        return bool(self.jwt_secret) or any(key.kind == kind for key in self.keys)


def _json_object(env: Mapping[str, str], name: str) -> dict[str, Any]:
    raw = unquoted(env.get(name, ""))
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        # The value is a secret: the message must not quote it.
        raise SettingError(f"{name} must be a JSON object") from None
    return value
