"""Explains why a campaign is not dialing right now: a code for programs and a sentence for users.

The admission decides, over facts that are read without locks. `waiting_for` in the campaign's row is only the reason of
the last claim, so it settles nothing but what the facts cannot: whether the last claim had to wait for the rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, TypeAlias, assert_never
from uuid import UUID

from outdial.db.queries import batches
from outdial.db.session import Connection
from outdial.dialer.admission import (
    WAITING_FOR_KEY,
    Admission,
    Admit,
    CampaignFacts,
    LimitFacts,
    PlaceFacts,
    Skip,
    SkipReason,
    Wait,
    WaitReason,
    admit_campaign,
    admit_place,
    campaign_hours,
)
from outdial.dialer.budgets.limits import read_budgets
from outdial.dialer.numbers.pool import WAITING_FOR_NUMBERS, read_pool
from outdial.dialer.organization_rules import organization_rules
from outdial.dialer.plan import HOOK_TIME
from outdial.dialer.screening import screening_lists
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import OVER_RULE_CAP
from outdial.domain.errors import DomainError
from outdial.domain.explaining.rule_sentences import forbidden_sentence, name_jurisdictions, no_rules_sentence
from outdial.domain.pacing import Pace
from outdial.domain.permission.screening import missing_lists
from outdial.domain.place import Place
from outdial.domain.policies.budget import ClaimBudget, budget_sentence
from outdial.domain.purpose import ListKind, Purpose
from outdial.domain.rules import CallingRule, EffectiveWindow, NoRules, RuleBook

FormatMoment: TypeAlias = Callable[[datetime], str]
"""Formats a time for the reader: in a zone, in words, or as an element of a page."""

LimitReason: TypeAlias = Literal[
    WaitReason.CAMPAIGN_FULL,
    WaitReason.ACCOUNT_FULL,
    WaitReason.SHARE_TAKEN,
    WaitReason.PACING,
    WaitReason.NUMBERS,
    WaitReason.BUDGET,
]
PermissionReason: TypeAlias = Literal[
    WaitReason.LAW_OPENS,
    WaitReason.NO_RULES,
    WaitReason.KEYS_MISSING,
    WaitReason.RULE_CAP,
    WaitReason.NOT_SCREENED,
    WaitReason.PRE_DIAL_HOOK,
]

ContactSkipReason: TypeAlias = Literal[
    SkipReason.DO_NOT_CALL,
    SkipReason.NO_CONSENT,
    SkipReason.LISTED,
    SkipReason.ATTEMPTS_USED,
    SkipReason.CALLER_BLOCKED,
]

_OF_PLACES: Final = frozenset(
    {
        WaitReason.ZONE_OPENS,
        WaitReason.LAW_OPENS,
        WaitReason.NO_RULES,
        WaitReason.RETRY_DUE,
        WaitReason.DAILY_CAP,
        WaitReason.RULE_CAP,
    }
)
"""The reasons of places: the calling hours were read for them, and are valid."""
FAILS_IN: Final = (CampaignStatus.ACTIVE, CampaignStatus.PAUSING, CampaignStatus.CANCELLING)
"""The statuses in which the dialer works on a campaign."""
OVERDUE: Final = timedelta(seconds=30)
"""A running dialer claims for a campaign within this time of its being due."""


class RunReason(StrEnum):
    """Why a campaign that may call does not, or only slowly; the value is the code in the API."""

    NO_DIALER = "no_dialer"
    BACKED_OFF = "backed_off"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialingFacts:
    """The facts of a campaign's admission, and what the dialer last wrote into its row."""

    campaign: CampaignFacts
    paused_reason: str | None
    next_batch_at: datetime | None
    waiting_for: str | None
    failures: int = 0
    failing_reason: str | None = None
    hook_failures: int = 0
    hook_failing_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why a campaign is not dialing. `at` is the moment in the sentence, `places` those it is about.

    `zone` is the time zone whose calling hours open at `at`, None when several do. `rule` is the calling rule that
    forbids the calls, `countries` are those without a rule.
    """

    reason: WaitReason | SkipReason | RunReason
    at: datetime | None
    facts: DialingFacts
    places: Sequence[Place] = ()
    zone: str | None = None
    rule: CallingRule | None = None
    countries: Sequence[str] = ()

    def sentence(self, format_moment: FormatMoment) -> str:
        """Return the reason as a sentence that begins with a capital letter and has no period."""
        at = "" if self.at is None else format_moment(self.at)
        match self.reason:
            case WaitReason():
                sentence = _wait_sentence(self.reason, self, at)
                if not self.countries or self.reason is WaitReason.NO_RULES:
                    return sentence
                # Other contacts wait for a rule: waiting for an hour does not help them.
                unruled = no_rules_sentence(self.countries, self.facts.campaign.purpose)
                return f"{sentence}; {unruled[:1].lower()}{unruled[1:]}"
            case SkipReason():
                return _skip_sentence(self.reason, self)
            case RunReason.NO_DIALER:
                return f"No dialer has checked this campaign since {at}; make sure that one is running"
            case RunReason.FAILING:
                times = "once" if self.facts.failures == 1 else f"{self.facts.failures} times in a row"
                reason = self.facts.failing_reason or "no reason recorded"
                return f"The dialer failed on this campaign {times} ({reason}); it tries again {at}"
            case RunReason.BACKED_OFF:
                rate = self.facts.campaign.limits.pace.rate_factor
                return f"Retell is at capacity: calls start at {rate:.0%} of the usual rate until {at}"
            case never:
                assert_never(never)


async def examine(
    connection: Connection,
    campaign_ids: Sequence[UUID],
    now: datetime,
    shipped: RuleBook,
    budgets: Mapping[UUID, ClaimBudget] | None = None,
) -> dict[UUID, Diagnosis | None]:
    """Return why each campaign is not dialing, None for those that are; leaves out those the caller may not see.

    `shipped` are the rules without the changes of the organizations. `budgets` come from `read_budgets`, and are read
    here without it.
    """
    diagnoses = dict[UUID, Diagnosis | None]()
    rows = await batches.admission_facts(connection, campaign_ids=list(campaign_ids))
    screened = {row.organization_id for row in rows if row.lists_required}
    lists_of = {each: list((await screening_lists(connection, each)).values()) for each in screened}
    books = {each: await read_rules(connection, each, shipped) for each in {row.organization_id for row in rows}}
    if budgets is None:
        budgets = await read_budgets(connection, [row.campaign_id for row in rows], now)
    for row in rows:
        required, lists = [ListKind(kind) for kind in row.lists_required], lists_of.get(row.organization_id, [])
        places = [
            PlaceFacts(
                place=(place := Place(zone_key, jurisdiction_key)),
                first_due_at=first_due_at,
                first_reason=first_reason,
                is_screened=not missing_lists(required, lists, place.jurisdictions, now.date()),
            )
            for zone_key, jurisdiction_key, first_due_at, first_reason in zip(
                row.zone_keys, row.jurisdiction_keys, row.first_due_ats, row.first_reasons, strict=True
            )
        ]
        campaign = CampaignFacts(
            status=CampaignStatus(row.status),
            scheduled_at=row.scheduled_at,
            calling_hours=row.calling_hours,
            purpose=Purpose(row.purpose),
            rules=books[row.organization_id],
            places=places,
            limits=replace(await _limits_of(connection, row, now), budget=budgets.get(row.campaign_id)),
            keep_open=row.keep_open,
            missing_lists=missing_lists(
                required, lists, {name for each in places for name in each.place.jurisdictions}, now.date()
            ),
        )
        facts = DialingFacts(
            campaign=campaign,
            paused_reason=row.paused_reason,
            next_batch_at=row.next_batch_at,
            waiting_for=row.waiting_for,
            failures=row.failures,
            failing_reason=row.failing_reason,
            hook_failures=row.hook_failures,
            hook_failing_reason=row.hook_failing_reason,
        )
        diagnoses[row.campaign_id] = diagnose(facts, now)
    return diagnoses


async def _limits_of(connection: Connection, row: batches.AdmissionFactsRow, now: datetime) -> LimitFacts:
    waits_for_numbers = row.waiting_for == WAITING_FOR_NUMBERS
    return LimitFacts(
        concurrency_limit=row.concurrency_limit,
        reserved_inbound=row.reserved_inbound,
        account_live=row.account_live,
        campaign_limit=row.campaign_limit,
        campaign_live=row.campaign_live,
        batch_size=row.batch_size,
        sharers=row.sharers,
        weight=row.weight,
        total_weight=row.total_weight,
        pace=Pace(row.calls_per_second, row.rate_factor, row.next_start_at, row.backoff_until),
        numbers_busy=(await read_pool(connection, row, now)).wait() if waits_for_numbers else None,
        hook_retry_at=row.hook_retry_at,
        hook_time=HOOK_TIME if row.has_hook else timedelta(),
        is_stopped=row.is_stopped,
        has_key=row.waiting_for != WAITING_FOR_KEY,
    )


async def read_rules(connection: Connection, organization_id: UUID, shipped: RuleBook) -> RuleBook:
    """Read the rules of an organization: the shipped ones, minus those it has switched off, plus its own readable ones.

    While one cannot be read, the dialer fails on its campaigns, and the reason is recorded with each of them.
    """
    return await organization_rules(connection, organization_id, shipped, skip_unreadable=True)


def diagnose(facts: DialingFacts, now: datetime) -> Diagnosis | None:
    """Return why no call is placed at `now`; None while calls are placed and nothing prevents them."""
    campaign = facts.campaign
    if campaign.status is CampaignStatus.ACTIVE and facts.next_batch_at and facts.next_batch_at + OVERDUE < now:
        return Diagnosis(reason=RunReason.NO_DIALER, at=facts.next_batch_at, facts=facts)
    if facts.failures and campaign.status in FAILS_IN:
        return Diagnosis(reason=RunReason.FAILING, at=facts.next_batch_at, facts=facts)
    try:
        admission = admit_campaign(campaign, now, horizon=timedelta())
    except DomainError as error:  # such as calling hours that were stored before the database checked them
        facts = replace(facts, failures=1, failing_reason=str(error))
        return Diagnosis(reason=RunReason.FAILING, at=facts.next_batch_at, facts=facts)
    if facts.hook_failures and _waits_for_hook(campaign, admission, now):
        return Diagnosis(reason=WaitReason.PRE_DIAL_HOOK, at=campaign.limits.hook_retry_at, facts=facts)
    return _explain(facts, admission, now)


def _explain(facts: DialingFacts, admission: Admission, now: datetime) -> Diagnosis | None:
    """Return the diagnosis of an admission."""
    campaign, pace = facts.campaign, facts.campaign.limits.pace
    match admission:
        case Admit() | Wait(reason=WaitReason.PACING) if pace.backoff_until is not None and pace.backoff_until > now:
            return Diagnosis(reason=RunReason.BACKED_OFF, at=pace.backoff_until, facts=facts)
        case Admit():
            return None
        case Wait(reason=WaitReason.PACING) if facts.waiting_for != "pacing":
            # Between two starts the next one is always a moment away: that is dialing, not waiting.
            return None
        case Wait() as wait:
            return _diagnose_wait(wait, facts, now)
        case Skip(reason=reason, rule=rule):
            places = [each.place for each in campaign.places]
            return Diagnosis(reason=reason, at=None, facts=facts, places=places, rule=rule)
        case never:
            assert_never(never)


def _diagnose_wait(wait: Wait, facts: DialingFacts, now: datetime) -> Diagnosis:
    campaign, reason, until = facts.campaign, wait.reason, wait.until
    if reason not in _OF_PLACES:
        return Diagnosis(reason=reason, at=until, facts=facts)
    hours = campaign_hours(campaign.calling_hours, campaign.purpose, campaign.rules)
    countries = {name for each in campaign.places for name in countries_without_rules(hours.at(each.place), now)}
    diagnosis = Diagnosis(reason=reason, at=until, facts=facts, countries=sorted(countries))
    if reason not in (WaitReason.ZONE_OPENS, WaitReason.LAW_OPENS):
        return diagnosis
    opens_at = _closed_places(campaign, reason, now)
    first = {place.zone_key for place, opening in opens_at.items() if opening == until}
    zone = min(first) if len(first) == 1 and "|" not in min(first) else None
    return replace(diagnosis, places=list(opens_at), zone=zone)


def _closed_places(campaign: CampaignFacts, reason: WaitReason, now: datetime) -> dict[Place, datetime | None]:
    """Return the places that wait for a reason, each with the time at which it opens."""
    hours = campaign_hours(campaign.calling_hours, campaign.purpose, campaign.rules)
    waits = {each.place: admit_place(hours, each, now) for each in campaign.places if each.is_screened}
    return {place: wait.until for place, wait in waits.items() if isinstance(wait, Wait) and wait.reason is reason}


def countries_without_rules(window: EffectiveWindow, now: datetime) -> Sequence[str]:
    """Return the countries of a place that have no rule, if that is why no call is allowed there."""
    block = window.blocked_at(now)
    return block.countries if isinstance(block, NoRules) else ()


def _reached_cap(campaign: CampaignFacts) -> str:
    """Return the sentence of the cap that the contact who is due first has reached."""
    capped = [each for each in campaign.places if each.first_reason.startswith(OVER_RULE_CAP)]
    first = min(capped, key=lambda each: each.first_due_at)
    return first.first_reason.removeprefix(OVER_RULE_CAP)


def _waits_for_hook(campaign: CampaignFacts, admission: Admission, now: datetime) -> bool:
    """Return whether the failing hook is what keeps the campaign from calling: its contacts are deferred, too."""
    retry_at = campaign.limits.hook_retry_at
    match admission:
        case Wait(reason=WaitReason.PRE_DIAL_HOOK) | Admit():
            return True
        case Wait(reason=WaitReason.RETRY_DUE, until=until):
            return retry_at is not None and retry_at > now and until is not None and until <= retry_at
        case Wait() | Skip():
            return False
        case never:
            assert_never(never)


_SENTENCES: Final[Mapping[WaitReason, str]] = {
    WaitReason.NO_CONTACTS: "All contacts are called; the campaign stays open for more",
    WaitReason.RETRY_DUE: "Waiting for retries; the next attempt is {at}",
    WaitReason.DAY_PART: "Waiting for the part of the day of the next attempts, from {at}",
    WaitReason.DAILY_CAP: "The pending contacts have reached the daily call cap; the next call may start {at}",
    WaitReason.STOPPED: "All calls of the organization are stopped until a member resumes them",
    WaitReason.NO_API_KEY: "The account has no Retell API key; calls start when an admin has entered one",
    WaitReason.LIVE_ELSEWHERE: "The contact is on a call for another campaign; the next check is {at}",
}


def _wait_sentence(reason: WaitReason, diagnosis: Diagnosis, at: str) -> str:
    facts = diagnosis.facts
    match reason:
        case WaitReason.DRAFT:
            return f"Planned to start {at}, but not scheduled yet" if at else "Not started yet"
        case WaitReason.SCHEDULED:
            return f"Starts {at}"
        case WaitReason.PAUSED:
            in_flight = facts.campaign.status is CampaignStatus.PAUSING
            requests = "; waiting for the last requests to finish" if in_flight else ""
            stored = facts.paused_reason or "no reason given"
            why = stored.removeprefix("paused ")
            return f"Paused{':' if why == stored else ''} {why}{requests}"
        case WaitReason.CALLS_UNDER_WAY:
            return f"All contacts have been called; {_calls(facts.campaign.limits.campaign_live)} still live"
        case WaitReason.ZONE_OPENS:
            return f"Outside calling hours in {_zones(diagnosis.places)}; opens {at}"
        case (
            WaitReason.NO_CONTACTS
            | WaitReason.RETRY_DUE
            | WaitReason.DAY_PART
            | WaitReason.DAILY_CAP
            | WaitReason.LIVE_ELSEWHERE
            | WaitReason.STOPPED
            | WaitReason.NO_API_KEY
        ):
            return _SENTENCES[reason].format(at=at)
        case (
            WaitReason.CAMPAIGN_FULL
            | WaitReason.ACCOUNT_FULL
            | WaitReason.SHARE_TAKEN
            | WaitReason.PACING
            | WaitReason.NUMBERS
            | WaitReason.BUDGET
        ):
            return _limit_sentence(reason, facts.campaign.limits, at)
        case _:
            return _permission_sentence(reason, diagnosis, at)


def _permission_sentence(reason: PermissionReason, diagnosis: Diagnosis, at: str) -> str:
    facts = diagnosis.facts
    match reason:
        case WaitReason.PRE_DIAL_HOOK:
            times = "" if facts.hook_failures == 1 else f" {facts.hook_failures} times in a row"
            cause = facts.hook_failing_reason or "no reason recorded"
            return f"The pre-dial hook failed{times} ({cause}), so no calls start; the next request is due {at}"
        case WaitReason.LAW_OPENS:
            return f"Calling rules allow no calls in {_jurisdictions(diagnosis.places)} now; the next may start {at}"
        case WaitReason.NO_RULES:
            return no_rules_sentence(diagnosis.countries, diagnosis.facts.campaign.purpose)
        case WaitReason.KEYS_MISSING:
            return (
                "Outdial is working out where the contacts are; calls start when it is done (outdial contacts places)"
            )
        case WaitReason.RULE_CAP:
            return f"{_reached_cap(diagnosis.facts.campaign)}; the next call may start {at}"
        case WaitReason.NOT_SCREENED:
            advice = "; ".join(each.advice() for each in diagnosis.facts.campaign.missing_lists)
            return f"Numbers are not screened: {advice}"
        case never:
            assert_never(never)


def _limit_sentence(reason: LimitReason, limits: LimitFacts, at: str) -> str:
    match reason:
        case WaitReason.CAMPAIGN_FULL:
            return (
                f"The campaign has reached its limit: {limits.campaign_live} of {limits.campaign_limit} calls are live"
            )
        case WaitReason.ACCOUNT_FULL:
            lines = limits.concurrency_limit - limits.reserved_inbound
            if lines < 1:
                return "The account has no lines for outbound calls: all are reserved for inbound calls"
            used = "The only line is in use" if lines == 1 else f"All {lines} lines are in use"
            reserved = f", and {limits.reserved_inbound} more are for inbound calls" if limits.reserved_inbound else ""
            elsewhere = limits.account_live - limits.campaign_live
            others = f"; other campaigns have {_calls(elsewhere)} live" if elsewhere else ""
            return f"{used}{reserved}{others}"
        case WaitReason.SHARE_TAKEN:
            share = _calls(limits.share)
            return f"The campaign is using its share of {share}; {limits.sharers} campaigns share the account"
        case WaitReason.PACING:
            rate = limits.pace.calls_per_second
            calls = "1 call" if rate == 1 else f"{rate:g} calls"
            return f"The account has reached its rate of {calls} per second; the next call may start {at}"
        case WaitReason.BUDGET:
            return budget_sentence(limits.budget, at)
        case WaitReason.NUMBERS if limits.numbers_busy is not None:
            return limits.numbers_busy.sentence(at)
        case WaitReason.NUMBERS:
            # These contacts wait for another number than the free ones, from which their calls were blocked.
            return f"Waiting for another caller number; the next call may start {at}"
        case never:
            assert_never(never)


def _skip_sentence(reason: SkipReason, diagnosis: Diagnosis) -> str:
    facts = diagnosis.facts
    live = facts.campaign.limits.campaign_live
    match reason:
        case SkipReason.CANCELLED:
            if live:
                return f"Cancelled; {_calls(live)} still live"
            return "Cancelled" if facts.campaign.status is CampaignStatus.CANCELLED else "Cancelling"
        case SkipReason.FINISHED:
            return "All contacts are finished"
        case SkipReason.NOTHING_TO_DO:
            return "All contacts are finished; the campaign is about to complete"
        case SkipReason.NEVER_OPENS:
            names = diagnosis.places[0].zone_key.split("|")
            verb = "never has calling hours" if len(names) == 1 else "never have calling hours in common"
            return f"{_zones(diagnosis.places[:1])} {verb}"
        case SkipReason.LAW_NEVER_OPENS:
            return f"Calling rules allow no call in {_jurisdictions(diagnosis.places)} within the calling hours"
        case SkipReason.PROHIBITED:
            return "Calling rules forbid such calls" if diagnosis.rule is None else forbidden_sentence(diagnosis.rule)
        case _:
            return _contact_sentence(reason)


def _contact_sentence(reason: ContactSkipReason) -> str:
    match reason:
        case SkipReason.DO_NOT_CALL:
            return "The number is on the do-not-call list"
        case SkipReason.NO_CONSENT:
            return "The contact has not given the consent that the campaign requires"
        case SkipReason.LISTED:
            return "The number is on a screening list"
        case SkipReason.ATTEMPTS_USED:
            return "All attempts have been used"
        case SkipReason.CALLER_BLOCKED:
            return "An earlier call from the caller number was marked as spam or blocked by the network"
        case never:
            assert_never(never)


def _jurisdictions(places: Sequence[Place]) -> str:
    return name_jurisdictions([name for place in places for name in place.jurisdictions])


def _zones(places: Sequence[Place]) -> str:
    names = sorted({name.replace("_", " ") for place in places for name in place.zone_key.split("|")})
    if len(names) > 3:
        return f"{len(names)} time zones"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"
