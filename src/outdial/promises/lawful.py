"""Checks Promise.LAW after a run: no call outside the law's hours, by the rule packs and the clocks of the contacts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from outdial.db.queries import calling_rules, evidence
from outdial.db.queries.evidence import CallPlace, ContactPlace
from outdial.db.session import Database
from outdial.promises.checks import LedgerRequest, PromiseCheck
from outdial.promises.law import PROHIBITED, Law, LawOfPlace
from outdial.promises.promise import Promise

_DATES = ("in_force_from", "in_force_to", "checked_on")


@dataclass(frozen=True, slots=True, kw_only=True)
class LawEvidence:
    """What decides whether the calls of an organization were lawful.

    `arrivals` are when the provider got the requests of a call. `started_at` is when the campaigns started. The law is
    evaluated `ahead` later than the real time.
    """

    calls: Sequence[CallPlace]
    contacts: Sequence[ContactPlace]
    arrivals: Mapping[UUID, Sequence[datetime]]
    switched_off: frozenset[str]
    own_rules: Sequence[Mapping[str, Any]]
    ahead: timedelta
    started_at: datetime

    def law_of(self, law: Law, place: CallPlace | ContactPlace) -> LawOfPlace:
        """Return the law of a call's or a contact's place, with the organization's changes."""
        return law.in_place(place.jurisdiction_key.split("|"), place.purpose, own=self.own_rules).without(
            self.switched_off
        )


async def gather_law_evidence(
    database: Database,
    organization_id: UUID,
    requests: Sequence[LedgerRequest],
    *,
    ahead: timedelta,
    started_at: datetime,
) -> LawEvidence:
    """Read the calls, the contacts and the rules of an organization; `requests` are the provider's ledger."""
    async with database.as_service() as connection:
        calls = await evidence.call_places(connection, organization_id=organization_id)
        contacts = await evidence.contact_places(connection, organization_id=organization_id)
        rules = await calling_rules.rules_of(connection, organization_id=organization_id)
    arrivals: dict[UUID, list[datetime]] = {}
    for request in requests:
        if request.idempotency_key is not None and request.result == "accepted":
            arrived_at = datetime.fromtimestamp(request.arrived_ms / 1000, UTC)
            arrivals.setdefault(UUID(request.idempotency_key), []).append(arrived_at)
    return LawEvidence(
        calls=calls,
        contacts=contacts,
        arrivals=arrivals,
        switched_off=frozenset(rules.switched_off),
        own_rules=[_as_in_a_pack(msgspec.json.decode(body)) for body in rules.own_rules],
        ahead=ahead,
        started_at=started_at,
    )


def check_law(evidence: LawEvidence, law: Law) -> PromiseCheck:
    """Check Promise.LAW: each call at its planned start and when its request arrived, and the rules of its decision."""
    closed = _closed_at_the_start(evidence, law)
    places = len({call.jurisdiction_key for call in evidence.calls})
    kept = sum(closed.kept.values())
    return PromiseCheck(
        promise=Promise.LAW,
        examined=f"{len(evidence.calls)} calls in {places} states and countries; {closed.waited} contacts waited until"
        f" the law opened, {kept} were not called",
        breaches=list(_breaches(evidence, law)),
    )


def law_numbers(evidence: LawEvidence, law: Law) -> dict[str, object]:
    """Return the numbers of a run that show what the law's hours did, by label."""
    closed, first = _closed_at_the_start(evidence, law), dict[str, str]()
    for call in sorted(evidence.calls, key=lambda call: call.requested_at):
        at = min(evidence.arrivals.get(call.id, [call.requested_at])) + evidence.ahead
        local = at.astimezone(ZoneInfo(call.zone_key.split("|")[0] or "UTC"))
        first.setdefault(call.jurisdiction_key, f"{call.jurisdiction_key} {local:%H:%M:%S}")
    return {
        "law's clock at the start": f"{evidence.started_at + evidence.ahead:%A %Y-%m-%d %H:%M:%S} UTC",
        "first call on local clocks": ", ".join(first.values()),
        "contacts that waited for the law": closed.waited,
        "contacts that the law kept from calls": "; ".join(f"{n} in {why}" for why, n in sorted(closed.kept.items())),
    }


@dataclass(frozen=True, slots=True)
class _ClosedPlaces:
    """How many contacts in places closed at the start were called later, and how many were not called, by reason."""

    waited: int
    kept: Mapping[str, int]


def _closed_at_the_start(evidence: LawEvidence, law: Law) -> _ClosedPlaces:
    waited, kept = 0, Counter[str]()
    for place in evidence.contacts:
        if not place.zone_key or not place.jurisdiction_key:
            kept["places that are not known"] += place.not_called
            continue
        zones = place.zone_key.split("|")
        breaches = evidence.law_of(law, place).breaches(evidence.started_at + evidence.ahead, zones)
        if breaches:
            waited += place.called
            # A prohibition first: it never ends.
            why = min(breaches, key=lambda breach: (breach.reason != PROHIBITED, breach.rule_id))
            kept[f"{place.jurisdiction_key}: {why.reason} ({why.rule_id})"] += place.not_called
    return _ClosedPlaces(waited, +kept)


def _breaches(evidence: LawEvidence, law: Law) -> Iterator[str]:
    for call in evidence.calls:
        if not call.zone_key or not call.jurisdiction_key:
            yield f"call {call.id}: the place of its contact was not known"
            continue
        local_law, zones = evidence.law_of(law, call), call.zone_key.split("|")
        for at in (call.requested_at, *evidence.arrivals.get(call.id, ())):
            for breach in local_law.breaches(at + evidence.ahead, zones):
                yield f"call {call.id} to {call.jurisdiction_key}: {breach}"
        in_force = sorted(row["id"] for row in local_law.in_force(call.decided_at + evidence.ahead, zones))
        if sorted(call.rule_ids) != in_force:
            yield f"the decision of call {call.id} names {', '.join(call.rule_ids)}, but {', '.join(in_force)} applied"


def _as_in_a_pack(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored rule as a row of a pack: JSON has its dates as text."""
    return {**row, **{name: date.fromisoformat(row[name]) for name in _DATES if isinstance(row.get(name), str)}}
