"""`outdial tokens`: who may deploy, kept in the database itself."""

from typing import Annotated

import typer
from rich.text import Text

from outdial.cli.errors import NoSuchThing
from outdial.cli.management import with_tokens
from outdial.cli.output import AsJson, console, notes, print_json, print_rows

app = typer.Typer(no_args_is_help=True, help="Access tokens of the management API: whoever has one may deploy.")


@app.command()
def create(name: Annotated[str, typer.Argument(help="Who or what will use it.")]) -> None:
    """Make a token and print it, once: only its hash is kept.

    It works with outdial as OUTDIAL_<ENV>_ACCESS_TOKEN, and with Supabase's command line as SUPABASE_ACCESS_TOKEN.
    """
    notes.print("This token is shown once. Whoever has it may deploy functions and set secrets.")
    console.print(with_tokens(lambda tokens: tokens.create(name)), markup=False)


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens that were made, and when they were used last."""
    rows = with_tokens(lambda tokens: tokens.all())
    if as_json:
        print_json(rows)
        return
    columns = {
        "ID": lambda row: row.id,
        "NAME": lambda row: row.name,
        "CREATED": lambda row: row.created_at,
        "USED": lambda row: row.last_used_at,
        "": lambda row: Text("revoked", "red") if row.revoked_at else "",
    }
    print_rows(columns, rows, empty="There are no access tokens: outdial tokens create NAME")


@app.command()
def revoke(given: Annotated[str, typer.Argument(metavar="TOKEN", help="The id of a token, or its name.")]) -> None:
    """Refuse a token from now on."""
    revoked = with_tokens(lambda tokens: tokens.revoke(given))
    if not revoked:
        raise NoSuchThing(f"there is no access token {given!r}; outdial tokens list shows them")
    for token in revoked:
        console.print(f"Revoked {token.name} ({token.id}).", markup=False)
