"""Routes of the API for functions: for those who look after the environment."""

from fastapi import APIRouter

from outdial.studio.functions import service as functions
from outdial.studio.functions.service import (
    FunctionLogEntry,
    FunctionStats,
    FunctionSummary,
    FunctionVersion,
    LogQuery,
    RollbackRequest,
    RollbackResult,
    Slug,
    StatsPeriod,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.paging import Page, PageQuery

router = APIRouter(prefix="/organizations/{organization_id}/functions", tags=["functions"])


@router.get("")
async def list_functions(context: CurrentOrganization, span: StatsPeriod = "24h") -> list[FunctionSummary]:
    """List the functions with their numbers over the last hour, day or week."""
    return await functions.summaries(context, span)


@router.get("/log")
async def list_log(context: CurrentOrganization, page: PageQuery, filters: LogQuery) -> Page[FunctionLogEntry]:
    """List invocations and what functions have logged, the newest first."""
    return await functions.list_log(context, page, filters)


@router.get("/{slug}/stats")
async def function_stats(context: CurrentOrganization, slug: Slug, span: StatsPeriod = "24h") -> list[FunctionStats]:
    """Return a function's numbers over time."""
    return await functions.spans(context, span, slug)


@router.get("/{slug}/versions")
async def list_versions(context: CurrentOrganization, slug: Slug) -> list[FunctionVersion]:
    """List the deployed versions of a function, the newest first."""
    return await functions.versions(context, slug)


@router.post("/{slug}/rollback")
async def roll_back(context: CurrentOrganization, slug: Slug, asked: RollbackRequest | None = None) -> RollbackResult:
    """Let an earlier version be served again."""
    return await functions.roll_back(context, slug, None if asked is None else asked.version)
