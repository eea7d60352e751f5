"""Functions of the environment: statistics, logs, deployed versions and rollback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import aiohttp
from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries.host import deployments, function_logs
from outdial.studio.functions.operators import require_platform_operator
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound, ServiceUnavailable
from outdial.studio.web.paging import Page, PageRequest, paginate
from outdial.studio.web.settings import StudioSettings

Slug = Annotated[str, Path(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,127}$")]
Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final[Sequence[str]] = ("debug", "info", "warning", "error")
SPANS: Final[Mapping[str, tuple[timedelta, timedelta]]] = {
    "1h": (timedelta(hours=1), timedelta(minutes=5)),
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=6)),
}
_ORIGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MAX_VERSIONS: Final = 500
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


class FunctionStatsBucket(BaseModel):
    """Statistics of a function in one time bucket; `refused` counts 4xx responses, `failed` 5xx. Latencies in ms."""

    slug: str
    starts_at: datetime
    invocations: int
    refused: int
    failed: int
    cold_starts: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    lines: int
    warnings: int
    errors: int


class FunctionSummary(BaseModel):
    """Statistics of a function over the whole period."""

    slug: str
    invocations: int
    refused: int
    failed: int
    slowest_p99_ms: float | None
    errors: int
    active_version: int | None


class FunctionVersion(BaseModel):
    """A deployed version; `error` is set when its deployment failed."""

    slug: str
    version: int
    status: str
    error: str | None
    created_at: datetime
    created_by: str


class FunctionLogEntry(BaseModel):
    """An invocation, or a line logged by a function."""

    at: datetime
    id: int
    slug: str
    version: int
    level: str
    kind: str
    text: str | None
    method: str | None
    path: str | None
    status: int | None
    code: str | None
    ms: float | None
    cold: bool | None
    request_id: UUID | None


class FunctionRollback(BaseModel):
    """The version to serve; 0 is the host's source tree. Default: the previous version."""

    model_config = ConfigDict(extra="forbid")
    version: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None


class FunctionRollbackResult(BaseModel):
    """The version served now; 0 is the source tree."""

    slug: str
    version: int


@dataclass(frozen=True, slots=True)
class LogFilters:
    """Filters of the log; `levels` None means all."""

    slug: str | None = None
    levels: list[str] | None = None
    search: str | None = None


def log_filters(
    slug: Annotated[str | None, Query(max_length=128, pattern=r"^[^\x00]*$")] = None,
    level: Annotated[Level | None, Query(description="This level and above")] = None,
    search: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
) -> LogFilters:
    """Return the filters of a request."""
    return LogFilters(slug=slug or None, levels=at_least(level), search=search or None)


def at_least(level: str | None) -> list[str] | None:
    """Return `level` and all levels above it; None for None."""
    return None if level is None else list(LEVELS[LEVELS.index(level) :])


LogQuery = Annotated[LogFilters, Depends(log_filters)]
StatsPeriod = Annotated[Literal["1h", "24h", "7d"], Query(description="Period to show")]


async def list_stats(context: OrganizationContext, span: str, slug: str | None = None) -> list[FunctionStatsBucket]:
    """Return the statistics of each function per bucket of the last hour, day or week."""
    require_platform_operator(context)
    period, width = SPANS[span]
    now = context.studio.clock.now()
    async with context.studio.database.as_service() as connection:
        rows = await function_logs.function_stats(
            connection, span=width, origin=_ORIGIN, since=now - period, until=now, slug=slug
        )
    return [FunctionStatsBucket.model_validate(row, from_attributes=True) for row in rows if row.slug]


async def list_versions(context: OrganizationContext, slug: str | None = None) -> list[FunctionVersion]:
    """Return the deployed versions, newest first. Functions served from the source tree have none."""
    require_platform_operator(context)
    async with context.studio.database.as_service() as connection:
        rows = await deployments.list_functions_with_versions(connection, slug=slug, limit=_MAX_VERSIONS)
    return [FunctionVersion.model_validate(row, from_attributes=True) for row in rows]


async def list_summaries(context: OrganizationContext, span: str) -> list[FunctionSummary]:
    """Return each function with its statistics and the version served."""
    stats = await list_stats(context, span)
    deployed = await list_versions(context)
    active = {one.slug: one.version for one in deployed if one.status == "active"}
    slugs = sorted({part.slug for part in stats} | {one.slug for one in deployed})
    summaries = []
    for slug in slugs:
        parts = [part for part in stats if part.slug == slug]
        summaries.append(
            FunctionSummary(
                slug=slug,
                invocations=sum(part.invocations for part in parts),
                refused=sum(part.refused for part in parts),
                failed=sum(part.failed for part in parts),
                slowest_p99_ms=max((part.p99_ms for part in parts if part.p99_ms is not None), default=None),
                errors=sum(part.errors for part in parts),
                active_version=active.get(slug),
            )
        )
    return summaries


async def list_log(context: OrganizationContext, page: PageRequest, filters: LogFilters) -> Page[FunctionLogEntry]:
    """Return a page of invocations and log lines, newest first."""
    require_platform_operator(context)
    key = page.key(tuple[datetime, int])
    async with context.studio.database.as_service() as connection:
        await function_logs.force_custom_plans(connection)
        rows = await function_logs.list_log_entries(
            connection,
            invocations=True,
            lines=True,
            slug=filters.slug,
            first_request=None,
            last_request=None,
            since=None,
            until=None,
            before_at=None if key is None else key[0],
            before_id=None if key is None else key[1],
            levels=filters.levels,
            search=filters.search,
            limit=page.limit + 1,
        )
    kept, following = paginate(rows, page.limit, lambda row: (row.at, row.id))
    return Page(items=[FunctionLogEntry.model_validate(row, from_attributes=True) for row in kept], next=following)


async def roll_back(context: OrganizationContext, slug: str, version: int | None) -> FunctionRollbackResult:
    """Serve an earlier version again, through the host's management API.

    Raises ServiceUnavailable when the studio has no access token or the host is unreachable, and the host's errors.
    """
    require_platform_operator(context)
    settings = context.studio.settings
    if not settings.access_token:
        raise ServiceUnavailable(
            "The studio has no access token: create one with outdial tokens create and set OUTDIAL_ACCESS_TOKEN"
        )
    served = await _request_rollback(settings, slug, version)
    # As the service role: a platform operator may be a viewer here, and viewers cannot write audit entries.
    async with context.studio.database.as_service() as connection:
        await record_audit(
            connection,
            context=context,
            action="roll_back_function",
            subject_type="function",
            subject_id=slug,
            details={"version": served},
        )
    return FunctionRollbackResult(slug=slug, version=served)


async def _request_rollback(settings: StudioSettings, slug: str, version: int | None) -> int:
    url = f"{settings.host_url}/v1/projects/{settings.project_ref}/functions/{slug}/rollback"
    headers = {"authorization": f"Bearer {settings.access_token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(url, json={"version": version}, headers=headers, allow_redirects=False) as response,
        ):
            body: Any = await response.json(content_type=None)
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        raise ServiceUnavailable(
            "The function host is unreachable: check OUTDIAL_HOST_URL and that the host is running"
        ) from None
    message = str(body.get("message", "")) if isinstance(body, dict) else ""
    match status:
        case 200 | 201 if isinstance(body, dict) and isinstance(body.get("version"), int):
            return int(body["version"])
        case 404:
            raise ResourceNotFound(message or f"Function {slug} or the version was not found")
        case 400:
            raise InvalidInput(message or "The host cannot serve that version")
        case 409 | 422:
            raise ResourceConflict(message or "The host rejected that version")
        case _:
            raise ServiceUnavailable(f"The function host returned {status}: {message}"[:500])
