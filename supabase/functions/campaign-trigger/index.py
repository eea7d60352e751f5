"""campaign-trigger: starts, pauses, resumes, closes and cancels campaigns; adds contacts; starts due schedules."""

from dataclasses import asdict
from typing import Any, assert_never
from uuid import UUID

import msgspec
from shared.error_codes import CONFLICT, FORBIDDEN, NOT_FOUND

from outdial.campaigns import lifecycle
from outdial.campaigns.errors import CampaignClosed, UnknownRegion
from outdial.campaigns.lifecycle import (
    Actor,
    Changed,
    Conflict,
    Forbidden,
    LifecycleAction,
    NotFound,
    Result,
    Unchanged,
)
from outdial.campaigns.progress import progress
from outdial.domain.limits import BATCH_SIZE
from outdial.functions import Context, HttpError, Request, Response, Runtime, with_supabase
from outdial.settings import erasure_secrets, require


class TriggerRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request."""

    action: LifecycleAction
    campaign_id: UUID | None = None
    batch_size: int | None = None
    organization_id: UUID | None = None
    hang_up: bool = False
    contacts: list[Any] | None = None
    default_region: str | None = None


async def start(runtime: Runtime) -> None:
    """Open the connection pool. A missing setting stops the start with an error that names it."""
    require(runtime.env, "SUPABASE_URL", "the address of the project or of the local stack")
    if not runtime.env.get("SUPABASE_SECRET_KEYS", "").strip():
        require(runtime.env, "SUPABASE_SERVICE_ROLE_KEY", "back ends call campaign-trigger with it")
    await runtime.database()


@with_supabase(auth=["user", "secret"], methods=["POST"])
async def fetch(request: Request, ctx: Context) -> Response:
    """Perform one action as the caller. Repeating an action is safe."""
    body = _checked(_parse(await request.json()))
    actor = Actor(None if ctx.user is None else ctx.user.id)
    if body.action is LifecycleAction.SCHEDULE_CHECK:
        return await _schedule_check(ctx, body, actor)
    assert body.campaign_id is not None
    if body.action is LifecycleAction.ADD_CONTACTS:
        return await _add_contacts(ctx, body, body.campaign_id, actor)
    async with ctx.db() as connection:
        result = await _carry_out(connection, body, body.campaign_id, actor, ctx.now())
        if not isinstance(result, Changed | Unchanged):
            raise _error_of(result, body.action)
        counts = await progress(connection, body.campaign_id)
    return Response.json(
        {
            "success": True,
            "action": body.action,
            "campaign_id": body.campaign_id,
            "status": result.status,
            "changed": isinstance(result, Changed),
            "progress": counts.as_dict(),
        }
    )


async def _carry_out(connection: Any, body: TriggerRequest, campaign_id: UUID, actor: Actor, now: Any) -> Result:
    match body.action:
        case LifecycleAction.START:
            return await lifecycle.start(connection, campaign_id, actor, now)
        case LifecycleAction.RESUME:
            return await lifecycle.resume(connection, campaign_id, actor, now)
        case LifecycleAction.PAUSE:
            return await lifecycle.pause(connection, campaign_id, actor, now)
        case LifecycleAction.CANCEL:
            return await lifecycle.cancel(connection, campaign_id, actor, now, hang_up=body.hang_up)
        case LifecycleAction.PROCESS_BATCH:
            return await lifecycle.ask_for_batch(connection, campaign_id, actor, now, body.batch_size)
        case LifecycleAction.CLOSE:
            return await lifecycle.close(connection, campaign_id, actor, now)
        case LifecycleAction.SCHEDULE_CHECK | LifecycleAction.ADD_CONTACTS:
            raise AssertionError("handled by the caller")
        case never:
            assert_never(never)


async def _add_contacts(ctx: Context, body: TriggerRequest, campaign_id: UUID, actor: Actor) -> Response:
    # Reading numbers loads the tables of libphonenumber, which the other actions do not need.
    from outdial.campaigns.entries.adding import add_contacts, count_results
    from outdial.campaigns.erasure_keys import ErasureKeys

    try:
        async with ctx.db() as connection:
            campaign = await lifecycle.find_campaign_to_run(connection, campaign_id, actor)
            if isinstance(campaign, NotFound | Forbidden):
                raise _error_of(campaign, body.action)
            results = await add_contacts(
                connection,
                organization_id=campaign.organization_id,
                campaign_id=campaign_id,
                items=body.contacts or [],
                region=body.default_region,
                erasure_keys=ErasureKeys.of(erasure_secrets(ctx.env)),
                actor=actor,
                now=ctx.now(),
            )
    except CampaignClosed as error:
        raise HttpError(409, CONFLICT, str(error), status=error.status, action=body.action) from error
    except UnknownRegion as error:
        raise HttpError(400, "INVALID_REQUEST", f"default_region: {error}") from error
    counts = count_results(results)
    return Response.json(
        {
            "success": True,
            "action": body.action,
            "campaign_id": campaign_id,
            **counts,
            "results": [asdict(result) for result in results],
        }
    )


async def _schedule_check(ctx: Context, body: TriggerRequest, actor: Actor) -> Response:
    async with ctx.db() as connection:
        started = await lifecycle.start_scheduled(connection, actor, ctx.now(), body.organization_id)
    if isinstance(started, NotFound):
        raise HttpError(404, NOT_FOUND, "Organization not found, or you are not a member")
    return Response.json({"success": True, "action": body.action, "started": started})


def _parse(raw: Any) -> TriggerRequest:
    try:
        return msgspec.convert(raw, TriggerRequest)
    except msgspec.ValidationError as error:
        raise HttpError(400, "INVALID_REQUEST", f"{error}; the actions are {', '.join(LifecycleAction)}") from error


def _checked(body: TriggerRequest) -> TriggerRequest:
    if body.action is not LifecycleAction.SCHEDULE_CHECK and body.campaign_id is None:
        raise HttpError(400, "INVALID_REQUEST", f"campaign_id is missing: {body.action} needs the id of a campaign")
    if body.action is LifecycleAction.ADD_CONTACTS and not 1 <= len(body.contacts or ()) <= 1000:
        raise HttpError(400, "INVALID_REQUEST", "contacts must be a list of 1 to 1,000 contacts")
    if body.batch_size is not None and body.batch_size not in BATCH_SIZE.range:
        raise HttpError(400, "INVALID_REQUEST", f"batch_size must be {BATCH_SIZE.range}, not {body.batch_size}")
    return body


def _error_of(result: Conflict | NotFound | Forbidden, action: str) -> HttpError:
    match result:
        case Conflict(status, reason):
            return HttpError(409, CONFLICT, reason, status=status, action=action)
        case NotFound():
            return HttpError(404, NOT_FOUND, "Campaign not found, or it belongs to another organization")
        case Forbidden():
            return HttpError(403, FORBIDDEN, "You need the Operator role to run campaigns")
        case never:
            assert_never(never)
