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
    RemovedNumbers,
    UnblockResult,
)
from outdial.studio.web.context import AtWork
from outdial.studio.web.errors import InvalidInput, TooLarge
from outdial.studio.web.paging import AskedPage, Page

router = APIRouter(prefix="/organizations/{organization_id}/do-not-call", tags=["do not call"])
_FILE: Final = {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


@router.get("")
async def list_numbers(
    at: AtWork,
    asked: AskedPage,
    phone: Annotated[str | None, Query(max_length=40, description="How the numbers begin, as +1212")] = None,
) -> Page[BlockedNumber]:
    """List the numbers that nobody may call, by number."""
    async with at.transaction() as connection:
        return await resource.list_blocked(connection, at, asked, phone)


@router.post("")
async def add_numbers(at: AtWork, new: NewBlockedNumbers) -> BlockResult:
    """Add numbers. Those that are no numbers are told by line; the others go in. Adding one twice does no harm."""
    at.require("operator")
    async with at.transaction() as connection:
        return await resource.block_numbers(connection, at, new)


@router.post("/import", openapi_extra={"requestBody": _FILE})
async def add_file(
    at: AtWork,
    request: Request,
    default_region: Annotated[
        str | None, Query(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without one, as US")
    ] = None,
    reason: Annotated[str | None, Query(max_length=500, pattern=r"^[^\x00]*$")] = None,
) -> BlockResult:
    """Add the numbers of a CSV file with a column of phones, or of a file with a number in each line."""
    at.require("operator")
    content = await _whole(request)
    async with at.transaction() as connection:
        return await resource.block_file(connection, at, content, default_region, reason)


@router.post("/remove")
async def remove_numbers(at: AtWork, removed: RemovedNumbers) -> UnblockResult:
    """Take numbers off the list, so that they may be called again. This takes an admin."""
    at.require("admin")
    async with at.transaction() as connection:
        return await resource.unblock_numbers(connection, at, removed.numbers)


async def _whole(request: Request) -> bytes:
    content = bytearray()
    try:
        async for received in request.stream():
            content += received
            if len(content) > LARGEST_FILE:
                raise TooLarge(f"A file may have {LARGEST_FILE >> 20} MiB: split it")
    except ClientDisconnect:
        raise InvalidInput("The file did not arrive in full") from None
    return bytes(content)
