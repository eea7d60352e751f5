"""API routes for the do-not-call list."""

from typing import Annotated

from fastapi import Query, Request

from outdial.domain.permission.consent import Scope
from outdial.studio.do_not_call import service as do_not_call
from outdial.studio.do_not_call.service import (
    MAX_FILE_BYTES,
    BlockedPhone,
    BlockResult,
    NewBlockedNumbers,
    NumbersToUnblock,
    RetellListStatus,
    UnblockResult,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.uploads import FILE_BODY, read_upload

router = ApiRouter(prefix="/organizations/{organization_id}/do-not-call", tags=["do not call"])


@router.get("")
async def list_blocked_numbers(
    context: CurrentOrganization,
    page: PageQuery,
    phone: Annotated[str | None, Query(max_length=40, description="Any part of the number")] = None,
) -> Page[BlockedPhone]:
    """List blocked numbers, ordered by number."""
    async with context.transaction() as connection:
        return await do_not_call.list_blocked(connection, context, page, phone)


@router.get("/retell")
async def get_retell_list_status(context: CurrentOrganization) -> RetellListStatus:
    """Return how far this list and the do-not-call lists of the Retell workspaces agree."""
    async with context.transaction() as connection:
        return await do_not_call.retell_list(connection, context)


@router.post("")
async def block_numbers(context: CurrentOrganization, new: NewBlockedNumbers) -> BlockResult:
    """Block numbers. Valid numbers are added; invalid ones are reported by line. Adding a number twice is harmless."""
    context.require("operator")
    async with context.transaction() as connection:
        return (await do_not_call.block_numbers(connection, context, new)).result


@router.post("/import", openapi_extra=FILE_BODY)
async def import_blocked_numbers(
    context: CurrentOrganization,
    request: Request,
    default_region: Annotated[
        str | None, Query(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without a country code, such as US")
    ] = None,
    purpose: Annotated[Scope, Query(description="Purpose of the calls to block")] = Scope.ANY,
    reason: Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$")] = None,
) -> BlockResult:
    """Block the numbers of a CSV or XLSX file with a phone column, or of a text file with one number per line.

    Send the file as the body, or as the part `file` of a form.
    """
    context.require("operator")
    content = await read_upload(request, MAX_FILE_BYTES)
    async with context.transaction() as connection:
        blocked = await do_not_call.block_file(
            connection,
            context=context,
            content=content,
            default_region=default_region,
            purpose=purpose,
            reason=reason,
        )
    return blocked.result


@router.post("/remove")
async def unblock_numbers(context: CurrentOrganization, numbers: NumbersToUnblock) -> UnblockResult:
    """Unblock numbers so that campaigns may call them again. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await do_not_call.unblock_numbers(connection, context, numbers.numbers, numbers.purpose)
