"""Routes of the API for the do-not-call list."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect

from outdial.studio.do_not_call import service as resource
from outdial.studio.do_not_call.service import (
    LARGEST_FILE,
    BlockedNumber,
    BlockResult,
    NewBlockedNumbers,
    NumbersToUnblock,
    UnblockResult,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, RequestTooLarge
from outdial.studio.web.paging import Page, PageQuery

router = APIRouter(prefix="/organizations/{organization_id}/do-not-call", tags=["do not call"])
_FILE: Final = {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


@router.get("")
async def list_numbers(
    context: CurrentOrganization,
    page: PageQuery,
    phone: Annotated[str | None, Query(max_length=40, description="How the numbers begin, as +1212")] = None,
) -> Page[BlockedNumber]:
    """List the numbers that nobody may call, by number."""
    async with context.transaction() as connection:
        return await resource.list_blocked(connection, context, page, phone)


@router.post("")
async def add_numbers(context: CurrentOrganization, new: NewBlockedNumbers) -> BlockResult:
    """Add numbers. Those that are no numbers are told by line; the others go in. Adding one twice does no harm."""
    context.require("operator")
    async with context.transaction() as connection:
        return await resource.block_numbers(connection, context, new)


@router.post("/import", openapi_extra={"requestBody": _FILE})
async def add_file(
    context: CurrentOrganization,
    request: Request,
    default_region: Annotated[
        str | None, Query(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without one, as US")
    ] = None,
    reason: Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$")] = None,
) -> BlockResult:
    """Add the numbers of a CSV file with a column of phones, or of a file with a number in each line."""
    context.require("operator")
    content = await _whole(request)
    async with context.transaction() as connection:
        return await resource.block_file(connection, context, content, default_region, reason)


@router.post("/remove")
async def remove_numbers(context: CurrentOrganization, removed: NumbersToUnblock) -> UnblockResult:
    """Take numbers off the list, so that they may be called again. This takes an admin."""
    context.require("admin")
    async with context.transaction() as connection:
        return await resource.unblock_numbers(connection, context, removed.numbers)


async def _whole(request: Request) -> bytes:
    content = bytearray()
    try:
        async for received in request.stream():
            content += received
            if len(content) > LARGEST_FILE:
                raise RequestTooLarge(f"A file may have {LARGEST_FILE >> 20} MiB: split it")
    except ClientDisconnect:
        raise InvalidInput("The file did not arrive in full") from None
    return bytes(content)
