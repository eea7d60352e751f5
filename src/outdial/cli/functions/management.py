"""The environment whose management API a command calls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from outdial.cli.errors import ActionRefused
from outdial.cli.output import notes
from outdial.clock import SystemClock
from outdial.db.embedded import default_home
from outdial.host.api.client import ManagementClient
from outdial.host.api.tokens import AccessTokens
from outdial.project import read_project_config
from outdial.settings import read_environment
from outdial.stack.config import ManagementTarget, management_target
from outdial.stack.local import LocalStack, with_database

Result = TypeVar("Result")

Environment = Annotated[str, typer.Option("--env", help="local, or an environment in supabase/config.toml.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")]


def manage(name: str, work: Callable[[ManagementClient], Awaitable[Result]]) -> Result:
    """Run `work` with a client of the environment `name`: the running local stack, or one in config.toml."""
    if name == "local":
        home = default_home()
        running = LocalStack.running(home)
        if running is None:
            raise ActionRefused(
                "no local stack is running: start one with outdial dev, or choose an environment with --env"
            )
        # The token is in the stack's directory, which only the owner of the stack can read.
        host = ManagementTarget(running.api_url, with_tokens(lambda tokens: tokens.local(home)))
    else:
        host = management_target(read_project_config(), name, read_environment())
    notes.print(f"Target: {name}, {host.url}", markup=False)

    async def run() -> Result:
        async with ManagementClient.connected(host.url, host.access_token) as client:
            return await work(client)

    return asyncio.run(run())


def with_tokens(work: Callable[[AccessTokens], Awaitable[Result]]) -> Result:
    """Run `work` with the access tokens in this command's database."""
    return with_database("host", lambda database: work(AccessTokens(database, SystemClock())))
