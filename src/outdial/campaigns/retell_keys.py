"""Connects a provider account with the API key that a member enters, and disconnects it."""

from datetime import datetime
from uuid import UUID

from outdial.campaigns.caller_numbers import request_import
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit
from outdial.db.queries.auth import provider_keys
from outdial.db.session import Connection, encode_json
from outdial.provider_keys.entering import AcceptedKey, KeyEntry, end_key, store_key
from outdial.provider_keys.sealing import KeySealer


async def connect_account(
    connection: Connection, sealer: KeySealer, key: AcceptedKey, entry: KeyEntry, *, actor: Actor, now: datetime
) -> None:
    """Store a tested key, and request the import of the workspace's agents and numbers; raises ProviderKeysError.

    Needs a transaction as the service: what the provider says about the key must not come from members.
    """
    organization_id, account_id = entry.organization_id, entry.provider_account_id
    former = await provider_keys.last_four_in_use(
        connection, organization_id=organization_id, provider_account_id=account_id
    )
    await store_key(connection, sealer, key, entry, now)
    await _record(
        connection,
        organization_id,
        account_id,
        actor,
        "enter_api_key" if former is None else "replace_api_key",
        {"last_four": key.last_four, "workspace": key.workspace.workspace},
    )
    # Campaigns choose among the agents and numbers of the workspace.
    await request_import(connection, organization_id, account_id, actor=actor, now=now)


async def disconnect_account(
    connection: Connection, organization_id: UUID, account_id: UUID, *, ends_former: bool, actor: Actor, now: datetime
) -> bool:
    """Remove the key of an account; return whether there was one.

    Its webhooks are accepted for a while longer, unless `ends_former`: calls on the line end later.
    """
    former = await provider_keys.last_four_in_use(
        connection, organization_id=organization_id, provider_account_id=account_id
    )
    ended = await end_key(
        connection,
        organization_id=organization_id,
        provider_account_id=account_id,
        ends_former=ends_former,
        now=now,
    )
    if ended:
        await _record(connection, organization_id, account_id, actor, "remove_api_key", {"last_four": former})
    return ended


async def _record(
    connection: Connection,
    organization_id: UUID,
    account_id: UUID,
    actor: Actor,
    action: str,
    details: dict[str, str | None],
) -> None:
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="provider_account",
        subject_id=str(account_id),
        details=encode_json(details),
    )
