"""Routes of the API for functions: for those who look after the environment."""

from fastapi import APIRouter

from outdial.studio.functions import service as functions
from outdial.studio.functions.service import (
    AskedLog,
    FunctionSpan,
    FunctionSummary,
    FunctionVersion,
    LogEntry,
    Rollback,
    RolledBack,
    Slug,
    Span,
)
from outdial.studio.web.context import AtWork
from outdial.studio.web.paging import AskedPage, Page

router = APIRouter(prefix="/organizations/{organization_id}/functions", tags=["functions"])


@router.get("")
async def list_functions(at: AtWork, span: Span = "24h") -> list[FunctionSummary]:
    """List the functions with their numbers over the last hour, day or week."""
    return await functions.summaries(at, span)


@router.get("/log")
async def list_log(at: AtWork, page: AskedPage, narrowed: AskedLog) -> Page[LogEntry]:
    """List invocations and what functions have logged, the newest first."""
    return await functions.list_log(at, page, narrowed)


@router.get("/{slug}/stats")
async def function_stats(at: AtWork, slug: Slug, span: Span = "24h") -> list[FunctionSpan]:
    """Return a function's numbers over time."""
    return await functions.spans(at, span, slug)


@router.get("/{slug}/versions")
async def list_versions(at: AtWork, slug: Slug) -> list[FunctionVersion]:
    """List the deployed versions of a function, the newest first."""
    return await functions.versions(at, slug)


@router.post("/{slug}/rollback")
async def roll_back(at: AtWork, slug: Slug, asked: Rollback | None = None) -> RolledBack:
    """Let an earlier version be served again."""
    return await functions.roll_back(at, slug, None if asked is None else asked.version)
