"""Enters, replaces and removes the API key of an account. The key is tested at the provider before it is stored."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never
from uuid import UUID

import asyncpg

from outdial.db.queries.auth import provider_keys
from outdial.db.session import Connection, assert_no_transaction
from outdial.domain.ids import new_id
from outdial.provider import KeyAccepted, KeyRefused, KeyTester, ProviderUnavailable
from outdial.provider_keys.errors import InvalidKey, KeyChangedMeanwhile, KeyInEnvironment, KeyUntested, WorkspaceTaken
from outdial.provider_keys.sealing import KeySealer

FORMER_ACCEPTED_FOR: Final = timedelta(hours=24)
"""How long webhooks of a replaced key are accepted. Retell signs with the key that has the webhook badge, which has to
be moved there, and repeats a failed webhook for some minutes; a call and its analysis last a few hours at most."""
ENVIRONMENT_SEEN_WITHIN: Final = timedelta(minutes=15)
"""An account has a key in the environment if a dialer has reported it within this time."""
READ_WITHIN: Final = timedelta(minutes=2)
"""How long a report of a dialer counts. Each one reports every half a minute."""
LONGEST_KEY: Final = 300
UNNAMED_WORKSPACE: Final = "one that Retell has not named yet"
KeyReading: TypeAlias = Literal["can_read", "cannot_read", "not_reported"]
"""Whether processes can decrypt a stored key, as far as they have reported."""
_KEY: Final = re.compile(rf"[\x21-\x7e]{{8,{LONGEST_KEY}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedKey:
    """A key that the provider accepts, with the workspace that it belongs to."""

    api_key: str = field(repr=False)
    workspace: KeyAccepted
    tested_at: datetime

    @property
    def last_four(self) -> str:
        """What may be shown of the key."""
        return self.api_key[-4:]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """Where a tested key goes, and who has entered it. With `ends_former`, webhooks of the former one are refused."""

    organization_id: UUID
    provider_account_id: UUID
    entered_by: str
    ends_former: bool = False


async def check_entered_key(tester: KeyTester, text: str, now: datetime) -> AcceptedKey:
    """Ask the provider about an entered key; raises InvalidKey or KeyUntested, whose messages never contain it."""
    assert_no_transaction()
    api_key = text.strip()
    if not _KEY.fullmatch(api_key):
        raise InvalidKey("enter the whole key as Retell shows it, without spaces")
    match await tester.test_key(api_key):
        case KeyAccepted() as workspace:
            return AcceptedKey(api_key=api_key, workspace=workspace, tested_at=now)
        case KeyRefused():
            raise InvalidKey("Retell does not accept this key: copy it again from your workspace (API Keys)")
        case ProviderUnavailable(reason=reason):
            raise KeyUntested(f"Retell could not be asked about the key, so it is not stored ({reason}): try again")
        case never:
            assert_never(never)


async def store_key(
    connection: Connection, sealer: KeySealer, key: AcceptedKey, entry: KeyEntry, now: datetime
) -> None:
    """Store a tested key in place of the one in use; raises ProviderKeysError.

    Processes that call and verify learn of it when the transaction commits.
    """
    since = now - ENVIRONMENT_SEEN_WITHIN
    credential = await provider_keys.account_with_environment_key(
        connection, organization_id=entry.organization_id, id=entry.provider_account_id, since=since
    )
    if credential is not None:
        suffix = "" if credential == "default" else f"_{credential.upper()}"
        raise KeyInEnvironment(f"RETELL_API_KEY{suffix}", f"RETELL_WEBHOOK_SECRET{suffix}")
    workspace = key.workspace
    if workspace.workspace_id is not None and await provider_keys.workspace_in_use(
        connection,
        organization_id=entry.organization_id,
        provider_account_id=entry.provider_account_id,
        workspace_id=workspace.workspace_id,
        since=since,
    ):
        raise WorkspaceTaken(workspace.workspace)
    await end_key(
        connection,
        organization_id=entry.organization_id,
        provider_account_id=entry.provider_account_id,
        ends_former=entry.ends_former,
        now=now,
    )
    try:
        await provider_keys.insert_provider_key(
            connection,
            id=new_id(now),
            organization_id=entry.organization_id,
            provider_account_id=entry.provider_account_id,
            ciphertext=sealer.seal(entry.organization_id, entry.provider_account_id, key.api_key),
            last_four=key.last_four,
            workspace_id=workspace.workspace_id,
            workspace_name=workspace.workspace[:200],
            entered_by=entry.entered_by,
            tested_at=key.tested_at,
            now=now,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "provider_keys_workspace":
            raise WorkspaceTaken(workspace.workspace) from None
        raise KeyChangedMeanwhile from None


async def end_key(
    connection: Connection, *, organization_id: UUID, provider_account_id: UUID, ends_former: bool, now: datetime
) -> bool:
    """End the use of the account's key; return whether there was one.

    Its webhooks are accepted for a while longer, unless `ends_former`, which ends those of former keys, too.
    """
    ended = await provider_keys.end_provider_keys(
        connection,
        organization_id=organization_id,
        provider_account_id=provider_account_id,
        accepted_until=now if ends_former else now + FORMER_ACCEPTED_FOR,
        ends_former=ends_former,
    )
    return bool(ended)


def reading_of_dialers(row: provider_keys.AccountKeyRow, now: datetime) -> KeyReading:
    """Return what dialers have just reported about the stored key of an account. One that cannot read it is enough."""
    if row.dialer_unreadable_at is not None and row.dialer_unreadable_at > now - READ_WITHIN:
        return "cannot_read"
    if row.dialer_read_at is not None and row.dialer_read_at > now - READ_WITHIN:
        return "can_read"
    return "not_reported"


def reading_of_webhooks(row: provider_keys.AccountKeyRow) -> KeyReading:
    """Return what the webhook function has last reported about the stored key: it reports while events arrive."""
    read_at, unreadable_at = row.webhook_read_at, row.webhook_unreadable_at
    if unreadable_at is not None and (read_at is None or unreadable_at > read_at):
        return "cannot_read"
    return "not_reported" if read_at is None else "can_read"


async def reencrypt_keys(connection: Connection, sealer: KeySealer, now: datetime) -> tuple[int, int]:
    """Encrypt every key with the first secret; return how many were changed, and how many cannot be read."""
    changed = unreadable = 0
    for row in await provider_keys.provider_keys_in_use(connection, now=now):
        place = (row.organization_id, row.provider_account_id)
        if sealer.is_current(*place, row.ciphertext):
            continue
        api_key = sealer.open(*place, row.ciphertext)
        if api_key is None:
            unreadable += 1
            continue
        changed += await provider_keys.reencrypt_provider_key(
            connection, id=row.id, former=row.ciphertext, ciphertext=sealer.seal(*place, api_key)
        )
    return changed, unreadable
