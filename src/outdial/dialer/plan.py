"""Plans the calls of a claim before anything is written: the contacts to call, their requests, their decisions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol, assert_never
from uuid import UUID

import msgspec

from outdial.db.queries.accounts import LiveCounts, LockedAccount
from outdial.db.queries.batches import LockedCampaign
from outdial.db.queries.due_contacts import DueContact
from outdial.db.queries.settlements import RepeatFacts
from outdial.dialer.admission import (
    DAY,
    LIVE_ELSEWHERE,
    Admit,
    CampaignHours,
    ContactFacts,
    LimitFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_contact,
)
from outdial.dialer.callbacks.planning import NO_SUMMARY, callback_variables
from outdial.dialer.screening import Screening
from outdial.domain.calling_hours import local_times
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import NO_NUMBER_FREE, OVER_DAILY_CAP, OVER_RULE_CAP
from outdial.domain.contact_fields import AGENT_VARIABLES
from outdial.domain.explaining.rule_sentences import cap_sentence
from outdial.domain.outcomes import Outcome
from outdial.domain.pacing import LATENESS, Pace
from outdial.domain.permission.consent import Basis, no_consent
from outdial.domain.permission.screening import listed_on
from outdial.domain.place import Place
from outdial.domain.policies.budget import ClaimBudget, budget_record
from outdial.domain.policies.day_parts import DayPart, part_of_call
from outdial.domain.policies.number_pool import ChosenNumber, NumberPool, NumbersBusy
from outdial.domain.policies.voicemail import (
    AfterMessage,
    LeaveMessage,
    VoicemailPolicy,
    parse_voicemail_policy,
    voicemail_order,
)
from outdial.domain.retry import parse_retry_policy
from outdial.domain.rules import CallingRule, EffectiveWindow, RuleBook
from outdial.pre_dial.messages import TIMEOUT_S
from outdial.provider import CallRequest, VoiceProvider

ON_DO_NOT_CALL_LIST: Final = "on the do-not-call list"
HOOK_TIME: Final = timedelta(seconds=TIMEOUT_S) + timedelta(milliseconds=250)
"""Time between a claim and its first start where the organization has a pre-dial hook: its response and its storage."""
CALLER_BLOCKED: Final = "an earlier call from this caller number was marked as spam or blocked by the network"
EVERY_CALLER_BLOCKED: Final = (
    "earlier calls from each caller number of the campaign were marked as spam or blocked by the network"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One call to place: `body` is sent at `start_at`, and no request for it is outstanding after `deadline`.

    The request may leave `slack` late; `spacing` is the time between two starts of the account. `campaign_status` is
    the status read under the lock that the call was planned under, `limits_at` the time before the limits were read.
    `window` says when the law and the campaign's hours allow the call.
    `message_then` follows for the contact if the call leaves its voicemail message; None if it leaves none.
    A call that `needs_clearance` may be requested once `cleared_at` is stored: the pre-dial hook has allowed it.
    """

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    campaign_status: CampaignStatus
    provider_account_id: UUID
    credential: str
    phone: str
    start_at: datetime
    deadline: datetime
    spacing: timedelta
    body: bytes
    window: EffectiveWindow
    limits_at: datetime
    slack: timedelta = LATENESS
    needs_clearance: bool = False
    cleared_at: datetime | None = None
    message_then: AfterMessage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredContact:
    """A contact that may only be called later, and why."""

    id: UUID
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactAdmissions:
    """Due contacts by what may be done with them now; the ids of skipped ones by reason.

    `numbers` are the caller numbers of the callable ones, by their ids.
    """

    callable: list[DueContact]
    numbers: Mapping[UUID, ChosenNumber]
    skipped: Mapping[str, list[UUID]]
    deferred: list[DeferredContact]


def place_of(contact: DueContact | RepeatFacts) -> Place:
    """Return where a contact may be."""
    return Place(contact.zone_key, contact.jurisdiction_key)


def capping_rules(hours: CampaignHours, places: Collection[Place], now: datetime) -> dict[Place, list[CallingRule]]:
    """Return the rules with a cap that are in force in each place."""
    return {place: [rule for rule in hours.at(place).rules_at(now) if rule.cap is not None] for place in places}


def contact_facts(
    contact: DueContact | RepeatFacts,
    screening: Screening,
    *,
    max_attempts: int,
    daily_call_cap: int,
    capping_rules: Sequence[CallingRule],
    caller_blocked: bool,
) -> ContactFacts:
    """Gather all that decides whether a contact may be called, in a claim or for a repeated request."""
    return ContactFacts(
        do_not_call=contact.do_not_call,
        has_consent=screening.has_consent(contact),
        is_listed=bool(contact.listed_on) and screening.list_with(contact) is not None,
        attempts=contact.attempts,
        max_attempts=max_attempts,
        is_callback=contact.callback_at is not None,
        live=contact.live,
        caller_blocked=caller_blocked,
        recent_calls=contact.recent_calls,
        daily_call_cap=daily_call_cap,
        capping_rules=capping_rules,
    )


def admit_contacts(
    contacts: Sequence[DueContact],
    screening: Screening,
    *,
    max_attempts: int,
    daily_call_cap: int,
    capping: Mapping[Place, Sequence[CallingRule]],
    pool: NumberPool,
    now: datetime,
) -> ContactAdmissions:
    """Decide for each due contact whether it is called now, from which number, later or not at all.

    `capping` has the rules with a cap of each place.
    """
    callable_: list[DueContact] = []
    numbers: dict[UUID, ChosenNumber] = {}
    skipped: dict[str, list[UUID]] = {}
    deferred: list[DeferredContact] = []
    for contact in contacts:
        facts = contact_facts(
            contact,
            screening,
            max_attempts=max_attempts,
            daily_call_cap=daily_call_cap,
            capping_rules=capping.get(place_of(contact), ()),
            caller_blocked=pool.phones <= frozenset(contact.blocked_numbers),
        )
        match admit_contact(facts, now):
            case Admit():
                match _number_for(contact, pool):
                    case ChosenNumber() as number:
                        callable_.append(contact)
                        numbers[contact.id] = number
                    case NumbersBusy(until=until):
                        deferred.append(
                            DeferredContact(id=contact.id, until=until or now + LIVE_ELSEWHERE, reason=NO_NUMBER_FREE)
                        )
                    case never:
                        assert_never(never)
            case Skip(reason=SkipReason.LISTED) if (listed := screening.list_with(contact)) is not None:
                skipped.setdefault(listed_on(listed.name, listed.registry_date), []).append(contact.id)
            case Skip(reason=reason):
                skipped.setdefault(_skip_reason(reason, facts, screening, pool), []).append(contact.id)
            case Wait() as wait:
                deferred.append(_deferred(contact.id, wait, daily_call_cap, now))
            case never:
                assert_never(never)
    return ContactAdmissions(callable=callable_, numbers=numbers, skipped=skipped, deferred=deferred)


def _number_for(contact: DueContact, pool: NumberPool) -> ChosenNumber | NumbersBusy:
    # Where there is nothing to choose from, it does not matter where the contact may be.
    jurisdictions = place_of(contact).jurisdictions if len(pool.phones) > 1 else ()
    return pool.choose(contact.phone, jurisdictions, last=contact.last_number, avoid=contact.blocked_numbers)


def _skip_reason(reason: SkipReason, facts: ContactFacts, screening: Screening, pool: NumberPool) -> str:
    match reason:
        case SkipReason.ATTEMPTS_USED:
            return f"{facts.attempts} attempts were made; the campaign allows {facts.max_attempts}"
        case SkipReason.CALLER_BLOCKED:
            return CALLER_BLOCKED if len(pool.phones) == 1 else EVERY_CALLER_BLOCKED
        case SkipReason.NO_CONSENT:
            return no_consent(screening.consent_required, screening.purpose)
        case _:
            return ON_DO_NOT_CALL_LIST


def _deferred(contact_id: UUID, wait: Wait, daily_call_cap: int, now: datetime) -> DeferredContact:
    if wait.reason is WaitReason.DAILY_CAP:
        return DeferredContact(id=contact_id, until=wait.until or now, reason=f"{daily_call_cap} {OVER_DAILY_CAP}")
    if wait.rule is not None:
        reason = f"{OVER_RULE_CAP}{cap_sentence(wait.rule)}"
        return DeferredContact(id=contact_id, until=wait.until or now, reason=reason)
    return live_elsewhere(contact_id, now)


def live_elsewhere(contact_id: UUID, now: datetime) -> DeferredContact:
    """Return when to check again a contact whose phone is on another campaign's call."""
    return DeferredContact(id=contact_id, until=now + LIVE_ELSEWHERE, reason="on the phone for another campaign")


def pace_of(account: LockedAccount) -> Pace:
    """Return the pacing state in the account's row."""
    return Pace(account.calls_per_second, account.rate_factor, account.next_start_at, account.backoff_until)


def limits_of(campaign: LockedCampaign, account: LockedAccount, counts: LiveCounts) -> LimitFacts:
    """Return the limits of a locked campaign and account as facts for the admission."""
    return LimitFacts(
        concurrency_limit=account.concurrency_limit,
        reserved_inbound=account.reserved_inbound,
        account_live=counts.account_live,
        campaign_limit=campaign.campaign_limit,
        campaign_live=counts.campaign_live,
        batch_size=campaign.batch_size,
        sharers=counts.sharers,
        weight=counts.weight,
        total_weight=counts.total_weight,
        pace=pace_of(account),
        hook_retry_at=counts.hook_retry_at,
        hook_time=HOOK_TIME if counts.has_hook else timedelta(),
        is_stopped=counts.is_stopped,
    )


def plan_call(
    call_id: UUID,
    campaign: LockedCampaign,
    account: LockedAccount,
    contact: DueContact,
    *,
    from_number: str,
    provider: VoiceProvider,
    window: EffectiveWindow,
    start_at: datetime,
    deadline: datetime,
    spacing: timedelta,
    limits_at: datetime,
    needs_clearance: bool = False,
) -> PlannedCall:
    """Return the call of one contact, with the request as it is sent, and sent again by a rescue."""
    variables = dynamic_variables(campaign, contact, start_at, callback_variables(contact))
    on_voicemail = voicemail_order(
        _voicemail_policy(campaign.voicemail_policy),
        attempts=contact.attempts,
        last_attempt=_last_voicemail_attempt(campaign.retry_policy, campaign.max_attempts),
        has_message=contact.has_message,
        variables=variables,
        is_filled_later=provider.fills_variable,
    )
    request = CallRequest(
        call_id=call_id,
        campaign_id=campaign.id,
        to_number=contact.phone,
        from_number=from_number,
        agent_id=campaign.retell_agent_id,
        dynamic_variables=variables,
        on_voicemail=on_voicemail,
    )
    return PlannedCall(
        id=call_id,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        campaign_status=CampaignStatus(campaign.status),
        provider_account_id=account.id,
        credential=account.credential,
        phone=contact.phone,
        start_at=start_at,
        deadline=deadline,
        spacing=spacing,
        body=provider.encode_request(request),
        window=window,
        limits_at=limits_at,
        needs_clearance=needs_clearance,
        message_then=on_voicemail.then if isinstance(on_voicemail, LeaveMessage) else None,
    )


class CampaignVariables(Protocol):
    """A campaign with its variables as JSON text."""

    @property
    def dynamic_variables(self) -> str: ...


class VariablesOfContact(Protocol):
    """A contact with its zone key, and JSON text of what was imported with it. It also has each of AGENT_VARIABLES."""

    @property
    def zone_key(self) -> str: ...
    @property
    def attributes(self) -> str: ...
    @property
    def variables(self) -> str: ...


def dynamic_variables(
    campaign: CampaignVariables, contact: VariablesOfContact, at: datetime, callback: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the agent variables: the campaign's, overridden by the contact's, the local day, and those of `callback`.

    Retell takes text only, so a number becomes its text and a null is left out. A contact may come with a
    `last_call_summary` of another system, which a callback with a summary replaces.
    """
    fields = {name: getattr(contact, name) for name in AGENT_VARIABLES}
    local = datetime.fromisoformat(next(iter(local_times(contact.zone_key, at).values())))
    layers: list[Mapping[str, Any]] = [
        NO_SUMMARY,
        _object(campaign.dynamic_variables),
        fields,
        _object(contact.attributes),
        _object(contact.variables),
        {"current_date": local.date().isoformat(), "current_day": f"{local:%A}"},
        callback,
    ]
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for layer in layers
        for name, value in layer.items()
        if value is not None
    }


def decision(
    campaign: LockedCampaign,
    *,
    account: LockedAccount,
    counts: LiveCounts,
    contact: DueContact,
    number: ChosenNumber,
    budget: ClaimBudget | None,
    screening: Screening,
    rules: RuleBook,
    window: EffectiveWindow,
    start_at: datetime,
) -> dict[str, object]:
    """Return the record of why this call was allowed, as `calls.decision` stores it.

    `rule_ids` are the rules in force in the contact's place, and `pack_date` the date of the pack that they are from;
    null where calling rules are ignored. `number_choice` is a NumberChoice. `day_part` is the part of the day of the
    attempt; null without one, and for a call at another time: a callback, or to a contact for whom it never opens.
    `budget` is empty without a budget.
    """
    return {
        "zone_key": contact.zone_key,
        "jurisdiction_key": contact.jurisdiction_key,
        "rule_ids": [rule.id for rule in window.rules_at(start_at)],
        "pack_date": pack_date_text(rules),
        "zone_source": contact.zone_source,
        "local_times": local_times(contact.zone_key, window.judged_at(start_at)),
        "calling_hours": "open",
        "do_not_call": "not listed",
        "purpose": screening.purpose,
        "consent_required": screening.consent_required,
        "consent": contact.consent or Basis.NONE,
        "screening_lists": {each.name: each.registry_date.isoformat() for each in screening.lists.values()},
        "lists_lifted_by_consent": [each.name for each in screening.lifted_lists(contact)],
        "attempts": contact.attempts,
        "max_attempts": campaign.max_attempts,
        "calls_in_24_hours": sum(called_at > start_at - DAY for called_at in contact.recent_calls),
        "daily_call_cap": counts.daily_call_cap,
        "live_calls": counts.account_live,
        "concurrency_limit": account.concurrency_limit,
        "reserved_inbound": account.reserved_inbound,
        "number_choice": number.reason,
        "day_part": part_of_call(
            [DayPart(part) for part in campaign.day_parts],
            contact.attempts,
            contact.zone_key,
            window.judged_at(start_at),
        ),
        "budget": budget_record(budget),
    }


def pack_date_text(rules: RuleBook) -> str | None:
    """Return the date of the rule pack as decisions and copies of rules have it; None where rules are ignored."""
    return None if rules.pack_date == date.min else rules.pack_date.isoformat()


@lru_cache(maxsize=1024)
def _voicemail_policy(raw: str) -> VoicemailPolicy:
    return parse_voicemail_policy(msgspec.json.decode(raw))


@lru_cache(maxsize=1024)
def _last_voicemail_attempt(retry_policy: str, max_attempts: int) -> int:
    return parse_retry_policy(msgspec.json.decode(retry_policy)).last_attempt(Outcome.VOICEMAIL, max_attempts)


@lru_cache(maxsize=1024)
def _object(raw: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] = msgspec.json.decode(raw)
    return value
