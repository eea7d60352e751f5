"""The command `outdial`: its groups, and its error handling."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from outdial import __version__
from outdial.cli import (
    contacts,
    database,
    hook,
    inbox,
    jobs,
    numbers,
    organization,
    processes,
    rules,
    screening,
    studio,
    users,
)
from outdial.cli.campaigns import commands as campaign
from outdial.cli.errors import explain
from outdial.cli.evidence import packs, verify
from outdial.cli.functions import commands as functions
from outdial.cli.functions import keys, scaffold, secrets, serving, tokens
from outdial.cli.output import console, fail


class RootCommand(TyperGroup):
    """The root command. Prints an expected error as one line and exits with status 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader closed the pipe. Nothing may be flushed into it at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            fail(message)
            raise typer.Exit(1) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"outdial {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="outdial",
    cls=RootCommand,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(scaffold.init)
processes.add_to(app)
serving.add_to(app)
studio.add_to(app)
jobs.add_to(app)
app.add_typer(campaign.app, name="campaign")
app.add_typer(contacts.app, name="contacts")
app.add_typer(screening.app, name="screening")
app.add_typer(numbers.app, name="numbers")
app.add_typer(numbers.agents_app, name="agents")
app.add_typer(inbox.app, name="inbox")
app.add_typer(verify.app, name="verify")
app.add_typer(packs.app, name="evidence")
app.add_typer(organization.app, name="organization")
app.add_typer(rules.app, name="rules")
app.add_typer(hook.app, name="hook")
app.add_typer(functions.app, name="functions")
app.add_typer(secrets.app, name="secrets")
app.add_typer(tokens.app, name="tokens")
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(database.app, name="db")


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Outbound AI-voice call campaigns over Retell AI, on Postgres."""


def run() -> None:
    """Run the command line: the entry point of `outdial`."""
    app()
