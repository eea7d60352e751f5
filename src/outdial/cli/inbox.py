"""`outdial inbox`: the stored events of Retell, and their processing."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from outdial.cli.errors import InvalidArgument, UnknownName
from outdial.cli.finding import maybe_organization
from outdial.cli.output import AsJson, console, notes, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import inbox as inbox_queries
from outdial.db.session import JOB_TIMEOUTS, Database
from outdial.inbox.applier import EventApplier
from outdial.inbox.replay import ReplayedEvents, without_body_notice
from outdial.inbox.replay import replay as send_through_apply
from outdial.retell.events import RetellEventReader
from outdial.settings import DatabaseUrls, DialerSettings, retry_speed
from outdial.stack.local import as_service, environment

app = typer.Typer(no_args_is_help=True, help="The inbox: every event received from Retell.")
clock = SystemClock()

Status = Annotated[
    Literal["pending", "applied", "unmatched", "quarantined"] | None, typer.Option(help="Filter by status.")
]
Organization = Annotated[str | None, typer.Option(help="Organization id or name (default: all).")]


@app.command("list")
def list_events(
    status: Status = None,
    event: Annotated[str | None, typer.Option(help="Filter by event, such as call_ended.")] = None,
    organization: Organization = None,
    before: Annotated[int | None, typer.Option(help="List events before this id, for the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of events.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List events, newest first."""

    async def work(database: Database) -> list[inbox_queries.EventRow]:
        async with database.as_service() as connection:
            organization_id = await maybe_organization(connection, organization)
            return await inbox_queries.list_events(
                connection,
                before_id=before,
                status=status,
                event=event,
                organization_id=organization_id,
                limit=limit,
            )

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "RECEIVED": lambda row: row.received_at,
        "EVENT": lambda row: row.event or "-",
        "RETELL CALL": lambda row: row.retell_call_id or "-",
        "SOURCE": lambda row: row.source,
        "STATUS": lambda row: row.status,
        "REPEATS": lambda row: row.repeats,
        "ERROR": lambda row: row.error,
    }
    print_rows(columns, rows, empty="No matching events.")


@app.command()
def show(event_id: Annotated[int, typer.Argument(help="Id of the event.")], as_json: AsJson = False) -> None:
    """Show an event with its original body."""

    async def work(database: Database) -> inbox_queries.EventWithBody | None:
        async with database.as_service() as connection:
            return await inbox_queries.show_event(connection, id=event_id)

    row = as_service(work)
    if row is None:
        raise UnknownName(f"unknown event {event_id}")
    if as_json:
        print_json(row)
        return
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__ if name != "body"}
    print_pairs(fields)
    console.print()
    console.print(row.body.decode("utf-8", "replace"), markup=False, soft_wrap=True)


@app.command()
def replay(
    events: Annotated[str, typer.Argument(help="An id, or a range such as 100-200 or 100- (up to the newest).")],
    status: Status = None,
    organization: Organization = None,
) -> None:
    """Apply stored events again. Events that were already applied change nothing."""
    start, dash, end = events.partition("-")
    try:
        first = int(start)
        last = first if not dash else int(end) if end else None
    except ValueError:
        raise InvalidArgument(f"{events!r} is neither an id nor a range such as 100-200") from None
    if last is not None and last < first:
        raise InvalidArgument(f"{events!r}: the range ends before it starts")
    with environment() as env:
        done = asyncio.run(
            _replay(
                DatabaseUrls.from_env(env), env=env, first=first, last=last, status=status, organization=organization
            )
        )
    console.print(f"Replayed {done.replayed} event{'' if done.replayed == 1 else 's'}.")
    if notice := without_body_notice(done.without_body):
        notes.print(notice)


async def _replay(
    urls: DatabaseUrls,
    env: Mapping[str, str],
    first: int,
    last: int | None,
    status: str | None,
    organization: str | None,
) -> ReplayedEvents:
    now = clock.now()
    api = await Database.connect(urls.api, application_name="outdial:cli", role=urls.role("api"), timeouts=JOB_TIMEOUTS)
    async with api, api.as_service() as connection:
        organization_id = await maybe_organization(connection, organization)
        newest = await inbox_queries.last_event_id(connection)
        done = await send_through_apply(
            connection,
            first_id=first,
            last_id=newest if last is None else last,
            now=now,
            status=status,
            organization_id=organization_id,
        )
    # The applier of a dialer would apply them as well, but no dialer may be running.
    async with await Database.connect(urls.webhook, application_name="outdial:cli", role=urls.role("webhook")) as inbox:
        applier = EventApplier(
            inbox,
            RetellEventReader(),
            clock,
            check_after=DialerSettings.from_env(env).reconcile_after,
            retry_speed=retry_speed(env),
        )
        await applier.run_once()
    return done
