"""The environment whose management API a command speaks to."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from outdial.cli.errors import Refused
from outdial.cli.output import notes
from outdial.clock import SystemClock
from outdial.db.embedded import default_home
from outdial.db.migrate import supabase_dir
from outdial.db.session import Database
from outdial.host.api.client import ManagementClient
from outdial.host.api.tokens import AccessTokens
from outdial.settings import DatabaseUrls
from outdial.stack.config import Host, host_of, read_config
from outdial.stack.local import Stack, environment

Result = TypeVar("Result")

Environment = Annotated[str, typer.Option("--env", help="local, or an environment of supabase/config.toml.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def manage(name: str, work: Callable[[ManagementClient], Awaitable[Result]]) -> Result:
    """Run `work` with a client of the environment: the running local stack, or one of config.toml."""
    host = _local() if name == "local" else host_of(read_config(supabase_dir()), name, os.environ)
    notes.print(f"Target: {name}, {host.url}", markup=False)

    async def run() -> Result:
        async with ManagementClient.connected(host.url, host.access_token) as client:
            return await work(client)

    return asyncio.run(run())


def with_tokens(work: Callable[[AccessTokens], Awaitable[Result]]) -> Result:
    """Run `work` with the access tokens in the database that this command is about."""
    with environment() as env:
        return asyncio.run(_with_tokens(DatabaseUrls.from_env(env), work))


async def _with_tokens(urls: DatabaseUrls, work: Callable[[AccessTokens], Awaitable[Result]]) -> Result:
    async with await Database.connect(
        urls.host, application_name="outdial:cli", max_size=1, role=urls.role("host")
    ) as database:
        return await work(AccessTokens(database, SystemClock()))


def _local() -> Host:
    """Return the running stack, with the token that lies in its directory: who may read that owns the stack."""
    home = default_home()
    running = Stack.running(home)
    if running is None:
        raise Refused("no local stack runs: start one with outdial dev, or name an environment with --env")
    return Host(running.api_url, with_tokens(lambda tokens: tokens.local(home)))
