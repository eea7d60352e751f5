"""`outdial campaign undo`: undo what a command, a job or a member has done to contacts of a campaign."""

from typing import Annotated, assert_never
from uuid import UUID

import typer

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.undoing.undo import ActUndone, NotUndone, UndoResult, undo_act
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import find_campaign_row
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.session import Connection, Database
from outdial.domain.policies.undo import MOST_UNDONE
from outdial.stack.local import as_service

clock = SystemClock()


def undo(
    campaign: CampaignName,
    act: Annotated[
        UUID,
        typer.Argument(metavar="ACT", help="Id of the act: printed by skip, retry and drop-callback, or of a job."),
    ],
    as_json: AsJson = False,
) -> None:
    """Undo a skip, a retry, a decision, an ended callback, a pause, a resume or a bulk job, within an hour.

    Only contacts that have not changed since are as before. A job undoes what another job has done.
    """

    async def work(database: Database) -> UndoResult:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            return await undo_of_service(connection, found.organization_id, act)

    print_undone(as_service(work), act, as_json=as_json)


async def undo_of_service(connection: Connection, organization_id: UUID, act: UUID) -> UndoResult:
    """Undo an act of an organization."""
    return await undo_act(
        connection,
        organization_id=organization_id,
        act_id=act,
        by="the service",
        actor=Actor(),
        now=clock.now(),
    )


def print_undone(result: UndoResult, act: UUID, *, as_json: bool) -> None:
    """Print what is as before; raises ActionRefused and UnknownName."""
    match result:
        case ActUndone() if as_json:
            print_json(result)
        case ActUndone(job_id=UUID() as job_id):
            console.print(f"Job {job_id} undoes it. Contacts: {result.changed:,}.")
        case ActUndone():
            kept = f"; changed since: {result.kept:,}" if result.kept else ""
            console.print(f"Undone. As before: {result.changed:,}{kept}.")
        case NotUndone(reason):
            raise ActionRefused(f"this cannot be undone: {reason}")
        case NotFound() | Forbidden():
            raise UnknownName(
                f"unknown act {act}: acts can be undone for an hour, jobs with at most {MOST_UNDONE:,} rows"
            )
        case never:
            assert_never(never)
