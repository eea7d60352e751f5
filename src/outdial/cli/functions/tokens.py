"""`outdial tokens`: access tokens of the management API, stored as hashes in the database."""

from typing import Annotated

import typer
from rich.text import Text

from outdial.cli.errors import UnknownName
from outdial.cli.functions.management import with_tokens
from outdial.cli.output import AsJson, console, notes, print_json, print_rows

app = typer.Typer(
    no_args_is_help=True, help="Access tokens for the management API, which deploys functions and sets secrets."
)


@app.command()
def create(name: Annotated[str, typer.Argument(help="Name of the token: who or what uses it.")]) -> None:
    """Create a token and print it. It is shown once: only its hash is stored.

    Pass it to outdial as OUTDIAL_<ENV>_ACCESS_TOKEN, and to Supabase's command line as SUPABASE_ACCESS_TOKEN.
    """
    notes.print("This token is shown once. It allows deploying functions and setting secrets.")
    console.print(with_tokens(lambda tokens: tokens.create(name)), markup=False)


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens, and when each was last used."""
    rows = with_tokens(lambda tokens: tokens.all())
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "NAME": lambda row: row.name,
        "CREATED": lambda row: row.created_at,
        "LAST USED": lambda row: row.last_used_at,
        "": lambda row: Text("revoked", "red") if row.revoked_at else "",
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
