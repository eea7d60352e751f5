"""Undoes acts: a request names one, and the response says what is as before."""

from typing import Annotated, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.campaigns.undoing.undo import ActUndone, NotUndone, undo_act
from outdial.db.session import Connection
from outdial.domain.policies.undo import MOST_UNDONE, ActKind
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import PermissionDenied, ResourceConflict, ResourceNotFound


class UndoneAct(BaseModel):
    """An act that is undone. `changed` contacts, numbers or calls are as before; `kept` had changed since and stay.

    With `bulk_job_id`, a job undoes it in the background, and `changed` counts its contacts.
    """

    model_config = ConfigDict(from_attributes=True)
    kind: ActKind
    changed: int
    kept: int
    campaign_id: UUID | None
    bulk_job_id: Annotated[UUID | None, Field(validation_alias="job_id")]


async def undo(connection: Connection, context: OrganizationContext, act_id: UUID) -> UndoneAct:
    """Undo an act; raises ResourceConflict with the reason when nothing can be undone, and ResourceNotFound."""
    result = await undo_act(
        connection,
        organization_id=context.organization_id,
        act_id=act_id,
        by=context.caller.display_name,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    match result:
        case ActUndone():
            return UndoneAct.model_validate(result)
        case NotUndone(reason):
            raise ResourceConflict(f"This cannot be undone: {reason}")
        case NotFound():
            raise ResourceNotFound(
                "This can no longer be undone: undo works for an hour, for jobs with at most"
                f" {MOST_UNDONE:,} contacts or calls"
            )
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)


def undo_url(context: OrganizationContext, act_id: UUID | None) -> str | None:
    """Return where a page undoes an act; None without one."""
    return None if act_id is None else f"/o/{context.organization_id}/acts/{act_id}/undo"


def in_one_line(undone: UndoneAct) -> str:
    """Return what is as before, as a message."""
    kept = f" {_count(undone.kept, 'has changed since and stays', 'have changed since and stay')}." * bool(undone.kept)
    match undone.kind:
        case ActKind.PAUSE:
            return "Pause undone. The campaign is running again."
        case ActKind.RESUME:
            return "Resume undone. The campaign is paused again."
        case ActKind.REVIEW:
            return f"Undone. {_count(undone.changed, 'call is', 'calls are')} no longer marked as reviewed.{kept}"
        case ActKind.UNLIST:
            return f"Undone. {_count(undone.changed, 'entry is', 'entries are')} on the do-not-call list again."
        case ActKind.LIST:
            removed = _count(undone.changed, "number is", "numbers are")
            return f"Undone. {removed} off the do-not-call list.{kept} Consents that this revoked stay revoked."
        case ActKind.SKIP | ActKind.RETRY | ActKind.DECIDE | ActKind.BLOCK if undone.bulk_job_id is not None:
            return f"A job is undoing this for {_count(undone.changed, 'contact', 'contacts')}."
        case ActKind.SKIP | ActKind.RETRY | ActKind.DECIDE | ActKind.BLOCK if not undone.changed + undone.kept:
            return "Undone. The job had changed no contacts yet."
        case ActKind.BLOCK:
            return (
                f"Undone for {_count(undone.changed, 'contact', 'contacts')}.{kept} Numbers added again since stay on"
                " the do-not-call list, contacts skipped since stay skipped, and revoked consents stay revoked."
            )
        case ActKind.SKIP | ActKind.RETRY | ActKind.DECIDE | ActKind.END_CALLBACK:
            return f"Undone. {_count(undone.changed, 'contact is', 'contacts are')} as before.{kept}"
        case never:
            assert_never(never)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
