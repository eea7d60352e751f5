"""The endpoints of /auth/v1 that Supabase's clients use to sign in (reference: Supabase Auth 2.19x)."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outdial.auth.caller import AccessDenied, Caller, identify, parse_mode
from outdial.auth.keys import KeyRing
from outdial.auth.local.bodies import CORS, AuthError, error_response, json_response, refuse, session_body, user_body
from outdial.auth.local.factors import NO_FACTOR, SecondFactors
from outdial.auth.local.passwords import PasswordQueueFull
from outdial.auth.local.service import AuthRefusal, AuthSession, LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.auth.tokens import TokenVerifier, VerifiedToken
from outdial.clock import Clock
from outdial.db.queries.auth.factors import FactorRow
from outdial.db.queries.auth.users import UserRow
from outdial.domain.ids import new_id
from outdial.errors_http import preflight_headers
from outdial.log import log
from outdial.net import client_address

_LONGEST_BODY: Final = 64 * 1024
_MOST_USERS: Final = 1000
_BUSY_FOR: Final = timedelta(seconds=3)
_CHALLENGE_LIVES: Final = timedelta(minutes=5)
_KEYS = [parse_mode("publishable:*"), parse_mode("secret:*")]
_SECRET = [parse_mode("secret:*")]

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Routes:
    auth: LocalAuth
    factors: SecondFactors
    keys: SigningKeys
    keyring: KeyRing
    verifier: TokenVerifier
    clock: Clock
    allow_sign_up: bool
    reserved_emails: Collection[str]
    proxies: int

    async def token(self, request: Request) -> Response:
        await self._require_key(request)
        body = await _body(request)
        match request.query_params.get("grant_type"):
            case "password":
                email, password = _text(body, "email"), _text(body, "password")
                device = request.headers.get("user-agent", "")
                return await self._session_response(
                    await self.auth.sign_in(email, password, self._client(request), device)
                )
            case "refresh_token":
                return await self._session_response(await self.auth.refresh(_text(body, "refresh_token")))
            case other:
                raise refuse(
                    "validation_failed", f"grant_type {other!r} is not supported: use password or refresh_token"
                )

    async def sign_up(self, request: Request) -> Response:
        await self._require_key(request)
        if not self.allow_sign_up:
            raise refuse("signup_disabled", "Signups not allowed for this instance")
        body = await _body(request)
        email, password, data = _text(body, "email"), _text(body, "password"), _object(body, "data")
        if email.strip().lower() in self.reserved_emails:
            raise refuse("signup_disabled", "An operator of this server creates this user: outdial users create")
        return await self._session_response(await self.auth.sign_up(email, password, self._client(request), data))

    async def user(self, request: Request) -> Response:
        user, claims = await self._user_and_claims(request)
        listed = await self.factors.of_user(user.id)
        if request.method == "PUT":
            body = await _body(request)
            _require_factor(claims, listed, "update the user")
            if _optional_text(body, "email") not in (None, user.email):
                raise refuse(
                    "validation_failed", "Only an administrator can change email addresses: this server sends no email"
                )
            changed = await self.auth.change_user(
                user.id,
                password=_optional_text(body, "password"),
                user_metadata=_object(body, "data"),
                keep_session=UUID(claims["session_id"]),
            )
            return _user_response(changed, listed)
        return json_response(user_body(user, listed))

    async def enroll(self, request: Request) -> Response:
        user, _ = await self._user_and_claims(request)
        body = await _body(request)
        if body.get("factor_type", "totp") != "totp":
            raise refuse("validation_failed", "factor_type needs to be totp")
        made = await self.factors.enroll(user, _optional_text(body, "friendly_name"))
        if isinstance(made, AuthRefusal):
            raise AuthError(made)
        return json_response(
            {
                "id": str(made.id),
                "type": "totp",
                "friendly_name": made.friendly_name or "",
                "totp": {"secret": made.secret, "uri": made.uri},
            }
        )

    async def factor(self, request: Request) -> Response:
        """Remove a factor."""
        user, claims = await self._user_and_claims(request)
        factor_id = _factor_id(request)
        refused = await self.factors.remove(user, str(claims.get("aal")), factor_id)
        if refused is not None:
            raise AuthError(refused)
        return json_response({"id": str(factor_id)})

    async def challenge(self, request: Request) -> Response:
        """Return an id for the next code. Codes are checked by time alone, so nothing is stored."""
        user, _ = await self._user_and_claims(request)
        if not any(factor.id == _factor_id(request) for factor in await self.factors.of_user(user.id)):
            raise AuthError(NO_FACTOR)
        now = self.clock.now()
        expires = int((now + _CHALLENGE_LIVES).timestamp())
        return json_response({"id": str(new_id(now)), "type": "totp", "expires_at": expires})

    async def verify(self, request: Request) -> Response:
        user, claims = await self._user_and_claims(request)
        body = await _body(request)
        code, client = _text(body, "code"), self._client(request)
        verified = await self.factors.verify(user, claims, _factor_id(request), code, client)
        if isinstance(verified, AuthRefusal):
            raise AuthError(verified)
        session = session_body(verified.session, self.clock.now(), await self.factors.of_user(user.id))
        return json_response({**session, "recovery_codes": list(verified.recovery_codes)})

    async def sign_out(self, request: Request) -> Response:
        user, claims = await self._user_and_claims(request)
        scope = request.query_params.get("scope", "global")
        if scope not in ("global", "local", "others"):
            raise refuse("validation_failed", "scope must be global, local or others")
        if scope != "local":
            # Stricter than Supabase's: the password alone must not end the sessions of the user.
            _require_factor(claims, await self.factors.of_user(user.id), "end other sessions")
        await self.auth.sign_out(claims, scope)
        return Response(status_code=204, headers=dict(CORS))

    async def users(self, request: Request) -> Response:
        await self._require_secret(request)
        if request.method == "POST":
            body = await _body(request)
            made = await self.auth.create_user(
                _text(body, "email"),
                _text(body, "password"),
                app_metadata=_object(body, "app_metadata"),
                user_metadata=_object(body, "user_metadata"),
            )
            return _user_response(made)
        page, per_page = _number(request, "page", 1, 1 << 31), _number(request, "per_page", 50, _MOST_USERS)
        found = await self.auth.users(page, per_page)
        return json_response({"users": [user_body(user) for user in found], "aud": "authenticated"})

    async def one_user(self, request: Request) -> Response:
        await self._require_secret(request)
        try:
            user_id = UUID(request.path_params["user_id"])
        except ValueError:
            raise refuse("validation_failed", "user_id must be a UUID") from None
        if request.method == "DELETE":
            deleted = await self.auth.delete_user(user_id)
            if isinstance(deleted, AuthRefusal):
                raise AuthError(deleted)
            if not deleted:
                raise refuse("user_not_found", "User not found")
            return json_response({})
        if request.method == "GET":
            return _user_response(await self.auth.find_user(user_id))
        body = await _body(request)
        changed = await self.auth.change_user(
            user_id,
            email=_optional_text(body, "email"),
            password=_optional_text(body, "password"),
            app_metadata=_object(body, "app_metadata"),
            user_metadata=_object(body, "user_metadata"),
            confirms=body.get("email_confirm") is True,
        )
        return _user_response(changed)

    async def settings(self, request: Request) -> Response:
        await self._require_key(request)
        external = {"email": True, "phone": False, "anonymous_users": False}
        return json_response(
            {
                "external": external,
                "disable_signup": not self.allow_sign_up,
                "mailer_autoconfirm": True,
                "saml_enabled": False,
            }
        )

    async def health(self, _: Request) -> Response:
        return json_response(
            {"name": "outdial-auth", "description": "The subset of Supabase Auth that Outdial provides"}
        )

    async def jwks(self, _: Request) -> Response:
        response = json_response(await self.keys.jwks())
        response.headers["cache-control"] = "public, max-age=600"
        return response

    async def _session_response(self, result: AuthSession | AuthRefusal) -> Response:
        if isinstance(result, AuthRefusal):
            raise AuthError(result)
        factors = await self.factors.of_user(result.user.id)
        return json_response(session_body(result, self.clock.now(), factors))

    async def _user_and_claims(self, request: Request) -> tuple[UserRow, Mapping[str, Any]]:
        claims = await self._claims(request)
        user = await self.auth.user_of(claims)
        if user is None:
            raise refuse("session_not_found", "Session from session_id claim in JWT does not exist")
        return user, claims

    def _client(self, request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        return client_address(peer, request.headers.getlist("x-forwarded-for"), proxies=self.proxies)

    async def _require_key(self, request: Request) -> None:
        found = await self._identify(request, _KEYS)
        if isinstance(found, AccessDenied):
            raise refuse("no_authorization", found.message)

    async def _require_secret(self, request: Request) -> None:
        found = await self._identify(request, _SECRET)
        if isinstance(found, AccessDenied):
            raise refuse("not_admin", "This endpoint requires the service role or a secret key")

    async def _identify(self, request: Request, modes: Any) -> Caller | AccessDenied:
        return await identify(request.headers, modes, self.keyring, self.verifier)

    async def _claims(self, request: Request) -> Mapping[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise refuse("no_authorization", "This endpoint requires a Bearer token")
        verdict = await self.verifier.verify(token.strip())
        if not isinstance(verdict, VerifiedToken):
            raise refuse("bad_jwt", f"invalid JWT: {verdict.message}")
        await self._require_key(request)
        if not verdict.claims.get("session_id"):
            raise refuse("session_not_found", "The token belongs to no session")
        return verdict.claims


def create_auth(
    auth: LocalAuth,
    keys: SigningKeys,
    keyring: KeyRing,
    clock: Clock,
    *,
    allow_sign_up: bool = False,
    reserved_emails: Collection[str] = (),
    proxies: int = 0,
) -> Starlette:
    """Create the application for /auth/v1. Requests must carry one of the keys of `keyring`.

    No one can sign up with one of `reserved_emails`, in lower case: platform operators are known by their address.

    Attempts are counted per client address, which `proxies` in front append to `x-forwarded-for`. A peer on this
    machine always counts as a proxy.
    """
    verifier = TokenVerifier(jwt_secret=keyring.jwt_secret, jwks=keys, clock=clock)
    routes = _Routes(
        auth=auth,
        factors=SecondFactors(auth.database, clock, auth),
        keys=keys,
        keyring=keyring,
        verifier=verifier,
        clock=clock,
        allow_sign_up=allow_sign_up,
        reserved_emails=reserved_emails,
        proxies=proxies,
    )
    table: list[tuple[str, Handler, list[str]]] = [
        ("/token", routes.token, ["POST"]),
        ("/signup", routes.sign_up, ["POST"]),
        ("/user", routes.user, ["GET", "PUT"]),
        ("/factors", routes.enroll, ["POST"]),
        ("/factors/{factor_id}", routes.factor, ["DELETE"]),
        ("/factors/{factor_id}/challenge", routes.challenge, ["POST"]),
        ("/factors/{factor_id}/verify", routes.verify, ["POST"]),
        ("/logout", routes.sign_out, ["POST"]),
        ("/admin/users", routes.users, ["GET", "POST"]),
        ("/admin/users/{user_id}", routes.one_user, ["GET", "PUT", "DELETE"]),
        ("/settings", routes.settings, ["GET"]),
        ("/health", routes.health, ["GET"]),
        ("/.well-known/jwks.json", routes.jwks, ["GET"]),
    ]
    return Starlette(
        routes=[Route(path, _guarded(handler), methods=[*methods, "OPTIONS"]) for path, handler, methods in table],
        exception_handlers={404: _no_route, 405: _no_route},
    )


async def _no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return error_response(AuthRefusal("method_not_allowed", f"{request.method} is not allowed here"))
    return error_response(AuthRefusal("not_found", "This endpoint of Supabase Auth is not supported here"))


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        if request.method == "OPTIONS":
            requested = request.headers.get("access-control-request-headers", "")
            return Response(status_code=204, headers=preflight_headers(requested, CORS))
        try:
            return await handler(request)
        except AuthError as error:
            return error_response(error.refused)
        except PasswordQueueFull:
            message = "Too many sign-ins at the same time: try again in a few seconds"
            return error_response(AuthRefusal("over_request_rate_limit", message, _BUSY_FOR))
        except asyncpg.DataError:
            # JSON can contain NUL, which Postgres cannot store.
            return error_response(AuthRefusal("validation_failed", "The body contains text that cannot be stored"))
        except Exception as error:
            log("auth.failed", level="error", error=error, path=request.url.path)
            return json_response({"code": "unexpected_failure", "message": "Auth failed: try again"}, 500)

    return guarded


async def _body(request: Request) -> dict[str, Any]:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _LONGEST_BODY:
            raise refuse("validation_failed", f"The body may have at most {_LONGEST_BODY} bytes")
    try:
        return msgspec.json.decode(bytes(content), type=dict[str, Any]) if content else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise refuse("bad_json", "Could not parse request body as JSON: an object is expected") from None


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or "\x00" in value:
        raise refuse("validation_failed", f"{name} is missing or not a string")
    return value


def _optional_text(body: Mapping[str, Any], name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise refuse("validation_failed", f"{name} must be an object")
    return value


def _number(request: Request, name: str, default: int, most: int) -> int:
    raw = request.query_params.get(name, "")
    return min(max(int(raw), 1), most) if raw.isascii() and raw.isdecimal() and len(raw) < 10 else default


def _factor_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["factor_id"])
    except ValueError:
        raise AuthError(NO_FACTOR) from None


def _require_factor(claims: Mapping[str, Any], factors: Sequence[FactorRow], action: str) -> None:
    if claims.get("aal") != "aal2" and any(factor.status == "verified" for factor in factors):
        raise refuse("insufficient_aal", f"AAL2 session is required to {action} when MFA is enabled")


def _user_response(user: Any, factors: Sequence[FactorRow] = ()) -> Response:
    if user is None:
        raise refuse("user_not_found", "User not found")
    if isinstance(user, AuthRefusal):
        raise AuthError(user)
    return json_response(user_body(user, factors))
