"""`verify_jwt`: check the caller's key or token in front of a function."""

from typing import assert_never

from outdial.auth import BadToken, KeyRing, TokenVerifier, VerifiedToken, VerifierMisconfigured, algorithm_of
from outdial.host.wire.headers import Headers, header_value
from outdial.host.wire.responses import ErrorResponse

_NO_CREDENTIALS = ErrorResponse(401, "UNAUTHORIZED_NO_AUTH_HEADER", "Missing authorization header")
_NO_BEARER = ErrorResponse(401, "UNAUTHORIZED_INVALID_JWT_FORMAT", "Auth header is not 'Bearer {token}'")
_UNKNOWN_KEY = ErrorResponse(401, "UNAUTHORIZED_INVALID_API_KEY", "The API key is not one of this project")
# Prefix of API keys in the new format, which are not JWTs.
_KEY_PREFIX = "sb_"


class JwtCheck:
    """Accepts requests with an API key or a valid JWT of the project, by the rules of Supabase's local gateway.

    A publishable or secret key passes as `apikey` or as bearer token. Like the key, the check does not authenticate a
    user. A request with an invalid JWT is rejected, whatever else it contains.
    """

    def __init__(self, keyring: KeyRing, verifier: TokenVerifier) -> None:
        self._keyring = keyring
        self._verifier = verifier

    async def check(self, headers: Headers) -> ErrorResponse | None:
        """Return the error response for a request with `headers`, None to accept it."""
        authorization = header_value(headers, b"authorization")
        api_key = header_value(headers, b"apikey")
        if authorization:
            scheme, _, token = authorization.partition(" ")
            token = token.strip()
            if scheme.lower() != "bearer" or not token:
                return _NO_BEARER
            if not token.startswith(_KEY_PREFIX):
                return await self._check_token(token)
            if self._keyring.matching(token):
                return None
        if not api_key:
            return _UNKNOWN_KEY if authorization else _NO_CREDENTIALS
        if self._keyring.matching(api_key):
            return None
        return _UNKNOWN_KEY if api_key.startswith(_KEY_PREFIX) else await self._check_token(api_key)

    async def _check_token(self, token: str) -> ErrorResponse | None:
        if self._keyring.matching(token):
            return None
        verdict = await self._verifier.verify(token)
        match verdict:
            case VerifiedToken():
                return None
            case BadToken("INVALID_JWT", reason):
                code = "LEGACY" if algorithm_of(token) == "HS256" else "ASYMMETRIC"
                return ErrorResponse(401, f"UNAUTHORIZED_{code}_JWT", f"Invalid JWT: {reason}")
            case BadToken(code, reason):
                return ErrorResponse(401, code, reason)
            case VerifierMisconfigured(code, reason):
                return ErrorResponse(500, code, reason)
            case _:
                assert_never(verdict)
