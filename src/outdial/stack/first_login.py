"""Somebody who can sign in at the studio of a local stack, and an organization with a number to call from."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from outdial.auth.local.service import AuthRefusal, LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.campaigns.create import NewOrganization, create_organization
from outdial.cli.errors import CliError
from outdial.clock import Clock
from outdial.db import campaigns, local_auth, studio, studio_operations
from outdial.db.session import Database
from outdial.db.statements import Connection
from outdial.domain.ids import new_id
from outdial.settings import DatabaseUrls

EMAIL: Final = "demo@example.com"
PASSWORD_FILE: Final = "studio-password"
_PHONE, _AGENT = "+14155550100", "agent_demo"


@dataclass(frozen=True, slots=True)
class Login:
    """What to sign in with."""

    email: str
    password: str = field(repr=False)


async def make_first_login(urls: DatabaseUrls, home: Path, new: NewOrganization, clock: Clock) -> Login | None:
    """Make the user, and where there is no organization one with a number, once for the database of `home`.

    They own each organization for which nobody works. None where Auth is not ours.
    """
    connecting = Database.connect(urls.auth, application_name="outdial:dev", max_size=2, role=urls.role("auth"))
    async with await connecting as database:
        async with database.transaction() as connection:
            if not (await local_auth.IS_LOCAL_AUTH.one(connection)).id:
                return None
            user = await local_auth.USER_BY_EMAIL.maybe(connection, email=EMAIL)
        auth, (password, is_new) = LocalAuth(database, clock, SigningKeys(database, clock), ""), _password_in(home)
        if user is None:
            made = await auth.create_user(EMAIL, password)
        else:
            # Where the directory has lost the password, there is a new one.
            made = (await auth.change_user(user.id, password=password) if is_new else user) or user
        if isinstance(made, AuthRefusal):
            raise CliError(f"{EMAIL}: {made.message}")
    connecting = Database.connect(urls.api, application_name="outdial:dev", max_size=1, role=urls.role("api"))
    async with await connecting as database, database.as_service() as connection:
        await _make_organization(connection, new, made.id, clock)
    return Login(EMAIL, password)


async def _make_organization(connection: Connection, new: NewOrganization, user_id: UUID, clock: Clock) -> None:
    now = clock.now()
    if not await campaigns.LIST_ORGANIZATIONS.all(connection):
        organization_id = await create_organization(connection, new, now)
        account = await studio.DEFAULT_ACCOUNT.one(connection, organization_id=organization_id)
        await studio_operations.ADD_NUMBER.maybe(
            connection,
            id=new_id(now),
            organization_id=organization_id,
            provider_account_id=account.id,
            phone=_PHONE,
            nickname="Demo line",
            retell_agent_id=_AGENT,
            country="US",
            now=now,
        )
    await studio.ADOPT_ORGANIZATIONS.run(connection, user_id=user_id, now=now)


def _password_in(home: Path) -> tuple[str, bool]:
    """Return the password that is kept in the stack's directory, and whether it has been made now."""
    path = home / PASSWORD_FILE
    try:
        if kept := path.read_text().strip():
            return kept, False
    except FileNotFoundError:
        pass
    password = secrets.token_urlsafe(9)
    path.touch(mode=0o600)
    path.write_text(password + "\n")
    return password, True
