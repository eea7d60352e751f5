"""Invitations to an organization, their links, and those that the caller has received."""

from datetime import datetime
from typing import Annotated, Final, cast
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import invitations, members
from outdial.db.queries.invitations import InvitationOfLink
from outdial.db.session import Connection
from outdial.studio.invitations.links import InvitationLink, link_of
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import MemberRole, OrganizationContext, StudioCaller, StudioState
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound
from outdial.studio.web.signed_links import token_digest

_OWNERS_ONLY = "Only owners can invite owners"
LINK_ENDED: Final = "This invitation has expired, or has been used or revoked. Ask for a new one"


class InvitationSummary(BaseModel):
    """A user who was invited and has neither accepted nor declined.

    `link` opens the page on which they set a name and a password, or sign in and accept. It is null once it has
    expired, and for invitations that the caller may not manage.
    """

    email: str
    role: MemberRole
    created_at: datetime
    expires_at: datetime | None
    link: str | None


class ReceivedInvitation(BaseModel):
    """An organization that invites the caller."""

    organization_id: UUID
    organization_name: str
    role: MemberRole
    created_at: datetime


class NewInvitation(BaseModel):
    """The email address to invite, and the role that its user will have."""

    model_config = ConfigDict(extra="forbid")
    # The address is a part of the path that withdraws the invitation, so it has no slash.
    email: Annotated[str, Field(min_length=3, max_length=320, pattern=r"^[^\x00\s/]+@[^\x00\s/]+$")]
    role: MemberRole = "operator"


async def list_invitations(connection: Connection, context: OrganizationContext, site: str) -> list[InvitationSummary]:
    """Return the open invitations with their links on `site`, ordered by email address."""
    context.require("admin")
    rows = await invitations.list_invitations(connection, organization_id=context.organization_id)
    return [_summary(row, context, site) for row in rows]


async def invite(
    connection: Connection, context: OrganizationContext, new: NewInvitation, site: str
) -> InvitationSummary:
    """Invite a user, who need not have an account; raises ResourceConflict or PermissionDenied.

    The result is the same with and without an account: email addresses of other organizations stay private.
    """
    context.require("admin")
    email = new.email.lower()
    found = await members.list_members(connection, organization_id=context.organization_id)
    if any(member.email is not None and member.email.lower() == email for member in found):
        raise ResourceConflict(f"{email} is already a member: change their role instead")
    invitation = await _insert(connection, context, email, new.role)
    if invitation is None:
        raise ResourceConflict(
            f"{email} has already been invited. To change the role, revoke the invitation and send a new one"
        )
    await _record(connection, context, "invite_member", invitation)
    return _summary(invitation, context, site)


async def resend(connection: Connection, context: OrganizationContext, email: str, site: str) -> InvitationSummary:
    """Give an invitation a new link for another week, which ends the former one; raises like `withdraw`."""
    context.require("admin")
    role = await _delete(connection, context, email)
    invitation = await _insert(connection, context, email.lower(), role)
    if invitation is None:
        raise ResourceConflict("Someone else is changing this invitation right now: try again")
    await _record(connection, context, "resend_invitation", invitation)
    return _summary(invitation, context, site)


async def withdraw(connection: Connection, context: OrganizationContext, email: str) -> None:
    """Delete an invitation; raises ResourceNotFound or PermissionDenied."""
    context.require("admin")
    await _delete(connection, context, email)
    await record_audit(
        connection, context=context, action="withdraw_invitation", subject_type="invitation", subject_id=email.lower()
    )


async def received_invitations(connection: Connection, caller: StudioCaller) -> list[ReceivedInvitation]:
    """Return the caller's invitations. Callers with a secret key have none."""
    rows = [] if caller.user_id is None else await invitations.my_invitations(connection, now=caller.studio.clock.now())
    return [ReceivedInvitation.model_validate(row, from_attributes=True) for row in rows]


async def answer_invitation(
    connection: Connection, caller: StudioCaller, organization_id: UUID, *, accepts: bool
) -> None:
    """Accept or decline an invitation of the caller; raises ResourceNotFound."""
    if caller.user_id is None or not await invitations.answer_invitation(
        connection, organization_id=organization_id, accepts=accepts, now=caller.studio.clock.now()
    ):
        raise ResourceNotFound("Invitation not found: it may have been revoked")


async def invitation_of_link(studio: StudioState, token: str) -> InvitationOfLink:
    """Return the invitation that a link leads to; raises ResourceNotFound for one that is used, revoked or expired."""
    async with studio.database.as_service() as connection:
        found = await invitations.invitation_by_token(connection, token_sha256=token_digest(token))
    if found is None or (found.expires_at is not None and found.expires_at <= studio.clock.now()):
        raise ResourceNotFound(LINK_ENDED)
    return found


async def answer_link(connection: Connection, caller: StudioCaller, token: str, *, accepts: bool) -> UUID:
    """Accept or decline the invitation of a link, and return its organization; raises ResourceNotFound.

    The caller's address must be the invited one.
    """
    now, digest = caller.studio.clock.now(), token_digest(token)
    ended = await invitations.answer_invitation_link(connection, token_sha256=digest, accepts=accepts, now=now)
    if ended is None:
        raise ResourceNotFound(LINK_ENDED)
    return ended


async def _insert(
    connection: Connection, context: OrganizationContext, email: str, role: str
) -> invitations.Invitation | None:
    now = context.studio.clock.now()
    link = InvitationLink.new(context.studio.settings.secrets, now)
    try:
        return await invitations.create_invitation(
            connection,
            organization_id=context.organization_id,
            email=email,
            role=role,
            link_id=link.link_id,
            token_sha256=link.token_sha256,
            expires_at=link.expires_at,
            now=now,
        )
    except asyncpg.InsufficientPrivilegeError:
        raise PermissionDenied(_OWNERS_ONLY) from None


async def _delete(connection: Connection, context: OrganizationContext, email: str) -> str:
    """Delete an invitation and return its role; raises ResourceNotFound or PermissionDenied."""
    open_ones = await invitations.list_invitations(connection, organization_id=context.organization_id)
    if not any(invitation.email == email.lower() for invitation in open_ones):
        raise ResourceNotFound("Invitation not found")
    role = await invitations.delete_invitation(connection, organization_id=context.organization_id, email=email)
    if role is None:
        raise PermissionDenied(_OWNERS_ONLY)
    return role


async def _record(
    connection: Connection, context: OrganizationContext, action: str, invitation: invitations.Invitation
) -> None:
    await record_audit(
        connection,
        context=context,
        action=action,
        subject_type="invitation",
        subject_id=invitation.email,
        details={"role": invitation.role},
    )


def _summary(row: invitations.Invitation, context: OrganizationContext, site: str) -> InvitationSummary:
    # A link gives its role to the user who opens it, so an admin does not see those of owners.
    may_manage = row.role != "owner" or context.may("owner")
    link = link_of(row, context.studio.settings.secrets, context.studio.clock.now()) if may_manage else None
    return InvitationSummary(
        email=row.email,
        role=cast("MemberRole", row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        link=None if link is None else f"{site}{link.path}",
    )
