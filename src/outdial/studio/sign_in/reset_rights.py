"""Whose password an admin may reset with a link."""

from uuid import UUID

import msgspec

from outdial.db.queries.auth import accounts
from outdial.studio.web.context import StudioState


async def may_reset(studio: StudioState, *, user_id: UUID, organization_id: UUID, made_by: UUID | None) -> bool:
    """Return whether the maker of a link may reset a user's password: when it is made, and when it is used.

    The maker could use the link. So it must not give more than an admin of the organization has: owners, members of
    another organization too, and platform operators are left to the operator of the server.
    """
    user = None if studio.local_auth is None else await studio.local_auth.find_user(user_id)
    if user is None:
        return False
    is_operator = bool({str(user_id), user.email.lower()} & set(studio.settings.operators))
    if is_operator or msgspec.json.decode(user.app_metadata).get("role") == "platform":
        return False
    async with studio.database.as_service() as service:
        return await accounts.may_reset_password(
            service, user_id=user_id, organization_id=organization_id, made_by=made_by
        )
