"""Runs a campaign over virtual time, with the same admission and retry code that dials it.

A large campaign is sampled: each contact of the sample stands for `weight` contacts. Its lines and its pace are
divided by the weight. Lines are whole: where less than one would remain, there is one, and each call holds it longer.
"""

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Final, assert_never

from outdial.dialer.admission import DAY, Admit, CampaignHours, ContactFacts, LimitFacts, Skip, Wait, admit_account
from outdial.dialer.admission import admit_contact as admit_one
from outdial.dialer.forecasting.assumptions import CallAssumptions, PastCall
from outdial.dialer.forecasting.open_times import OpenTimes
from outdial.dialer.forecasting.run_limits import ForecastBudget, ForecastNumber, RunBudget, RunNumbers
from outdial.domain.openings import SEARCH
from outdial.domain.outcomes import RetryClass
from outdial.domain.pacing import Pace, after_slots, free_slots, next_claim_at, recovered
from outdial.domain.place import Place
from outdial.domain.policies.callback_requests import MAX_CALLBACKS, RETRY_AFTER
from outdial.domain.policies.day_parts import DayPart, part_of_attempt
from outdial.domain.retry import Complete, ContactStep, Fail, RetryAt, RetryPolicy, Review, next_step
from outdial.domain.rules import CallingRule

SAMPLE: Final = 500
"""Contacts of a run at most: forecasts of larger campaigns take no longer, about 2 seconds."""
HANDOVER_S: Final = 1.0
"""Seconds between the end of a call and the start of the next one on its line: the webhook, the claim, the request."""
MOST_CALLS: Final = 100
"""Calls to one contact after which a run gives it up: the retry policy ends every contact long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactGroup:
    """Contacts of one place with the same history that are due at the same time, or in a call now.

    Where these wait for a callback, `callback_tries` calls of it have not reached them.
    """

    place: Place
    due_at: datetime
    attempts: int
    faults: int
    contacts: float
    is_calling: bool = False
    is_callback: bool = False
    callback_tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastFacts:
    """All that a run needs. `limits` are those of the account with none of the campaign's calls live.

    A callback that does not reach its contact is repeated after `callback_retry`.
    """

    start_at: datetime
    groups: Sequence[ContactGroup]
    hours: CampaignHours
    limits: LimitFacts
    horizon: timedelta
    retry: RetryPolicy
    max_attempts: int
    daily_call_cap: int
    calls: CallAssumptions
    day_parts: Sequence[DayPart] = ()
    calls_back: bool = True
    callback_retry: timedelta = RETRY_AFTER
    numbers: Sequence[ForecastNumber] = ()
    budget: ForecastBudget | None = None

    @property
    def contacts(self) -> float:
        """How many contacts are called."""
        return sum(group.contacts for group in self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended: the end of the last call, what the calls cost, and how many there were.

    `waits_for_budget` is True if contacts are left that no budget allows to call.
    """

    finish_at: datetime
    cost_cents: float
    calls: float
    waits_for_budget: bool = False


@dataclass(slots=True)
class _Contact:
    place: Place
    attempts: int
    faults: int
    recent: list[datetime] = field(default_factory=list)
    calls: int = 0
    callbacks: int = 0
    callback_try: int = 0  # of the next call, or of the call that is live; 0 if it is no callback
    due_since: datetime | None = None


def lines_of(limits: LimitFacts) -> int:
    """Return how many calls of the campaign may be live at once."""
    return free_slots(
        concurrency_limit=limits.concurrency_limit,
        reserved_inbound=limits.reserved_inbound,
        live=0,
        campaign_limit=limits.campaign_limit,
        campaign_live=0,
        batch_size=limits.concurrency_limit,
        share=limits.share,
    )


class CampaignRun:
    """One run: contacts wait, are called, and wait again, until each is finished."""

    def __init__(self, facts: ForecastFacts, open_times: OpenTimes, chance: random.Random) -> None:
        self._facts, self._open, self._chance = facts, open_times, chance
        self._history = facts.calls.history_of_a_run(chance)
        self._days: dict[int, CallAssumptions] = {}
        self._weight = max(1.0, facts.contacts / SAMPLE)
        lines = lines_of(facts.limits)
        self._lines = max(1, math.floor(lines / self._weight))
        self._stretch = self._weight * self._lines / lines
        self._most_live = lines if self._weight == 1 else self._lines
        pace = recovered(facts.limits.pace, facts.start_at)
        if self._weight > 1:
            pace = replace(pace, rate_factor=pace.rate_factor / self._weight, backoff_until=None)
        self._pace = pace
        self._numbers = count()
        self._waiting: list[tuple[datetime, datetime, int, _Contact]] = []
        self._live: list[tuple[datetime, int, _Contact, PastCall]] = []
        self._capping: dict[Place, list[CallingRule]] = {}
        self._cost = self._made = 0.0
        self._budget = None if facts.budget is None else RunBudget(facts.budget, self._weight)
        limiting = any(each.daily_cap is not None or each.rests_until is not None for each in facts.numbers)
        self._pool = RunNumbers(facts.numbers, facts.start_at, self._weight) if limiting else None
        self._finish_at = facts.start_at

    def to_the_end(self) -> RunEnd:
        """Run until every contact is finished or never callable again."""
        now = self._facts.start_at
        for group, contact in self._contacts():
            if group.is_calling:
                self._call(contact, now)
            else:
                self._wait(contact, max(now, group.due_at))
        next_claim: datetime | None = now
        while self._waiting or self._live:
            while self._live and self._live[0][0] <= now:
                self._finish_call()
            claim_at: datetime | None = None
            if self._waiting and next_claim is not None:
                if len(self._live) < self._most_live and max(self._waiting[0][0], next_claim) <= now:
                    next_claim = self._claim(now)
                # With all lines taken, the admission waits for the end of a call.
                if self._waiting and next_claim is not None and len(self._live) < self._most_live:
                    claim_at = max(self._waiting[0][0], next_claim)
            moments = [moment for moment in (claim_at, self._live[0][0] if self._live else None) if moment is not None]
            # A budget of the day that has no room for a single call would begin again for ever.
            if not moments or min(moments) > self._finish_at + SEARCH:
                break
            now = max(now, min(moments))
        cost = self._cost if self._budget is None else self._budget.most_cents(self._cost)
        return RunEnd(
            finish_at=self._finish_at,
            cost_cents=cost,
            calls=self._made * (cost / self._cost if self._cost else 1),
            waits_for_budget=bool(self._waiting) and self._budget is not None,
        )

    def _contacts(self) -> Iterator[tuple[ContactGroup, _Contact]]:
        """Return every contact, or a sample that takes as many from each group as its size asks for."""
        passed, at = 0.0, self._weight * (self._chance.random() if self._weight > 1 else 0.5)
        for group in self._facts.groups:
            passed += group.contacts
            while at < passed:
                yield (
                    group,
                    _Contact(
                        group.place,
                        group.attempts,
                        group.faults,
                        callback_try=group.callback_tries + 1 if group.is_callback else 0,
                    ),
                )
                at += self._weight

    def _limits(self, now: datetime) -> LimitFacts:
        # Built anew, not by `replace`, which takes three times as long: this runs once for each call.
        limits, live = self._facts.limits, len(self._live)
        is_sampled = self._weight > 1
        return LimitFacts(
            concurrency_limit=self._lines if is_sampled else limits.concurrency_limit,
            reserved_inbound=0 if is_sampled else limits.reserved_inbound,
            account_live=live,
            campaign_limit=None if is_sampled else limits.campaign_limit,
            campaign_live=live,
            batch_size=limits.batch_size,
            sharers=1 if is_sampled else limits.sharers,
            weight=limits.weight,
            total_weight=None if is_sampled else limits.total_weight,
            pace=self._pace,
            numbers_busy=None if self._pool is None else self._pool.busy(now),
            budget=None if self._budget is None else self._budget.at(now, live),
            hook_time=limits.hook_time,
        )

    def _claim(self, now: datetime) -> datetime | None:
        """Start as many calls as the account allows; return when to claim again, None for never."""
        match admit_account(self._limits(now), now, self._facts.horizon):
            case Wait(until=datetime() as until):
                return until
            case Wait():
                # The end of a call is the only thing to wait for.
                return self._live[0][0] if self._live else None
            case Admit(starts=starts):
                pass
            case never:
                assert_never(never)
        used: list[datetime] = []
        for start_at in starts if self._pool is None else starts[: self._pool.room(now)]:
            contact = self._take(now)
            if contact is None:
                break
            self._call(contact, start_at)
            used.append(start_at)
        pace = self._pace
        self._pace = Pace(pace.calls_per_second, pace.rate_factor, after_slots(pace, used), pace.backoff_until)
        hook_time = self._facts.limits.hook_time
        return next_claim_at(self._pace, now + hook_time, self._facts.horizon) - hook_time

    def _take(self, now: datetime) -> _Contact | None:
        """Return a due contact whose place is open and whose caps allow a call."""
        while self._waiting and self._waiting[0][0] <= now:
            contact = heapq.heappop(self._waiting)[3]
            opens_at = self._open.opens_at(contact.place, now)
            if opens_at is None:
                continue
            if opens_at > now or (opens_at := self._part_opens_at(contact, now)) > now:
                self._wait(contact, opens_at)
                continue
            facts = ContactFacts(
                do_not_call=False,
                attempts=contact.attempts,
                max_attempts=self._facts.max_attempts,
                is_callback=contact.callback_try > 0,
                recent_calls=contact.recent,
                daily_call_cap=self._facts.daily_call_cap,
                capping_rules=self._capping_rules(contact.place, now),
            )
            match admit_one(facts, now):
                case Admit():
                    return contact
                case Wait(until=until):
                    self._wait(contact, until or now)
                case Skip():
                    continue
                case never:
                    assert_never(never)
        return None

    def _part_opens_at(self, contact: _Contact, now: datetime) -> datetime:
        """Return when the part of the day of a contact's next attempt begins. Callbacks come at any time."""
        part = part_of_attempt(self._facts.day_parts, contact.attempts)
        if part is None or contact.callback_try:
            return now
        contact.due_since = contact.due_since or now
        return self._open.part_opens_at(contact.place, part, now, contact.due_since)

    def _capping_rules(self, place: Place, now: datetime) -> Sequence[CallingRule]:
        if place not in self._capping:
            rules = self._facts.hours.at(place).rules_at(now)
            self._capping[place] = [rule for rule in rules if rule.cap is not None]
        return self._capping[place]

    def _wait(self, contact: _Contact, due_at: datetime) -> None:
        opens_at = self._open.opens_at(contact.place, due_at)
        if opens_at is not None and contact.calls < MOST_CALLS:
            heapq.heappush(self._waiting, (opens_at, due_at, next(self._numbers), contact))

    def _call(self, contact: _Contact, start_at: datetime) -> None:
        day = (start_at - self._facts.start_at) // DAY
        if day not in self._days:
            self._days[day] = self._history.day_of_a_run(self._chance)
        past = self._chance.choice(self._days[day].later if contact.attempts else self._days[day].first)
        held = timedelta(seconds=(past.line_s + HANDOVER_S) * self._stretch)
        ends_at = start_at + held if self._stretch <= 1 else self._open.work_ends_at(contact.place, start_at, held)
        contact.recent.insert(0, start_at)
        contact.calls += 1
        contact.due_since = None
        if self._pool is not None:
            self._pool.call(start_at)
        self._made += self._weight
        self._cost += past.cost_cents * self._weight
        heapq.heappush(self._live, (ends_at, next(self._numbers), contact, past))

    def _finish_call(self) -> None:
        ends_at, _, contact, past = heapq.heappop(self._live)
        self._finish_at = max(self._finish_at, ends_at)
        if self._budget is not None:
            self._budget.spend(past.cost_cents * self._weight)
        if past.callback_after is not None and self._facts.calls_back and contact.callbacks < MAX_CALLBACKS:
            contact.callbacks += 1
            contact.callback_try = 1
            self._wait(contact, ends_at + past.callback_after)
            return
        match self._next_step(contact, past, ends_at):
            case Complete() | Fail() | Review():
                pass
            case RetryAt(at=at, charged=charged):
                contact.attempts += charged
                contact.faults += not charged
                if charged:
                    # The second try is the last one.
                    contact.callback_try = 2 if contact.callback_try == 1 else 0
                self._wait(contact, at)
            case never:
                assert_never(never)

    def _next_step(self, contact: _Contact, past: PastCall, ends_at: datetime) -> ContactStep:
        if contact.callback_try == 1 and past.outcome.retry_class is RetryClass.RETRY:
            # As in the inbox: it was promised, so the retry policy applies after the second try.
            return RetryAt(ends_at + self._facts.callback_retry, charged=True)
        return next_step(
            self._facts.retry,
            past.outcome,
            attempts=contact.attempts,
            faults=contact.faults,
            max_attempts=self._facts.max_attempts,
            has_other_number=len(self._facts.numbers) > 1,
            ended_at=ends_at,
            seed=self._chance.randbytes(6),
        )
