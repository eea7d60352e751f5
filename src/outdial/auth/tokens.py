"""Verifies JWTs: the signature, then expiry, not-before and audience."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self, assert_never

import jwt
from jwt.types import Options

from outdial.auth.jwks import JwksSource, JwksUnavailable, PublicKey, RemoteJwks, StaticJwks
from outdial.auth.keys import KeyRing
from outdial.clock import Clock
from outdial.settings import SettingError

LEEWAY = timedelta(seconds=10)
AUDIENCE = "authenticated"
_LONGEST_TOKEN = 16 * 1024

# PyJWT reads the system clock, so we check the time claims ourselves, against our clock.
_SIGNATURE_ONLY: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The token is genuine and currently valid."""

    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadToken:
    """The token is invalid. `code` is one of Supabase's."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class VerifierMisconfigured:
    """The token could not be checked because of our configuration. `cause` is for the log, not for the caller."""

    code: str
    message: str
    cause: str = ""


TokenVerdict = VerifiedToken | BadToken | VerifierMisconfigured

_MALFORMED = BadToken("UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format")


def _invalid(message: str) -> BadToken:
    return BadToken("INVALID_JWT", message)


def algorithm_of(token: str) -> str | None:
    """Return the algorithm in the header of `token`, unverified; None when it is not a JWT."""
    header = _unverified_header(token) or {}
    return header["alg"] if isinstance(header.get("alg"), str) else None


def _unverified_header(token: str) -> dict[str, Any] | None:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):  # deeply nested JSON
        return None


class TokenVerifier:
    """Verifies HS256 with the project's secret, ES256 and RS256 with its public keys."""

    def __init__(
        self, *, jwt_secret: str | None, jwks: JwksSource | None, clock: Clock, leeway: timedelta = LEEWAY
    ) -> None:
        self._secret = jwt_secret
        self._jwks = jwks
        self._clock = clock
        self._leeway_s = leeway.total_seconds()

    @classmethod
    def from_keys(cls, keyring: KeyRing, clock: Clock) -> Self:
        """Return a verifier for the key ring. Raise SettingError when its JWK set is invalid."""
        jwks: JwksSource | None = None
        if keyring.jwks is not None:
            try:
                jwks = StaticJwks(keyring.jwks)
            except ValueError as error:
                raise SettingError(f"SUPABASE_JWKS cannot be used: {error}") from None
        elif keyring.jwks_url is not None:
            jwks = RemoteJwks(keyring.jwks_url, clock)
        return cls(jwt_secret=keyring.jwt_secret, jwks=jwks, clock=clock)

    async def verify(self, token: str) -> TokenVerdict:
        """Return the verified claims, or why the token is rejected."""
        if len(token) > _LONGEST_TOKEN or token.count(".") != 2:
            return _MALFORMED
        header = _unverified_header(token)
        if header is None:
            return _MALFORMED
        match header.get("alg"):
            case "HS256" if self._secret is not None:
                return self._verify_with(token, self._secret, "HS256")
            case "HS256" if self._jwks is None:
                return VerifierMisconfigured("JWT_SECRET_NOT_CONFIGURED", "Set SUPABASE_JWT_SECRET to verify tokens")
            case "ES256" | "RS256" as algorithm:
                return await self._verify_public(token, algorithm, header.get("kid"))
            case other:
                return BadToken(
                    "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM", f"Unsupported JWT algorithm {str(other)[:16]}"
                )

    def problem(self) -> str | None:
        """Return why the keys that verify tokens cannot be fetched, or None.

        A project with a JWT secret may have no JWK set at all, so a set that was never there is no problem for it.
        """
        if not isinstance(self._jwks, RemoteJwks) or (self._secret is not None and not self._jwks.has_succeeded):
            return None
        return self._jwks.failure

    async def run_once(self) -> int:
        """Fetch the keys again when the last fetch failed; a background task of processes that report `problem`."""
        if isinstance(self._jwks, RemoteJwks):
            await self._jwks.retry()
        return 0

    async def close(self) -> None:
        """Close the connection to the JWK set."""
        if self._jwks is not None:
            await self._jwks.close()

    async def _verify_public(self, token: str, algorithm: str, kid: object) -> TokenVerdict:
        if self._jwks is None:
            return VerifierMisconfigured("JWKS_NOT_CONFIGURED", "Set SUPABASE_URL or SUPABASE_JWKS to verify tokens")
        if not isinstance(kid, str):
            return _invalid("The token does not name its key (kid)")
        found = await self._jwks.find(kid)
        match found:
            case PublicKey():
                # The key determines the algorithm, never the token: RS256 must not be tried with an EC key.
                if found.algorithm != algorithm:
                    return _invalid("The token's algorithm does not match its key")
                return self._verify_with(token, found.key, found.algorithm)
            case JwksUnavailable(reason):
                message = "The keys that verify tokens cannot be fetched"
                return VerifierMisconfigured("JWKS_FETCH_FAILED", message, cause=reason)
            case None:
                return _invalid("The token is signed with an unknown key")
            case _:
                assert_never(found)

    def _verify_with(self, token: str, key: Any, algorithm: str) -> TokenVerdict:
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            return _invalid("The token's signature does not match")
        except (jwt.PyJWTError, ValueError, RecursionError):
            return _MALFORMED
        now = self._clock.now().timestamp()
        expires, begins = claims.get("exp"), claims.get("nbf")
        if not _is_time(expires) or not _is_time(begins):
            return _MALFORMED
        if expires is not None and not now < expires + self._leeway_s:
            return _invalid("The token has expired: sign in again or refresh it")
        if begins is not None and not now >= begins - self._leeway_s:
            return _invalid("The token is not valid yet")
        audience = claims.get("aud", AUDIENCE)
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            return _invalid("The token is meant for another audience")
        return VerifiedToken(claims)


def _is_time(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
