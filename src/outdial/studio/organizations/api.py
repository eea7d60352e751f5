"""Routes of the API for organizations and their settings."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from outdial.studio.organizations import service as resource
from outdial.studio.organizations.service import (
    Account,
    AccountChanges,
    MyOrganization,
    NewPhoneNumber,
    Organization,
    OrganizationChanges,
    PhoneNumber,
    PhoneNumberChanges,
)
from outdial.studio.web.context import AtWork, SignedIn
from outdial.studio.web.preconditions import IdempotencyKey, IfMatch, created_once

router = APIRouter(prefix="/organizations", tags=["organizations"])


@router.get("")
async def list_organizations(member: SignedIn) -> list[MyOrganization]:
    """List the organizations that the caller works for."""
    async with member.transaction() as connection:
        return await resource.my_organizations(connection, member)


@router.get("/{organization_id}")
async def get_organization(at: AtWork, response: Response) -> Organization:
    """Return an organization; the ETag is what a change of it may name in If-Match."""
    async with at.transaction() as connection:
        found = await resource.show_organization(connection, at)
    response.headers["etag"] = found.etag
    return found


@router.patch("/{organization_id}")
async def change_organization(
    at: AtWork, changes: OrganizationChanges, response: Response, if_match: IfMatch = None
) -> Organization:
    """Change the name or the daily cap."""
    at.require("admin")
    async with at.transaction() as connection:
        changed = await resource.change_organization(connection, at, changes, if_match)
    response.headers["etag"] = changed.etag
    return changed


@router.get("/{organization_id}/accounts")
async def list_accounts(at: AtWork) -> list[Account]:
    """List the Retell workspaces with their limits."""
    async with at.transaction() as connection:
        return await resource.list_accounts(connection, at)


@router.patch("/{organization_id}/accounts/{account_id}")
async def change_account(at: AtWork, account_id: UUID, changes: AccountChanges) -> Account:
    """Change the limits of a Retell workspace."""
    at.require("admin")
    async with at.transaction() as connection:
        return await resource.change_account(connection, at, account_id, changes)


@router.get("/{organization_id}/numbers")
async def list_numbers(at: AtWork) -> list[PhoneNumber]:
    """List the numbers that the organization calls from."""
    async with at.transaction() as connection:
        return await resource.list_numbers(connection, at)


@router.post("/{organization_id}/numbers", status_code=201, response_model=PhoneNumber)
async def add_number(at: AtWork, request: Request, new: NewPhoneNumber, key: IdempotencyKey = None) -> Response:
    """Add a number to call from."""
    at.require("admin")
    return await created_once(at, request, key, lambda c: resource.add_number(c, at, new))


@router.patch("/{organization_id}/numbers/{number_id}")
async def change_number(at: AtWork, number_id: UUID, changes: PhoneNumberChanges) -> PhoneNumber:
    """Rename a number, or give it another agent."""
    at.require("admin")
    async with at.transaction() as connection:
        return await resource.change_number(connection, at, number_id, changes)


@router.delete("/{organization_id}/numbers/{number_id}", status_code=204)
async def remove_number(at: AtWork, number_id: UUID) -> Response:
    """Call from a number no more."""
    at.require("admin")
    async with at.transaction() as connection:
        await resource.remove_number(connection, at, number_id)
    return Response(status_code=204)
