"""`outdial hook`: the pre-dial hook of an organization."""

from typing import Annotated

import typer

from outdial.cli.errors import InvalidArgument, UnknownName
from outdial.cli.finding import Organization, find_organization
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.queries import audit
from outdial.db.queries.compliance import pre_dial_hooks
from outdial.db.session import Database, encode_json
from outdial.pre_dial.addresses import PRIVATE_SETTING, check_hook_secret, check_hook_url
from outdial.pre_dial.errors import InvalidHookSecret, InvalidHookUrl
from outdial.settings import flag, read_environment
from outdial.stack.local import as_service

app = typer.Typer(
    no_args_is_help=True, help="Pre-dial hook: a URL that allows or denies each call before it is placed."
)
clock = SystemClock()

Secret = Annotated[
    str,
    typer.Option(
        prompt="Signing secret", hide_input=True, envvar="OUTDIAL_HOOK_SECRET", help="Signing secret (default: prompt)."
    ),
]


@app.command("set")
def set_hook(
    url: Annotated[str, typer.Argument(help="https URL, reachable from the dialer.")],
    secret: Secret,
    organization: Organization = None,
) -> None:
    """Set the hook and its signing secret. Calls that are claimed from now on are placed only if it allows them."""
    try:
        url = check_hook_url(url, allow_private=flag(read_environment(), PRIVATE_SETTING, default=False))
        secret = check_hook_secret(secret)
    except InvalidHookUrl as error:
        raise InvalidArgument(f"URL: {error}") from error
    except InvalidHookSecret as error:
        raise InvalidArgument(f"--secret: {error}") from None

    async def work(database: Database) -> None:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            await pre_dial_hooks.set_hook(
                connection, organization_id=organization_id, url=url, secret=secret, now=clock.now()
            )
            await audit.record_audit(
                connection,
                organization_id=organization_id,
                actor="service",
                action="set_pre_dial_hook",
                subject_type="pre_dial_hook",
                subject_id=str(organization_id),
                details=encode_json({"url": url, "new_secret": True}),
            )

    as_service(work)
    console.print(f"Pre-dial hook set to {url}.", markup=False)


@app.command()
def show(organization: Organization = None, as_json: AsJson = False) -> None:
    """Show the hook and its failures. The secret cannot be shown."""

    async def work(database: Database) -> pre_dial_hooks.PreDialHookRow | None:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await pre_dial_hooks.show_hook(connection, organization_id=organization_id)

    hook = as_service(work)
    if as_json:
        print_json(hook)
        return
    if hook is None:
        console.print("No pre-dial hook is set: run outdial hook set URL")
        return
    console.print(f"URL: {hook.url}", markup=False)
    console.print(f"Last decision: {hook.responded_at or 'none yet'}", markup=False)
    if hook.failures:
        console.print(f"Failures in a row: {hook.failures} ({hook.failing_reason})", markup=False)
        console.print(f"Next request at {hook.retry_at}; no call starts before.", markup=False)


@app.command()
def remove(organization: Organization = None) -> None:
    """Remove the hook. Calls are then placed without asking it."""

    async def work(database: Database) -> int:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            removed = await pre_dial_hooks.remove_hook(connection, organization_id=organization_id)
            if removed:
                await audit.record_audit(
                    connection,
                    organization_id=organization_id,
                    actor="service",
                    action="remove_pre_dial_hook",
                    subject_type="pre_dial_hook",
                    subject_id=str(organization_id),
                    details="{}",
                )
            return removed

    if not as_service(work):
        raise UnknownName("no pre-dial hook is set")
    console.print("Pre-dial hook removed.")
