"""`outdial campaign create` and `outdial campaign edit`: the settings of a campaign as options."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, assert_never
from uuid import UUID

import typer

from outdial.campaigns.create import CampaignSettings, create_campaign, stored_settings
from outdial.campaigns.edit import Edited, edit_campaign
from outdial.campaigns.lifecycle import Actor, Conflict
from outdial.cli.errors import ActionRefused, InvalidArgument
from outdial.cli.finding import Organization, find_campaign, find_organization, read_object, read_pairs, read_time
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.queries import campaigns
from outdial.db.rows import required
from outdial.db.session import Database
from outdial.domain.calling_hours import ALWAYS_OPEN
from outdial.domain.campaign import CampaignStatus
from outdial.domain.limits import BATCH_SIZE, MAX_ATTEMPTS
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.stack.local import as_service

clock = SystemClock()

CampaignName = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Id, start of the id, or name.")]
_Hours = Annotated[
    str | None,
    typer.Option(help='Calling hours: always, JSON, or @FILE with JSON (default: {"weekdays": [["09:00", "20:00"]]}).'),
]
_Retry = Annotated[
    str | None, typer.Option(help='Retry policy as JSON or @FILE, such as {"busy": {"delays": ["10m"]}}.')
]
_Schedule = Annotated[str | None, typer.Option(help="Earliest start: a time with a zone, such as 2026-12-01T09:00Z.")]
_Variables = Annotated[list[str] | None, typer.Option(help="Agent variable as NAME=VALUE; repeatable.")]
_RequiredLists = Annotated[list[ListKind] | None, typer.Option(help="Screening list that must be current; repeatable.")]


def create(
    name: Annotated[str, typer.Option(help="Name of the campaign.")],
    agent: Annotated[str, typer.Option(help="Id of the Retell agent.")],
    from_: Annotated[str, typer.Option("--from", help="Caller number in E.164.")],
    organization: Organization = None,
    purpose: Annotated[
        Purpose, typer.Option(help="Purpose of the calls. It decides which calling rules apply.")
    ] = Purpose.SALES,
    consent: Annotated[
        RequiredConsent, typer.Option(help="Consent that contacts must have given.")
    ] = RequiredConsent.NONE,
    require_list: _RequiredLists = None,
    hours: _Hours = None,
    retry: _Retry = None,
    max_attempts: Annotated[int, typer.Option(help="Maximum attempts per contact.")] = MAX_ATTEMPTS.default,
    batch_size: Annotated[
        int, typer.Option(help="Calls per batch. Limits are re-checked between batches.")
    ] = BATCH_SIZE.default,
    max_concurrency: Annotated[
        int | None, typer.Option(help="Maximum concurrent calls (default: the workspace's limit).")
    ] = None,
    schedule: _Schedule = None,
    var: _Variables = None,
    as_json: AsJson = False,
) -> None:
    """Create a campaign as a draft."""
    calling_hours = _read_hours(hours)
    retry_policy = read_object("--retry", retry)
    variables = read_pairs("--var", var or ())
    scheduled_at = read_time("--schedule", schedule)

    async def work(database: Database) -> UUID:
        async with database.as_service() as connection:
            new = CampaignSettings(
                await find_organization(connection, organization),
                name,
                agent,
                from_,
                batch_size=batch_size,
                max_concurrency=max_concurrency,
                max_attempts=max_attempts,
                calling_hours=calling_hours,
                retry_policy=retry_policy,
                dynamic_variables=variables,
                scheduled_at=scheduled_at,
                purpose=purpose,
                consent_required=consent,
                lists_required=require_list or (),
            )
            return await create_campaign(connection, new, clock.now())

    campaign_id = as_service(work)
    if as_json:
        print_json({"id": campaign_id, "name": name, "status": CampaignStatus.DRAFT})
    else:
        console.print(f"Created campaign {campaign_id} as a draft.")


def edit(
    campaign: CampaignName,
    name: Annotated[str | None, typer.Option(help="Name of the campaign.")] = None,
    agent: Annotated[str | None, typer.Option(help="Id of the Retell agent.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Caller number in E.164.")] = None,
    purpose: Annotated[
        Purpose | None, typer.Option(help="Purpose of the calls. It decides which calling rules apply.")
    ] = None,
    consent: Annotated[RequiredConsent | None, typer.Option(help="Consent that contacts must have given.")] = None,
    require_list: _RequiredLists = None,
    no_lists: Annotated[bool, typer.Option("--no-lists", help="Require no screening lists.")] = False,
    hours: _Hours = None,
    retry: _Retry = None,
    max_attempts: Annotated[int | None, typer.Option(help="Maximum attempts per contact.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Calls per batch.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Maximum concurrent calls.")] = None,
    schedule: _Schedule = None,
    var: _Variables = None,
    as_json: AsJson = False,
) -> None:
    """Change settings of a draft, scheduled or paused campaign.

    Settings without an option keep their value. --var replaces all variables, and --require-list all lists.
    """
    if no_lists and require_list:
        raise InvalidArgument("--no-lists and --require-list exclude each other")
    given: dict[str, Any] = {
        "name": name,
        "retell_agent_id": agent,
        "from_number": from_,
        "purpose": purpose,
        "consent_required": consent,
        "lists_required": [] if no_lists else require_list or None,
        "calling_hours": None if hours is None else _read_hours(hours),
        "retry_policy": None if retry is None else read_object("--retry", retry),
        "max_attempts": max_attempts,
        "batch_size": batch_size,
        "max_concurrency": max_concurrency,
        "scheduled_at": read_time("--schedule", schedule),
        "dynamic_variables": read_pairs("--var", var) if var else None,
    }
    changes = {setting: value for setting, value in given.items() if value is not None}
    if not changes:
        raise InvalidArgument("nothing to change: give at least one option, such as --name")
    campaign_id = _save(campaign, changes)
    if as_json:
        print_json({"id": campaign_id, "changed": sorted(changes)})
    else:
        console.print(f"Saved campaign {campaign_id}.")


def _save(campaign: str, changes: Mapping[str, Any]) -> UUID:
    async def work(database: Database) -> tuple[UUID, Edited | Conflict]:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
            await campaigns.lock_campaign_settings(connection, campaign_id=campaign_id, organization_id=None)
            row = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
            result = await edit_campaign(
                connection,
                campaign_id=campaign_id,
                new=replace(stored_settings(row), **changes),
                changed=changes,
                actor=Actor(),
                now=clock.now(),
            )
            return campaign_id, result

    campaign_id, result = as_service(work)
    match result:
        case Edited():
            return campaign_id
        case Conflict(_, reason):
            raise ActionRefused(reason)
        case never:
            assert_never(never)


def _read_hours(text: str | None) -> Mapping[str, object]:
    return ALWAYS_OPEN if text == "always" else read_object("--hours", text)
