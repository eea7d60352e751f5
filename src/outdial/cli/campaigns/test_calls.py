"""`outdial campaign test-call` and `test-calls`: have the agent of a campaign call you, and see how the calls went."""

from typing import Annotated, assert_never

import typer

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.test_calls import (
    NoSuchRow,
    RejectedTestCall,
    RequestedTestCall,
    RequestResult,
    TooManyRequested,
    WantedTestCall,
    request_test_call,
)
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import find_campaign_row, read_phone
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries.dialing import test_call_requests as queries
from outdial.db.session import Database
from outdial.stack.local import as_service

clock = SystemClock()


def call_phone(
    campaign: CampaignName,
    to: Annotated[str, typer.Option(help="Phone to call, in E.164, such as +14155550100.")],
    row: Annotated[
        int | None, typer.Option(min=1, help="Row of the contact whose variables the agent gets (default: the first).")
    ] = None,
    own_phone: Annotated[
        bool, typer.Option("--own-phone", help="Confirm that the phone is your own: only the do-not-call list applies.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have the agent of a campaign call a phone now. A running dialer places it within seconds. At most 10 an hour.

    The call uses no attempt of a contact, and it does not count toward caps, budgets and results of the campaign.
    """
    phone = read_phone(to).e164

    async def work(database: Database) -> RequestResult:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            return await request_test_call(
                connection,
                organization_id=found.organization_id,
                campaign_id=found.id,
                wanted=WantedTestCall(phone=phone, row=row, is_own_phone=own_phone),
                by="the service",
                actor=Actor(),
                now=clock.now(),
            )

    match as_service(work):
        case RequestedTestCall(test_call_id) if as_json:
            print_json({"id": test_call_id, "phone": phone})
        case RequestedTestCall(test_call_id):
            console.print(
                f"Requested test call {test_call_id} to {phone}; outdial campaign test-calls shows how it goes."
            )
        case NoSuchRow(wanted):
            raise InvalidArgument(f"--row: the campaign has no contact in row {wanted}")
        case RejectedTestCall(reason) | TooManyRequested(reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case never:
            assert_never(never)


def list_test_calls(
    campaign: CampaignName,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of test calls.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest test calls of a campaign, newest first."""

    async def work(database: Database) -> list[queries.TestCallRow]:
        async with database.as_service() as connection:
            found = await find_campaign_row(connection, campaign)
            return await queries.list_test_calls(
                connection,
                organization_id=found.organization_id,
                campaign_id=found.id,
                test_call_id=None,
                limit=limit,
            )

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "REQUESTED": lambda row: row.requested_at,
        "PHONE": lambda row: row.phone,
        "ROW": lambda row: row.contact_row,
        "STATUS": lambda row: row.status,
        "OUTCOME": lambda row: row.outcome,
        "SECONDS": lambda row: None if row.duration_ms is None else round(row.duration_ms / 1000),
        "REASON": lambda row: row.reason,
    }
    print_rows(columns, rows, empty="No test calls yet: run outdial campaign test-call CAMPAIGN --to PHONE")
