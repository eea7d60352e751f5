"""`outdial campaign hang-up`: ends a live call."""

from typing import Annotated, assert_never
from uuid import UUID

import typer

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.hang_up import HangingUp, NotLive, OutOfReach
from outdial.campaigns.operations.hang_up import hang_up as hang_up_call
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import ActionReason, Organization, find_organization
from outdial.cli.output import console
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.stack.local import as_service

clock = SystemClock()


def hang_up(
    call_id: Annotated[UUID, typer.Argument(metavar="CALL", help="Id of the call.")],
    organization: Organization = None,
    reason: ActionReason = None,
) -> None:
    """Hang up one live call. The dialer ends it within seconds."""

    async def work(database: Database) -> HangingUp | NotLive | OutOfReach | NotFound | Forbidden:
        async with database.as_service() as connection:
            return await hang_up_call(
                connection,
                organization_id=await find_organization(connection, organization),
                call_id=call_id,
                reason=reason,
                actor=Actor(),
                now=clock.now(),
            )

    match as_service(work):
        case HangingUp():
            console.print(f"Hanging up {call_id}.")
        case NotLive(status):
            raise ActionRefused(f"only live calls can be hung up; {call_id} is {status}")
        case OutOfReach() as unreachable:
            raise ActionRefused(unreachable.sentence)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown call {call_id}")
        case never:
            assert_never(never)
