"""The pre-dial hook of an organization: show, set and remove it. Its secret can be set but not read."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from outdial.db.queries.compliance import pre_dial_hooks
from outdial.db.session import Connection
from outdial.pre_dial.addresses import LONGEST_SECRET, LONGEST_URL, check_hook_secret, check_hook_url
from outdial.pre_dial.errors import InvalidHookSecret, InvalidHookUrl
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceNotFound

_NO_HOOK: Final = "No pre-dial hook is set"


class PreDialHook(BaseModel):
    """The hook that allows or denies each call. While it fails, no call starts before `retry_at`.

    `responded_at` is when it last decided about calls, to the minute.
    """

    url: str
    failures: int
    failing_reason: str | None
    retry_at: datetime | None
    responded_at: datetime | None
    updated_at: datetime


class NewPreDialHook(BaseModel):
    """A hook to set. The secret signs the requests; without one, the hook keeps its secret."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(max_length=LONGEST_URL + 100, examples=["https://hook.example.com/calls"])]
    secret: Annotated[str | None, Field(max_length=LONGEST_SECRET + 100, json_schema_extra={"writeOnly": True})] = None


async def find_hook(connection: Connection, context: OrganizationContext) -> PreDialHook | None:
    """Return the hook of the organization, or None."""
    row = await pre_dial_hooks.show_hook(connection, organization_id=context.organization_id)
    return None if row is None else PreDialHook.model_validate(row, from_attributes=True)


async def show_hook(connection: Connection, context: OrganizationContext) -> PreDialHook:
    """Return the hook of the organization; raises ResourceNotFound."""
    found = await find_hook(connection, context)
    if found is None:
        raise ResourceNotFound(_NO_HOOK)
    return found


async def set_hook(connection: Connection, context: OrganizationContext, new: NewPreDialHook) -> PreDialHook:
    """Set the hook, or change its URL and keep its secret; raises InvalidInput."""
    context.require("admin")
    former = await find_hook(connection, context)
    now, secret = context.studio.clock.now(), (new.secret or "").strip()
    try:
        url = check_hook_url(new.url, allow_private=context.studio.settings.hook_private)
    except InvalidHookUrl as error:
        raise InvalidInput("The URL of the hook is not valid", {"url": str(error)}) from None
    try:
        if former is None or secret:
            await pre_dial_hooks.set_hook(
                connection,
                organization_id=context.organization_id,
                url=url,
                secret=check_hook_secret(secret),
                now=now,
            )
        else:
            await pre_dial_hooks.move_hook(connection, organization_id=context.organization_id, url=url, now=now)
    except InvalidHookSecret as error:
        raise InvalidInput("The secret of the hook is not valid", {"secret": str(error)}) from None
    await record_audit(
        connection,
        context=context,
        action="set_pre_dial_hook",
        subject_type="pre_dial_hook",
        subject_id=context.organization_id,
        details={"url": url, "new_secret": bool(secret)},
    )
    return await show_hook(connection, context)


async def remove_hook(connection: Connection, context: OrganizationContext) -> None:
    """Remove the hook; raises ResourceNotFound."""
    context.require("admin")
    former = await show_hook(connection, context)
    await pre_dial_hooks.remove_hook(connection, organization_id=context.organization_id)
    await record_audit(
        connection,
        context=context,
        action="remove_pre_dial_hook",
        subject_type="pre_dial_hook",
        subject_id=context.organization_id,
        details={"url": former.url},
    )
