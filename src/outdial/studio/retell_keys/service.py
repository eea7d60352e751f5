"""API keys of Retell workspaces: their status, and entering, replacing and removing one. No key can be read back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.retell_keys import connect_account, disconnect_account
from outdial.db.queries.auth import provider_keys as queries
from outdial.db.session import Connection
from outdial.provider_keys import entering
from outdial.provider_keys.entering import (
    ENVIRONMENT_SEEN_WITHIN,
    LONGEST_KEY,
    UNNAMED_WORKSPACE,
    KeyEntry,
    KeyReading,
    reading_of_dialers,
    reading_of_webhooks,
)
from outdial.provider_keys.errors import (
    EncryptionKeyMissing,
    InvalidKey,
    KeyUntested,
    ProviderKeysError,
    WorkspaceTaken,
)
from outdial.provider_keys.sealing import KeySealer
from outdial.studio.view.format import sentence_case
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound, ServiceUnavailable

KeySource = Literal["stored", "environment", "none"]


class AccountKey(BaseModel):
    """The API key of a Retell workspace. A key of the environment wins over a stored one.

    `dialers` and `webhook_function` say whether they can decrypt the stored key, as they have reported;
    `is_readable` is false while one of them cannot. `environment_reported_at` is when a dialer last reported a key in
    its environment: one that stopped reporting it is stopped, has none any more, or is of an earlier version. Webhooks
    that a former key signs are accepted until `former_until`. `last_event_at` is the account's last webhook.
    `server_workspaces` names the workspaces if dialers have keys of different ones in their environments.
    """

    account_id: UUID
    account_name: str
    source: KeySource
    is_readable: bool
    dialers: KeyReading | None
    webhook_function: KeyReading | None
    webhook_reported_at: datetime | None
    environment_reported_at: datetime | None
    server_workspaces: list[str]
    last_four: str | None
    workspace_name: str | None
    entered_by: str | None
    entered_at: datetime | None
    tested_at: datetime | None
    former_until: datetime | None
    last_event_at: datetime | None


class NewAccountKey(BaseModel):
    """A key to store, which is tested at Retell first.

    With `ends_former`, webhooks that the former key signs are rejected at once.
    """

    model_config = ConfigDict(extra="forbid")
    api_key: Annotated[str, Field(max_length=LONGEST_KEY + 100, json_schema_extra={"writeOnly": True}, repr=False)]
    ends_former: bool = False


async def list_keys(connection: Connection, context: OrganizationContext) -> Sequence[AccountKey]:
    """Return the accounts of the organization with the status of their keys, oldest first."""
    now = context.studio.clock.now()
    rows = await queries.show_provider_keys(connection, organization_id=context.organization_id, now=now)
    return [_account_key(row, now) for row in rows]


async def find_key(connection: Connection, context: OrganizationContext, account_id: UUID) -> AccountKey:
    """Return the status of an account's key; raises ResourceNotFound for an unknown account."""
    for key in await list_keys(connection, context):
        if key.account_id == account_id:
            return key
    raise ResourceNotFound("Retell workspace not found")


async def enter_key(context: OrganizationContext, account_id: UUID, new: NewAccountKey) -> AccountKey:
    """Test a key at Retell and store it; no transaction is open meanwhile.

    Raises InvalidInput for a key that cannot be stored, ServiceUnavailable when Retell cannot be asked.
    """
    context.require("admin")
    studio, sealer = context.studio, KeySealer.of(context.studio.settings.encryption_secrets)
    async with context.transaction() as connection:
        await find_key(connection, context, account_id)
    entry = KeyEntry(
        organization_id=context.organization_id,
        provider_account_id=account_id,
        entered_by=context.caller.display_name,
        ends_former=new.ends_former,
    )
    try:
        if sealer is None or studio.key_tester is None:
            raise EncryptionKeyMissing
        key = await entering.check_entered_key(studio.key_tester, new.api_key, studio.clock.now())
        async with studio.database.as_service() as connection:
            await connect_account(connection, sealer, key, entry, actor=context.actor, now=studio.clock.now())
            return await find_key(connection, context, account_id)
    except ProviderKeysError as error:
        raise _refused(error) from None


async def remove_key(
    connection: Connection, context: OrganizationContext, account_id: UUID, *, ends_former: bool = False
) -> None:
    """Remove the key of an account; raises ResourceNotFound without one.

    Its webhooks are accepted for a while longer, unless `ends_former`: calls on the line end later.
    """
    context.require("admin")
    await find_key(connection, context, account_id)
    if not await disconnect_account(
        connection,
        context.organization_id,
        account_id,
        ends_former=ends_former,
        actor=context.actor,
        now=context.studio.clock.now(),
    ):
        raise ResourceNotFound("No key is stored for this account")


async def end_former_keys(connection: Connection, context: OrganizationContext, account_id: UUID) -> None:
    """Refuse webhooks of former keys from now on; raises ResourceNotFound for an unknown account."""
    context.require("admin")
    await find_key(connection, context, account_id)
    await queries.end_former_keys(
        connection,
        organization_id=context.organization_id,
        provider_account_id=account_id,
        now=context.studio.clock.now(),
    )
    await record_audit(
        connection,
        context=context,
        action="end_former_api_keys",
        subject_type="provider_account",
        subject_id=account_id,
    )


def _account_key(row: queries.AccountKeyRow, now: datetime) -> AccountKey:
    source: KeySource = "none" if row.key_id is None else "stored"
    if row.environment_key_at is not None and row.environment_key_at >= now - ENVIRONMENT_SEEN_WITHIN:
        source = "environment"
    dialers, webhooks = None, None
    if source == "stored":
        dialers, webhooks = reading_of_dialers(row, now), reading_of_webhooks(row)
    return AccountKey(
        account_id=row.account_id,
        account_name=row.account_name,
        source=source,
        is_readable="cannot_read" not in (dialers, webhooks),
        dialers=dialers,
        webhook_function=webhooks,
        webhook_reported_at=None
        if webhooks is None
        else row.webhook_unreadable_at
        if webhooks == "cannot_read"
        else row.webhook_read_at,
        environment_reported_at=row.environment_key_at,
        server_workspaces=[name or UNNAMED_WORKSPACE for name in row.server_workspaces],
        last_four=row.last_four,
        workspace_name=row.workspace_name,
        entered_by=row.entered_by,
        entered_at=row.entered_at,
        tested_at=row.tested_at,
        former_until=row.former_until,
        last_event_at=row.last_event_at,
    )


def _refused(error: ProviderKeysError) -> InvalidInput | ResourceConflict | ServiceUnavailable:
    message = sentence_case(str(error))
    match error:
        case InvalidKey() | WorkspaceTaken():
            return InvalidInput("The key was not saved", {"api_key": message})
        case KeyUntested():
            return ServiceUnavailable(message)
        case _:
            return ResourceConflict(message)
