"""ETags where two people may edit, and keys that make a repeated creation harmless."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, TypedDict
from uuid import UUID

import msgspec
from fastapi import Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from outdial.db.queries import idempotency_keys
from outdial.db.session import Connection, encode_json
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PreconditionFailed, ResourceConflict

KEPT_FOR: Final = timedelta(hours=24)

IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag of what you have seen; without it, the last one wins")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Any text of your own, such as a UUID. The same request with the same key within 24 hours creates "
        "nothing again, and gets the first answer; another request with it gets 409.",
    ),
]
"""The parameter of a route that creates: `key: IdempotencyKey = None`."""


def etag_of(*parts: object) -> str:
    """Return an ETag for the state that `parts` describe, such as an id and updated_at."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'


def check_if_match(if_match: str | None, current: str) -> None:
    """Raise Outdated when the caller has seen another state than `current`."""
    if if_match is not None and if_match != "*" and current not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed(
            "Somebody has changed it meanwhile: load it again, and repeat your change", etag=current
        )


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    """The answer to a creation, as JSON; `is_repeat` when it had been given before."""

    status: int
    body: Any
    is_repeat: bool


async def idempotent_response(
    context: OrganizationContext,
    request: Request,
    key: str | None,
    create: Callable[[Connection], Awaitable[BaseModel]],
    *,
    status: int = 201,
) -> JSONResponse:
    """Run `create` in a transaction as the caller, once per key, and return its result as the route's answer.

    For a POST route that creates something::

        @router.post("/organizations/{organization_id}/campaigns", status_code=201, response_model=Campaign)
        async def create(at: AtWork, request: Request, new: NewCampaign, key: IdempotencyKey = None) -> Response:
            at.require("operator")
            return await created_once(at, request, key, lambda c: create_campaign(c, at, new))

    The key's row is inserted in the transaction that creates, so of two requests at the same time the second waits for
    the first and gets its answer; when `create` raises, nothing is kept, and the key is free again. A repeat is marked
    with the header `idempotency-replayed: true`. Raises Conflict for a key that came with another request.
    """
    digest = await _digest_of(request)
    created = await run_idempotent(context, key, digest, create, status=status)
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
    create: Callable[[Connection], Awaitable[BaseModel]],
    *,
    status: int = 201,
) -> IdempotentResult:
    """Do what `created_once` does for a request of any form; `request_sha256` tells it from others."""
    async with context.transaction() as connection:
        if key is None:
            return IdempotentResult(status, (await create(connection)).model_dump(mode="json"), is_repeat=False)
        now = context.studio.clock.now()
        mine: _IdempotencyKey = {
            "organization_id": context.organization_id,
            "caller": str(context.caller.user_id or "service"),
            "key": key,
        }
        await idempotency_keys.delete_idempotency_keys(
            connection, organization_id=mine["organization_id"], caller=mine["caller"], before=now - KEPT_FOR
        )
        taken = await idempotency_keys.take_idempotency_key(connection, **mine, request_sha256=request_sha256, now=now)
        if taken is None:
            return _repeated(await idempotency_keys.read_idempotency_key(connection, **mine), request_sha256)
        body = (await create(connection)).model_dump(mode="json")
        await idempotency_keys.keep_response(connection, **mine, status=status, body=encode_json(body))
        return IdempotentResult(status, body, is_repeat=False)


def _repeated(used: idempotency_keys.UsedKey, request_sha256: bytes) -> IdempotentResult:
    if used.request_sha256 != request_sha256 or used.status is None or used.body is None:
        raise ResourceConflict("This idempotency key came with another request before: use a new one")
    return IdempotentResult(used.status, msgspec.json.decode(used.body), is_repeat=True)


async def _digest_of(request: Request) -> bytes:
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return digest.digest()
