"""Routes of the API for organizations and their settings."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from outdial.studio.organizations import service as resource
from outdial.studio.organizations.service import (
    NewPhoneNumber,
    Organization,
    OrganizationChanges,
    OrganizationMembership,
    PhoneNumber,
    PhoneNumberChanges,
    ProviderAccount,
    ProviderAccountChanges,
)
from outdial.studio.web.context import CurrentCaller, CurrentOrganization
from outdial.studio.web.preconditions import IdempotencyKey, IfMatch, idempotent_response

router = APIRouter(prefix="/organizations", tags=["organizations"])


@router.get("")
async def list_organizations(caller: CurrentCaller) -> list[OrganizationMembership]:
    """List the organizations that the caller works for."""
    async with caller.transaction() as connection:
        return await resource.list_memberships(connection, caller)


@router.get("/{organization_id}")
async def get_organization(context: CurrentOrganization, response: Response) -> Organization:
    """Return an organization; the ETag is what a change of it may name in If-Match."""
    async with context.transaction() as connection:
        found = await resource.show_organization(connection, context)
    response.headers["etag"] = found.etag
    return found


@router.patch("/{organization_id}")
async def change_organization(
    context: CurrentOrganization, changes: OrganizationChanges, response: Response, if_match: IfMatch = None
) -> Organization:
    """Change the name or the daily cap."""
    context.require("admin")
    async with context.transaction() as connection:
        changed = await resource.change_organization(connection, context, changes, if_match)
    response.headers["etag"] = changed.etag
    return changed


@router.get("/{organization_id}/accounts")
async def list_accounts(context: CurrentOrganization) -> list[ProviderAccount]:
    """List the Retell workspaces with their limits."""
    async with context.transaction() as connection:
        return await resource.list_accounts(connection, context)


@router.patch("/{organization_id}/accounts/{account_id}")
async def change_account(
    context: CurrentOrganization, account_id: UUID, changes: ProviderAccountChanges
) -> ProviderAccount:
    """Change the limits of a Retell workspace."""
    context.require("admin")
    async with context.transaction() as connection:
        return await resource.change_account(connection, context, account_id, changes)


@router.get("/{organization_id}/numbers")
async def list_numbers(context: CurrentOrganization) -> list[PhoneNumber]:
    """List the numbers that the organization calls from."""
    async with context.transaction() as connection:
        return await resource.list_numbers(connection, context)


@router.post("/{organization_id}/numbers", status_code=201, response_model=PhoneNumber)
async def add_number(
    context: CurrentOrganization, request: Request, new: NewPhoneNumber, key: IdempotencyKey = None
) -> Response:
    """Add a number to call from."""
    context.require("admin")
    return await idempotent_response(context, request, key, lambda c: resource.add_number(c, context, new))


@router.patch("/{organization_id}/numbers/{number_id}")
async def change_number(context: CurrentOrganization, number_id: UUID, changes: PhoneNumberChanges) -> PhoneNumber:
    """Rename a number, or give it another agent."""
    context.require("admin")
    async with context.transaction() as connection:
        return await resource.change_number(connection, context, number_id, changes)


@router.delete("/{organization_id}/numbers/{number_id}", status_code=204)
async def remove_number(context: CurrentOrganization, number_id: UUID) -> Response:
    """Call from a number no more."""
    context.require("admin")
    async with context.transaction() as connection:
        await resource.remove_number(connection, context, number_id)
    return Response(status_code=204)
