"""`outdial calls`: the calls on the line."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from outdial.cli.finding import Organization, find_campaign_row, find_organization
from outdial.cli.output import AsJson, cell, console, print_json, table_of
from outdial.clock import SystemClock
from outdial.db.queries.dialing.live_calls import LiveCallRow
from outdial.db.session import Database
from outdial.dialer.live.board import LiveBoard, read_board
from outdial.domain.call import LINE_STATES
from outdial.domain.rules import RuleBook
from outdial.stack.local import as_service, rules_of_environment

app = typer.Typer(no_args_is_help=True, help="Calls on the line.")
clock = SystemClock()
REFRESH_EVERY: Final = timedelta(seconds=1)


@app.callback()
def calls() -> None:
    """Calls on the line."""


@app.command("live")
def show_live(
    organization: Organization = None,
    campaign: Annotated[str | None, typer.Option(help="Only calls of this campaign: id, start of it, or name.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every second until you press Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show live calls, calls of the last 5 minutes and lines in use, or when the next call is due."""

    async def work(database: Database) -> None:
        async with database.as_service() as connection:
            found = None if campaign is None else await find_campaign_row(connection, campaign)
            organization_id = (
                await find_organization(connection, organization) if found is None else found.organization_id
            )
        campaign_id, rules = None if found is None else found.id, rules_of_environment()
        board = await read(database, organization_id, campaign_id, rules)
        if as_json:
            print_json(board_json(board))
            return
        if not watch:
            console.print(render(board, clock.now()))
            return
        with Live(render(board, clock.now()), console=console, auto_refresh=False) as shown:
            while True:
                await clock.sleep_until(clock.now() + REFRESH_EVERY)
                board = await read(database, organization_id, campaign_id, rules)
                shown.update(render(board, clock.now()), refresh=True)

    as_service(work)


async def read(database: Database, organization_id: UUID, campaign_id: UUID | None, rules: RuleBook) -> LiveBoard:
    """Read what is on the line now."""
    async with database.as_service() as connection:
        return await read_board(connection, organization_id, campaign_id, rules, clock.now())


def board_json(board: LiveBoard) -> Mapping[str, object]:
    """Return a board for programs."""
    next_call = board.next_call
    diagnosis = None if next_call is None else next_call.diagnosis
    return {
        "calls": [
            {name: getattr(row, name) for name in LiveCallRow.__dataclass_fields__} | {"state": LINE_STATES[row.status]}
            for row in board.calls
        ],
        "total": board.total,
        "ended": list(board.ended),
        "lines": board.lines,
        "next_call": next_call
        and {
            "campaign_id": next_call.campaign_id,
            "at": next_call.at,
            "reason": diagnosis and diagnosis.sentence(datetime.isoformat),
        },
    }


def render(board: LiveBoard, now: datetime) -> RenderableType:
    """Return a board for people."""
    parts: list[RenderableType] = [Text(f"{board.lines.in_use} of {board.lines.lines} lines in use")]
    if board.calls:
        columns = {
            "CONTACT": lambda row: row.name,
            "PHONE": lambda row: row.phone,
            "CAMPAIGN": lambda row: row.campaign_name,
            "AGENT": lambda row: row.agent_name or row.agent_id,
            "STATE": lambda row: "hanging up" if row.is_hanging_up else LINE_STATES[row.status],
            "TIME": lambda row: clock_text(now - (row.started_at or row.placed_at or row.requested_at)),
            "CALL": lambda row: row.id,
        }
        parts.append(table_of(columns, board.calls))
        if board.total > len(board.calls):
            parts.append(Text(f"{len(board.calls)} of {board.total} calls shown"))
    elif board.next_call is not None:
        parts.append(Text(next_call_text(board)))
    if board.ended:
        columns = {
            "ENDED": lambda row: row.ended_at,
            "CONTACT": lambda row: row.name,
            "PHONE": lambda row: row.phone,
            "CAMPAIGN": lambda row: row.campaign_name,
            "OUTCOME": lambda row: row.outcome,
            "TIME": lambda row: clock_text(timedelta(milliseconds=row.duration_ms or 0)),
        }
        parts.append(table_of(columns, board.ended))
    return Group(*parts)


def next_call_text(board: LiveBoard) -> str:
    """Return when the next call is, and why not before."""
    next_call = board.next_call
    if next_call is None or next_call.campaign_id is None:
        return "No one on the line. No campaign is active or scheduled."
    if next_call.diagnosis is None:
        return "No one on the line. The next call is about to start."
    at = "" if next_call.at is None else f" Next call {cell(next_call.at)}."
    return f"No one on the line.{at} {next_call.diagnosis.sentence(lambda time: str(cell(time)))}."


def clock_text(length: timedelta) -> str:
    """Format a length of time, such as 0:42."""
    seconds = max(0, round(length.total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02}"
