"""`outdial tokens`: access tokens of the management API, stored as hashes in the database."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from outdial.cli.errors import UnknownName
from outdial.cli.functions.management import with_tokens
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.host.api.tokens import TokenScope

app = typer.Typer(
    no_args_is_help=True, help="Access tokens for the management API, which deploys functions and sets secrets."
)


_ALLOWS = {
    TokenScope.DEPLOY: "deploying functions",
    TokenScope.SECRETS: "setting secrets",
    TokenScope.LOGS: "reading logs and metrics",
}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the token: who or what uses it.")],
    scope: Annotated[
        list[TokenScope] | None, typer.Option(help="What the token allows; repeat it for several (default: all).")
    ] = None,
    days: Annotated[int, typer.Option(min=0, max=3650, help="Days until it expires; 0 for never.")] = 365,
) -> None:
    """Create a token and print it. It is shown once: only its hash is stored.

    Pass it to outdial as OUTDIAL_<ENV>_ACCESS_TOKEN, and to Supabase's command line as SUPABASE_ACCESS_TOKEN.
    """
    scopes = [one for one in TokenScope if one in (scope or TokenScope)]
    until = f"for {days} days" if days else "until it is revoked"
    notes.print(f"This token is shown once. It allows {', '.join(_ALLOWS[one] for one in scopes)}, {until}.")
    lifetime = timedelta(days=days) if days else None
    console.print(with_tokens(lambda tokens: tokens.create(name, scopes, lifetime)), markup=False)


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens: what each allows, when it expires, and when it was last used."""
    rows = with_tokens(lambda tokens: tokens.all())
    if as_json:
        print_json(rows)
        return
    now = SystemClock().now()
    states = {
        row.id: "revoked" if row.revoked_at else "expired" if row.expires_at and row.expires_at <= now else ""
        for row in rows
    }
    columns = {
        "ID": lambda row: row.id,
        "NAME": lambda row: row.name,
        "SCOPES": lambda row: ", ".join(row.scopes),
        "CREATED": lambda row: row.created_at,
        "EXPIRES": lambda row: row.expires_at or "never",
        "LAST USED": lambda row: row.last_used_at,
        "": lambda row: Text(states[row.id], "red"),
    }
    print_rows(columns, rows, empty="No access tokens yet: run outdial tokens create NAME")


@app.command()
def revoke(token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id or name of the token.")]) -> None:
    """Revoke a token."""
    revoked = with_tokens(lambda tokens: tokens.revoke(token))
    if not revoked:
        raise UnknownName(f"unknown access token {token!r}: outdial tokens list shows all")
    for row in revoked:
        console.print(f"Revoked {row.name} ({row.id}).", markup=False)
