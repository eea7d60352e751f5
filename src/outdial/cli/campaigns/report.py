"""`outdial campaign report`: what a campaign came to."""

import csv
import sys
from typing import Annotated

import typer

from outdial.campaigns.results.report import EndReport, find_report
from outdial.campaigns.results.report_tables import HEADER, report_rows
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused
from outdial.cli.finding import find_campaign
from outdial.cli.output import AsJson, console, notes, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.domain.spreadsheet import escape_formula
from outdial.stack.local import as_service


def report(
    campaign: CampaignName,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the tables as one CSV file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the results of a campaign: reached, conversations, cost, and why the others were not reached.

    Before the end of the campaign, these are the results so far. The report of a campaign with more than 5,000 contacts
    is there seconds after its end, while `outdial jobs` runs.
    """

    async def work(database: Database) -> EndReport | None:
        async with database.as_service() as connection:
            return await find_report(connection, await find_campaign(connection, campaign), SystemClock().now())

    found = as_service(work)
    if found is None:
        raise ActionRefused("the report is added up after the end of the campaign, while outdial jobs runs")
    if as_json:
        print_json(found)
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(HEADER)
        for row in report_rows(found):
            writer.writerow([escape_formula(cell) if isinstance(cell, str) else cell for cell in row])
    else:
        _print(found)


def _print(found: EndReport) -> None:
    if not found.is_final:
        notes.print(f"The campaign is {found.status}: results so far.")
    judged = found.successful + found.unsuccessful
    print_pairs(
        {
            "contacts": f"{found.contacts:,}",
            "reached": f"{found.reached:,}{_share(found.reached, found.contacts)}",
            "completed by members": f"{found.completed_by_members:,}" if found.completed_by_members else None,
            "open": f"{found.open:,}" if found.open else None,
            "calls": f"{found.calls:,}",
            "conversations": f"{found.conversations:,}",
            "successful": f"{found.successful:,}{_share(found.successful, judged)}",
            "cost": _money(found.cost_cents),
            "cost per conversation": _money(found.cost_per_conversation_cents),
            "cost per success": _money(found.cost_per_success_cents),
        }
    )
    missed = [(row.outcome or "unknown", row.contacts) for row in found.not_reached]
    missed += [(f"{row.status}: {row.reason}", row.contacts) for row in found.uncalled]
    console.print()
    print_rows(
        {"Not reached": lambda row: row[0], "Contacts": lambda row: f"{row[1]:,}"},
        missed,
        empty="Every finished contact was reached.",
    )


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f}%)" if whole else ""


def _money(cents: float | None) -> str | None:
    return None if cents is None else f"${cents / 100:,.2f}"
