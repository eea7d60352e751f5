"""Single contacts of a campaign: `add-contact`, `add-contacts`, `change-contact`, `skip` and `retry`."""

import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, assert_never
from uuid import UUID

import msgspec
import typer

from outdial.campaigns.entries.adding import ItemResult, ItemStatus, add_contacts, count_results
from outdial.campaigns.entries.changing import (
    EntryChanged,
    EntryChanges,
    EntryConflict,
    EntryResult,
    change_entry,
    retry_entry,
    skip_entry,
)
from outdial.campaigns.entries.items import ITEMS, read_not_before, read_priority, read_variables
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, find_campaign_to_run
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import ActionReason, find_campaign, find_campaign_row, read_pairs, read_phone, read_zoned_time
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import reviews
from outdial.db.queries.campaigns import FoundCampaign
from outdial.db.session import Connection, Database
from outdial.domain.contact import rank_of
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES
from outdial.domain.limits import PRIORITY
from outdial.stack.local import as_service, erasure_keys

SHOWN = 20
clock = SystemClock()
Result = TypeVar("Result")

Region = Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as US.")]
NotBefore = Annotated[
    str | None, typer.Option(help="Earliest time of the first call, such as 2026-12-01T09:00:00Z (default: now).")
]
Priority = Annotated[
    int | None,
    typer.Option(min=PRIORITY.range.least, max=PRIORITY.range.most, help="9 goes first (default: 5)."),
]
Variables = Annotated[list[str] | None, typer.Option("--variable", help="NAME=VALUE for the agent; repeatable.")]


def add_contact(
    campaign: CampaignName,
    phone: Annotated[str, typer.Argument(help="Number in E.164 or, with --region, in national format.")],
    field: Annotated[
        list[str] | None, typer.Option(help=f"NAME=VALUE; repeatable. Names: {', '.join(CONTACT_FIELD_NAMES)}.")
    ] = None,
    variable: Variables = None,
    not_before: NotBefore = None,
    priority: Priority = None,
    region: Region = None,
    as_json: AsJson = False,
) -> None:
    """Add one contact to a campaign.

    An active campaign calls it as soon as its hours, its limits and the law allow.
    """
    item: dict[str, Any] = {"phone": phone, **read_pairs("--field", field or [])}
    item |= {"variables": read_pairs("--variable", variable or [])}
    item |= {"not_before": not_before, "priority": priority}
    [result] = _add(campaign, [item], region)
    if result.status is ItemStatus.REFUSED:
        raise ActionRefused(f"{phone} was refused ({result.kind}): {result.reason}")
    if as_json:
        print_json(result)
    elif result.status is ItemStatus.ADDED:
        console.print(f"Added {phone}.")
    else:
        console.print(f"{phone} is in the campaign already; it is {result.contact_status}.")


def add_contacts_command(
    campaign: CampaignName,
    file: Annotated[Path, typer.Argument(help="JSON lines, one contact each; - reads standard input.")],
    region: Region = None,
    as_json: AsJson = False,
) -> None:
    """Add contacts to a campaign, from JSON lines as the API takes them.

    A line such as {"phone": "+14155550100", "variables": {"plan": "gold"}, "priority": 9} is a contact. A refused
    contact does not stop the others; the exit status is then 1. All lines are read before the first contact is added.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{file}: is not UTF-8 text at byte {error.start + 1}; nothing was added") from error
    lines = text.split("\n")
    items = [(number, _item(number, line)) for number, line in enumerate(lines, 1) if line.strip()]
    results: list[ItemResult] = []
    for start in range(0, len(items), ITEMS.most):
        results += _add(campaign, [item for _, item in items[start : start + ITEMS.most]], region)
    refused = [
        (number, result)
        for (number, _), result in zip(items, results, strict=True)
        if result.status is ItemStatus.REFUSED
    ]
    counts = count_results(results)
    if as_json:
        print_json(
            {
                **counts,
                "refused_lines": [
                    {"line": number, "kind": result.kind, "reason": result.reason} for number, result in refused
                ],
            }
        )
    else:
        console.print(
            f"{counts['added']:,} added, {counts['already_there']:,} already present, {counts['refused']:,} refused."
        )
        columns = {
            "LINE": lambda row: row[0],
            "KIND": lambda row: row[1].kind,
            "REASON": lambda row: row[1].reason,
        }
        if refused:
            print_rows(columns, refused[:SHOWN], empty="")
    if refused:
        raise typer.Exit(1)


def change_contact(
    campaign: CampaignName,
    phone: Annotated[str, typer.Argument(help="Phone number of the contact, in E.164.")],
    variable: Variables = None,
    not_before: NotBefore = None,
    priority: Priority = None,
    as_json: AsJson = False,
) -> None:
    """Change when a pending contact is called, its priority, or its agent variables. --variable NAME= removes one."""
    number, now = read_phone(phone).e164, clock.now()
    priority = read_priority(priority)
    changes = EntryChanges(
        not_before=read_not_before(not_before, now),
        rank=None if priority is None else rank_of(priority),
        variables=read_variables(
            {name: value or None for name, value in read_pairs("--variable", variable or []).items()}
        ),
    )

    async def change(connection: Connection, found: FoundCampaign, contact_id: UUID) -> EntryResult:
        return await change_entry(
            connection,
            campaign_id=found.id,
            campaign_contact_id=contact_id,
            changes=changes,
            actor=Actor(),
            now=now,
        )

    _change_one(campaign, number, change, f"Changed {number}.", as_json=as_json)


def skip_contact(
    campaign: CampaignName,
    phone: Annotated[str, typer.Argument(help="Phone number of the contact, in E.164.")],
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Skip a pending contact: it is not called in this campaign. Its page shows the reason."""
    number = read_phone(phone).e164

    async def skip(connection: Connection, found: FoundCampaign, contact_id: UUID) -> EntryResult:
        return await skip_entry(
            connection,
            campaign_id=found.id,
            campaign_contact_id=contact_id,
            by="the service",
            reason=reason,
            actor=Actor(),
            now=clock.now(),
        )

    _change_one(campaign, number, skip, f"{number} is skipped.", as_json=as_json)


def retry_contact(
    campaign: CampaignName,
    phone: Annotated[str, typer.Argument(help="Phone number of the contact, in E.164.")],
    at: Annotated[
        str | None, typer.Option(help="Earliest time of the call, such as 2026-12-01T09:00Z (default: now).")
    ] = None,
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Call a completed, failed or skipped contact again, with all attempts left."""
    number, not_before = read_phone(phone).e164, read_zoned_time("--at", at)

    async def retry(connection: Connection, found: FoundCampaign, contact_id: UUID) -> EntryResult:
        return await retry_entry(
            connection,
            campaign_id=found.id,
            campaign_contact_id=contact_id,
            not_before=not_before,
            reason=reason,
            actor=Actor(),
            now=clock.now(),
        )

    _change_one(campaign, number, retry, f"{number} is pending again.", as_json=as_json)


def on_contact(
    campaign: str, number: str, act: Callable[[Connection, FoundCampaign, UUID], Awaitable[Result]]
) -> Result | NotFound:
    """Act on the contact of a campaign that has this number."""

    async def work(database: Database) -> Result | NotFound:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            contact_id = await reviews.find_campaign_contact(connection, campaign_id=found.id, phone=number)
            return NotFound() if contact_id is None else await act(connection, found, contact_id)

    return as_service(work)


def print_undo(campaign: str, act_id: UUID | None) -> None:
    """Print the command that undoes an act."""
    if act_id is not None:
        undo = shlex.join(["outdial", "campaign", "undo", campaign, str(act_id)])
        notes.print(f"To undo it within an hour: {undo}", markup=False, soft_wrap=True)


def _change_one(
    campaign: str,
    number: str,
    change: Callable[[Connection, FoundCampaign, UUID], Awaitable[EntryResult]],
    done: str,
    *,
    as_json: bool,
) -> None:
    result = on_contact(campaign, number, change)
    match result:
        case EntryChanged(status) if as_json:
            print_json({"phone": number, "status": status, "act": result.act_id})
        case EntryChanged():
            console.print(done)
            print_undo(campaign, result.act_id)
        case EntryConflict(_, reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"the campaign has no contact {number}")
        case never:
            assert_never(never)


def _item(number: int, line: str) -> object:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"line {number} is not JSON: {error}; nothing was added") from error


def _add(campaign: str, items: Sequence[object], region: str | None) -> list[ItemResult]:
    async def work(database: Database) -> list[ItemResult]:
        async with database.as_service() as connection:
            found = await find_campaign_to_run(connection, await find_campaign(connection, campaign), Actor())
            if isinstance(found, NotFound | Forbidden):
                raise UnknownName(f"unknown campaign {campaign!r}: outdial campaign list shows all")
            return await add_contacts(
                connection,
                organization_id=found.organization_id,
                campaign_id=found.id,
                items=items,
                region=region,
                erasure_keys=erasure_keys(),
                actor=Actor(),
                now=clock.now(),
            )

    return as_service(work)
