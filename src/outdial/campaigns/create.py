"""Creates organizations with their provider account, and campaigns with checked settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Final, TypedDict
from uuid import UUID

import asyncpg
import msgspec

from outdial.campaigns.errors import AmbiguousAccount, CredentialTaken, InvalidCampaign, NoProviderAccount
from outdial.db.queries import accounts as account_queries
from outdial.db.queries import campaigns, organizations
from outdial.db.session import Connection, encode_json
from outdial.domain.calling_hours import parse_calling_hours
from outdial.domain.ids import new_id
from outdial.domain.limits import BATCH_SIZE, CAMPAIGN_LIMITS, LONGEST_NAME, MAX_ATTEMPTS, MAX_CONCURRENCY
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.domain.retry import parse_retry_policy

_JSON_COLUMNS: Final = ("calling_hours", "retry_policy", "dynamic_variables")


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """A tenant and its Retell workspace; `credential` names its secrets, as in RETELL_API_KEY_<CREDENTIAL>."""

    name: str
    credential: str = "default"
    concurrency_limit: int = 20
    reserved_inbound: int = 0
    calls_per_second: float = 1.0
    daily_call_cap: int = 3


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """The settings of a new draft.

    `calling_hours` and `retry_policy` are objects as `parse_calling_hours` and `parse_retry_policy` read them; empty
    ones mean the defaults. `purpose` is a Purpose, `consent_required` a RequiredConsent, and `lists_required` has
    ListKinds: the lists that must be current before the campaign calls.
    """

    organization_id: UUID
    name: str
    retell_agent_id: str
    from_number: str
    provider_account_id: UUID | None = None
    batch_size: int = BATCH_SIZE.default
    max_concurrency: int | None = MAX_CONCURRENCY.default
    max_attempts: int = MAX_ATTEMPTS.default
    calling_hours: Mapping[str, object] = field(default_factory=dict)
    retry_policy: Mapping[str, object] = field(default_factory=dict)
    dynamic_variables: Mapping[str, str] = field(default_factory=dict)
    scheduled_at: datetime | None = None
    purpose: str = Purpose.SALES
    consent_required: str = RequiredConsent.NONE
    lists_required: Collection[str] = ()


def stored_settings(row: campaigns.CampaignSettingsRow) -> CampaignSettings:
    """Return the settings of a stored campaign."""
    settings = {each.name: getattr(row, each.name) for each in fields(CampaignSettings)}
    return CampaignSettings(**settings | {each: msgspec.json.decode(settings[each]) for each in _JSON_COLUMNS})


class SettingsColumns(TypedDict):
    """The editable columns of `campaigns`, as the database takes them; JSON columns as text."""

    name: str
    retell_agent_id: str
    from_number: str
    batch_size: int
    max_concurrency: int | None
    max_attempts: int
    calling_hours: str
    retry_policy: str
    dynamic_variables: str
    scheduled_at: datetime | None
    purpose: str
    consent_required: str
    lists_required: Sequence[str]


async def create_organization(connection: Connection, new: NewOrganization, now: datetime) -> UUID:
    """Create a tenant with one provider account; raises CredentialTaken when another tenant has the credential."""
    organization_id = new_id(now)
    await organizations.create_organization(
        connection, id=organization_id, name=new.name, daily_call_cap=new.daily_call_cap, now=now
    )
    try:
        await account_queries.create_provider_account(
            connection,
            id=new_id(now),
            organization_id=organization_id,
            name=f"Retell ({new.credential})",
            credential=new.credential,
            concurrency_limit=new.concurrency_limit,
            reserved_inbound=new.reserved_inbound,
            calls_per_second=new.calls_per_second,
            now=now,
        )
    except asyncpg.UniqueViolationError as error:
        raise CredentialTaken(new.credential) from error
    return organization_id


async def create_campaign(connection: Connection, new: CampaignSettings, now: datetime) -> UUID:
    """Create a draft; raises InvalidCampaign naming the field, InvalidCallingHours or InvalidRetryPolicy."""
    columns = check_settings(new)
    account_id = new.provider_account_id
    if account_id is None:
        accounts = await account_queries.list_accounts(connection, organization_id=new.organization_id)
        if not accounts:
            raise NoProviderAccount(new.organization_id)
        if len(accounts) > 1:
            raise AmbiguousAccount([account.credential for account in accounts])
        account_id = accounts[0].id
    campaign_id = new_id(now)
    await campaigns.create_campaign(
        connection,
        id=campaign_id,
        organization_id=new.organization_id,
        provider_account_id=account_id,
        now=now,
        **columns,
    )
    return campaign_id


def check_settings(new: CampaignSettings) -> SettingsColumns:
    """Check the settings and return them as columns; raises as create_campaign does."""
    if not new.name.strip() or len(new.name) > LONGEST_NAME:
        raise InvalidCampaign("name", f"must have 1 to {LONGEST_NAME} characters")
    if not new.retell_agent_id.strip():
        raise InvalidCampaign("retell_agent_id", "must be the id of a Retell agent, such as agent_0123")
    for limit in CAMPAIGN_LIMITS:
        value = getattr(new, limit.name)
        if value is None and not limit.is_required:
            continue
        if value is None or value not in limit.range:
            raise InvalidCampaign(limit.name, f"must be a whole number {limit.range}, not {value}")
    if new.scheduled_at is not None and new.scheduled_at.tzinfo is None:
        raise InvalidCampaign("scheduled_at", "must be a time with a zone, such as 2026-12-01T09:00:00Z")
    _check_member("purpose", new.purpose, Purpose)
    _check_member("consent_required", new.consent_required, RequiredConsent)
    for kind in new.lists_required:
        _check_member("lists_required", kind, ListKind)
    parse_calling_hours(new.calling_hours)
    parse_retry_policy(new.retry_policy)
    phone = parse_phone(new.from_number, None)
    if isinstance(phone, InvalidPhone):
        raise InvalidCampaign("from_number", f"{new.from_number!r}: {phone.reason}; use E.164, such as +14155550100")
    return {
        "name": new.name.strip(),
        "retell_agent_id": new.retell_agent_id.strip(),
        "from_number": phone.e164,
        "batch_size": new.batch_size,
        "max_concurrency": new.max_concurrency,
        "max_attempts": new.max_attempts,
        "calling_hours": encode_json(new.calling_hours),
        "retry_policy": encode_json(new.retry_policy),
        "dynamic_variables": encode_json(new.dynamic_variables),
        "scheduled_at": new.scheduled_at,
        "purpose": new.purpose,
        "consent_required": new.consent_required,
        "lists_required": [kind for kind in ListKind if kind in new.lists_required],
    }


def _check_member(field: str, value: str, choices: type[StrEnum]) -> None:
    if value not in list(choices):
        raise InvalidCampaign(field, f"must be one of {', '.join(choices)}, not {value!r}")
