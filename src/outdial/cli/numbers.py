"""`outdial numbers`: caller numbers, their caps and their rests. `outdial agents`: the agents of the workspaces."""

from typing import Annotated
from uuid import UUID

import typer

from outdial.campaigns import caller_numbers
from outdial.campaigns.lifecycle import Actor
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import Organization, find_organization, read_phone
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import accounts
from outdial.db.queries.dialing import agents as agent_queries
from outdial.db.queries.dialing import caller_numbers as number_queries
from outdial.db.session import Database
from outdial.domain.ids import new_id
from outdial.domain.limits import NUMBER_DAILY_CAP, WARM_UP_DAYS
from outdial.domain.policies.number_pool import DAY, cap_of_day
from outdial.stack.local import as_service

app = typer.Typer(no_args_is_help=True, help="Caller numbers: their health, daily caps and rests.")
agents_app = typer.Typer(no_args_is_help=True, help="Voice agents of the organization's Retell workspaces.")
clock = SystemClock()

PhoneArgument = Annotated[str, typer.Argument(metavar="PHONE", help="Caller number in E.164, such as +14155550100.")]


@app.command("list")
def list_numbers(organization: Organization = None, as_json: AsJson = False) -> None:
    """Show the caller numbers, their calls of the last 7 days, and which ones are resting."""

    async def work(database: Database) -> list[number_queries.NumberHealthRow]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await number_queries.number_health(
                connection, organization_id=organization_id, phones=None, day_ago=clock.now() - DAY
            )

    rows, now = as_service(work), clock.now()
    if as_json:
        print_json(rows)
        return

    def cap(row: number_queries.NumberHealthRow) -> int | None:
        return cap_of_day(row.daily_cap, warm_up_days=row.warm_up_days, warm_up_from=row.warm_up_from, now=now)

    columns = {
        "NUMBER": lambda row: row.phone,
        "NICKNAME": lambda row: row.nickname,
        "RESTS UNTIL": lambda row: row.rests_until if row.rests_until and row.rests_until > now else None,
        "REASON": lambda row: row.rest_reason if row.rests_until and row.rests_until > now else None,
        "CAP TODAY": cap,
        "USED": lambda row: row.calls_of_day,
        "CALLS": lambda row: row.calls,
        "ANSWERED": lambda row: row.answered,
        "VOICEMAIL": lambda row: row.voicemail,
        "BLOCKED": lambda row: row.blocked,
    }
    print_rows(columns, rows, empty="No caller numbers yet: run outdial numbers import, or outdial numbers add PHONE")


@app.command()
def add(
    phone: PhoneArgument,
    nickname: Annotated[str | None, typer.Option(help="Name that your team knows the number by.")] = None,
    organization: Organization = None,
) -> None:
    """Add a caller number by hand. It belongs to the organization's first Retell workspace."""
    number = read_phone(phone)

    async def work(database: Database) -> UUID | None:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await accounts.add_number(
                connection,
                id=new_id(clock.now()),
                organization_id=organization_id,
                provider_account_id=await accounts.default_account(connection, organization_id=organization_id),
                phone=number.e164,
                nickname=nickname,
                retell_agent_id=None,
                country=number.country,
                now=clock.now(),
            )

    if as_service(work) is None:
        raise ActionRefused(f"{number.e164} has already been added")
    console.print(f"Added {number.e164}.")


@app.command()
def limit(
    phone: PhoneArgument,
    daily_cap: Annotated[
        int | None,
        typer.Option(
            min=NUMBER_DAILY_CAP.least, max=NUMBER_DAILY_CAP.most, help="Most calls in 24 hours (default: no cap)."
        ),
    ] = None,
    warm_up_days: Annotated[
        int,
        typer.Option(
            min=WARM_UP_DAYS.least, max=WARM_UP_DAYS.most, help="Days over which the cap grows to its full value."
        ),
    ] = 0,
    organization: Organization = None,
) -> None:
    """Set how many calls a number may make in 24 hours, and how many days its warm-up takes."""
    e164 = read_phone(phone).e164

    async def work(database: Database) -> bool:
        async with database.as_service() as connection:
            return await caller_numbers.set_number_limits(
                connection,
                await find_organization(connection, organization),
                e164,
                daily_cap=daily_cap,
                warm_up_days=warm_up_days,
                actor=Actor(),
                now=clock.now(),
            )

    if not as_service(work):
        raise UnknownName(f"{e164} is not one of the caller numbers: outdial numbers list shows them, add it first")
    cap = "has no daily cap" if daily_cap is None else f"may make {daily_cap} calls in 24 hours"
    grown = f", after a warm-up of {warm_up_days} days" if daily_cap is not None and warm_up_days else ""
    console.print(f"{e164} {cap}{grown}.")


@app.command()
def rest(phone: PhoneArgument, organization: Organization = None) -> None:
    """Rest a number for 24 hours: no calls are placed from it."""
    e164 = read_phone(phone).e164

    async def work(database: Database) -> str:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            until = await caller_numbers.rest_number(connection, organization_id, e164, actor=Actor(), now=clock.now())
            return f"{until:%Y-%m-%d %H:%M} UTC"

    console.print(f"{e164} rests until {as_service(work)}.")


@app.command()
def wake(phone: PhoneArgument, organization: Organization = None) -> None:
    """End the rest of a number. Its earlier calls no longer count against it."""
    e164 = read_phone(phone).e164

    async def work(database: Database) -> bool:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await caller_numbers.wake_number(connection, organization_id, e164, actor=Actor(), now=clock.now())

    if not as_service(work):
        raise ActionRefused(f"{e164} does not rest")
    console.print(f"{e164} no longer rests.")


@app.command("import")
def import_numbers(organization: Organization = None) -> None:
    """Import the numbers of the organization's Retell workspaces, and read its agents. A running dialer does it."""
    workspaces = _request_import(organization)
    console.print(f"Requested the numbers of {workspaces}; outdial numbers list shows them when the dialer has them.")


@agents_app.command("list")
def list_agents(organization: Organization = None, as_json: AsJson = False) -> None:
    """List the agents that a dialer has read at Retell, by name."""

    async def work(database: Database) -> list[agent_queries.AgentRow]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await agent_queries.list_agents(connection, organization_id=organization_id)

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "NAME": lambda row: row.name,
        "AGENT": lambda row: row.agent_id,
        "STATE": lambda row: "suspended" if row.is_suspended else "available",
        "WORKSPACE": lambda row: row.account_name,
        "READ": lambda row: row.seen_at,
    }
    print_rows(columns, rows, empty="No agents yet: run outdial agents sync while a dialer runs")


@agents_app.command()
def sync(organization: Organization = None) -> None:
    """Read the agents and numbers of the organization's Retell workspaces again. A running dialer does it."""
    workspaces = _request_import(organization)
    console.print(f"Requested the agents of {workspaces}; outdial agents list shows them when the dialer has them.")


def _request_import(organization: str | None) -> str:
    """Request the lists of all workspaces; return how many they are, in words."""

    async def work(database: Database) -> int:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            found = await accounts.list_accounts(connection, organization_id=organization_id)
            for account in found:
                await caller_numbers.request_import(
                    connection, organization_id, account.id, actor=Actor(), now=clock.now()
                )
            return len(found)

    count = as_service(work)
    return "1 workspace" if count == 1 else f"{count} workspaces"
