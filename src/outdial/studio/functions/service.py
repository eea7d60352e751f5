"""The functions of the environment: what they were asked, what they logged, their versions, and going back to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import aiohttp
from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries.host import deployments, function_logs
from outdial.db.session import Connection
from outdial.studio.functions.operators import require_platform_operator
from outdial.studio.web.audit import record
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
_MOST_VERSIONS: Final = 500
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


class FunctionStats(BaseModel):
    """What a function was asked in a span of time; `refused` counts 4xx, `failed` 5xx; times in ms."""

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
    """A function over the whole of what was asked for."""

    slug: str
    invocations: int
    refused: int
    failed: int
    slowest_p99_ms: float | None
    errors: int
    active_version: int | None


class FunctionVersion(BaseModel):
    """A deployed version; `error` is why it was refused."""

    slug: str
    version: int
    status: str
    error: str | None
    created_at: datetime
    created_by: str


class FunctionLogEntry(BaseModel):
    """An invocation, or a line that a function has logged."""

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


class RollbackRequest(BaseModel):
    """Which version to go back to: 0 is what hosts have in their source tree; the one before without it."""

    model_config = ConfigDict(extra="forbid")
    version: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None


class RollbackResult(BaseModel):
    """The version that is served now; 0 is the source tree."""

    slug: str
    version: int


@dataclass(frozen=True, slots=True)
class LogFilters:
    """What the log is narrowed to; `levels` None means all."""

    slug: str | None = None
    levels: list[str] | None = None
    search: str | None = None


def log_filters(
    slug: Annotated[str | None, Query(max_length=128, pattern=r"^[^\x00]*$")] = None,
    level: Annotated[Level | None, Query(description="This level and what is worse")] = None,
    search: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
) -> LogFilters:
    """Read what a request narrows the log to."""
    return LogFilters(slug or None, at_least(level), search or None)


def at_least(level: str | None) -> list[str] | None:
    """Return `level` and what is worse; None for all."""
    return None if level is None else list(LEVELS[LEVELS.index(level) :])


LogQuery = Annotated[LogFilters, Depends(log_filters)]
StatsPeriod = Annotated[Literal["1h", "24h", "7d"], Query(description="How far to look back")]


async def spans(context: OrganizationContext, span: str, slug: str | None = None) -> list[FunctionStats]:
    """Return what each function was asked in each part of the last hour, day or week."""
    require_platform_operator(context)
    back, width = SPANS[span]
    now = context.studio.clock.now()
    async with context.studio.database.as_service() as connection:
        rows = await function_logs.function_stats(
            connection, span=width, origin=_ORIGIN, since=now - back, until=now, slug=slug
        )
    return [FunctionStats.model_validate(row, from_attributes=True) for row in rows if row.slug]


async def versions(context: OrganizationContext, slug: str | None = None) -> list[FunctionVersion]:
    """Return the deployed versions, the newest first; functions of the source tree alone have none."""
    require_platform_operator(context)
    async with context.studio.database.as_service() as connection:
        rows = await deployments.list_functions_with_versions(connection, slug=slug, limit=_MOST_VERSIONS)
    return [FunctionVersion.model_validate(row, from_attributes=True) for row in rows]


async def summaries(context: OrganizationContext, span: str) -> list[FunctionSummary]:
    """Return each function with its numbers and the version that is served."""
    parts, deployed = await spans(context, span), await versions(context)
    active = {one.slug: one.version for one in deployed if one.status == "active"}
    slugs = sorted({part.slug for part in parts} | {one.slug for one in deployed})
    return [_summary(slug, [part for part in parts if part.slug == slug], active.get(slug)) for slug in slugs]


def _summary(slug: str, parts: Sequence[FunctionStats], version: int | None) -> FunctionSummary:
    return FunctionSummary(
        slug=slug,
        invocations=sum(part.invocations for part in parts),
        refused=sum(part.refused for part in parts),
        failed=sum(part.failed for part in parts),
        slowest_p99_ms=max((part.p99_ms for part in parts if part.p99_ms is not None), default=None),
        errors=sum(part.errors for part in parts),
        active_version=version,
    )


async def list_log(context: OrganizationContext, page: PageRequest, filters: LogFilters) -> Page[FunctionLogEntry]:
    """List invocations and lines, the newest first."""
    require_platform_operator(context)
    key = page.key(tuple[datetime, int])
    async with context.studio.database.as_service() as connection:
        await function_logs.force_custom_plans(connection)
        rows = await _entries(connection, key, page.limit + 1, filters)
    kept, following = paginate(rows, page.limit, lambda row: (row.at, row.id))
    return Page(items=[FunctionLogEntry.model_validate(row, from_attributes=True) for row in kept], next=following)


async def _entries(
    connection: Connection, key: tuple[datetime, int] | None, limit: int, filters: LogFilters
) -> list[function_logs.LogEntryRow]:
    return await function_logs.list_log_entries(
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
        limit=limit,
    )


async def roll_back(context: OrganizationContext, slug: str, version: int | None) -> RollbackResult:
    """Let an earlier version be served again, through the host's own API.

    Raises Unavailable when the studio has no access token or the host does not answer, and what the host says.
    """
    require_platform_operator(context)
    settings = context.studio.settings
    if not settings.access_token:
        raise ServiceUnavailable(
            "The studio may not change functions: make a token with outdial tokens create, and set OUTDIAL_ACCESS_TOKEN"
        )
    served = await _ask(settings, slug, version)
    # As the service: whoever looks after the environment may be a viewer here, who writes no entries.
    async with context.studio.database.as_service() as connection:
        await record(connection, context, "roll_back_function", "function", slug, {"version": served})
    return RollbackResult(slug=slug, version=served)


async def _ask(settings: StudioSettings, slug: str, version: int | None) -> int:
    url = f"{settings.host_url}/v1/projects/{settings.project_ref}/functions/{slug}/rollback"
    headers = {"authorization": f"Bearer {settings.access_token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(url, json={"version": version}, headers=headers, allow_redirects=False) as response,
        ):
            answer: Any = await response.json(content_type=None)
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        raise ServiceUnavailable(
            "The function host does not answer: is OUTDIAL_HOST_URL right, and does it run?"
        ) from None
    message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
    match status:
        case 200 | 201 if isinstance(answer, dict) and isinstance(answer.get("version"), int):
            return int(answer["version"])
        case 404:
            raise ResourceNotFound(message or f"There is no function {slug}, or no such version")
        case 400:
            raise InvalidInput(message or "The host cannot go back to that version")
        case 409 | 422:
            raise ResourceConflict(message or "The host refused that version")
        case _:
            raise ServiceUnavailable(f"The function host answered {status}: {message}"[:500])
