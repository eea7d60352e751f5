"""Authentication: API keys, JWTs, and the Postgres role of a request."""

from outdial.auth.caller import AccessDenied, AuthMode, Caller, User, identify, parse_mode
from outdial.auth.keys import ApiKey, KeyRing, local_anon_jwt, local_service_role_jwt, mint_jwt
from outdial.auth.tokens import BadToken, TokenVerifier, VerifiedToken, VerifierMisconfigured, algorithm_of

__all__ = [
    "AccessDenied",
    "ApiKey",
    "AuthMode",
    "BadToken",
    "Caller",
    "KeyRing",
    "TokenVerifier",
    "User",
    "VerifiedToken",
    "VerifierMisconfigured",
    "algorithm_of",
    "identify",
    "local_anon_jwt",
    "local_service_role_jwt",
    "mint_jwt",
    "parse_mode",
]
