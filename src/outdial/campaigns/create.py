"""Creates organizations with their provider account, and campaigns with checked settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypedDict
from uuid import UUID

import asyncpg
import msgspec

from outdial.campaigns.agents import check_agent
from outdial.campaigns.caller_numbers import check_numbers
from outdial.campaigns.errors import AmbiguousAccount, CredentialTaken, InvalidCampaign, NoProviderAccount
from outdial.db.queries import accounts as account_queries
from outdial.db.queries import campaigns, organizations
from outdial.db.session import Connection, encode_json
from outdial.domain.calling_hours import parse_calling_hours
from outdial.domain.errors import InvalidVoicemailPolicy
from outdial.domain.ids import new_id
from outdial.domain.limits import (
    BATCH_SIZE,
    BUDGET_CENTS,
    CAMPAIGN_LIMITS,
    LONGEST_NAME,
    LONGEST_REENTRY_DAYS,
    MAX_ATTEMPTS,
    MAX_CONCURRENCY,
    MORE_NUMBERS,
    PRIORITY,
    SHARE,
)
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.domain.policies.callbacks import parse_callback_policy
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.policies.voicemail import LAST_ATTEMPT, parse_voicemail_policy, unreachable_attempt
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.domain.retry import parse_retry_policy

JSON_COLUMNS: Final = ("calling_hours", "retry_policy", "dynamic_variables", "callback_policy", "voicemail_policy")
"""The settings that the database stores as JSON."""


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """A tenant and its Retell workspace; `credential` names its secrets, as in RETELL_API_KEY_<CREDENTIAL>."""

    name: str
    credential: str = "default"
    concurrency_limit: int = 20
    reserved_inbound: int = 0
    calls_per_second: float = 1.0
    daily_call_cap: int = 3
    account_name: str = ""


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """The settings of a new draft.

    `calling_hours` and `retry_policy` are objects as `parse_calling_hours` and `parse_retry_policy` read them; empty
    ones mean the defaults. `purpose` is a Purpose, `consent_required` a RequiredConsent, and `lists_required` has
    ListKinds: the lists that must be current before the campaign calls.

    The number pool of the campaign is `from_number` and `more_numbers`. `day_parts` are DayParts, one for each attempt.
    A contact with a final status may be added again after `reentry_after`.
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
    more_numbers: Sequence[str] = ()
    callback_policy: Mapping[str, object] = field(default_factory=dict)
    voicemail_policy: Mapping[str, object] = field(default_factory=dict)
    day_parts: Sequence[str] = ()
    keep_open: bool = False
    reentry_after: timedelta | None = None
    budget_cents: int | None = None
    priority: int = PRIORITY.default
    share: int = SHARE.default


def stored_settings(row: campaigns.CampaignSettingsRow) -> CampaignSettings:
    """Return the settings of a stored campaign."""
    settings = {each.name: getattr(row, each.name) for each in fields(CampaignSettings)}
    return CampaignSettings(**settings | {each: msgspec.json.decode(settings[each]) for each in JSON_COLUMNS})


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
    more_numbers: Sequence[str]
    callback_policy: str
    voicemail_policy: str
    day_parts: Sequence[str]
    keep_open: bool
    reentry_after: timedelta | None
    budget_cents: int | None
    priority: int
    share: int


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
            name=new.account_name or f"Retell ({new.credential})",
            credential=new.credential,
            concurrency_limit=new.concurrency_limit,
            reserved_inbound=new.reserved_inbound,
            calls_per_second=new.calls_per_second,
            now=now,
        )
    except asyncpg.UniqueViolationError as error:
        raise CredentialTaken(new.credential) from error
    return organization_id


async def create_campaign(
    connection: Connection, new: CampaignSettings, now: datetime, *, is_copy: bool = False
) -> UUID:
    """Create a draft; raises InvalidCampaign naming the field, or the DomainError of hours or a policy.

    A copy may keep a voicemail message that no attempt leaves: its original can be too old to be edited, and the launch
    check reports it.
    """
    columns = check_settings(new)
    if not is_copy:
        check_message_attempt(new)
    account_id = new.provider_account_id
    if account_id is None:
        accounts = await account_queries.list_accounts(connection, organization_id=new.organization_id)
        if not accounts:
            raise NoProviderAccount(new.organization_id)
        if len(accounts) > 1:
            raise AmbiguousAccount([account.credential for account in accounts])
        account_id = accounts[0].id
    await check_numbers(connection, new.organization_id, account_id, columns["from_number"], columns["more_numbers"])
    await check_agent(connection, account_id, columns["retell_agent_id"])
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
        if limit.is_required if value is None else value not in limit.range:
            raise InvalidCampaign(limit.name, f"must be a whole number {limit.range}, not {value}")
    _check_members(new)
    _check_amounts(new)
    parse_calling_hours(new.calling_hours)
    parse_retry_policy(new.retry_policy)
    parse_callback_policy(new.callback_policy)
    parse_voicemail_policy(new.voicemail_policy)
    from_number = _phone_of("from_number", new.from_number)
    return {
        "name": new.name.strip(),
        "retell_agent_id": new.retell_agent_id.strip(),
        "from_number": from_number,
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
        "more_numbers": _more_numbers(new, from_number),
        "callback_policy": encode_json(new.callback_policy),
        "voicemail_policy": encode_json(new.voicemail_policy),
        "day_parts": list(new.day_parts),
        "keep_open": new.keep_open,
        "reentry_after": new.reentry_after,
        "budget_cents": new.budget_cents,
        "priority": new.priority,
        "share": new.share,
    }


def check_message_attempt(new: CampaignSettings) -> None:
    """Raise InvalidVoicemailPolicy if the attempt that leaves the voicemail message never happens."""
    policy, retry = parse_voicemail_policy(new.voicemail_policy), parse_retry_policy(new.retry_policy)
    reason = unreachable_attempt(policy, retry, new.max_attempts)
    if reason is not None:
        raise InvalidVoicemailPolicy(f"on_attempt: {reason}; use a lower number, or {LAST_ATTEMPT!r}")


def _check_amounts(new: CampaignSettings) -> None:
    if new.scheduled_at is not None and new.scheduled_at.tzinfo is None:
        raise InvalidCampaign("scheduled_at", "must be a time with a zone, such as 2026-12-01T09:00:00Z")
    if len(new.day_parts) > MAX_ATTEMPTS.range.most:
        raise InvalidCampaign("day_parts", f"there are at most {MAX_ATTEMPTS.range.most} attempts")
    if (new.budget_cents or 0) not in BUDGET_CENTS:
        raise InvalidCampaign("budget_cents", f"must be a whole number of cents {BUDGET_CENTS}, not {new.budget_cents}")
    longest = timedelta(days=LONGEST_REENTRY_DAYS)
    if new.reentry_after is not None and not timedelta() < new.reentry_after <= longest:
        raise InvalidCampaign("reentry_after", f"must be a duration such as 30d, at most {longest.days}d")


def _more_numbers(new: CampaignSettings, from_number: str) -> list[str]:
    """Return the numbers of the pool besides the first, each once and in the order given."""
    if len(new.more_numbers) > MORE_NUMBERS:
        raise InvalidCampaign("more_numbers", f"a campaign has at most {MORE_NUMBERS} numbers besides its first")
    numbers = dict.fromkeys(_phone_of("more_numbers", number) for number in new.more_numbers)
    return [number for number in numbers if number != from_number]


def _phone_of(field: str, number: str) -> str:
    phone = parse_phone(number, None)
    if isinstance(phone, InvalidPhone):
        raise InvalidCampaign(field, f"{number!r}: {phone.reason}; use E.164, such as +14155550100")
    return phone.e164


def _check_members(new: CampaignSettings) -> None:
    chosen: list[tuple[str, str, type[StrEnum]]] = [
        ("purpose", new.purpose, Purpose),
        ("consent_required", new.consent_required, RequiredConsent),
        *(("lists_required", kind, ListKind) for kind in new.lists_required),
        *(("day_parts", part, DayPart) for part in new.day_parts),
    ]
    for name, value, choices in chosen:
        if value not in list(choices):
            raise InvalidCampaign(name, f"must be one of {', '.join(choices)}, not {value!r}")
