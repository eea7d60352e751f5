"""`outdial retell-key`: the API keys of Retell workspaces that are stored in the database, encrypted."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

import typer

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.retell_keys import connect_account, disconnect_account
from outdial.cli.errors import InvalidArgument, UnknownName
from outdial.cli.finding import Organization, find_organization
from outdial.cli.output import AsJson, console, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import accounts
from outdial.db.queries.auth import provider_keys as queries
from outdial.db.session import JOB_TIMEOUTS, Connection, Database
from outdial.provider_keys import entering
from outdial.provider_keys.entering import (
    UNNAMED_WORKSPACE,
    KeyEntry,
    KeyReading,
    reading_of_dialers,
    reading_of_webhooks,
)
from outdial.provider_keys.errors import EncryptionKeyMissing
from outdial.provider_keys.sealing import KeySealer
from outdial.retell.key_tester import RetellKeyTester
from outdial.settings import DatabaseUrls, encryption_secrets, web_url
from outdial.stack.local import as_service, environment

app = typer.Typer(no_args_is_help=True, help="API keys of Retell, encrypted in the database.")
clock = SystemClock()

READINGS: Final[Mapping[KeyReading, str]] = {
    "can_read": "can read it",
    "cannot_read": "cannot read it",
    "not_reported": "not reported",
}
Account = Annotated[str | None, typer.Option(help="Credential of the Retell workspace (default: the only one).")]


@app.command("set")
def set_key(organization: Organization = None, account: Account = None) -> None:
    """Read an API key from standard input, test it at Retell, and store it encrypted.

    Dialers and the webhook function use it within seconds, and import the agents and numbers of the workspace. Webhooks
    of the former key are accepted for 24 hours.
    """
    api_key = sys.stdin.read() if not sys.stdin.isatty() else typer.prompt("API key", hide_input=True)
    with environment() as env:
        sealer, retell_url = KeySealer.of(encryption_secrets(env)), web_url(env, "RETELL_BASE_URL")
    if sealer is None:
        raise EncryptionKeyMissing

    async def work(database: Database) -> str:
        key = await entering.check_entered_key(RetellKeyTester(retell_url), api_key, clock.now())
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            account_id = await _find_account(connection, organization_id, account)
            entry = KeyEntry(organization_id=organization_id, provider_account_id=account_id, entered_by="the service")
            await connect_account(connection, sealer, key, entry, actor=Actor(), now=clock.now())
        return key.last_four

    last_four = as_service(work)
    console.print(f"Stored the key ending in {last_four}. Agents and numbers are being imported.", markup=False)


@app.command()
def show(organization: Organization = None, as_json: AsJson = False) -> None:
    """Show which accounts have a key, and its last four characters. A key cannot be shown.

    DIALERS and WEBHOOKS say whether dialers and the webhook function have reported that they can decrypt the key.
    Dialers report it every half a minute, and the webhook function when it starts and while events arrive. Those of an
    earlier version do not report it. A line below the table says if dialers have keys of different workspaces on the
    server.
    """

    async def work(database: Database) -> list[queries.AccountKeyRow]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await queries.show_provider_keys(connection, organization_id=organization_id, now=clock.now())

    rows, now = as_service(work), clock.now()
    if as_json:
        print_json(rows)
        return
    columns = {
        "CREDENTIAL": lambda row: row.credential,
        "KEY": lambda row: "none" if row.last_four is None else f"...{row.last_four}",
        "DIALERS": lambda row: "" if row.last_four is None else READINGS[reading_of_dialers(row, now)],
        "WEBHOOKS": lambda row: "" if row.last_four is None else READINGS[reading_of_webhooks(row)],
        "WORKSPACE": lambda row: row.workspace_name,
        "ENTERED": lambda row: row.entered_at,
        "ENTERED BY": lambda row: row.entered_by,
        "LAST WEBHOOK": lambda row: row.last_event_at,
        "KEY ON SERVER SEEN": lambda row: row.environment_key_at,
    }
    print_rows(columns, rows, empty="The organization has no Retell workspace")
    for row in rows:
        if row.server_workspaces:
            names = ", ".join(name or UNNAMED_WORKSPACE for name in row.server_workspaces)
            console.print(
                f"{row.credential}: the dialers have keys of different workspaces on the server: {names}. Set the same"
                " key for all of them, and restart those with another one.",
                markup=False,
            )


@app.command()
def remove(
    organization: Organization = None,
    account: Account = None,
    now: Annotated[bool, typer.Option("--now", help="Reject webhooks signed with the key at once.")] = False,
) -> None:
    """Remove the stored key. Campaigns of the account wait for another one; calls on the line go on.

    Webhooks signed with the key are accepted for another 24 hours, unless --now is given.
    """

    async def work(database: Database) -> bool:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            account_id = await _find_account(connection, organization_id, account)
            return await disconnect_account(
                connection, organization_id, account_id, ends_former=now, actor=Actor(), now=clock.now()
            )

    if not as_service(work):
        raise UnknownName("no key is stored for this account")
    console.print("Key removed.")


@app.command()
def reencrypt() -> None:
    """Encrypt all stored keys with the first key of RETELL_ENCRYPTION_KEY, so that an old one can be removed."""
    with environment() as env:
        sealer, urls = KeySealer.of(encryption_secrets(env)), DatabaseUrls.from_env(env)
        if sealer is None:
            raise EncryptionKeyMissing

        async def run() -> tuple[int, int]:
            connecting = Database.connect(
                urls.dialer, application_name="outdial:cli", max_size=1, role=urls.role("dialer"), timeouts=JOB_TIMEOUTS
            )
            async with await connecting as database, database.transaction() as connection:
                return await entering.reencrypt_keys(connection, sealer, clock.now())

        changed, unreadable = asyncio.run(run())
    console.print(f"Keys encrypted again: {changed}.")
    if unreadable:
        raise InvalidArgument(
            f"{unreadable} keys cannot be read with RETELL_ENCRYPTION_KEY: add the key that encrypted them, or enter"
            " them again"
        )


async def _find_account(connection: Connection, organization_id: UUID, credential: str | None) -> UUID:
    rows = await accounts.list_accounts(connection, organization_id=organization_id)
    found = [row for row in rows if credential in (None, row.credential)]
    if len(found) == 1:
        return found[0].id
    names = ", ".join(row.credential for row in rows)
    if found:
        raise InvalidArgument(f"--account: choose one of {names}")
    raise UnknownName(f"unknown account {credential!r}: the organization has {names or 'none'}")
