"""Who asks, and for which organization: what a route takes as its parameters."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, cast
from uuid import UUID

from fastapi import Depends, Request

from outdial.auth import AccessDenied, Caller, KeyRing, TokenVerifier, identify, parse_mode
from outdial.auth.client import AuthUnavailable, SignedOut, SignInResult
from outdial.campaigns.lifecycle import Actor
from outdial.clock import Clock
from outdial.db.queries import organizations
from outdial.db.session import Connection, Database
from outdial.studio.web.change_hub import ChangeHub
from outdial.studio.web.errors import NotSignedIn, PermissionDenied, ResourceNotFound, ServiceUnavailable
from outdial.studio.web.sessions import CookieSealer, RenewSession
from outdial.studio.web.settings import StudioSettings

MemberRole = Literal["viewer", "operator", "admin", "owner"]
RANKS: Mapping[str, int] = {"viewer": 0, "operator": 1, "admin": 2, "owner": 3}
_NEEDS: Mapping[str, str] = {
    "operator": "Viewers may look; this takes an operator",
    "admin": "This takes an admin of the organization",
    "owner": "This takes an owner of the organization",
}
_MOST_OTHERS = 20
_MODES = [parse_mode("user"), parse_mode("secret")]


class Auth(Protocol):
    """The part of `outdial.auth.client.AuthClient` that pages use."""

    async def sign_in(self, email: str, password: str, *, address: str = "") -> SignInResult:
        """Sign in with a password; `address` is that of the person's browser."""
        ...

    async def sign_out(self, access_token: str) -> SignedOut | AuthUnavailable:
        """End the session that the token belongs to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioState:
    """What all requests share; `database` logs in as outdial_api."""

    database: Database
    clock: Clock
    keyring: KeyRing = field(repr=False)
    verifier: TokenVerifier = field(repr=False)
    settings: StudioSettings
    sealer: CookieSealer = field(repr=False)
    renew: RenewSession = field(repr=False)
    hub: ChangeHub = field(repr=False)
    auth: Auth = field(repr=False)


@dataclass(frozen=True, slots=True)
class StudioCaller:
    """A caller: a signed-in user, or a back end with the secret key, whose `user_id` is None."""

    studio: StudioState = field(repr=False)
    identity: Caller = field(repr=False)

    @property
    def user_id(self) -> UUID | None:
        """The user's id."""
        return None if self.identity.user is None else self.identity.user.id

    @property
    def email(self) -> str | None:
        """The user's e-mail address."""
        return None if self.identity.user is None else self.identity.user.email

    @property
    def actor(self) -> Actor:
        """The caller as the audit log names it."""
        return Actor(self.user_id)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction as the caller, under row level security."""
        async with self.studio.database.as_caller(self.identity.role, dict(self.identity.claims)) as connection:
            yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationContext:
    """One organization, as a member of it works there."""

    organization_id: UUID
    name: str
    role: MemberRole
    caller: StudioCaller = field(repr=False)
    others: Sequence[organizations.WorkplaceRow] = field(default=(), repr=False)
    """For pages: the organizations that the caller may go to, this one among them."""

    @property
    def studio(self) -> StudioState:
        """What all requests share."""
        return self.caller.studio

    @property
    def actor(self) -> Actor:
        """The caller as the audit log names it."""
        return self.caller.actor

    def may(self, minimum: MemberRole) -> bool:
        """Tell whether the caller's role is at least `minimum`."""
        return RANKS[self.role] >= RANKS[minimum]

    def require(self, minimum: MemberRole) -> None:
        """Raise Forbidden when the caller's role is less than `minimum`."""
        if not self.may(minimum):
            raise PermissionDenied(_NEEDS[minimum], role=self.role)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction as the caller, under row level security: `async with context.transaction() as c`."""
        return self.caller.transaction()


def studio_state(request: Request) -> StudioState:
    """Return what the application was created with."""
    return cast("StudioState", request.app.state.studio)


async def current_caller(request: Request) -> StudioCaller:
    """Return the caller by the bearer token, the key, or the session cookie that the middleware has read.

    Raises NotSignedIn, and Unavailable when it cannot be found out now.
    """
    studio = studio_state(request)
    if request.scope.get("outdial_undecided"):
        raise ServiceUnavailable("Signing in is not possible now: try again in a moment")
    found = await identify(
        request.scope.get("outdial_headers", request.headers), _MODES, studio.keyring, studio.verifier
    )
    if isinstance(found, AccessDenied):
        if found.status >= 500:
            raise ServiceUnavailable(found.message)
        raise NotSignedIn(found.message)
    return StudioCaller(studio, found)


CurrentCaller = Annotated[StudioCaller, Depends(current_caller)]


async def current_organization(organization_id: UUID, caller: CurrentCaller, request: Request) -> OrganizationContext:
    """Return the organization in the path as the caller works there; raises NotFound when they do not."""
    others: Sequence[organizations.WorkplaceRow] = ()
    async with caller.transaction() as connection:
        row = await organizations.find_workplace(connection, organization_id=organization_id, user_id=caller.user_id)
        if row is not None and request.url.path.startswith("/o/"):
            others = await organizations.list_workplaces(connection, user_id=caller.user_id, limit=_MOST_OTHERS)
    if row is None:
        raise ResourceNotFound("There is no such organization, or you do not work for it")
    return OrganizationContext(
        organization_id=row.id, name=row.name, role=cast("MemberRole", row.role), caller=caller, others=others
    )


CurrentOrganization = Annotated[OrganizationContext, Depends(current_organization)]
"""The parameter of a route below /organizations/{organization_id} (API) or /o/{organization_id} (pages)."""
