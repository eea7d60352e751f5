"""Response bodies of Auth, in the format of Supabase's clients."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.responses import JSONResponse, Response

from outdial.auth.local.service import AuthRefusal, AuthSession
from outdial.db.queries.auth.factors import FactorRow
from outdial.db.queries.auth.users import UserRow

API_VERSION: Final = "2024-01-01"
CORS: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, x-client-info, apikey, content-type, x-supabase-api-version, "
    "x-retry-count",
    "access-control-expose-headers": "x-supabase-api-version, x-sb-error-code, retry-after",
    "x-supabase-api-version": API_VERSION,
}
_STATUS: Final[Mapping[str, int]] = {
    "invalid_credentials": 400,
    "validation_failed": 400,
    "bad_json": 400,
    "refresh_token_not_found": 400,
    "refresh_token_already_used": 400,
    "no_authorization": 401,
    "bad_jwt": 403,
    "session_not_found": 403,
    "not_admin": 403,
    "insufficient_aal": 401,
    "user_not_found": 404,
    "mfa_factor_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "email_exists": 422,
    "mfa_verification_failed": 422,
    "too_many_enrolled_mfa_factors": 422,
    "email_address_invalid": 422,
    "weak_password": 422,
    "signup_disabled": 422,
    "over_request_rate_limit": 429,
}


class AuthError(Exception):
    """A refused request."""

    def __init__(self, refused: AuthRefusal) -> None:
        super().__init__(refused.message)
        self.refused = refused


def refuse(code: str, message: str) -> AuthError:
    """Return an error with one of Supabase's codes."""
    return AuthError(AuthRefusal(code, message))


def error_response(refused: AuthRefusal) -> Response:
    """Return the response to a refused request.

    API version 2024-01-01 has only `code` and `message`, so this does not use `outdial.errors_http`.
    """
    headers = {**CORS, "x-sb-error-code": refused.code}
    body: dict[str, Any] = {"code": refused.code, "message": refused.message}
    if refused.retry_after is not None:
        headers["retry-after"] = str(max(1, round(refused.retry_after.total_seconds())))
    if refused.code == "weak_password":
        body["weak_password"] = {"reasons": ["length"]}
    return JSONResponse(body, _STATUS.get(refused.code, 400), headers)


def json_response(body: object, status: int = 200) -> Response:
    """Return `body` as JSON."""
    return JSONResponse(body, status, dict(CORS))


def session_body(session: AuthSession, now: datetime, factors: Sequence[FactorRow] = ()) -> dict[str, Any]:
    """Return a session in the format of the `token` endpoint."""
    return {
        "access_token": session.access_token,
        "token_type": "bearer",
        "expires_in": int((session.expires_at - now).total_seconds()),
        "expires_at": int(session.expires_at.timestamp()),
        "refresh_token": session.refresh_token,
        "user": user_body(session.user, factors),
    }


def user_body(user: UserRow, factors: Sequence[FactorRow] = ()) -> dict[str, Any]:
    """Return a user in Supabase's format."""
    confirmed = _time(user.email_confirmed_at)
    identity = {
        "id": str(user.id),
        "identity_id": str(user.id),
        "user_id": str(user.id),
        "identity_data": {"email": user.email, "sub": str(user.id), "email_verified": confirmed is not None},
        "provider": "email",
        "last_sign_in_at": _time(user.last_sign_in_at),
        "created_at": _time(user.created_at),
        "updated_at": _time(user.updated_at),
        "email": user.email,
    }
    listed = [
        {
            "id": str(factor.id),
            "friendly_name": factor.friendly_name or "",
            "factor_type": factor.factor_type,
            "status": factor.status,
            "created_at": _time(factor.created_at),
            "updated_at": _time(factor.updated_at),
        }
        for factor in factors
    ]
    return {
        # As in Supabase's, absent without factors.
        **({"factors": listed} if listed else {}),
        "id": str(user.id),
        "aud": "authenticated",
        "role": "authenticated",
        "email": user.email,
        "email_confirmed_at": confirmed,
        "phone": "",
        "confirmed_at": confirmed,
        "last_sign_in_at": _time(user.last_sign_in_at),
        "app_metadata": msgspec.json.decode(user.app_metadata),
        "user_metadata": msgspec.json.decode(user.user_metadata),
        "identities": [identity],
        "created_at": _time(user.created_at),
        "updated_at": _time(user.updated_at),
        "is_anonymous": False,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")
