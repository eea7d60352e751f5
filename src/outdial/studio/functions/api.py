"""API routes for functions, for platform operators."""

from outdial.studio.functions import service as functions
from outdial.studio.functions.service import (
    FunctionLogEntry,
    FunctionRollback,
    FunctionRollbackResult,
    FunctionStatsBucket,
    FunctionSummary,
    FunctionVersion,
    LogQuery,
    Slug,
    StatsPeriod,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(prefix="/organizations/{organization_id}/functions", tags=["functions"])


@router.get("")
async def list_functions(context: CurrentOrganization, span: StatsPeriod = "24h") -> list[FunctionSummary]:
    """List the functions with their statistics for the last hour, day or week."""
    return await functions.list_summaries(context, span)


@router.get("/log")
async def list_function_log(context: CurrentOrganization, page: PageQuery, filters: LogQuery) -> Page[FunctionLogEntry]:
    """List invocations and log lines, newest first."""
    return await functions.list_log(context, page, filters)


@router.get("/{slug}/stats")
async def get_function_stats(
    context: CurrentOrganization, slug: Slug, span: StatsPeriod = "24h"
) -> list[FunctionStatsBucket]:
    """Return a function's statistics over time."""
    return await functions.list_stats(context, span, slug)


@router.get("/{slug}/versions")
async def list_function_versions(context: CurrentOrganization, slug: Slug) -> list[FunctionVersion]:
    """List the deployed versions of a function, newest first."""
    return await functions.list_versions(context, slug)


@router.post("/{slug}/rollback")
async def roll_back_function(
    context: CurrentOrganization, slug: Slug, request: FunctionRollback | None = None
) -> FunctionRollbackResult:
    """Roll back to an earlier version."""
    return await functions.roll_back(context, slug, None if request is None else request.version)
