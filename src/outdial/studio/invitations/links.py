"""Links of invitations: a signature of the link's id, of which the database stores only a hash."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID, uuid4

from outdial.db.queries.invitations import Invitation
from outdial.studio.web.signed_links import sign_link, token_digest

LINK_LIVES: Final = timedelta(days=7)
_PURPOSE: Final = "invitations"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationLink:
    """A link, known only to the invited user and the admins of the organization."""

    link_id: UUID
    token: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def new(cls, secrets: Sequence[str], now: datetime) -> Self:
        """Make a link, signed with the newest of the studio's secrets."""
        link_id = uuid4()
        return cls(link_id=link_id, token=sign_link(_PURPOSE, secrets[0], link_id), expires_at=now + LINK_LIVES)

    @property
    def token_sha256(self) -> bytes:
        return token_digest(self.token)

    @property
    def path(self) -> str:
        """The page of the studio to which the link leads."""
        return f"/join/{self.token}"


def link_of(invitation: Invitation, secrets: Sequence[str], now: datetime) -> InvitationLink | None:
    """Return the link of an invitation; None when it has expired, or was signed with a secret that is gone."""
    link_id, expires_at = invitation.link_id, invitation.expires_at
    if link_id is None or expires_at is None or expires_at <= now:
        return None
    links = [
        InvitationLink(link_id=link_id, token=sign_link(_PURPOSE, secret, link_id), expires_at=expires_at)
        for secret in secrets
    ]
    return next((link for link in links if link.token_sha256 == invitation.token_sha256), None)
