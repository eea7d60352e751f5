"""`outdial campaign pause`, `resume`, `close`, `cancel`, `archive` and `unarchive`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, assert_never
from uuid import UUID

import typer

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor, Changed, Conflict, Forbidden, NotFound, Result, Unchanged
from outdial.campaigns.operations import archive as archiving
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import find_campaign
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.session import Connection, Database
from outdial.stack.local import as_service

clock = SystemClock()

Change = Callable[[Connection, UUID, Actor, datetime], Awaitable[Result]]


def change_status(campaign: str, change: Change, as_json: bool, *, done: str | None = None) -> None:
    """Change a campaign and print its status, or what is `done` where the status stays."""

    async def work(database: Database) -> tuple[UUID, Result]:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
            return campaign_id, await change(connection, campaign_id, Actor(), clock.now())

    campaign_id, result = as_service(work)
    match result:
        case Changed(status) | Unchanged(status):
            changed = isinstance(result, Changed)
        case Conflict(_, reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case never:
            assert_never(never)
    if as_json:
        print_json({"id": campaign_id, "status": status, "changed": changed})
    else:
        console.print(f"Campaign {campaign_id} is {'' if changed else 'already '}{done or status}.")


def pause(
    campaign: CampaignName,
    reason: Annotated[str | None, typer.Option(help="Reason, for the campaign's page and the audit log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Stop placing calls. Calls in progress continue."""
    change_status(campaign, partial(lifecycle.pause, reason=reason), as_json)


def resume(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Resume a paused campaign."""
    change_status(campaign, lifecycle.resume, as_json)


def close(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Let an open campaign complete once its contacts are finished."""
    change_status(campaign, lifecycle.close, as_json)


def cancel(
    campaign: CampaignName,
    hang_up: Annotated[bool, typer.Option("--hang-up", help="Also end calls in progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a campaign. It cannot be resumed."""
    change_status(campaign, partial(lifecycle.cancel, hang_up=hang_up), as_json)


def archive(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Archive a draft or a finished campaign: lists leave it out. Its contacts, calls and results stay."""
    change_status(campaign, archiving.archive, as_json, done="in the archive")


def unarchive(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Unarchive a campaign."""
    change_status(campaign, archiving.unarchive, as_json, done="unarchived")
