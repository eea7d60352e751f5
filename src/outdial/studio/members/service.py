"""Members and their roles; database policies decide who may change which member."""

from datetime import datetime
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from outdial.auth.local.service import RESET_LIVES
from outdial.db.queries import members
from outdial.db.session import Connection
from outdial.studio.sign_in.reset_rights import may_reset
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import MemberRole, OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound

_OWNERS_ONLY = "Only owners can change or remove owners"
_SERVER_ONLY = (
    "Only the operator of the server can reset this password, with: outdial users passwd. The member is an owner, "
    "works for another organization too, or operates the server"
)
_LAST_OWNER = "An organization needs at least one owner: make another member an owner first"


class MemberSummary(BaseModel):
    """A user with a role in the organization."""

    user_id: UUID
    email: str | None
    role: MemberRole
    created_at: datetime


class PasswordReset(BaseModel):
    """The page on which a member sets a new password, once and until `expires_at`."""

    path: str
    expires_at: datetime


class RoleChange(BaseModel):
    """A member's new role."""

    model_config = ConfigDict(extra="forbid")
    role: MemberRole


async def list_members(connection: Connection, context: OrganizationContext) -> list[MemberSummary]:
    """Return the members, ordered by email address."""
    rows = await members.list_members(connection, organization_id=context.organization_id)
    return [MemberSummary.model_validate(row, from_attributes=True) for row in rows]


async def change_role(
    connection: Connection, context: OrganizationContext, user_id: UUID, role: MemberRole
) -> MemberSummary:
    """Change a member's role; raises ResourceNotFound, PermissionDenied, or ResourceConflict for the last owner."""
    context.require("admin")
    member = await _find(connection, context, user_id)
    try:
        changed = await members.change_role(
            connection, organization_id=context.organization_id, user_id=user_id, role=role
        )
    except asyncpg.InsufficientPrivilegeError:
        raise PermissionDenied(_OWNERS_ONLY) from None
    except asyncpg.CheckViolationError:
        raise ResourceConflict(_LAST_OWNER) from None
    if changed is None:
        raise PermissionDenied(_OWNERS_ONLY)
    if member.role != role:
        await record_audit(
            connection,
            context=context,
            action="change_role",
            subject_type="member",
            subject_id=user_id,
            details={"from": member.role, "to": role},
        )
    return await _find(connection, context, user_id)


async def remove_member(connection: Connection, context: OrganizationContext, user_id: UUID) -> None:
    """Remove a member; raises like `change_role`. Every member may remove themselves."""
    is_own = user_id == context.caller.user_id
    if not is_own:
        context.require("admin")
    member = await _find(connection, context, user_id)
    # Written first: a removed member cannot write any more. Viewers can never write, so their leaving is not audited.
    if context.may("operator"):
        await record_audit(
            connection,
            context=context,
            action="remove_member",
            subject_type="member",
            subject_id=user_id,
            details={"role": member.role},
        )
    try:
        removed = await members.remove_member(connection, organization_id=context.organization_id, user_id=user_id)
    except asyncpg.CheckViolationError:
        raise ResourceConflict(_LAST_OWNER) from None
    if removed is None:
        raise PermissionDenied(_OWNERS_ONLY)


async def begin_password_reset(connection: Connection, context: OrganizationContext, user_id: UUID) -> PasswordReset:
    """Make a link with which a member sets a new password; raises PermissionDenied or ResourceConflict."""
    context.require("admin")
    studio, caller = context.studio, context.caller.user_id
    await _find(connection, context, user_id)
    if studio.local_auth is None:
        raise ResourceConflict(
            "Your project's Auth resets passwords: the member selects “Forgot your password?” when signing in"
        )
    organization_id = context.organization_id
    if not await may_reset(studio, user_id=user_id, organization_id=organization_id, made_by=caller):
        raise PermissionDenied(_SERVER_ONLY)
    token = await studio.local_auth.begin_reset(user_id, organization_id=organization_id, made_by=caller)
    await record_audit(
        connection, context=context, action="begin_password_reset", subject_type="member", subject_id=user_id
    )
    return PasswordReset(path=f"/reset-password/{token}", expires_at=studio.clock.now() + RESET_LIVES)


async def _find(connection: Connection, context: OrganizationContext, user_id: UUID) -> MemberSummary:
    for member in await list_members(connection, context):
        if member.user_id == user_id:
            return member
    raise ResourceNotFound("Member not found")
