"""API routes for organizations and their settings."""

from uuid import UUID

from fastapi import Request, Response

from outdial.studio.organizations import service as organizations
from outdial.studio.organizations.service import (
    CallerNumber,
    MemberOrganization,
    NewPhoneNumber,
    Organization,
    OrganizationChanges,
    PhoneNumberChanges,
    ProviderAccountChanges,
    RetellWorkspace,
)
from outdial.studio.web.context import CurrentCaller, CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.preconditions import IdempotencyKey, IfMatch, idempotent_response

router = ApiRouter(prefix="/organizations", tags=["organizations"])


@router.get("")
async def list_organizations(caller: CurrentCaller) -> list[MemberOrganization]:
    """List the organizations the caller is a member of."""
    async with caller.transaction() as connection:
        return await organizations.list_memberships(connection, caller)


@router.get("/{organization_id}")
async def get_organization(context: CurrentOrganization, response: Response) -> Organization:
    """Return an organization. Send its ETag as If-Match when changing it."""
    async with context.transaction() as connection:
        found = await organizations.show_organization(connection, context)
    response.headers["etag"] = found.etag
    return found


@router.patch("/{organization_id}")
async def change_organization(
    context: CurrentOrganization, changes: OrganizationChanges, response: Response, if_match: IfMatch = None
) -> Organization:
    """Change the name or the daily call cap."""
    context.require("admin")
    async with context.transaction() as connection:
        changed = await organizations.change_organization(connection, context, changes, if_match)
    response.headers["etag"] = changed.etag
    return changed


@router.get("/{organization_id}/accounts")
async def list_accounts(context: CurrentOrganization) -> list[RetellWorkspace]:
    """List the Retell workspaces and their limits."""
    async with context.transaction() as connection:
        return await organizations.list_accounts(connection, context)


@router.patch("/{organization_id}/accounts/{account_id}")
async def change_account(
    context: CurrentOrganization, account_id: UUID, changes: ProviderAccountChanges
) -> RetellWorkspace:
    """Change the limits of a Retell workspace."""
    context.require("admin")
    async with context.transaction() as connection:
        return await organizations.change_account(connection, context, account_id, changes)


@router.get("/{organization_id}/numbers")
async def list_numbers(context: CurrentOrganization) -> list[CallerNumber]:
    """List the caller numbers."""
    async with context.transaction() as connection:
        return await organizations.list_numbers(connection, context)


@router.post("/{organization_id}/numbers", status_code=201, response_model=CallerNumber)
async def add_number(
    context: CurrentOrganization, request: Request, new: NewPhoneNumber, key: IdempotencyKey = None
) -> Response:
    """Add a caller number."""
    context.require("admin")
    return await idempotent_response(context, request, key, lambda c: organizations.add_number(c, context, new))


@router.patch("/{organization_id}/numbers/{number_id}")
async def change_number(context: CurrentOrganization, number_id: UUID, changes: PhoneNumberChanges) -> CallerNumber:
    """Change the nickname or the agent of a caller number."""
    context.require("admin")
    async with context.transaction() as connection:
        return await organizations.change_number(connection, context, number_id, changes)


@router.delete("/{organization_id}/numbers/{number_id}", status_code=204)
async def remove_number(context: CurrentOrganization, number_id: UUID) -> Response:
    """Remove a caller number."""
    context.require("admin")
    async with context.transaction() as connection:
        await organizations.remove_number(connection, context, number_id)
    return Response(status_code=204)
