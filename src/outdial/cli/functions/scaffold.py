"""`outdial init` and `outdial functions new`: the files of a project, and of one function."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Final

import typer

from outdial.cli.errors import InvalidArgument
from outdial.cli.output import console, notes
from outdial.host.deployments.source import read_source_tree
from outdial.host.deployments.upload import check_slug
from outdial.project import own_directory, project_directory, read_config

_FIRST: Final = "hello"

_CONFIG: Final = """\
# Read by Outdial and by Supabase's command line. Outdial's own functions, retell-webhook and campaign-trigger, are part
# of the package. A section here changes their settings, for example:
#
#   [functions.retell-webhook]
#   rate_limit = 1000

project_id = {project}

[api]
port = 54321

[db]
port = 54322

[studio]
port = 54323

# Environments for --env. Keys and tokens come from environment variables only.
[environments.production]
url = "env(OUTDIAL_PRODUCTION_URL)"
secret_key = "env(OUTDIAL_PRODUCTION_SECRET_KEY)"
webhook_secret = "env(OUTDIAL_PRODUCTION_WEBHOOK_SECRET)"
access_token = "env(OUTDIAL_PRODUCTION_ACCESS_TOKEN)"
"""

_SECTION: Final = """
[functions.{slug}]
verify_jwt = false # with_supabase authenticates the caller
entrypoint = "./functions/{slug}/index.py"
static_files = ["./functions/{slug}/*.py", "./functions/shared/*.py", "./config.toml"]
secrets = ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS", "SUPABASE_JWT_SECRET"]
"""

_FUNCTION: Final = '''\
"""Greets the caller by name."""

import msgspec

from outdial.functions import Context, Request, Response, with_supabase


class Greeting(msgspec.Struct):
    """The body of a request."""

    name: str


@with_supabase(auth=["user", "secret"], methods=["POST"])
async def fetch(request: Request, ctx: Context) -> Response:
    greeting = await request.json(Greeting)
    ctx.log.info("{slug}.greeted")
    return Response.json({{"message": f"Hello {{greeting.name}}!"}})
'''

_TEST: Final = '''\
"""The function {slug}."""

from outdial.functions.testing import FunctionClient

{name} = FunctionClient("{slug}")


def test_the_caller_is_greeted_by_name() -> None:
    response = {name}.request({{"name": "Ada"}})

    assert (response.status, response.json()) == (200, {{"message": "Hello Ada!"}})


def test_a_caller_without_a_key_is_rejected() -> None:
    response = {name}.request({{"name": "Ada"}}, headers={{}})

    assert (response.status, response.json()["code"]) == (401, "MISSING_CREDENTIALS")
'''

_CI: Final = """\
# Tests every change, and deploys the main branch once the variable OUTDIAL_PRODUCTION_URL and the secret
# OUTDIAL_PRODUCTION_ACCESS_TOKEN are set. Create the token with: outdial tokens create CI --scope deploy
name: Functions

on:
  push:
    branches: [main]
  pull_request:

env:
  OUTDIAL_PACKAGE: outdial # or the URL of its wheel

jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install "$OUTDIAL_PACKAGE" pytest
      - run: pytest tests

  deploy:
    needs: test
    if: github.ref == 'refs/heads/main' && vars.OUTDIAL_PRODUCTION_URL != ''
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install "$OUTDIAL_PACKAGE"
      - run: outdial functions deploy --env production
        env:
          OUTDIAL_PRODUCTION_URL: ${{ vars.OUTDIAL_PRODUCTION_URL }}
          OUTDIAL_PRODUCTION_ACCESS_TOKEN: ${{ secrets.OUTDIAL_PRODUCTION_ACCESS_TOKEN }}
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(init)


def init() -> None:
    """Start a project in this directory: supabase/config.toml, a function, its test, and a CI file.

    Existing files are kept. Outdial's own functions and migrations are part of the package and need no files here.
    """
    here = project_directory().parent
    # JSON strings are TOML strings, except that TOML escapes DEL. Bytes that are not UTF-8 become question marks.
    name = here.name.encode(errors="replace").decode() or "outdial"
    project = json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    _write(project_directory() / "config.toml", _CONFIG.format(project=project))
    _write_function(_FIRST)
    _write(here / "tests" / f"test_{_FIRST}.py", _TEST.format(slug=_FIRST, name=_FIRST))
    _write(here / ".github" / "workflows" / "functions.yml", _CI)
    notes.print("Next: outdial dev starts the stack, and pytest tests runs the test.", markup=False)


def new(slug: Annotated[str, typer.Argument(metavar="NAME", help="Name of the function.")]) -> None:
    """Create a function in supabase/functions, with its section in supabase/config.toml."""
    check_slug(slug)
    if slug in read_source_tree(own_directory()).bundles:
        raise InvalidArgument(f"{slug} is one of Outdial's own functions: a file of the project would replace it")
    index = project_directory() / "functions" / slug / "index.py"
    if index.exists():
        raise InvalidArgument(f"{index} exists: choose another name")
    _write_function(slug)
    notes.print(f"It will be served at /functions/v1/{slug}. Deploy it with: outdial functions deploy {slug}")


def _write_function(slug: str) -> None:
    directory = project_directory()
    _write(directory / "functions" / slug / "index.py", _FUNCTION.format(slug=slug))
    config = directory / "config.toml"
    text = config.read_text() if config.is_file() else ""
    if slug in read_config(directory).get("functions", {}):
        return
    section = _SECTION.format(slug=slug)
    try:
        tomllib.loads(text + section)
    except tomllib.TOMLDecodeError:  # for example, `functions` is an inline table
        notes.print(f"Add this to {config}:\n{section}", markup=False)
        return
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"{text.rstrip()}\n{section}".lstrip())
    console.print(f"Added [functions.{slug}] to supabase/config.toml", markup=False)


def _write(path: Path, text: str) -> None:
    shown = path.relative_to(project_directory().parent)
    if path.exists():
        console.print(f"Kept {shown}", markup=False)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    console.print(f"Created {shown}", markup=False)
