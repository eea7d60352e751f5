"""Authenticates a request from its headers, by the auth modes that a function accepts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Literal, cast
from uuid import UUID

from outdial.auth.keys import DEFAULT_NAME, LEGACY_NAME, ApiKey, KeyKind, KeyRing
from outdial.auth.tokens import TokenVerifier, VerifiedToken, VerifierMisconfigured
from outdial.net import is_loopback_url

ModeKind = Literal["user", "publishable", "secret", "none"]
Role = Literal["anon", "authenticated", "service_role"]

_KEY_OF_ROLE: Mapping[str, KeyKind] = {"anon": "publishable", "service_role": "secret"}
_ROLE_OF_KEY: Mapping[KeyKind, Role] = {"publishable": "anon", "secret": "service_role"}


@dataclass(frozen=True, slots=True)
class AuthMode:
    """One accepted kind of credential. `key` restricts publishable and secret keys to a name; `*` accepts any name."""

    kind: ModeKind
    key: str | None = None

    def admits(self, key: ApiKey) -> bool:
        """Return whether this mode accepts `key`. A mode without a name accepts the default and the legacy key."""
        if key.kind != self.kind:
            return False
        if self.key is None:
            return key.name in (DEFAULT_NAME, LEGACY_NAME)
        return self.key in ("*", key.name)

    def __str__(self) -> str:
        return self.kind if self.key is None else f"{self.kind}:{self.key}"


def parse_mode(text: str) -> AuthMode:
    """Read `user`, `none`, `publishable[:name|:*]` or `secret[:name|:*]`; raise ValueError on anything else."""
    kind, colon, key = text.partition(":")
    has_key_kind = kind in ("publishable", "secret")
    if not (has_key_kind or kind in ("user", "none")) or (colon and not (has_key_kind and key)):
        raise ValueError(f"{text!r} is not an auth mode: use user, none, publishable[:name] or secret[:name]")
    return AuthMode(cast("ModeKind", kind), key or None)


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in user, from the token. Users write `user_metadata` themselves: never authorize on it.

    `email` without `is_email_confirmed` is what the user claims when signing up: never authorize on it either.
    """

    id: UUID
    email: str | None
    role: str
    app_metadata: Mapping[str, Any] = field(repr=False)
    user_metadata: Mapping[str, Any] = field(repr=False)
    is_email_confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller: its Postgres role, and the claims that row level security sees."""

    mode: ModeKind
    role: Role
    claims: Mapping[str, Any] = field(repr=False)
    user: User | None = None
    key_name: str | None = None


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """The request is rejected. `status` is 401, or 500 when the server is misconfigured; `cause` is for the log."""

    status: int
    code: str
    message: str
    cause: str = ""


_FOREIGN_PAGE = AccessDenied(
    401,
    "FOREIGN_ORIGIN",
    "The secret key of local stacks is public, so pages that this machine does not serve may not use it: "
    "call from a page of localhost or from a server, or set SUPABASE_SECRET_KEYS and SUPABASE_JWT_SECRET to your own",
)
ANONYMOUS = Caller("none", "anon", MappingProxyType({"role": "anon"}))


@dataclass(slots=True)
class _Credentials:
    keys: list[ApiKey] = field(default_factory=list)
    has_api_key: bool = False
    claims: Mapping[str, Any] | None = None


async def identify(
    headers: Mapping[str, str], modes: Sequence[AuthMode], keyring: KeyRing, verifier: TokenVerifier
) -> Caller | AccessDenied:
    """Return the caller by the first of `modes` that matches. Header names are in lower case.

    After a missing credential or an unknown API key, the next mode is tried. An invalid JWT is rejected at once, unless
    `none` comes first: a caller never silently gets fewer rights than it claims.

    The secret key of a local stack is public. A browser on this machine could use it for any page that it shows, so it
    is rejected for pages of other sites.
    """
    strict = list(takewhile(lambda mode: mode.kind != "none", modes))
    if not strict:
        return ANONYMOUS
    credentials = await _read_credentials(headers, keyring, verifier)
    if isinstance(credentials, AccessDenied):
        return credentials
    for mode in strict:
        if mode.kind == "user":
            if credentials.claims is not None:
                return _user_of(credentials.claims)
            continue
        key = next((key for key in credentials.keys if mode.admits(key)), None)
        if key is not None:
            origin = headers.get("origin", "")
            if origin and not is_loopback_url(origin) and mode.kind == "secret" and keyring.has_public_secrets:
                return _FOREIGN_PAGE
            role = _ROLE_OF_KEY[key.kind]
            return Caller(mode.kind, role, MappingProxyType({"role": role}), key_name=key.name)
    return ANONYMOUS if len(strict) < len(modes) else _denial(credentials, strict, keyring)


async def _read_credentials(
    headers: Mapping[str, str], keyring: KeyRing, verifier: TokenVerifier
) -> _Credentials | AccessDenied:
    credentials = _Credentials()
    api_key = headers.get("apikey", "").strip()
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    if token and ((keys := keyring.matching(token)) or token.startswith("sb_")):
        _add_key(credentials, keys)
    elif token:
        verdict = await verifier.verify(token)
        if isinstance(verdict, VerifierMisconfigured):
            return AccessDenied(500, verdict.code, verdict.message, verdict.cause)
        if not isinstance(verdict, VerifiedToken):
            return AccessDenied(401, verdict.code, verdict.message)
        role = str(verdict.claims.get("role"))
        if role == "authenticated":
            credentials.claims = verdict.claims
        elif role in _KEY_OF_ROLE:
            _add_key(credentials, [ApiKey(_KEY_OF_ROLE[role], LEGACY_NAME, "")])
        else:
            return AccessDenied(500, "UNSUPPORTED_ROLE", "The token has a role that functions may not assume")
    if api_key:
        keys = keyring.matching(api_key)
        if not keys and api_key.count(".") == 2:
            # Any anon or service_role JWT of the project is a key, as in Supabase's gateway.
            verdict = await verifier.verify(api_key)
            kind = _KEY_OF_ROLE.get(str(verdict.claims.get("role"))) if isinstance(verdict, VerifiedToken) else None
            keys = () if kind is None else (ApiKey(kind, LEGACY_NAME, ""),)
        _add_key(credentials, keys)
    return credentials


def _add_key(credentials: _Credentials, keys: Iterable[ApiKey]) -> None:
    credentials.has_api_key = True
    credentials.keys.extend(keys)


def _user_of(claims: Mapping[str, Any]) -> Caller | AccessDenied:
    try:
        user_id = UUID(claims.get("sub"))
    except (ValueError, TypeError, AttributeError):
        return AccessDenied(401, "INVALID_JWT", "The token names no user (sub must be a UUID)")
    email = claims.get("email")
    user = User(
        id=user_id,
        email=email if isinstance(email, str) and email else None,
        role="authenticated",
        app_metadata=_mapping(claims.get("app_metadata")),
        user_metadata=_mapping(claims.get("user_metadata")),
        # Supabase begins no session before it has confirmed the address, and has no such claim.
        is_email_confirmed=claims.get("email_verified") is not False,
    )
    return Caller("user", "authenticated", MappingProxyType(dict(claims)), user)


def _mapping(value: object) -> Mapping[str, Any]:
    return MappingProxyType(value if isinstance(value, dict) else {})


def _denial(credentials: _Credentials, modes: Sequence[AuthMode], keyring: KeyRing) -> AccessDenied:
    accepted = ", ".join(str(mode) for mode in modes)
    if credentials.keys or credentials.claims is not None:
        return AccessDenied(
            401, "INVALID_CREDENTIALS", f"These credentials are not accepted here; accepted: {accepted}"
        )
    if not credentials.has_api_key:
        return AccessDenied(401, "MISSING_CREDENTIALS", f"Send an apikey or a bearer token; accepted: {accepted}")
    wanted = [mode.kind for mode in modes if mode.kind in ("publishable", "secret")]
    if wanted and not any(keyring.can_check(kind) for kind in wanted):
        return AccessDenied(500, "NO_KEYS_CONFIGURED", f"No API keys are configured; accepted: {accepted}")
    return AccessDenied(401, "INVALID_API_KEY", f"The API key is not known here; accepted: {accepted}")
