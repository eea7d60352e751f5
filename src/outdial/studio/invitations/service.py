"""Invitations to an organization, and those that the caller has received."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries import invitations, members
from outdial.db.session import Connection
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import MemberRole, OrganizationContext, StudioCaller
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound

_OWNERS_ONLY = "Only owners can invite owners"


class InvitationSummary(BaseModel):
    """A user who was invited and has neither accepted nor declined."""

    email: str
    role: MemberRole
    created_at: datetime


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


async def list_invitations(connection: Connection, context: OrganizationContext) -> list[InvitationSummary]:
    """Return the open invitations, ordered by email address."""
    context.require("admin")
    rows = await invitations.list_invitations(connection, organization_id=context.organization_id)
    return [InvitationSummary.model_validate(row, from_attributes=True) for row in rows]


async def invite(connection: Connection, context: OrganizationContext, new: NewInvitation) -> InvitationSummary:
    """Invite a user, who need not have an account; raises ResourceConflict or PermissionDenied.

    The result is the same with and without an account: email addresses of other organizations stay private.
    """
    context.require("admin")
    email = new.email.lower()
    found = await members.list_members(connection, organization_id=context.organization_id)
    if any(member.email is not None and member.email.lower() == email for member in found):
        raise ResourceConflict(f"{email} is already a member: change their role instead")
    try:
        invitation = await invitations.create_invitation(
            connection,
            organization_id=context.organization_id,
            email=email,
            role=new.role,
            now=context.studio.clock.now(),
        )
    except asyncpg.InsufficientPrivilegeError:
        raise PermissionDenied(_OWNERS_ONLY) from None
    if invitation is None:
        raise ResourceConflict(
            f"{email} has already been invited. To change the role, withdraw the invitation and send a new one"
        )
    await record_audit(
        connection,
        context=context,
        action="invite_member",
        subject_type="invitation",
        subject_id=email,
        details={"role": new.role},
    )
    return InvitationSummary.model_validate(invitation, from_attributes=True)


async def withdraw(connection: Connection, context: OrganizationContext, email: str) -> None:
    """Delete an invitation; raises ResourceNotFound or PermissionDenied."""
    context.require("admin")
    open_ones = await list_invitations(connection, context)
    if not any(invitation.email == email.lower() for invitation in open_ones):
        raise ResourceNotFound("Invitation not found")
    deleted = await invitations.delete_invitation(connection, organization_id=context.organization_id, email=email)
    if deleted is None:
        raise PermissionDenied(_OWNERS_ONLY)
    await record_audit(
        connection, context=context, action="withdraw_invitation", subject_type="invitation", subject_id=email.lower()
    )


async def received_invitations(connection: Connection, caller: StudioCaller) -> list[ReceivedInvitation]:
    """Return the caller's invitations. Callers with a secret key have none."""
    rows = [] if caller.user_id is None else await invitations.my_invitations(connection)
    return [ReceivedInvitation.model_validate(row, from_attributes=True) for row in rows]


async def answer_invitation(
    connection: Connection, caller: StudioCaller, organization_id: UUID, *, accepts: bool
) -> None:
    """Accept or decline an invitation of the caller; raises ResourceNotFound."""
    if caller.user_id is None or not await invitations.answer_invitation(
        connection, organization_id=organization_id, accepts=accepts, now=caller.studio.clock.now()
    ):
        raise ResourceNotFound("Invitation not found: it may have been withdrawn")
