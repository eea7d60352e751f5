"""`outdial campaign review-call`: marks a call as reviewed."""

from typing import Annotated, assert_never
from uuid import UUID

import typer

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.call_review import CallReviewed, unreview_call
from outdial.campaigns.operations.call_review import review_call as mark_call
from outdial.cli.errors import InvalidArgument, UnknownName
from outdial.cli.finding import Organization, find_organization
from outdial.cli.output import console
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.stack.local import as_service

clock = SystemClock()


def review_call(
    call_id: Annotated[UUID, typer.Argument(metavar="CALL", help="Id of the call.")],
    organization: Organization = None,
    note: Annotated[str | None, typer.Option(help="Note to show on its page and in exports.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the mark, with its note.")] = False,
) -> None:
    """Mark a call as reviewed, or remove the mark."""
    text = (note or "").strip()
    if undo and text:
        raise InvalidArgument("--undo removes the note: leave --note away")
    if len(text) > LONGEST_DECISION_NOTE or "\0" in text:
        raise InvalidArgument(f"--note must have at most {LONGEST_DECISION_NOTE:,} characters, and no NUL")

    async def work(database: Database) -> CallReviewed | NotFound | Forbidden:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            if undo:
                return await unreview_call(connection, organization_id=organization_id, call_id=call_id, actor=Actor())
            return await mark_call(
                connection,
                organization_id=organization_id,
                call_id=call_id,
                by="the service",
                note=text or None,
                actor=Actor(),
                now=clock.now(),
            )

    match as_service(work):
        case CallReviewed():
            console.print(f"Call {call_id} is {'not reviewed any more' if undo else 'reviewed'}.")
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown call {call_id}, or not reviewed" if undo else f"unknown call {call_id}")
        case never:
            assert_never(never)
