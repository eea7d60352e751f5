"""`outdial keys`: keys of a project on plain Postgres, and those that Outdial itself needs."""

import secrets
from typing import Annotated

import typer

from outdial.auth.keys import new_api_key
from outdial.cli.output import AsJson, console, notes, print_json

app = typer.Typer(no_args_is_help=True, help="Keys of a project on plain Postgres. A Supabase project has its own.")


@app.command()
def create(
    for_supabase: Annotated[
        bool, typer.Option("--supabase", help="Only what a Supabase project does not have: the keys of Outdial itself.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create new random keys and print them as settings, one per line. They are shown once: nothing is stored.

    SUPABASE_ANON_KEY is for applications and the studio, SUPABASE_SERVICE_ROLE_KEY for back ends, OUTDIAL_SECRETS_KEY
    encrypts deployed secrets, and OUTDIAL_STUDIO_SECRET encrypts session cookies.
    """
    from outdial.host.deployments.secrets import new_key

    keys: dict[str, str] = {}
    if not for_supabase:
        keys["SUPABASE_ANON_KEY"] = new_api_key("publishable")
        keys["SUPABASE_SERVICE_ROLE_KEY"] = new_api_key("secret")
    keys["OUTDIAL_SECRETS_KEY"] = new_key()
    keys["OUTDIAL_STUDIO_SECRET"] = secrets.token_hex(32)
    if as_json:
        print_json(keys)
        return
    notes.print("These keys are shown once. Put them into the settings of the processes.")
    for name, value in keys.items():
        console.print(f"{name}={value}", markup=False, soft_wrap=True)
