"""Counts the contacts of a campaign before it starts: by status, and by the first reason not to call them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias, assert_never
from uuid import UUID

from outdial.db.queries import campaigns, launch
from outdial.db.session import Connection
from outdial.dialer.admission import (
    Admit,
    CampaignHours,
    PlaceFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_place,
    campaign_hours,
)
from outdial.dialer.doctor import countries_without_rules, read_rules
from outdial.dialer.screening import Screening, screening_lists, screening_of
from outdial.domain.contact import ContactStatus
from outdial.domain.explaining.rule_sentences import name_jurisdictions
from outdial.domain.permission.consent import accepted_bases, scopes_of
from outdial.domain.permission.screening import LIFTED_BY_CONSENT, MissingList, missing_lists
from outdial.domain.place import Place
from outdial.domain.purpose import ListKind, RequiredConsent, is_stronger
from outdial.domain.rules import RuleBook

_S = ContactStatus
_Reason: TypeAlias = tuple[SkipReason | WaitReason, str]
_KIND_TEXT: Final[Mapping[ListKind, str]] = {
    ListKind.NATIONAL: "on a national list",
    ListKind.STATE: "on a state list",
    ListKind.LITIGATOR: "on a list of litigators",
    ListKind.REASSIGNED: "on a list of reassigned numbers",
}

_STATUS_TEXT: Final[Mapping[ContactStatus, str]] = {
    _S.CALLING: "being called",
    _S.COMPLETED: "completed",
    _S.FAILED: "failed",
    _S.REVIEW: "in review",
    _S.SKIPPED: "skipped",
    _S.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UncalledGroup:
    """Contacts that will not be called for the same reason: a code for programs, and text that follows the count."""

    code: SkipReason | WaitReason
    text: str
    contacts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSummary:
    """How many pending contacts a campaign has, and which of them it will not call, the largest group first.

    `others` counts the contacts that are not pending by status.
    `missing` are screening lists without which the campaign calls no one yet. `duties` are sentences about consent and
    lists that calling rules ask for and the campaign does not require: they keep no contact from being called.
    `callable_contacts` are the others by place.
    """

    contacts: int
    groups: Sequence[UncalledGroup]
    missing: Sequence[MissingList]
    duties: Sequence[str] = ()
    callable_contacts: Mapping[Place, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def by_status(self) -> dict[str, int]:
        """All contacts of the campaign by status, without the statuses that none has."""
        counts = {_S.PENDING: self.contacts} | {_S(status): count for status, count in self.others.items()}
        return {status: counts[status] for status in _S if counts.get(status)}

    @property
    def callable_count(self) -> int:
        """How many pending contacts no rule and no list excludes."""
        return self.contacts - self.uncalled

    @property
    def uncalled(self) -> int:
        """How many contacts will not be called."""
        return sum(group.contacts for group in self.groups)

    def sentence(self) -> str:
        """Return the summary without a period, such as "10 contacts: 7 can be called, 3 on the do-not-call list"."""
        statuses = self.by_status
        if not statuses:
            return "No contacts yet"
        callable_ = "can be called once numbers are screened" if self.missing else "can be called"
        parts = [(self.callable_count, callable_)] if self.contacts else []
        parts += [(group.contacts, group.text) for group in self.groups]
        parts += [(count, _STATUS_TEXT[_S(status)]) for status, count in statuses.items() if status != _S.PENDING]
        return f"{_contacts_text(sum(statuses.values()))}: {', '.join(f'{count:,} {text}' for count, text in parts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counting:
    # What the counts are judged with: consent, the lists in the order of their positions, and the law at `at`.
    screening: Screening
    lists_required: Sequence[ListKind]
    hours: CampaignHours
    at: datetime


async def launch_summary(
    connection: Connection, *, campaign_id: UUID, organization_id: UUID | None, now: datetime, shipped: RuleBook
) -> LaunchSummary | None:
    """Count the pending contacts that a campaign will not call, by set: seconds for a million contacts.

    The law of each place is judged at the scheduled start, or now. None if the caller may not see the campaign, or if
    it is of another organization than `organization_id`. `shipped` are the rules without the changes of the
    organization.
    """
    campaign = await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=organization_id)
    if campaign is None:
        return None
    required = [ListKind(kind) for kind in campaign.lists_required]
    found = await screening_lists(connection, campaign.organization_id)
    screening = screening_of(campaign, found)
    others = await launch.count_not_pending(connection, campaign_id=campaign_id)
    lifted = [each.kind in LIFTED_BY_CONSENT for each in screening.lists.values()]
    await launch.allow_sort_memory(connection)
    rows = await launch.count_uncallable(
        connection,
        campaign_id=campaign_id,
        organization_id=campaign.organization_id,
        scopes=scopes_of(screening.purpose),
        accepted=accepted_bases(screening.consent_required),
        list_ids=list(screening.lists),
        lifted=lifted,
        reads_consents=screening.consent_required is not RequiredConsent.NONE or any(lifted),
    )
    rules = await read_rules(connection, campaign.organization_id, shipped)
    counting = _Counting(
        screening=screening,
        lists_required=required,
        hours=campaign_hours(campaign.calling_hours, campaign.purpose, rules),
        at=max(now, campaign.scheduled_at or now),
    )
    places = _contacts_by_place(rows)
    laws = {place: _law(place, counting) for place in places}
    return LaunchSummary(
        contacts=sum(row.contacts for row in rows),
        groups=_groups(rows, laws, counting),
        missing=missing_lists(
            required, list(found.values()), {name for place in places for name in place.jurisdictions}, now.date()
        ),
        duties=_duties({place: count for place, count in places.items() if laws[place] is None}, counting),
        callable_contacts=_contacts_by_place(
            [
                row
                for row in rows
                if laws[Place(row.zone_key, row.jurisdiction_key)] is None and _contact_reason(row, counting) is None
            ]
        ),
        others={row.status: row.contacts for row in others},
    )


def _groups(
    rows: Sequence[launch.UncallableCount], laws: Mapping[Place, _Reason | None], counting: _Counting
) -> list[UncalledGroup]:
    # The law of a place comes first, as in a claim.
    counts: Counter[_Reason] = Counter()
    for row in rows:
        reason = laws[Place(row.zone_key, row.jurisdiction_key)] or _contact_reason(row, counting)
        if reason is not None:
            counts[reason] += row.contacts
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [UncalledGroup(code=code, text=text, contacts=count) for (code, text), count in ordered]


def _duties(places: Mapping[Place, int], counting: _Counting) -> list[str]:
    """Compare what the rules of the places, each with its contacts, ask for with what the campaign requires."""
    asked: dict[str, set[str]] = {}
    contacts: Counter[str] = Counter()
    for place, count in places.items():
        needs: dict[str, list[str]] = {}
        for rule in counting.hours.at(place).rules_at(counting.at):
            if is_stronger(rule.consent, counting.screening.consent_required):
                needs.setdefault(f"{rule.consent} consent", []).append(rule.id)
            for kind in rule.lists:
                if kind not in counting.lists_required:
                    needs.setdefault(f"screening against a {kind} list", []).append(rule.id)
        for need, rule_ids in needs.items():
            contacts[need] += count
            asked.setdefault(need, set()).update(rule_ids)
    return [
        f"Calling rules call for {need}, which this campaign does not require ({_contacts_text(contacts[need])}):"
        f" {', '.join(sorted(rule_ids))}"
        for need, rule_ids in sorted(asked.items())
    ]


def _contacts_text(count: int) -> str:
    return "1 contact" if count == 1 else f"{count:,} contacts"


def _contacts_by_place(rows: Sequence[launch.UncallableCount]) -> Counter[Place]:
    counts: Counter[Place] = Counter()
    for row in rows:
        counts[Place(row.zone_key, row.jurisdiction_key)] += row.contacts
    return counts


def _law(place: Place, counting: _Counting) -> _Reason | None:
    """Return why no contact of a place will be called, if so."""
    match admit_place(counting.hours, PlaceFacts(place=place, first_due_at=counting.at), counting.at):
        case Skip(reason=SkipReason.PROHIBITED as reason, rule=rule):
            by = "the law" if rule is None else f"calling rule {rule.id}"
            return reason, f"where {by} forbids such calls"
        case Skip(reason=SkipReason.LAW_NEVER_OPENS as reason):
            return reason, "where calling rules allow no call within the calling hours"
        case Skip(reason=reason):
            return reason, "whose time zones have no calling hours in common"
        case Wait(reason=WaitReason.NO_RULES as reason):
            countries = name_jurisdictions(countries_without_rules(counting.hours.at(place), counting.at))
            return reason, f"in {countries}, without a calling rule"
        case Admit() | Wait():
            return None
        case never:
            assert_never(never)


def _contact_reason(row: launch.UncallableCount, counting: _Counting) -> _Reason | None:
    match row.reason:
        case "do_not_call":
            return SkipReason.DO_NOT_CALL, "on the do-not-call list"
        case "no_consent":
            words = "consent" if counting.screening.consent_required is RequiredConsent.EXPRESS else "written consent"
            return SkipReason.NO_CONSENT, f"without {words}"
        case "listed" if row.list_position is not None:
            listed = list(counting.screening.lists.values())[row.list_position - 1]
            return SkipReason.LISTED, _KIND_TEXT[listed.kind]
        case _:
            return None
