"""API routes for the do-not-call list."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect

from outdial.db.queries.do_not_call import BlockedNumber
from outdial.studio.do_not_call import service as do_not_call
from outdial.studio.do_not_call.service import (
    MAX_FILE_BYTES,
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
    phone: Annotated[str | None, Query(max_length=40, description="Any part of the number")] = None,
) -> Page[BlockedNumber]:
    """List blocked numbers, ordered by number."""
    async with context.transaction() as connection:
        return await do_not_call.list_blocked(connection, context, page, phone)


@router.post("")
async def add_numbers(context: CurrentOrganization, new: NewBlockedNumbers) -> BlockResult:
    """Block numbers. Valid numbers are added; invalid ones are reported by line. Adding a number twice is harmless."""
    context.require("operator")
    async with context.transaction() as connection:
        return await do_not_call.block_numbers(connection, context, new)


@router.post("/import", openapi_extra={"requestBody": _FILE})
async def add_file(
    context: CurrentOrganization,
    request: Request,
    default_region: Annotated[
        str | None, Query(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without a country code, such as US")
    ] = None,
    reason: Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$")] = None,
) -> BlockResult:
    """Block the numbers of a CSV file with a phone column, or of a text file with one number per line."""
    context.require("operator")
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_FILE_BYTES:
                raise RequestTooLarge(f"Files may have at most {MAX_FILE_BYTES >> 20} MiB: split the file")
    except ClientDisconnect:
        raise InvalidInput("The upload was interrupted") from None
    async with context.transaction() as connection:
        return await do_not_call.block_file(
            connection, context=context, content=bytes(content), default_region=default_region, reason=reason
        )


@router.post("/remove")
async def remove_numbers(context: CurrentOrganization, numbers: NumbersToUnblock) -> UnblockResult:
    """Unblock numbers so that campaigns may call them again. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        return await do_not_call.unblock_numbers(connection, context, numbers.numbers)
