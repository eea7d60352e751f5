"""What a claim decides before anything is written: which zones are open, who may be called, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from outdial.db.claims import DueContact, LiveCounts, LockedAccount, LockedCampaign, PendingZone
from outdial.domain.calling_hours import CallingHours, is_open, local_times, next_open, parse_calling_hours
from outdial.domain.contact import OVER_DAILY_CAP
from outdial.retell.client import create_call_body

DAY = timedelta(hours=24)
# A call claimed now rings within a few seconds: a zone that closes sooner counts as closed.
LEAD = timedelta(seconds=10)
# A phone that is on another campaign's call is looked at again after this time.
LIVE_ELSEWHERE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call to place: `body` is sent at `start_at`, and no request for it is under way after `deadline`.

    A request that leaves late keeps `spacing` from the one before it all the same.
    """

    id: UUID
    organization_id: UUID
    campaign_id: UUID
    provider_account_id: UUID
    credential: str
    start_at: datetime
    deadline: datetime
    spacing: timedelta
    body: bytes


@dataclass(frozen=True, slots=True)
class Zones:
    """The pending zones of a campaign: those with contacts due now, those that never open, and when to look again."""

    due: list[str]
    never: list[str]
    next_due_at: datetime | None
    all_closed: bool


@dataclass(frozen=True, slots=True)
class Deferred:
    """A contact that may be called later only, and why."""

    id: UUID
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """Due contacts by what may be done with them now; the skipped by reason."""

    callable: list[DueContact]
    skipped: Mapping[str, list[UUID]]
    deferred: list[Deferred]


@lru_cache(maxsize=1024)
def hours_of(raw: str) -> CallingHours:
    """Return the calling hours that a campaign's JSON text holds."""
    return parse_calling_hours(msgspec.json.decode(raw))


def may_ring(hours: CallingHours, zone_key: str, now: datetime) -> bool:
    """Tell whether a call that is placed now rings within the hours of every zone of the key."""
    return is_open(hours, zone_key, now) and is_open(hours, zone_key, now + LEAD)


def sort_zones(hours: CallingHours, zones: Sequence[PendingZone], now: datetime) -> Zones:
    """Evaluate the calling hours once per zone key."""
    due: list[str] = []
    never: list[str] = []
    later: list[datetime] = []
    closed = 0
    for zone in zones:
        opens_at = next_open(hours, zone.zone_key, max(now, zone.first_due_at))
        if opens_at is None:
            never.append(zone.zone_key)
        elif zone.first_due_at <= now and may_ring(hours, zone.zone_key, now):
            due.append(zone.zone_key)
        else:
            closed += not may_ring(hours, zone.zone_key, now)
            later.append(max(opens_at, now + LEAD) if opens_at <= now else opens_at)
    return Zones(due, never, min(later, default=None), closed == len(later))


def sort_contacts(contacts: Sequence[DueContact], *, max_attempts: int, daily_cap: int, now: datetime) -> Sorted:
    """Decide for each due contact whether it may be called now, later or not at all."""
    callable_: list[DueContact] = []
    skipped: dict[str, list[UUID]] = {}
    deferred: list[Deferred] = []
    for contact in contacts:
        if contact.do_not_call:
            skipped.setdefault("on the do-not-call list", []).append(contact.id)
        elif contact.attempts >= max_attempts:
            skipped.setdefault(f"{contact.attempts} attempts were made, the campaign allows {max_attempts}", []).append(
                contact.id
            )
        elif contact.live:
            deferred.append(live_elsewhere(contact.id, now))
        elif len(contact.calls_of_the_day) >= daily_cap:
            until = contact.calls_of_the_day[daily_cap - 1] + DAY
            deferred.append(Deferred(contact.id, until, f"{daily_cap} {OVER_DAILY_CAP}"))
        else:
            callable_.append(contact)
    return Sorted(callable_, skipped, deferred)


def live_elsewhere(contact_id: UUID, now: datetime) -> Deferred:
    """Return when a contact may be looked at again whose phone is on another campaign's call."""
    return Deferred(contact_id, now + LIVE_ELSEWHERE, "on the phone for another campaign")


def plan_call(
    call_id: UUID,
    campaign: LockedCampaign,
    account: LockedAccount,
    contact: DueContact,
    *,
    start_at: datetime,
    deadline: datetime,
    spacing: timedelta,
) -> PlannedCall:
    """Return the call of one contact, with the request as it will be sent, and sent again."""
    body = create_call_body(
        call_id=call_id,
        campaign_id=campaign.id,
        to_number=contact.phone,
        from_number=campaign.from_number,
        agent_id=campaign.retell_agent_id,
        dynamic_variables=dynamic_variables(campaign, contact, start_at),
    )
    return PlannedCall(
        call_id,
        campaign.organization_id,
        campaign.id,
        account.id,
        account.credential,
        start_at,
        deadline,
        spacing,
        body,
    )


def dynamic_variables(campaign: LockedCampaign, contact: DueContact, at: datetime) -> dict[str, str]:
    """Return what the agent is told: the campaign's variables, the contact's over them, and the contact's local day.

    Retell takes text only, so a number becomes its text and a null is left out.
    """
    fields = {
        "name": contact.name,
        "email": contact.email,
        "company": contact.company,
        "external_id": contact.external_id,
    }
    local = datetime.fromisoformat(next(iter(local_times(contact.zone_key, at).values())))
    layers: list[Mapping[str, Any]] = [
        _object(campaign.dynamic_variables),
        fields,
        _object(contact.attributes),
        _object(contact.variables),
        {"current_date": local.date().isoformat(), "current_day": f"{local:%A}"},
    ]
    return {name: _text(value) for layer in layers for name, value in layer.items() if value is not None}


def decision(
    campaign: LockedCampaign, account: LockedAccount, counts: LiveCounts, contact: DueContact, start_at: datetime
) -> dict[str, object]:
    """Return why this call was allowed, for whoever asks later."""
    return {
        "zone_key": contact.zone_key,
        "zone_source": contact.zone_source,
        "local_times": local_times(contact.zone_key, start_at),
        "calling_hours": "open",
        "do_not_call": "not listed",
        "attempts": contact.attempts,
        "max_attempts": campaign.max_attempts,
        "calls_in_24_hours": len(contact.calls_of_the_day),
        "daily_call_cap": counts.daily_call_cap,
        "live_calls": counts.account_live,
        "concurrency_limit": account.concurrency_limit,
        "reserved_inbound": account.reserved_inbound,
    }


@lru_cache(maxsize=1024)
def _object(raw: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] = msgspec.json.decode(raw)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
