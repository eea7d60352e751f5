"""Contacts that a campaign will not call, for `outdial campaign check` and `start`."""

from typing import Any

from rich.console import Console

from outdial.cli.errors import UnknownName
from outdial.cli.finding import find_campaign
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.dialer.launch import LaunchSummary, launch_summary
from outdial.stack.local import rules_of_environment


async def read_launch(database: Database, campaign: str) -> LaunchSummary:
    """Count the contacts that a campaign will not call; raises UnknownName."""
    async with database.as_service() as connection:
        summary = await launch_summary(
            connection,
            campaign_id=await find_campaign(connection, campaign),
            organization_id=None,
            now=SystemClock().now(),
            shipped=rules_of_environment(),
        )
    if summary is None:
        raise UnknownName(f"unknown campaign {campaign!r}")
    return summary


def print_launch(summary: LaunchSummary, console: Console) -> None:
    """Print how many contacts can be called, which will not be, and which lists to upload first."""
    if summary.by_status:
        console.print(f"{summary.sentence()}.", markup=False, soft_wrap=True)
    for missing in summary.missing:
        advice = f"Numbers are not screened, so no one is called yet: {missing.advice()}."
        console.print(advice, markup=False, soft_wrap=True)
    for duty in summary.duties:
        console.print(f"{duty}.", markup=False, soft_wrap=True)


def launch_document(summary: LaunchSummary) -> dict[str, Any]:
    """Return the summary as a JSON object."""
    return {
        "contacts": summary.contacts,
        "uncalled": summary.uncalled,
        "callable": summary.callable_count,
        "by_status": summary.by_status,
        "sentence": summary.sentence(),
        "reasons": [{"code": each.code, "text": each.text, "contacts": each.contacts} for each in summary.groups],
        "missing_lists": [each.advice() for each in summary.missing],
        "duties": list(summary.duties),
    }
