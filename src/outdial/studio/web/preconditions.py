"""ETags against lost updates, and idempotency keys against duplicate creation."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias, TypedDict
from uuid import UUID

import msgspec
from fastapi import Header, Request
from fastapi.responses import JSONResponse
from pydantic_core import to_jsonable_python

from outdial.db.queries import idempotency_keys
from outdial.db.session import Connection, encode_json
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PreconditionFailed, ResourceConflict

STALE: Final = "Someone else has changed this since you loaded it: reload and try again"
KEY_LIFETIME: Final = timedelta(hours=24)

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag of the version you loaded. Without it, the last write wins."),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A unique string, such as a UUID. Repeating a request with the same key within 24 hours creates "
        "nothing and returns the first response. A different request with the same key returns 409.",
    ),
]
"""Parameter of routes that create: `key: IdempotencyKey = None`."""


def etag_of(*parts: object) -> str:
    """Return an ETag computed from `parts`, such as an id and updated_at."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'


def check_if_match(if_match: str | None, current: str) -> None:
    """Raise PreconditionFailed unless `if_match` is absent, `*` or contains the `current` ETag."""
    if if_match is not None and if_match != "*" and current not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed(STALE, etag=current)


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    """The response to a creation; `is_repeat` when it was stored by an earlier request with the same key."""

    status: int
    body: Any
    is_repeat: bool


RunWork: TypeAlias = Callable[[Callable[[Connection], Awaitable[IdempotentResult]]], Awaitable[IdempotentResult]]


async def idempotent_response(
    context: OrganizationContext,
    request: Request,
    key: str | None,
    create: Callable[[Connection], Awaitable[object]],
    *,
    status: int = 201,
    run: RunWork | None = None,
) -> JSONResponse:
    """Run `create` at most once per key, in a transaction as the caller, and return the route's response.

    Usage::

        @router.post("/organizations/{organization_id}/campaigns", status_code=201, response_model=Campaign)
        async def create(
            context: CurrentOrganization, request: Request, new: CampaignDraft, key: IdempotencyKey = None
        ) -> Response:
            context.require("operator")
            return await idempotent_response(context, request, key, lambda c: create_campaign(c, context, new))

    The key's row is inserted in the same transaction, so a concurrent second request waits for the first and gets its
    response. When `create` raises, nothing is stored and the key is free again. Repeats carry the header
    `idempotency-replayed: true`. Raises ResourceConflict when the key was used by a different request. `run`
    opens the transaction and runs what it is given there; by default, each request has its own.
    """
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    created = await run_idempotent(context, key, digest.digest(), create, status=status, run=run)
    headers = {"idempotency-replayed": "true"} if created.is_repeat else None
    return JSONResponse(created.body, created.status, headers)


class _IdempotencyKey(TypedDict):
    organization_id: UUID
    caller: str
    key: str


async def run_idempotent(
    context: OrganizationContext,
    key: str | None,
    request_sha256: bytes,
    create: Callable[[Connection], Awaitable[object]],
    *,
    status: int = 201,
    run: RunWork | None = None,
) -> IdempotentResult:
    """Run `create` at most once per key; `request_sha256` identifies the request. See `idempotent_response`."""

    async def work(connection: Connection) -> IdempotentResult:
        if key is None:
            return IdempotentResult(status, to_jsonable_python(await create(connection)), is_repeat=False)
        now = context.studio.clock.now()
        scope: _IdempotencyKey = {
            "organization_id": context.organization_id,
            "caller": str(context.caller.user_id or "service"),
            "key": key,
        }
        taken = await idempotency_keys.take_idempotency_key(connection, **scope, request_sha256=request_sha256, now=now)
        if taken is None and await idempotency_keys.free_idempotency_key(
            connection, **scope, before=now - KEY_LIFETIME
        ):
            taken = await idempotency_keys.take_idempotency_key(
                connection, **scope, request_sha256=request_sha256, now=now
            )
        if taken is None:
            used = await idempotency_keys.read_idempotency_key(connection, **scope)
            if used.request_sha256 != request_sha256 or used.status is None or used.body is None:
                raise ResourceConflict("This idempotency key was used for a different request: use a new key")
            return IdempotentResult(used.status, msgspec.json.decode(used.body), is_repeat=True)
        body = to_jsonable_python(await create(connection))
        await idempotency_keys.keep_response(connection, **scope, status=status, body=encode_json(body))
        return IdempotentResult(status, body, is_repeat=False)

    if run is not None:
        return await run(work)
    async with context.transaction() as connection:
        return await work(connection)
