"""The command `outdial`: its groups, and its error handling."""

import gc
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from outdial import __version__
from outdial.cli.output import console, fail

# A command loads only its own module: all of them together take a second of the processor's time.
_MODULES: Final[Mapping[str, str]] = {
    "init": "functions.scaffold",
    "dev": "processes",
    "demo": "processes",
    "dialer": "processes",
    "simulator": "processes",
    "serve": "functions.serving",
    "gateway": "functions.serving",
    "studio": "studio",
    "jobs": "jobs",
    "campaign": "campaigns.commands",
    "calls": "campaigns.live_calls",
    "contacts": "contacts",
    "screening": "screening",
    "numbers": "numbers",
    "agents": "numbers:agents_app",
    "inbox": "inbox",
    "verify": "evidence.verify",
    "evidence": "evidence.packs",
    "organization": "organization",
    "rules": "rules",
    "hook": "hook",
    "retell-key": "accounts.retell_key",
    "functions": "functions.commands",
    "secrets": "functions.secrets",
    "tokens": "functions.tokens",
    "keys": "functions.keys",
    "users": "users",
    "db": "database",
}


class RootCommand(TyperGroup):
    """The root command. Prints an expected error as one line and exits with status 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, which loads its module. For an unknown name load all, so that the error suggests one."""
        for name in [cmd_name] if cmd_name in _MODULES else _MODULES:
            if name not in self.commands:
                self.commands.update(_commands_of(name))
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader closed the pipe. Nothing may be flushed into it at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except typer.Exit:
            raise
        except Exception as error:
            from outdial.cli.errors import explain

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


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Outbound AI-voice call campaigns over Retell AI, on Postgres."""


def whole_command() -> Any:
    """Return the root command with all commands loaded, for the reference and for tests that walk them."""
    root: Any = typer.main.get_group(app)
    root.commands = {name: root.get_command(typer.Context(root), name) for name in _MODULES}
    return root


def _commands_of(name: str) -> dict[str, Any]:
    """Load the module of a command. It adds commands to the root with `add_to`, or has the group, by default `app`."""
    path, _, group = _MODULES[name].partition(":")
    module = import_module(f"outdial.cli.{path}")
    parent = typer.Typer()
    if hasattr(module, "add_to"):
        module.add_to(parent)
    else:
        parent.add_typer(getattr(module, group or "app"), name=name)
    return dict(typer.main.get_group(parent).commands)


def run() -> None:
    """Run the command line: the entry point of `outdial`."""
    # Loaded modules stay, so that most collections while they load find nothing: a tenth of the start of the studio.
    gc.set_threshold(20_000)
    app()
