"""The caller's own account: name, password, sessions and second factor. Auth keeps all of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from outdial.auth.client import AuthRefused, AuthUnavailable, AuthUser, SignedIn, SignedOut, UserResult
from outdial.db.queries.auth import accounts
from outdial.db.session import Connection
from outdial.log import log
from outdial.studio.view.devices import device_name
from outdial.studio.web.context import StudioCaller
from outdial.studio.web.errors import InvalidInput, NotSignedIn, ResourceNotFound, ServiceUnavailable
from outdial.studio.web.sessions import StudioSession
from outdial.studio.web.visitors import problem_of

# How users sign in without a password: with a link in an email, or at an identity provider.
_BY_LINK: Final = frozenset({"otp", "magiclink", "recovery", "invite", "email/signup"})
# How long such a session may set a password without the present one, which the user may not have.
_FRESH: Final = timedelta(hours=1)
_UNAVAILABLE: Final = "Sign-in is temporarily unavailable: try again in a moment"


class AccountSession(BaseModel):
    """A session of the caller. `used_at` is when it was renewed last, which happens about once an hour of use.

    One that `is_pending` was started with the password and waits for the second factor: it opens nothing.
    """

    id: UUID
    device: str
    created_at: datetime
    used_at: datetime
    is_current: bool
    is_pending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChange:
    """A password to set. `present` is the current one; `address` is the browser's, for which attempts are counted."""

    present: str
    new: str
    address: str


async def list_sessions(connection: Connection, caller: StudioCaller) -> list[AccountSession]:
    """Return the caller's sessions, the current one first."""
    rows = await accounts.my_sessions(connection, now=caller.studio.clock.now())
    return [
        AccountSession(
            id=row.id,
            device=device_name(row.user_agent),
            created_at=row.created_at,
            used_at=row.used_at,
            is_current=row.is_current,
            is_pending=row.is_pending,
        )
        for row in rows
    ]


async def end_session(connection: Connection, caller: StudioCaller, session_id: UUID) -> None:
    """End a session of the caller; raises ResourceNotFound."""
    if not await accounts.end_my_session(connection, id=session_id, now=caller.studio.clock.now()):
        raise ResourceNotFound("This session has ended already")


def own_user(result: UserResult, field: str = "password") -> AuthUser:
    """Return the user of a response of Auth; raises InvalidInput for what Auth refuses, and names the field."""
    match result:
        case AuthUser():
            return result
        case SignedOut():
            raise NotSignedIn("Your session has ended: sign in again")
        case AuthRefused(message=message):
            raise InvalidInput(message, {field: message})
        case AuthUnavailable(reason=reason):
            log("studio.auth_unavailable", level="warning", reason=reason)
            raise ServiceUnavailable(_UNAVAILABLE)


def needs_present_password(claims: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a session has to give the present password, as all do but those that a link has just begun."""
    methods = [entry for entry in claims.get("amr") or () if isinstance(entry, dict)]
    fresh = [
        entry
        for entry in methods
        if entry.get("method") in _BY_LINK
        and isinstance(entry.get("timestamp"), int | float)
        and entry["timestamp"] > (now - _FRESH).timestamp()
    ]
    return not fresh


async def check_password(caller: StudioCaller, password: str, address: str) -> None:
    """Raise InvalidInput unless this is the caller's password, or their session needs none.

    Attempts count as those to sign in.
    """
    if not needs_present_password(caller.identity.claims, caller.studio.clock.now()):
        return
    auth = caller.studio.auth
    result = await auth.sign_in(caller.email or "", password, address=address)
    if not isinstance(result, SignedIn):
        refused = problem_of(result)
        text = "This is not your current password" if refused.status == 401 else refused.text
        raise InvalidInput(text, {"present": text})
    # Checking has begun a session, which is not needed.
    await auth.sign_out(result.access_token)


async def change_password(caller: StudioCaller, session: StudioSession, change: PasswordChange) -> None:
    """Set the caller's password and end their other sessions; raises InvalidInput."""
    await check_password(caller, change.present, change.address)
    own_user(await caller.studio.auth.change_user(session.access_token, password=change.new), "new")
    await record_change(caller, "change_password")


async def record_change(caller: StudioCaller, action: str) -> None:
    """Record a change of the caller's account in the audit log of each of their organizations."""
    assert caller.user_id is not None
    async with caller.transaction() as connection:
        await accounts.audit_account_change(connection, user_id=caller.user_id, action=action)
