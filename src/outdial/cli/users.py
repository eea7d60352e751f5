"""`outdial users`: users who sign in, on plain Postgres where Outdial serves Auth."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import typer

from outdial.auth.local.factors import SecondFactors
from outdial.auth.local.service import AuthRefusal, LocalAuth
from outdial.auth.local.signing import SigningKeys
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import find_organization
from outdial.cli.organization import join_organization
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries.auth import users as user_queries
from outdial.db.session import Database
from outdial.stack.local import as_service, with_database

app = typer.Typer(no_args_is_help=True, help="Users who can sign in. On a Supabase project, use its dashboard instead.")
clock = SystemClock()
Result = TypeVar("Result")
Role = Literal["viewer", "operator", "admin", "owner"]
Password = Annotated[
    str, typer.Option(prompt=True, hide_input=True, envvar="OUTDIAL_PASSWORD", help="Password (default: prompt).")
]


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="Email address.")],
    password: Password,
    organization: Annotated[str | None, typer.Option(help="Organization to join, by id or name.")] = None,
    role: Annotated[Role, typer.Option(help="Role in the organization.")] = "operator",
    as_json: AsJson = False,
) -> None:
    """Create a user and, with --organization, add them to it."""
    organization_id = None if organization is None else _organization(organization)
    made = _with_auth(lambda auth: auth.create_user(email, password))
    if isinstance(made, AuthRefusal):
        raise InvalidArgument(f"{email}: {made.message}")
    if organization_id is not None:
        _join(organization_id, made.id, role)
    if as_json:
        print_json({"id": made.id, "email": made.email})
    else:
        console.print(f"Created user {made.email} ({made.id}).", markup=False)


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List users."""
    rows = _with_auth(_all_users)
    users = [{"id": row.id, "email": row.email, "last_sign_in_at": row.last_sign_in_at} for row in rows]
    if as_json:
        print_json(users)
        return
    columns = {
        "ID": lambda row: row["id"],
        "EMAIL": lambda row: row["email"],
        "LAST SIGN-IN": lambda row: row["last_sign_in_at"],
    }
    print_rows(columns, users, empty="No users yet: run outdial users create EMAIL")


@app.command()
def passwd(email: Annotated[str, typer.Argument(help="Email address.")], password: Password) -> None:
    """Set a user's password, and sign them out everywhere. Their email address counts as confirmed: it is theirs."""

    async def work(auth: LocalAuth) -> tuple[user_queries.UserRow | AuthRefusal | None, bool]:
        found = next((row for row in await _all_users(auth) if row.email == email.strip().lower()), None)
        if found is None:
            return None, False
        listed = await SecondFactors(auth.database, clock, auth).of_user(found.id)
        has_factor = any(factor.status == "verified" for factor in listed)
        return await auth.change_user(found.id, password=password, confirms=True), has_factor

    changed, has_factor = _with_auth(work)
    if changed is None:
        raise UnknownName(f"unknown user {email}: outdial users list shows all")
    if isinstance(changed, AuthRefusal):
        raise InvalidArgument(changed.message)
    console.print(f"Password of {changed.email} changed.", markup=False)
    if has_factor:
        # Someone else may have signed up with the address.
        text = f"Two-factor sign-in stays on. If its app is not theirs: outdial users two-factor-off {changed.email}"
        console.print(text, markup=False)


@app.command()
def two_factor_off(email: Annotated[str, typer.Argument(help="Email address.")]) -> None:
    """Turn two-factor sign-in off for a user who has lost their app and their recovery codes."""

    async def work(auth: LocalAuth) -> int | None:
        found = next((row for row in await _all_users(auth) if row.email == email.strip().lower()), None)
        return None if found is None else await SecondFactors(auth.database, clock, auth).remove_all(found.id)

    removed = _with_auth(work)
    if removed is None:
        raise UnknownName(f"unknown user {email}: outdial users list shows all")
    if not removed:
        raise ActionRefused(f"{email} has no second factor")
    console.print(f"Two-factor sign-in of {email} is off.", markup=False)


async def _all_users(auth: LocalAuth) -> list[user_queries.UserRow]:
    found: list[user_queries.UserRow] = []
    while portion := await auth.users(len(found) // 1000 + 1, 1000):
        found += portion
        if len(portion) < 1000:
            break
    return found


def _organization(named: str) -> UUID:
    async def work(database: Database) -> UUID:
        async with database.as_service() as connection:
            return await find_organization(connection, named)

    return as_service(work)


def _join(organization_id: UUID, user_id: UUID, role: Role) -> None:
    async def work(database: Database) -> None:
        async with database.as_service() as connection:
            await join_organization(connection, organization_id, user_id, role)

    as_service(work)


def _with_auth(work: Callable[[LocalAuth], Awaitable[Result]]) -> Result:
    async def run(database: Database) -> Result:
        async with database.transaction() as connection:
            is_local_auth = await user_queries.is_local_auth(connection)
        if not is_local_auth:
            raise ActionRefused("Supabase's Auth manages the users of this database: use the dashboard of its project")
        return await work(LocalAuth(database, clock, SigningKeys(database, clock), ""))

    return with_database("auth", run)
