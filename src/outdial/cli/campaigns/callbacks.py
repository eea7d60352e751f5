"""`outdial campaign callbacks`, `move-callback`, `call-back` and `drop-callback`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final, assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from outdial.campaigns.callbacks import (
    CallbackDropped,
    CallbackEnd,
    CallbackSet,
    DropResult,
    InvalidCallbackTime,
    Moved,
    MoveResult,
    NoOpenCallback,
    SetResult,
    drop_callback,
    move_callback,
    set_callback,
)
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.cli.campaigns.contacts import on_contact, print_undo
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import (
    ActionReason,
    Organization,
    find_campaign_row,
    find_organization,
    read_phone,
)
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries.campaigns import FoundCampaign
from outdial.db.queries.dialing import callbacks as queries
from outdial.db.session import Connection, Database
from outdial.dialer.callbacks.outlook import CALLS_SINCE, AssessedCallback, assess_callbacks, never_allowed
from outdial.dialer.doctor import read_rules
from outdial.domain.calling_hours import is_zone_name, local_times
from outdial.domain.policies.callback_requests import ASKED_IN
from outdial.stack.local import as_service, rules_of_environment

clock = SystemClock()
Phone = Annotated[str, typer.Argument(help="Phone of the contact, in E.164.")]


def callbacks(
    campaign: Annotated[
        str | None, typer.Argument(help="Only callbacks of this campaign: id, start of it, or name (default: all).")
    ] = None,
    organization: Organization = None,
    zone: Annotated[str, typer.Option(help="Time zone whose days count as today and tomorrow.")] = "UTC",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of callbacks.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List callbacks, soonest first: who, when in the contact's time, and what stands in the way of one."""
    if not is_zone_name(zone):
        raise InvalidArgument(f"--zone: {zone!r} is not a time zone such as America/New_York")

    async def work(database: Database) -> list[AssessedCallback]:
        async with database.as_service() as connection:
            found = None if campaign is None else await find_campaign_row(connection, campaign)
            organization_id = (
                await find_organization(connection, organization) if found is None else found.organization_id
            )
            now = clock.now()
            rows = await queries.list_callbacks(
                connection,
                organization_id=organization_id,
                campaign_id=None if found is None else found.id,
                from_at=None,
                until_at=None,
                after_at=None,
                after_id=None,
                asked_in=ASKED_IN,
                calls_since=now - CALLS_SINCE,
                limit=limit,
            )
            return await assess_callbacks(
                connection,
                rows,
                organization_id=organization_id,
                zone=ZoneInfo(zone),
                rules=rules_of_environment(),
                now=now,
                format_moment=datetime.isoformat,
            )

    found = as_service(work)
    if as_json:
        print_json([_json(each) for each in found])
        return
    print_rows(
        _COLUMNS,
        found,
        empty="No callbacks.",
    )


_COLUMNS: Final[Mapping[str, Callable[[AssessedCallback], object]]] = {
    "Phone": lambda each: each.row.phone,
    "Name": lambda each: each.row.name,
    "Group": lambda each: each.group,
    "Call back": lambda each: each.row.callback_at,
    "In their time": lambda each: ", ".join(
        f"{local[:16]} {zone}" for zone, local in local_times(each.row.zone_key, each.row.callback_at).items()
    ),
    "Words": lambda each: each.row.words,
    "In the way": lambda each: None if each.obstacle is None else each.obstacle.sentence,
}


def _json(each: AssessedCallback) -> dict[str, object]:
    row, obstacle = each.row, each.obstacle
    return {
        "campaign_contact_id": row.id,
        "campaign_id": row.campaign_id,
        "phone": row.phone,
        "name": row.name,
        "callback_at": row.callback_at,
        "local_times": local_times(row.zone_key, row.callback_at),
        "number": row.callbacks,
        "is_repetition": row.callback_tries > 0,
        "is_calling": row.is_calling,
        "asked_in_call": row.asked_in_call,
        "words": row.words,
        "summary": row.summary,
        "late_because": row.callback_late,
        "group": each.group,
        "obstacle": None if obstacle is None else obstacle.sentence,
        "obstacle_code": None if obstacle is None else obstacle.code,
        "earliest_at": each.earliest_at,
    }


def call_back(
    campaign: CampaignName,
    phone: Phone,
    time: Annotated[
        str,
        typer.Argument(help="ISO 8601, in the contact's time without an offset, `tomorrow at 3pm`, or `now`."),
    ],
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Call a contact back at a time, or as soon as hours and law allow: a pending or finished one, or one in review."""

    async def act(connection: Connection, found: FoundCampaign, contact_id: UUID) -> SetResult:
        contact = await queries.find_callback(
            connection, organization_id=found.organization_id, campaign_contact_id=contact_id
        )
        rules = await read_rules(connection, found.organization_id, rules_of_environment())
        if contact is not None and (why := never_allowed(contact, rules, clock.now())) is not None:
            return NoOpenCallback(why)
        return await set_callback(
            connection,
            organization_id=found.organization_id,
            campaign_contact_id=contact_id,
            time=time,
            reason=reason,
            actor=Actor(),
            now=clock.now(),
        )

    number = read_phone(phone).e164
    _print_time(number, time, on_contact(campaign, number, act), as_json=as_json)


def drop(
    campaign: CampaignName,
    phone: Phone,
    then: Annotated[
        CallbackEnd,
        typer.Option(help="retry: called in its usual turn. done: completed. never_call: do-not-call list."),
    ] = CallbackEnd.RETRY,
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """End the callback of a contact, or its request in review, without a call at the time asked for."""

    async def act(connection: Connection, found: FoundCampaign, contact_id: UUID) -> DropResult:
        return await drop_callback(
            connection,
            organization_id=found.organization_id,
            campaign_contact_id=contact_id,
            end=then,
            reason=reason,
            by="the service",
            actor=Actor(),
            now=clock.now(),
        )

    number = read_phone(phone).e164
    result = on_contact(campaign, number, act)
    match result:
        case CallbackDropped(act_id) if as_json:
            print_json({"phone": number, "then": then, "act": act_id})
        case CallbackDropped(act_id):
            console.print(f"{number} is not called back ({then}).")
            print_undo(campaign, act_id)
        case NoOpenCallback(why):
            raise ActionRefused(why)
        case NotFound() | Forbidden():
            raise UnknownName(f"the campaign has no contact {number}")
        case never:
            assert_never(never)


def move(
    campaign: CampaignName,
    phone: Phone,
    time: Annotated[
        str, typer.Argument(help="New time: ISO 8601, in the contact's time without an offset, or `tomorrow at 3pm`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Call a contact back at another time, within the next 60 days."""

    async def act(connection: Connection, found: FoundCampaign, contact_id: UUID) -> MoveResult:
        return await move_callback(
            connection,
            organization_id=found.organization_id,
            campaign_contact_id=contact_id,
            time=time,
            actor=Actor(),
            now=clock.now(),
        )

    number = read_phone(phone).e164
    _print_time(number, time, on_contact(campaign, number, act), as_json=as_json)


def _print_time(number: str, time: str, result: MoveResult | SetResult, *, as_json: bool) -> None:
    """Print when a contact is called back now, or raise why it is not at the `time` given."""
    match result:
        case Moved(at) | CallbackSet(at) if as_json:
            print_json({"phone": number, "callback_at": at})
        case Moved(at) | CallbackSet(at):
            console.print(f"{number} is called back at {at.isoformat()}.")
        case InvalidCallbackTime(reason):
            raise InvalidArgument(f"{time!r}: {reason}")
        case NoOpenCallback(reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"the campaign has no contact {number}")
        case never:
            assert_never(never)
