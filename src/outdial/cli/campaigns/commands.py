"""`outdial campaign`: create campaigns, import contacts, start, pause and watch them."""

from datetime import timedelta
from typing import Annotated, assert_never
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from outdial.campaigns import lifecycle
from outdial.campaigns.drafts import Deleted, Duplicated, delete_draft, duplicate_campaign
from outdial.campaigns.lifecycle import Actor, Conflict, Forbidden, NotFound
from outdial.campaigns.review import Decided, Decision, ReviewConflict, ReviewResult, decide_review
from outdial.cli.campaigns import bulk, callbacks
from outdial.cli.campaigns.call_review import review_call
from outdial.cli.campaigns.changing import archive, cancel, change_status, close, pause, resume, unarchive
from outdial.cli.campaigns.contacts import (
    add_contact,
    add_contacts_command,
    change_contact,
    on_contact,
    retry_contact,
    skip_contact,
)
from outdial.cli.campaigns.forecasts import (
    forecast,
    forecast_document,
    forecasts,
    print_forecast,
    request_forecast,
)
from outdial.cli.campaigns.hang_up import hang_up
from outdial.cli.campaigns.imports import import_, undo_import_
from outdial.cli.campaigns.launch import launch_document, print_launch, read_launch
from outdial.cli.campaigns.launch_check import print_findings, read_findings
from outdial.cli.campaigns.listing import list_campaigns
from outdial.cli.campaigns.new_campaign import new_campaign
from outdial.cli.campaigns.report import report
from outdial.cli.campaigns.results import results
from outdial.cli.campaigns.settings import CampaignName, create, edit
from outdial.cli.campaigns.test_calls import call_phone, list_test_calls
from outdial.cli.campaigns.undo import undo
from outdial.cli.campaigns.view import CampaignView, read_campaign
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import (
    ActionReason,
    find_campaign,
    read_numbers,
    read_zoned_time,
)
from outdial.cli.output import AsJson, console, notes, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import campaign_contacts
from outdial.db.queries.campaigns import FoundCampaign
from outdial.db.session import Connection, Database
from outdial.dialer.forecasting.forecast import ForecastGap
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.rules import RuleBook
from outdial.stack.local import as_service, rules_of_environment

app = typer.Typer(no_args_is_help=True, help="Campaigns. Refer to one by id, by the start of its id, or by name.")
clock = SystemClock()
REFRESH_EVERY = timedelta(milliseconds=500)
STOPPED = {CampaignStatus.COMPLETED, CampaignStatus.CANCELLED, CampaignStatus.PAUSED, CampaignStatus.DRAFT}

app.command("list")(list_campaigns)
app.command()(create)
app.command()(callbacks.callbacks)
app.command("move-callback")(callbacks.move)
app.command("call-back")(callbacks.call_back)
app.command("drop-callback")(callbacks.drop)
app.command()(edit)
app.command()(pause)
app.command()(resume)
app.command()(close)
app.command()(cancel)
app.command()(archive)
app.command()(unarchive)
app.command()(hang_up)
app.command()(review_call)
app.command()(new_campaign)
app.command()(forecast)
app.command()(forecasts)
app.command("test-call")(call_phone)
app.command("test-calls")(list_test_calls)
app.command()(report)
app.command()(results)
app.command()(add_contact)
app.command("add-contacts")(add_contacts_command)
app.command()(change_contact)
app.command("skip")(skip_contact)
app.command("retry")(retry_contact)
app.command()(undo)
app.add_typer(bulk.app, name="bulk")


app.command("import")(import_)
app.command("undo-import")(undo_import_)


@app.command()
def start(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Start a draft, or schedule it if its start is in the future.

    First prints which contacts will not be called, and forecasts when it finishes and what it costs.
    """
    if not as_json:
        print_launch(as_service(lambda database: read_launch(database, campaign)), notes)
        made = as_service(lambda database: request_forecast(database, campaign))
        if not isinstance(made, ForecastGap):
            print_forecast(made, notes)
    change_status(campaign, lifecycle.start, as_json)


@app.command()
def check(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Check a campaign before it starts.

    It asks Retell about the key, the agent and the caller numbers, looks for webhooks, compares the variables of the
    prompt with the contacts, counts the contacts that will not be called, by reason, and forecasts end and cost.
    """
    summary = as_service(lambda database: read_launch(database, campaign))
    findings = as_service(lambda database: read_findings(database, campaign))
    made = as_service(lambda database: request_forecast(database, campaign))
    if as_json:
        document = None if isinstance(made, ForecastGap) else forecast_document(made)
        print_json(launch_document(summary) | {"findings": findings, "forecast": document})
    else:
        print_findings(findings, console)
        print_launch(summary, console)
        print_forecast(made, console)


@app.command()
def delete(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Delete a draft. Its contacts stay in the organization."""

    async def work(database: Database) -> tuple[UUID, Deleted | Conflict | NotFound | Forbidden]:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
            return campaign_id, await delete_draft(connection, campaign_id, Actor())

    campaign_id, result = as_service(work)
    match result:
        case Deleted() if as_json:
            print_json({"id": campaign_id, "deleted": True})
        case Deleted():
            console.print(f"Deleted campaign {campaign_id}.")
        case Conflict(_, reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case never:
            assert_never(never)


@app.command()
def duplicate(
    campaign: CampaignName,
    name: Annotated[str | None, typer.Option(help='Name of the new draft (default: "Copy of ...").')] = None,
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Create a draft with the settings of a campaign, without its contacts and start time."""

    async def work(database: Database) -> Duplicated | NotFound | Forbidden:
        async with database.as_service() as connection:
            campaign_id = await find_campaign(connection, campaign)
            return await duplicate_campaign(connection, campaign_id, Actor(), clock.now(), name=name, reason=reason)

    result = as_service(work)
    match result:
        case Duplicated(campaign_id, new_name) if as_json:
            print_json({"id": campaign_id, "name": new_name, "status": CampaignStatus.DRAFT})
        case Duplicated(campaign_id):
            console.print(f"Created campaign {campaign_id} as a draft.")
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case never:
            assert_never(never)


@app.command()
def review(
    campaign: CampaignName,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of contacts.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the contacts of a campaign that need a decision."""

    async def work(database: Database) -> list[campaign_contacts.CampaignContactRow]:
        async with database.as_service() as connection:
            return await campaign_contacts.list_campaign_contacts(
                connection,
                campaign_id=await find_campaign(connection, campaign),
                status=ContactStatus.REVIEW,
                last_outcome=None,
                reached=None,
                reached_outcomes=[],
                after_id=None,
                limit=limit,
            )

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "PHONE": lambda row: row.phone,
        "NAME": lambda row: row.name,
        "ATTEMPTS": lambda row: row.attempts,
        "LAST OUTCOME": lambda row: row.last_outcome,
        "REASON": lambda row: row.status_reason,
    }
    print_rows(columns, rows, empty="No contact needs a decision.")


@app.command()
def decide(
    campaign: CampaignName,
    phone: Annotated[str, typer.Argument(help="Phone number of the contact, in E.164.")],
    decision: Annotated[ReviewDecision, typer.Argument(help="What happens to the contact.")],
    note: Annotated[str | None, typer.Option(help="Note to record.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Earliest time to call again, such as 2026-12-01T09:00Z (default: now).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide about a contact in review.

    Events that arrive later do not overturn the decision. `call_again` keeps the attempts used so far. `never_call`
    also puts the number on the do-not-call list.
    """
    call_at = read_zoned_time("--at", at)
    if note is not None and len(note) > LONGEST_DECISION_NOTE:
        raise InvalidArgument(f"--note: may have at most {LONGEST_DECISION_NOTE} characters")
    good, _ = read_numbers([phone], None)
    if not good:
        raise InvalidArgument(f"{phone!r} is not a phone number in E.164, such as +14155550100")

    async def act(connection: Connection, found: FoundCampaign, contact_id: UUID) -> ReviewResult:
        return await decide_review(
            connection,
            campaign_id=found.id,
            campaign_contact_id=contact_id,
            decision=Decision(decision=decision, note=note or None, call_at=call_at),
            actor=Actor(),
            now=clock.now(),
        )

    result = on_contact(campaign, good[0], act)
    match result:
        case Decided(status) if as_json:
            print_json({"phone": good[0], "status": status})
        case Decided(status):
            console.print(f"{good[0]} is {status}.")
        case ReviewConflict(_, reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"the campaign has no contact {good[0]}")
        case never:
            assert_never(never)


@app.command()
def show(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Show a campaign: settings, progress, and why it is not dialing."""

    async def work(database: Database) -> CampaignView:
        return await read_campaign(
            database, await _campaign_id(database, campaign), clock.now(), rules_of_environment()
        )

    view = as_service(work)
    if as_json:
        print_json(view.as_dict())
        return
    print_pairs(view.settings() | {"not dialing": view.waiting})
    console.print()
    console.print(view.panel())


@app.command()
def watch(campaign: CampaignName, as_json: AsJson = False) -> None:
    """Follow a campaign until it is completed, cancelled or paused.

    If standard output is not a terminal, print a line on each change, with the reason when the campaign is not dialing;
    with --json, print one JSON object per line.
    """

    async def work(database: Database) -> None:
        campaign_id = await _campaign_id(database, campaign)
        rules = rules_of_environment()
        if console.is_terminal and not as_json:
            await follow_live(database, campaign_id, rules)
        else:
            await follow_in_lines(database, campaign_id, rules, as_json=as_json)

    as_service(work)


async def follow_live(
    database: Database, campaign_id: UUID, rules: RuleBook, *, console: Console = console
) -> CampaignView:
    """Show a campaign, refreshed in place, until it stops."""
    view = await read_campaign(database, campaign_id, clock.now(), rules)
    with Live(view.panel(), console=console, refresh_per_second=8) as live:
        while view.campaign.status not in STOPPED:
            await clock.sleep_until(clock.now() + REFRESH_EVERY)
            view = await read_campaign(database, campaign_id, clock.now(), rules)
            live.update(view.panel())
    return view


async def follow_in_lines(
    database: Database,
    campaign_id: UUID,
    rules: RuleBook,
    *,
    as_json: bool = False,
    every: timedelta = REFRESH_EVERY,
    console: Console = console,
) -> CampaignView:
    """Print a line on each change of a campaign, or of the reason why it is not dialing, until it stops."""
    printed: tuple[str, str | None] | None = None
    while True:
        view = await read_campaign(database, campaign_id, clock.now(), rules)
        # The text of a reason may contain a time that moves: compare the code of the reason, not its text.
        state = view.line(), view.reason
        if state != printed and as_json:
            print_json_line(view)
        elif state != printed:
            console.print(view.line_with_reason(), markup=False, soft_wrap=True)
        printed = state
        if view.campaign.status in STOPPED:
            return view
        await clock.sleep_until(clock.now() + every)


def print_json_line(view: CampaignView) -> None:
    """Print a view as one line of JSON."""
    console.print(msgspec.json.encode(view.as_dict(), enc_hook=str).decode(), markup=False, soft_wrap=True)


async def _campaign_id(database: Database, campaign: str) -> UUID:
    async with database.as_service() as connection:
        return await find_campaign(connection, campaign)
