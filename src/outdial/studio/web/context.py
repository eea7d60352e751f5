"""Route dependencies: the caller, and the organization they act in."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar, cast
from uuid import UUID

from fastapi import Depends, Request

from outdial.auth import AccessDenied, Caller, KeyRing, TokenVerifier, identify, parse_mode
from outdial.auth.client import AuthClient
from outdial.auth.local.service import LocalAuth
from outdial.campaigns.lifecycle import Actor
from outdial.clock import Clock
from outdial.db.queries import organizations, reviews
from outdial.db.queries.auth import accounts
from outdial.db.session import Connection, Database
from outdial.domain.rules import RuleBook
from outdial.provider import KeyTester
from outdial.studio.web.change_hub import ChangeHub
from outdial.studio.web.errors import (
    NotSignedIn,
    PermissionDenied,
    ResourceNotFound,
    SecondFactorMissing,
    ServiceUnavailable,
)
from outdial.studio.web.sessions import CookieSealer, RenewSession
from outdial.studio.web.settings import StudioSettings

MemberRole = Literal["viewer", "operator", "admin", "owner"]
RANKS: Mapping[str, int] = {"viewer": 0, "operator": 1, "admin": 2, "owner": 3}
_ROLE_REQUIRED: Mapping[str, str] = {
    "operator": "You need the Operator role to do this",
    "admin": "You need the Admin role to do this",
    "owner": "You need the Owner role to do this",
}
_MAX_SWITCHER_ENTRIES = 20
MOST_WAITING = 100
"""Contacts in review, and callbacks, that the menu counts."""
_OVERDUE_AFTER = timedelta(minutes=1)
_AUTH_MODES = [parse_mode("user"), parse_mode("secret")]
Shared = TypeVar("Shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioState:
    """Application state shared by all requests. `database` connects as outdial_api.

    `rules` are the shipped calling rules, or UNRESTRICTED where calling rules are ignored.
    """

    database: Database
    clock: Clock
    rules: RuleBook
    keyring: KeyRing = field(repr=False)
    verifier: TokenVerifier = field(repr=False)
    settings: StudioSettings
    sealer: CookieSealer = field(repr=False)
    renew: RenewSession = field(repr=False)
    hub: ChangeHub = field(repr=False)
    auth: AuthClient = field(repr=False)
    key_tester: KeyTester | None = field(default=None, repr=False)
    """Asks the provider about API keys that members enter."""
    local_auth: LocalAuth | None = field(default=None, repr=False)
    """The Auth that Outdial serves on plain Postgres, which sends no email; None where the project has its own."""
    _shared: dict[type, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def share(self, kind: type[Shared], make: Callable[[], Shared]) -> Shared:
        """Return what all requests share, one of each kind; the first request makes it."""
        if kind not in self._shared:
            self._shared[kind] = make()
        shared: Shared = self._shared[kind]
        return shared


@dataclass(frozen=True, slots=True)
class StudioCaller:
    """An authenticated caller: a user, or a back end with the secret key (its `user_id` is None)."""

    studio: StudioState = field(repr=False)
    identity: Caller = field(repr=False)

    @property
    def user_id(self) -> UUID | None:
        return None if self.identity.user is None else self.identity.user.id

    @property
    def email(self) -> str | None:
        return None if self.identity.user is None else self.identity.user.email

    @property
    def display_name(self) -> str:
        """The caller as shown beside what they have done."""
        return self.email or "the service"

    @property
    def actor(self) -> Actor:
        """The caller as recorded in the audit log."""
        return Actor(self.user_id)

    @asynccontextmanager
    async def transaction(self, *, lock_timeout: timedelta | None = None) -> AsyncIterator[Connection]:
        """Open a transaction as the caller; row level security applies."""
        async with self.studio.database.as_caller(
            self.identity.role, dict(self.identity.claims), lock_timeout=lock_timeout
        ) as connection:
            yield connection


def is_platform_operator(caller: StudioCaller, role: str | None = None) -> bool:
    """Return whether a caller is a platform operator.

    Platform operators are callers with the secret key, users whose app_metadata at Auth is `{"role": "platform"}`
    (only the service can write it), and users listed by id or confirmed email address in OUTDIAL_STUDIO_OPERATORS. On a
    local stack, every owner of an organization is one too; `role` is the caller's role in the organization.
    """
    user = caller.identity.user
    if user is None:
        return True
    settings = caller.studio.settings
    if user.app_metadata.get("role") == "platform":
        return True
    # Someone may have signed up with the address before it was listed.
    names = {str(user.id), (user.email or "").lower()} if user.is_email_confirmed else {str(user.id)}
    if names & set(settings.operators):
        return True
    return settings.is_local and role == "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationContext:
    """The organization of a request and the caller's role in it."""

    organization_id: UUID
    name: str
    role: MemberRole
    is_stopped: bool = False
    """Whether all its calls are stopped, which every page shows."""
    caller: StudioCaller = field(repr=False)
    waiting: Mapping[str, int] = field(default_factory=dict)
    """What waits for a member, by page of the menu, at most MOST_WAITING each. Empty for API requests."""
    others: Sequence[organizations.OrganizationMembership] = field(default=(), repr=False)
    """The caller's organizations, this one included, for the switcher. Empty for API requests."""

    @property
    def studio(self) -> StudioState:
        return self.caller.studio

    @property
    def actor(self) -> Actor:
        """The caller as recorded in the audit log."""
        return self.caller.actor

    def may(self, minimum: MemberRole) -> bool:
        """Return whether the caller's role is `minimum` or higher."""
        return RANKS[self.role] >= RANKS[minimum]

    def require(self, minimum: MemberRole) -> None:
        """Raise PermissionDenied unless the caller's role is `minimum` or higher."""
        if not self.may(minimum):
            raise PermissionDenied(_ROLE_REQUIRED[minimum], role=self.role)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction as the caller: `async with context.transaction() as connection`."""
        return self.caller.transaction()


def studio_state(request: Request) -> StudioState:
    """Return the state the application was created with."""
    return cast("StudioState", request.app.state.studio)


async def authenticated_caller(request: Request) -> StudioCaller:
    """Authenticate by bearer token, secret key, or the session cookie the middleware has read.

    Raises NotSignedIn, and ServiceUnavailable when Auth cannot be reached.
    """
    studio = studio_state(request)
    if request.scope.get("outdial_auth_unavailable"):
        raise ServiceUnavailable("Sign-in is temporarily unavailable: try again in a moment")
    found = await identify(
        request.scope.get("outdial_headers", request.headers), _AUTH_MODES, studio.keyring, studio.verifier
    )
    if isinstance(found, AccessDenied):
        if found.status >= 500:
            raise ServiceUnavailable(found.message)
        raise NotSignedIn(found.message)
    return StudioCaller(studio, found)


_AuthenticatedCaller = Annotated[StudioCaller, Depends(authenticated_caller)]


async def current_caller(caller: _AuthenticatedCaller) -> StudioCaller:
    """Return the caller; raises SecondFactorMissing, and what `authenticated_caller` raises."""
    if _may_lack_factor(caller):
        async with caller.transaction() as connection:
            await _check_factor(connection)
    return caller


CurrentCaller = Annotated[StudioCaller, Depends(current_caller)]
"""Parameter of routes outside organizations."""


def _may_lack_factor(caller: StudioCaller) -> bool:
    return caller.user_id is not None and caller.identity.claims.get("aal") != "aal2"


async def _check_factor(connection: Connection) -> None:
    if await accounts.lacks_second_factor(connection):
        raise SecondFactorMissing("This session lacks your second factor: sign in with the code of your app")


async def current_organization(
    organization_id: UUID, caller: _AuthenticatedCaller, request: Request
) -> OrganizationContext:
    """Return the organization in the path.

    Raises ResourceNotFound unless the caller is a member, and SecondFactorMissing, without which no one is.
    """
    others: Sequence[organizations.OrganizationMembership] = ()
    waiting: Mapping[str, int] = {}
    async with caller.transaction() as connection:
        row = await organizations.find_membership(connection, organization_id=organization_id, user_id=caller.user_id)
        # A live update leaves the menu as it is.
        if row is not None and request.url.path.startswith("/o/") and "x-live" not in request.headers:
            others = await organizations.list_memberships(
                connection, user_id=caller.user_id, limit=_MAX_SWITCHER_ENTRIES
            )
            overdue_before = caller.studio.clock.now() - _OVERDUE_AFTER
            counts = await reviews.count_waiting(
                connection, organization_id=organization_id, overdue_before=overdue_before, most=MOST_WAITING
            )
            waiting = {"review": counts.in_review, "callbacks": counts.callbacks}
        if row is None and _may_lack_factor(caller):
            await _check_factor(connection)
    if row is None:
        raise ResourceNotFound("Organization not found, or you are not a member")
    context = OrganizationContext(
        organization_id=row.id,
        name=row.name,
        role=cast("MemberRole", row.role),
        is_stopped=row.is_stopped,
        caller=caller,
        waiting=waiting,
        others=others,
    )
    # Error pages show the menu of an organization only when the caller is a member.
    request.state.organization = context
    return context


CurrentOrganization = Annotated[OrganizationContext, Depends(current_organization)]
"""Parameter of routes below /api/v1/organizations/{organization_id} and /o/{organization_id}."""
