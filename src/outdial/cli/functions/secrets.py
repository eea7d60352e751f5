"""`outdial secrets`: secrets for functions, which no command prints."""

from pathlib import Path
from typing import Annotated

import typer

from outdial.cli.errors import InvalidArgument
from outdial.cli.functions.management import Environment, Yes, manage
from outdial.cli.output import AsJson, console, notes, print_json, print_rows

app = typer.Typer(no_args_is_help=True, help="Secrets of an environment, available to the functions that list them.")
_RESERVED = "SUPABASE_"


@app.command("set")
def set_secrets(
    pairs: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE...]", show_default=False)] = None,
    env_file: Annotated[Path | None, typer.Option(help="File with one NAME=VALUE per line.")] = None,
    env: Environment = "local",
) -> None:
    """Set secrets, all or nothing. Functions that list them restart with the new values; no deployment is needed."""
    found = {} if env_file is None else read_env_file(env_file.read_text(), str(env_file))
    found |= dict(_read_pair(pair, f"argument {number}") for number, pair in enumerate(pairs or [], start=1))
    for name in [name for name in found if name.startswith(_RESERVED)]:
        notes.print(f"Env name cannot start with {_RESERVED}, skipping: {name}", markup=False)
        del found[name]
    if not found:
        raise InvalidArgument("no secret to set: pass NAME=VALUE or --env-file")
    manage(env, lambda client: client.set_secrets(found))
    console.print("Finished outdial secrets set.")


@app.command("list")
def list_secrets(env: Environment = "local", as_json: AsJson = False) -> None:
    """List the secrets, with the SHA-256 digest of each value."""
    rows = manage(env, lambda client: client.secrets())
    if as_json:
        print_json([{"name": row.name, "digest": row.value, "updated_at": row.updated_at} for row in rows])
        return
    columns = {
        "NAME": lambda row: row.name,
        "DIGEST": lambda row: row.value,
        "UPDATED": lambda row: row.updated_at,
    }
    print_rows(columns, rows, empty=f"No secrets in {env}.")


@app.command()
def unset(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    env: Environment = "local",
    yes: Yes = False,
) -> None:
    """Remove secrets."""
    if not yes:
        typer.confirm(f"Unset {', '.join(names)} in {env}?", abort=True)
    manage(env, lambda client: client.unset_secrets(names))
    console.print("Finished outdial secrets unset.")


@app.command()
def reseal(env: Environment = "local") -> None:
    """Encrypt every secret again with the first key in OUTDIAL_SECRETS_KEY, so that you can remove the other keys."""
    count = manage(env, lambda client: client.reseal_secrets())
    console.print(f"Encrypted {count} secrets.")


def read_env_file(text: str, where: str) -> dict[str, str]:
    """Parse lines of NAME=VALUE; values may be quoted. Raise InvalidArgument, which contains no value."""
    found = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if line and not line.startswith("#"):
            name, value = _read_pair(line.removeprefix("export "), f"{where}, line {number}")
            value = value.strip()
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
                found[name] = value[1:-1]
            else:
                found[name] = value.partition(" #")[0].rstrip()
    return found


def _read_pair(text: str, where: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidArgument(f"{where} is not NAME=VALUE")
    return name.strip(), value
