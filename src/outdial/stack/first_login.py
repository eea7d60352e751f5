"""The first user of a local studio, and an organization with a caller number."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outdial.auth.local.service import AuthRefusal, LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.campaigns.create import NewOrganization, create_organization
from outdial.clock import Clock
from outdial.db.queries import accounts, members, organizations
from outdial.db.queries.auth import users
from outdial.db.session import Database
from outdial.domain.ids import new_id
from outdial.retell.simulator.agents import DEFAULT_AGENT
from outdial.settings import DatabaseUrls
from outdial.stack.errors import LoginFailed

EMAIL: Final = "demo@example.com"
PASSWORD_FILE: Final = "studio-password"
FIRST_NUMBER: Final = "+14155550100"
"""The caller number of the first organization, which the simulated workspace has too."""


@dataclass(frozen=True, slots=True)
class StudioLogin:
    """Email and password of the first user."""

    email: str
    password: str = field(repr=False)


async def make_first_login(urls: DatabaseUrls, home: Path, new: NewOrganization, clock: Clock) -> StudioLogin | None:
    """Create the user, and an organization when there is none, in the database of `home`. Do nothing the next time.

    The user becomes the owner of each organization without members. Return None when Supabase's Auth manages the users.
    """
    connecting = Database.connect(urls.auth, application_name="outdial:dev", max_size=2, role=urls.role("auth"))
    async with await connecting as database:
        async with database.transaction() as connection:
            if not await users.is_local_auth(connection):
                return None
            user = await users.user_by_email(connection, email=EMAIL)
        auth = LocalAuth(database, clock, SigningKeys(database, clock), "")
        path = home / PASSWORD_FILE
        kept = path.read_text().strip() if path.exists() else ""
        password = kept or secrets.token_urlsafe(9)
        if not kept:
            path.touch(mode=0o600)
            path.write_text(password + "\n")
        if user is None:
            made = await auth.create_user(EMAIL, password)
        elif kept:
            made = user
        else:
            # The password file was gone: set the new password.
            made = await auth.change_user(user.id, password=password) or user
        if isinstance(made, AuthRefusal):
            raise LoginFailed(f"{EMAIL}: {made.message}")
    connecting = Database.connect(urls.api, application_name="outdial:dev", max_size=1, role=urls.role("api"))
    async with await connecting as database, database.as_service() as connection:
        now = clock.now()
        if not await organizations.list_organizations(connection):
            organization_id = await create_organization(connection, new, now)
            account = await accounts.default_account(connection, organization_id=organization_id)
            await accounts.add_number(
                connection,
                id=new_id(now),
                organization_id=organization_id,
                provider_account_id=account,
                phone=FIRST_NUMBER,
                nickname="Demo line",
                retell_agent_id=DEFAULT_AGENT,
                country="US",
                now=now,
            )
        await members.adopt_organizations(connection, user_id=made.id, now=now)
    return StudioLogin(EMAIL, password)
