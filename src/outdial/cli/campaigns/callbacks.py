"""`outdial campaign callbacks` and `outdial campaign move-callback`."""

from typing import Annotated, assert_never

import typer

from outdial.campaigns.callbacks import InvalidCallbackTime, Moved, MoveResult, NoOpenCallback, move_callback
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import find_campaign_row, read_phone
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import reviews
from outdial.db.queries.dialing import callbacks as queries
from outdial.db.session import Database
from outdial.domain.calling_hours import local_times
from outdial.domain.policies.callback_requests import ASKED_IN
from outdial.stack.local import as_service

clock = SystemClock()


def callbacks(
    campaign: CampaignName,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of callbacks.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List callbacks, soonest first: who, when in the contact's time, and why one is late."""

    async def work(database: Database) -> list[queries.CallbackRow]:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            return await queries.list_callbacks(
                connection,
                organization_id=found.organization_id,
                campaign_id=found.id,
                after_at=None,
                after_id=None,
                asked_in=ASKED_IN,
                limit=limit,
            )

    rows = as_service(work)
    if as_json:
        print_json(
            [
                {
                    "campaign_contact_id": row.id,
                    "phone": row.phone,
                    "name": row.name,
                    "callback_at": row.callback_at,
                    "local_times": local_times(row.zone_key, row.callback_at),
                    "number": row.callbacks,
                    "is_repetition": row.callback_tries > 0,
                    "is_calling": row.is_calling,
                    "asked_in_call": row.asked_in_call,
                    "summary": row.summary,
                    "late_because": row.callback_late,
                }
                for row in rows
            ]
        )
        return
    print_rows(
        {
            "Phone": lambda row: row.phone,
            "Name": lambda row: row.name,
            "Call back": lambda row: row.callback_at,
            "In their time": lambda row: ", ".join(
                f"{local[:16]} {zone}" for zone, local in local_times(row.zone_key, row.callback_at).items()
            ),
            "Why": lambda row: row.summary,
            "Late": lambda row: row.callback_late,
        },
        rows,
        empty="No callbacks.",
    )


def move(
    campaign: CampaignName,
    phone: Annotated[str, typer.Argument(help="Phone of the contact, in E.164.")],
    time: Annotated[
        str, typer.Argument(help="New time: ISO 8601, in the contact's time without an offset, or `tomorrow at 3pm`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Call a contact back at another time, within the next 60 days."""
    number = read_phone(phone).e164

    async def work(database: Database) -> MoveResult:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            contact_id = await reviews.find_campaign_contact(connection, campaign_id=found.id, phone=number)
            if contact_id is None:
                return NotFound()
            return await move_callback(
                connection,
                organization_id=found.organization_id,
                campaign_contact_id=contact_id,
                time=time,
                actor=Actor(),
                now=clock.now(),
            )

    result = as_service(work)
    match result:
        case Moved(at) if as_json:
            print_json({"phone": number, "callback_at": at})
        case Moved(at):
            console.print(f"{number} is called back at {at.isoformat()}.")
        case InvalidCallbackTime(reason):
            raise InvalidArgument(f"{time!r}: {reason}")
        case NoOpenCallback(reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"the campaign has no contact {number}")
        case never:
            assert_never(never)
