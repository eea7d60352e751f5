"""`outdial campaign list`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from outdial.cli.finding import maybe_organization
from outdial.cli.output import AsJson, print_json, print_rows
from outdial.db.queries import campaigns, reports
from outdial.db.session import Connection, Database
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OPEN
from outdial.domain.policies.number_pool import BY_PERSON
from outdial.stack.local import as_service


def list_campaigns(
    organization: Annotated[str | None, typer.Option(help="Organization id or name (default: all).")] = None,
    status: Annotated[CampaignStatus | None, typer.Option(help="Filter by status.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="List the archived campaigns instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of campaigns.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List campaigns, newest first, with their finished contacts and the calls that reached a person."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.as_service() as connection:
            organization_id = await maybe_organization(connection, organization)
            rows = await campaigns.list_campaigns(
                connection,
                organization_id=organization_id,
                status=status,
                words=None,
                is_archived=archived,
                before_at=None,
                before_id=None,
                limit=limit,
            )
            return await _with_progress(connection, rows)

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row["id"],
        "NAME": lambda row: row["name"],
        "STATUS": lambda row: row["status"],
        "CONTACTS": lambda row: f"{row['progress']['finished']:,} of {row['progress']['total']:,}",
        "REACHED": lambda row: f"{row['progress']['reached']:,}",
        "CREATED": lambda row: row["created_at"],
        "STARTED": lambda row: row["started_at"],
        "FINISHED": lambda row: row["finished_at"],
    }
    print_rows(columns, rows, empty="No matching campaigns.")


async def _with_progress(connection: Connection, rows: Sequence[campaigns.CampaignRow]) -> list[dict[str, Any]]:
    """Add to each campaign its counts, with the names that the API gives them."""
    ids = [row.id for row in rows]
    progress: dict[UUID, dict[str, int]] = {
        id: {"total": 0, "finished": 0, "ended_calls": 0, "reached": 0} for id in ids
    }
    for contacts in await reports.count_contacts_by_status(connection, campaign_ids=ids):
        counts = progress[contacts.campaign_id]
        counts["total"] += contacts.contacts
        counts["finished"] += contacts.contacts if contacts.status not in OPEN else 0
    for ended in await reports.count_ended_calls(connection, campaign_ids=ids):
        counts = progress[ended.campaign_id]
        counts["ended_calls"] += ended.calls
        counts["reached"] += ended.calls if ended.outcome in BY_PERSON else 0
    return [asdict(row) | {"progress": progress[row.id]} for row in rows]
