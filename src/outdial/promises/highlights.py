"""What the demo shows besides the promises: callbacks, caller numbers, a budget, and how good a forecast was."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID

from outdial.clock import SystemClock
from outdial.db.queries import campaigns, evidence
from outdial.db.queries.dialing import forecasts
from outdial.db.queries.evidence import CallSoFar, DayPartCount, VoicemailCount
from outdial.db.rows import required
from outdial.db.session import Database
from outdial.dialer.budgets.limits import read_budgets
from outdial.dialer.forecasting.assumptions import DatedCall, PastCall, assume_calls
from outdial.dialer.forecasting.facts import ForecastQuestion, read_question
from outdial.dialer.forecasting.forecast import CampaignForecast
from outdial.dialer.forecasting.record import make_forecast
from outdial.domain.outcomes import Outcome
from outdial.domain.policies.budget import BudgetUse, amount
from outdial.domain.rules import RuleBook
from outdial.process import wait_for_event
from outdial.promises.checks import RunEvidence, is_blocked

_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOfRest:
    """A forecast made while the campaign ran, after `calls_made` calls that cost `spent_cents`."""

    forecast: CampaignForecast
    calls_made: int
    spent_cents: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlights:
    """What the demo reports of its campaign when it has completed; the forecast is None if it ended before one.

    `callback_delays` are seconds after the time asked for, in order. `day_parts` are those of another campaign.
    """

    callback_delays: Sequence[float]
    voicemail: VoicemailCount
    day_parts: Sequence[DayPartCount]
    budget: BudgetUse
    forecast: ForecastOfRest | None
    finished_at: datetime
    calls: int
    spent_cents: float

    def numbers(self, run: RunEvidence) -> dict[str, object]:
        """Return what happened in the run of the campaign, by what it is about."""
        budget, late = self.budget, self.callback_delays
        shown: dict[str, object] = {
            "calls by caller number": _by_number(run),
            "callbacks": f"{len(late)} made, the latest {late[-1]:.1f} s after the time asked for" if late else "none",
            "voicemail messages": f"left for {self.voicemail.left_for} contacts;"
            f" {self.voicemail.reached} calls reached a voicemail",
            "parts of the day": "; ".join(
                f"{each.calls} calls in the {each.part}"
                + (f", {each.waiting} contacts wait for it" if each.waiting else "")
                for each in self.day_parts
            ),
            "budget of the campaign": f"{amount(budget.limit_cents)}: {amount(budget.spent_cents)} spent,"
            f" {amount(budget.reserved_cents)} reserved for calls of unknown cost, {amount(budget.left_cents)} left",
        }
        if self.forecast is None:
            return shown
        made, forecast = self.forecast, self.forecast.forecast
        finish, done = forecast.finish_at, "the end is not known"
        if finish is not None:
            first, last = ((at - forecast.made_at).total_seconds() for at in (finish.p10, finish.p90))
            done = f"done in {first:.0f} to {last:.0f} s"
        shown[f"forecast after {made.calls_made} calls"] = (
            f"{forecast.calls.p10:.0f} to {forecast.calls.p90:.0f} more calls for"
            f" ${forecast.cost_cents.p10 / 100:.2f} to ${forecast.cost_cents.p90 / 100:.2f}, {done} (p10 to p90)"
        )
        shown["what happened then"] = (
            f"{self.calls - made.calls_made} more calls for ${(self.spent_cents - made.spent_cents) / 100:.2f},"
            f" done in {(self.finished_at - forecast.made_at).total_seconds():.0f} s"
        )
        return shown


async def forecast_of_rest(
    database: Database, campaign_id: UUID, rules: RuleBook, *, speed: float, after_calls: int, ended: asyncio.Event
) -> ForecastOfRest | None:
    """Forecast the rest of a campaign once it has made `after_calls` calls; None if it has `ended` before.

    Calls end `speed` times as fast as the provider reports, and retries follow as much sooner.
    """
    made: Sequence[CallSoFar] = []
    while len(made) < after_calls:
        if await wait_for_event(ended, _POLL_S):
            return None
        async with database.as_service() as connection:
            made = await evidence.calls_so_far(connection, campaign_id=campaign_id)
    now = SystemClock().now()
    async with database.as_service() as connection:
        question = await read_question(
            connection, campaign_id=campaign_id, organization_id=None, now=now, shipped=rules, retry_speed=speed
        )
    if question is None:
        return None
    forecast = await make_forecast(_with_calls(question, made, now.date(), speed), now)
    if not isinstance(forecast, CampaignForecast):
        return None
    return ForecastOfRest(forecast=forecast, calls_made=question.calls_made, spent_cents=question.spent_cents)


async def gather_highlights(
    database: Database, campaign_id: UUID, forecast: ForecastOfRest | None, *, parts_of: UUID
) -> Highlights:
    """Read what has become of a completed campaign with a budget, and of one with parts of the day."""
    async with database.as_service() as connection:
        campaign = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
        spending = await forecasts.campaign_spending(connection, campaign_id=campaign_id)
        delays = await evidence.callback_delays(connection, campaign_id=campaign_id)
        voicemail = await evidence.voicemail_messages(connection, campaign_id=campaign_id)
        day_parts = await evidence.day_part_counts(connection, campaign_id=parts_of)
        [budget] = (await read_budgets(connection, [campaign_id], SystemClock().now()))[campaign_id].uses
    return Highlights(
        callback_delays=delays,
        voicemail=voicemail,
        day_parts=day_parts,
        budget=budget,
        forecast=forecast,
        finished_at=required(campaign.finished_at),
        calls=spending.calls,
        spent_cents=spending.cost_cents,
    )


def _with_calls(question: ForecastQuestion, made: Sequence[CallSoFar], day: date, speed: float) -> ForecastQuestion:
    """Let the forecast draw from these calls. Calls, and those that are assumed, end `speed` times as fast here."""
    assumed = assume_calls(
        [
            DatedCall(
                call.attempt_number, day, PastCall(Outcome(call.outcome), call.duration_ms / 1000, call.cost_cents)
            )
            for call in made
        ]
    )
    first, later = (
        [replace(call, line_s=call.line_s / speed) for call in calls] for calls in (assumed.first, assumed.later)
    )
    is_one = assumed.later is assumed.first
    calls = replace(assumed, first=first, later=first if is_one else later)
    return replace(question, facts=replace(question.facts, calls=calls))


def _by_number(run: RunEvidence) -> str:
    made = Counter(call.from_number for call in run.provider_calls)
    blocked = Counter(call.from_number for call in run.provider_calls if is_blocked(call))
    rests: Mapping[str, datetime] = {rest.phone: rest.until for rest in run.rests}
    return "; ".join(
        f"{calls} from {number}"
        + (f", {blocked[number]} of them blocked" if blocked[number] else "")
        + (f", rests until {rests[number]:%Y-%m-%d %H:%M} UTC" if number in rests else "")
        for number, calls in made.most_common()
    )
