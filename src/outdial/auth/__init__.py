"""Who is calling: API keys, JWTs, and the one role that a request may act as."""

from outdial.auth.caller import AuthMode, Caller, Denied, User, identify, parse_mode
from outdial.auth.keys import ApiKey, KeyRing, local_anon_jwt, local_service_role_jwt, mint_jwt
from outdial.auth.tokens import BadToken, Misconfigured, TokenVerifier, Verified, algorithm_of

__all__ = [
    "ApiKey",
    "AuthMode",
    "BadToken",
    "Caller",
    "Denied",
    "KeyRing",
    "Misconfigured",
    "TokenVerifier",
    "User",
    "Verified",
    "algorithm_of",
    "identify",
    "local_anon_jwt",
    "local_service_role_jwt",
    "mint_jwt",
    "parse_mode",
]
