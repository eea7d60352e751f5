"""API routes for screening lists."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.requests import ClientDisconnect

from outdial.campaigns.permission.screening_lists import NewScreeningList
from outdial.domain.purpose import ListKind
from outdial.studio.screening import service as screening
from outdial.studio.screening.service import MAX_FILE_BYTES, ScreeningListSummary, ScreeningUpload
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.uploads import FILE_BODY, uploaded_file

router = ApiRouter(prefix="/organizations/{organization_id}/screening-lists", tags=["screening lists"])


@router.get("")
async def list_screening_lists(context: CurrentOrganization, page: PageQuery) -> Page[ScreeningListSummary]:
    """List uploads, newest first. Those with the status `current` are in force."""
    async with context.transaction() as connection:
        return await screening.list_screening_lists(connection, context, page)


@router.post("", openapi_extra=FILE_BODY)
async def upload_screening_list(
    context: CurrentOrganization,
    request: Request,
    kind: ListKind,
    registry_date: Annotated[date, Query(description="Date of the registry data in the file")],
    jurisdiction: Annotated[
        str | None,
        Query(max_length=10, description="Country of a national list (default: US), state of a state list: US-TX"),
    ] = None,
    default_region: Annotated[
        str | None, Query(pattern=r"^[A-Za-z]{2}$", description="Country of numbers without a country code")
    ] = None,
    file_name: Annotated[str, Query(max_length=300)] = "numbers.csv",
) -> ScreeningUpload:
    """Upload a list of numbers that must not be called: one per line, or a CSV file with a phone column.

    The list replaces the current one of its kind and jurisdiction once all its numbers are stored. Unreadable lines are
    skipped and reported.
    """
    context.require("operator")
    new = NewScreeningList(
        kind=kind,
        jurisdiction=jurisdiction,
        registry_date=registry_date,
        file_name=file_name,
        default_region=default_region,
    )
    try:
        async with uploaded_file(request, MAX_FILE_BYTES) as chunks:
            return await screening.upload_list(context, new, chunks)
    except ClientDisconnect:
        raise InvalidInput("The upload was interrupted: upload the file again") from None


@router.delete("/{list_id}", status_code=204)
async def remove_screening_list(context: CurrentOrganization, list_id: UUID) -> None:
    """Stop screening with a list. Requires the admin role."""
    context.require("admin")
    async with context.transaction() as connection:
        await screening.remove_list(connection, context, list_id)
