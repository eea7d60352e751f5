"""`outdial campaign create` and `outdial campaign edit`: the settings of a campaign as options."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, assert_never
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
from outdial.domain.limits import BATCH_SIZE, MAX_ATTEMPTS, PRIORITY, SHARE
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.policies.durations import read_duration
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.stack.local import as_service

clock = SystemClock()

CampaignName = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Id, start of the id, or name.")]
_Name = Annotated[str, typer.Option(help="Name of the campaign.")]
_Agent = Annotated[str, typer.Option(help="Id of the Retell agent.")]
_From = Annotated[str, typer.Option("--from", help="Caller number in E.164.")]
_MoreNumbers = Annotated[
    list[str] | None, typer.Option("--more-number", help="Another caller number of the pool; repeatable.")
]
_Purpose = Annotated[Purpose, typer.Option(help="Purpose of the calls. It decides which calling rules apply.")]
_Consent = Annotated[RequiredConsent, typer.Option(help="Consent that contacts must have given.")]
_Hours = Annotated[
    str | None,
    typer.Option(help='Calling hours: always, JSON, or @FILE with JSON (default: {"weekdays": [["09:00", "20:00"]]}).'),
]
_DayParts = Annotated[
    list[DayPart] | None,
    typer.Option("--day-part", help="Part of the day for attempt 1, 2 and so on; repeatable (default: any time)."),
]
_Retry = Annotated[
    str | None, typer.Option(help='Retry policy as JSON or @FILE, such as {"busy": {"delays": ["10m"]}}.')
]
_Callbacks = Annotated[
    str | None, typer.Option(help='Callback policy as JSON or @FILE, such as {"time_field": "callback_at"}.')
]
_Voicemail = Annotated[
    str | None, typer.Option(help='Voicemail policy as JSON or @FILE, such as {"action": "hang_up"}.')
]
_MaxAttempts = Annotated[int, typer.Option(help="Maximum attempts per contact.")]
_BatchSize = Annotated[int, typer.Option(help="Calls per batch. Limits are re-checked between batches.")]
_MaxConcurrency = Annotated[int | None, typer.Option(help="Maximum concurrent calls (default: the workspace's limit).")]
_Priority = Annotated[int, typer.Option(help="From 1 to 9; each step doubles the campaign's weight.")]
_Share = Annotated[int, typer.Option(help="Share of the account, compared with campaigns of the same priority.")]
_Budget = Annotated[int | None, typer.Option(help="Budget for all calls of the campaign, in cents.")]
_KeepOpen = Annotated[
    bool, typer.Option("--keep-open/--no-keep-open", help="Wait for more contacts instead of completing.")
]
_Reentry = Annotated[
    str | None, typer.Option(help="Contacts may be added again this long after they are finished, such as 30d.")
]
_Schedule = Annotated[str | None, typer.Option(help="Earliest start: a time with a zone, such as 2026-12-01T09:00Z.")]
_Variables = Annotated[list[str] | None, typer.Option(help="Agent variable as NAME=VALUE; repeatable.")]
_RequiredLists = Annotated[list[ListKind] | None, typer.Option(help="Screening list that must be current; repeatable.")]


# The option that removes a setting, the one that gives it, and what the setting is without a value.
_REMOVALS: Final[Mapping[str, tuple[str, str, object]]] = {
    "more_numbers": ("--no-more-numbers", "--more-number", ()),
    "lists_required": ("--no-lists", "--require-list", ()),
    "day_parts": ("--no-day-parts", "--day-part", ()),
    "max_concurrency": ("--no-max-concurrency", "--max-concurrency", None),
    "budget_cents": ("--no-budget", "--budget-cents", None),
    "reentry_after": ("--no-reentry", "--reentry-after", None),
    "scheduled_at": ("--no-schedule", "--schedule", None),
    "dynamic_variables": ("--no-vars", "--var", {}),
}
_NoMoreNumbers = Annotated[bool, typer.Option("--no-more-numbers", help="Call from the number of --from only.")]
_NoLists = Annotated[bool, typer.Option("--no-lists", help="Require no screening lists.")]
_NoDayParts = Annotated[bool, typer.Option("--no-day-parts", help="Call at any time of the day.")]
_NoMaxConcurrency = Annotated[bool, typer.Option("--no-max-concurrency", help="Only the workspace's limit applies.")]
_NoBudget = Annotated[bool, typer.Option("--no-budget", help="Remove the budget of the campaign.")]
_NoReentry = Annotated[bool, typer.Option("--no-reentry", help="Finished contacts cannot be added again.")]
_NoSchedule = Annotated[bool, typer.Option("--no-schedule", help="Remove the earliest start.")]
_NoVars = Annotated[bool, typer.Option("--no-vars", help="Remove all agent variables.")]


def create(
    name: _Name,
    agent: _Agent,
    from_: _From,
    more_number: _MoreNumbers = None,
    organization: Organization = None,
    purpose: _Purpose = Purpose.SALES,
    consent: _Consent = RequiredConsent.NONE,
    require_list: _RequiredLists = None,
    hours: _Hours = None,
    day_part: _DayParts = None,
    retry: _Retry = None,
    callbacks: _Callbacks = None,
    voicemail: _Voicemail = None,
    max_attempts: _MaxAttempts = MAX_ATTEMPTS.default,
    batch_size: _BatchSize = BATCH_SIZE.default,
    max_concurrency: _MaxConcurrency = None,
    priority: _Priority = PRIORITY.default,
    share: _Share = SHARE.default,
    budget_cents: _Budget = None,
    keep_open: _KeepOpen = False,
    reentry_after: _Reentry = None,
    schedule: _Schedule = None,
    var: _Variables = None,
    as_json: AsJson = False,
) -> None:
    """Create a campaign as a draft."""
    given = _read_settings(hours, retry, callbacks, voicemail, schedule, reentry_after)

    async def work(database: Database) -> UUID:
        async with database.as_service() as connection:
            new = CampaignSettings(
                await find_organization(connection, organization),
                name,
                agent,
                from_,
                more_numbers=more_number or (),
                batch_size=batch_size,
                max_concurrency=max_concurrency,
                max_attempts=max_attempts,
                dynamic_variables=read_pairs("--var", var or ()),
                purpose=purpose,
                consent_required=consent,
                lists_required=require_list or (),
                day_parts=day_part or (),
                priority=priority,
                share=share,
                budget_cents=budget_cents,
                keep_open=keep_open,
                **given,
            )
            return await create_campaign(connection, new, clock.now())

    campaign_id = as_service(work)
    created = {"id": campaign_id, "name": name, "status": CampaignStatus.DRAFT}
    _report(f"Created campaign {campaign_id} as a draft.", created, as_json)


def edit(
    campaign: CampaignName,
    name: Annotated[str | None, typer.Option(help="Name of the campaign.")] = None,
    agent: Annotated[str | None, typer.Option(help="Id of the Retell agent.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Caller number in E.164.")] = None,
    more_number: _MoreNumbers = None,
    no_more_numbers: _NoMoreNumbers = False,
    purpose: Annotated[Purpose | None, typer.Option(help="Purpose of the calls.")] = None,
    consent: Annotated[RequiredConsent | None, typer.Option(help="Consent that contacts must have given.")] = None,
    require_list: _RequiredLists = None,
    no_lists: _NoLists = False,
    hours: _Hours = None,
    day_part: _DayParts = None,
    no_day_parts: _NoDayParts = False,
    retry: _Retry = None,
    callbacks: _Callbacks = None,
    voicemail: _Voicemail = None,
    max_attempts: Annotated[int | None, typer.Option(help="Maximum attempts per contact.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Calls per batch.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Maximum concurrent calls.")] = None,
    no_max_concurrency: _NoMaxConcurrency = False,
    priority: Annotated[int | None, typer.Option(help="From 1 to 9; each step doubles the campaign's weight.")] = None,
    share: Annotated[int | None, typer.Option(help="Share of the account.")] = None,
    budget_cents: _Budget = None,
    no_budget: _NoBudget = False,
    keep_open: Annotated[
        bool | None, typer.Option("--keep-open/--no-keep-open", help="Wait for more contacts instead of completing.")
    ] = None,
    reentry_after: _Reentry = None,
    no_reentry: _NoReentry = False,
    schedule: _Schedule = None,
    no_schedule: _NoSchedule = False,
    var: _Variables = None,
    no_vars: _NoVars = False,
    as_json: AsJson = False,
) -> None:
    """Change settings of a campaign. Pause it first to change agent, purpose, consent, lists or start.

    An active campaign uses the new settings from its next batch. Settings without an option keep their value. --var
    replaces all variables, --require-list all lists, --more-number all further caller numbers, and --day-part
    all parts of the day. The options that begin with --no- remove a setting.
    """
    given: dict[str, Any] = {"name": name, "retell_agent_id": agent, "from_number": from_, "purpose": purpose}
    given |= {"consent_required": consent, "max_attempts": max_attempts, "batch_size": batch_size}
    given |= {"priority": priority, "share": share, "keep_open": keep_open}
    changes = {setting: value for setting, value in given.items() if value is not None}
    changes |= _given_or_removed(
        more_numbers=(more_number, no_more_numbers),
        lists_required=(require_list, no_lists),
        day_parts=(day_part, no_day_parts),
        max_concurrency=(max_concurrency, no_max_concurrency),
        budget_cents=(budget_cents, no_budget),
        reentry_after=(reentry_after, no_reentry),
        scheduled_at=(schedule, no_schedule),
        dynamic_variables=(read_pairs("--var", var or ()) or None, no_vars),
    )
    changes |= _read_settings(hours, retry, callbacks, voicemail, schedule, reentry_after)
    campaign_id = _save(campaign, changes)
    _report(f"Saved campaign {campaign_id}.", {"id": campaign_id, "changed": sorted(changes)}, as_json)


def _report(sentence: str, done: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        console.print(sentence)


def _given_or_removed(**settings: tuple[object, bool]) -> dict[str, Any]:
    """Return the settings with a value or with the option that removes them; raises InvalidArgument for both."""
    changes: dict[str, Any] = {}
    for setting, (given, is_removed) in settings.items():
        removal, option, empty = _REMOVALS[setting]
        is_given = given not in (None, [])
        if is_given and is_removed:
            raise InvalidArgument(f"{removal} and {option} exclude each other")
        if is_given or is_removed:
            changes[setting] = given if is_given else empty
    return changes


def _save(campaign: str, changes: Mapping[str, Any]) -> UUID:
    if not changes:
        raise InvalidArgument("nothing to change: give at least one option, such as --name")

    async def work(database: Database) -> tuple[UUID, Edited | Conflict]:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
            await campaigns.lock_campaign_settings(connection, campaign_id=campaign_id, organization_id=None)
            row = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
            result = await edit_campaign(
                connection,
                campaign_id=campaign_id,
                new=replace(stored_settings(row), **changes),
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


def _read_settings(
    hours: str | None,
    retry: str | None,
    callbacks: str | None,
    voicemail: str | None,
    schedule: str | None,
    reentry_after: str | None,
) -> dict[str, Any]:
    """Read the options that are JSON, times and durations; those that are not given are left out."""
    settings: dict[str, Any] = {}
    if hours is not None:
        settings["calling_hours"] = ALWAYS_OPEN if hours == "always" else read_object("--hours", hours)
    policies = {
        "retry_policy": ("--retry", retry),
        "callback_policy": ("--callbacks", callbacks),
        "voicemail_policy": ("--voicemail", voicemail),
    }
    settings |= {name: read_object(*given) for name, given in policies.items() if given[1] is not None}
    if schedule is not None:
        settings["scheduled_at"] = read_time("--schedule", schedule)
    if reentry_after is not None:
        settings["reentry_after"] = read_duration(reentry_after)
        if settings["reentry_after"] is None:
            raise InvalidArgument(f"--reentry-after: {reentry_after!r} is not a duration; write it as 12h or 30d")
    return settings
