"""Makes forecasts, stores them, and compares them with what happened."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.dialing import forecasts
from outdial.db.session import Connection, Database
from outdial.dialer.forecasting.facts import ForecastQuestion, read_question
from outdial.dialer.forecasting.forecast import (
    CampaignForecast,
    Forecast,
    ForecastGap,
    Percentiles,
    forecast_campaign,
)
from outdial.domain.ids import new_id
from outdial.domain.rules import RuleBook
from outdial.log import log

STARTED_WITHIN: Final = timedelta(minutes=10)
"""A campaign that has run for longer without a forecast gets none of its start any more."""
RENEWED_AFTER: Final = timedelta(minutes=30)
"""The age at which the forecast of a running campaign is renewed."""
COST_KNOWN_AFTER: Final = timedelta(minutes=15)
"""Retell reports the last costs within this time after a campaign has completed."""
START_RETRIED_AFTER: Final = timedelta(minutes=5)
"""A process that forecasts the start of a campaign has so much time before another one takes it."""
COMPARE_RETRIED_AFTER: Final = timedelta(minutes=5)
LONGEST_COMPARE_DELAY: Final = timedelta(days=1)
"""A comparison that fails is tried again after COMPARE_RETRIED_AFTER, after each further failure in twice the time."""
EVERY: Final = timedelta(seconds=5)
_BATCH: Final = 20

OpenTransaction = Callable[[], AbstractAsyncContextManager[Connection]]


class ForecastOccasion(StrEnum):
    """Why a forecast was made."""

    START = "start"
    REQUEST = "request"
    RENEWAL = "renewal"
    """The campaign runs, and its last forecast was old. A campaign has one such forecast: the next one replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredForecast:
    """A forecast and what happened: `cost_cents` and `calls` are those after `made_at`, in both."""

    id: UUID
    made_for: ForecastOccasion
    forecast: CampaignForecast
    spent_cents: float
    calls_made: int
    finished_at: datetime | None = None
    actual_cost_cents: float | None = None
    actual_calls: int | None = None
    compare_failures: int = 0
    compare_error: str | None = None
    is_outdated: bool = False
    """Whether the settings of the campaign were changed after it was made."""

    @property
    def not_compared(self) -> str | None:
        """Why comparing it with what happened has failed, as a sentence without a period; None if it has not."""
        if self.finished_at is not None or self.compare_error is None:
            return None
        times = "once" if self.compare_failures == 1 else f"{self.compare_failures} times"
        return f"Comparing it with what happened has failed {times} ({self.compare_error}), and is tried again"

    @property
    def late_by(self) -> timedelta | None:
        """How much later than the median the campaign finished; negative if it finished sooner."""
        if self.finished_at is None or self.forecast.finish_at is None:
            return None
        return self.finished_at - self.forecast.finish_at.p50

    @property
    def costlier_by_cents(self) -> float | None:
        """How much more than the median the calls cost; negative if they cost less."""
        return None if self.actual_cost_cents is None else self.actual_cost_cents - self.forecast.cost_cents.p50

    @property
    def is_finish_within(self) -> bool | None:
        """Whether the end lies within p10 and p90; None until it is known, and without a forecast of the end."""
        if self.finished_at is None or self.forecast.finish_at is None:
            return None
        return self.forecast.finish_at.holds(self.finished_at)

    @property
    def is_cost_within(self) -> bool | None:
        """Whether the cost lies within p10 and p90; None until it is known."""
        return None if self.actual_cost_cents is None else self.forecast.cost_cents.holds(self.actual_cost_cents)

    @property
    def is_within(self) -> bool | None:
        """Whether end and cost lie within p10 and p90, the cost alone where no end is forecast; None until known."""
        if self.forecast.finish_at is None or self.is_cost_within is None:
            return self.is_cost_within
        return self.is_finish_within and self.is_cost_within


async def make_forecast(question: ForecastQuestion, now: datetime) -> Forecast:
    """Run the forecast in a thread, about 2 seconds of CPU. Call it outside of transactions."""
    return await asyncio.to_thread(forecast_campaign, question.facts, made_at=now, seed=question.campaign_id.int)


async def forecast_and_store(
    transaction: OpenTransaction,
    *,
    campaign_id: UUID,
    organization_id: UUID | None,
    made_for: ForecastOccasion,
    now: datetime,
    shipped: RuleBook,
    retry_speed: float = 1.0,
) -> StoredForecast | ForecastGap | None:
    """Forecast a campaign from now on and store the result; None if the caller may not see the campaign."""
    async with transaction() as connection:
        question = await read_question(
            connection,
            campaign_id=campaign_id,
            organization_id=organization_id,
            now=now,
            shipped=shipped,
            retry_speed=retry_speed,
        )
    if question is None:
        return None
    forecast = await make_forecast(question, now)
    if isinstance(forecast, ForecastGap):
        return forecast
    stored = StoredForecast(
        id=new_id(now),
        made_for=made_for,
        forecast=forecast,
        spent_cents=question.spent_cents,
        calls_made=question.calls_made,
    )
    async with transaction() as connection:
        await _insert(connection, question, stored)
    return stored


async def _insert(connection: Connection, question: ForecastQuestion, stored: StoredForecast) -> None:
    forecast, finish = stored.forecast, stored.forecast.finish_at
    is_renewal = stored.made_for is ForecastOccasion.RENEWAL
    if is_renewal:
        await forecasts.delete_renewal(connection, campaign_id=question.campaign_id)
    await forecasts.insert_forecast(
        connection,
        id=stored.id,
        organization_id=question.organization_id,
        campaign_id=question.campaign_id,
        made_at=forecast.made_at,
        # A studio of the version before knows this occasion.
        made_for=ForecastOccasion.REQUEST if is_renewal else stored.made_for,
        is_renewal=is_renewal,
        contacts=forecast.contacts,
        past_calls=forecast.past_calls,
        finish_p10=None if finish is None else finish.p10,
        finish_p50=None if finish is None else finish.p50,
        finish_p90=None if finish is None else finish.p90,
        unfinished_runs=forecast.unfinished_runs,
        cost_cents_p10=forecast.cost_cents.p10,
        cost_cents_p50=forecast.cost_cents.p50,
        cost_cents_p90=forecast.cost_cents.p90,
        calls_p10=round(forecast.calls.p10),
        calls_p50=round(forecast.calls.p50),
        calls_p90=round(forecast.calls.p90),
        spent_cents=stored.spent_cents,
        calls_made=stored.calls_made,
    )


async def stored_forecasts(
    connection: Connection, *, campaign_id: UUID, organization_id: UUID, limit: int = 20
) -> list[StoredForecast]:
    """Return the newest forecasts of a campaign."""
    rows = await forecasts.list_forecasts(
        connection, campaign_id=campaign_id, organization_id=organization_id, limit=limit
    )
    return [
        StoredForecast(
            id=row.id,
            made_for=ForecastOccasion.RENEWAL if row.is_renewal else ForecastOccasion(row.made_for),
            forecast=CampaignForecast(
                made_at=row.made_at,
                contacts=row.contacts,
                past_calls=row.past_calls,
                finish_at=_finish(row),
                cost_cents=Percentiles(row.cost_cents_p10, row.cost_cents_p50, row.cost_cents_p90),
                calls=Percentiles(float(row.calls_p10), float(row.calls_p50), float(row.calls_p90)),
                unfinished_runs=row.unfinished_runs,
            ),
            spent_cents=row.spent_cents,
            calls_made=row.calls_made,
            finished_at=row.finished_at,
            actual_cost_cents=row.actual_cost_cents,
            actual_calls=row.actual_calls,
            compare_failures=row.compare_failures,
            compare_error=row.compare_error,
            is_outdated=row.is_outdated,
        )
        for row in rows
    ]


async def forecast_accuracy(connection: Connection, organization_id: UUID) -> forecasts.ForecastAccuracy:
    """Count how many of the newest 100 campaigns of an organization ended, and cost, within their forecast."""
    return await forecasts.forecast_accuracy(connection, organization_id=organization_id, limit=100)


def accuracy_sentence(accuracy: forecasts.ForecastAccuracy) -> str | None:
    """Return how good forecasts have been, as a sentence without a period; None while no campaign has completed."""
    if not accuracy.forecasts:
        return None
    campaigns = f"{accuracy.forecasts} completed campaign{'' if accuracy.forecasts == 1 else 's'}"
    return f"Of {campaigns}, {accuracy.ends_within} ended and {accuracy.costs_within} cost within p10 and p90"


def _finish(row: forecasts.StoredForecastRow) -> Percentiles[datetime] | None:
    if row.finish_p10 is None or row.finish_p50 is None or row.finish_p90 is None:
        return None
    return Percentiles(row.finish_p10, row.finish_p50, row.finish_p90)


class ForecastRecorder:
    """A background task of the jobs process.

    It forecasts campaigns when they start, renews the forecasts of those that run, one in each run so that other tasks
    get their turn, and compares when they have ended. Of several processes, each takes other campaigns.
    """

    def __init__(self, database: Database, clock: Clock, *, rules: RuleBook, retry_speed: float = 1.0) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules
        self._retry_speed = retry_speed

    async def run_once(self) -> int:
        """Forecast, renew and compare what is due; return how many campaigns that were."""
        done = 0
        # One at a time: that of a million contacts takes a while, and another process takes the next one meanwhile.
        while done < _BATCH and (started := await self._take_started()):
            await self._make(started[0], ForecastOccasion.START)
            done += 1
        now = self._clock.now()
        async with self._database.transaction() as connection:
            old = await forecasts.take_forecasts_to_renew(
                connection, before=now - RENEWED_AFTER, now=now, until=now + RENEWED_AFTER, limit=1
            )
        for each in old:
            await self._make(each, ForecastOccasion.RENEWAL)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            ended = await forecasts.take_forecasts_to_compare(
                connection, before=now - COST_KNOWN_AFTER, now=now, until=now + COMPARE_RETRIED_AFTER, limit=_BATCH
            )
        for each in ended:
            await self._compare(each)
        return done + len(old) + len(ended)

    async def _take_started(self) -> list[forecasts.CampaignToForecast]:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return await forecasts.take_forecasts_to_make(
                connection, since=now - STARTED_WITHIN, now=now, until=now + START_RETRIED_AFTER, limit=1
            )

    async def _compare(self, campaign: forecasts.CampaignToForecast) -> None:
        try:
            async with self._database.for_organization(campaign.organization_id) as connection:
                await forecasts.compare_forecasts(connection, campaign_id=campaign.campaign_id)
        except Exception as error:  # the others are compared all the same
            log("forecast.not_compared", level="error", campaign_id=str(campaign.campaign_id), error=error)
            async with self._database.for_organization(campaign.organization_id) as connection:
                await forecasts.note_failed_comparison(
                    connection,
                    campaign_id=campaign.campaign_id,
                    reason=type(error).__name__,  # its text may quote anything
                    first_delay=COMPARE_RETRIED_AFTER,
                    longest_delay=LONGEST_COMPARE_DELAY,
                    now=self._clock.now(),
                )

    async def _make(self, campaign: forecasts.CampaignToForecast, occasion: ForecastOccasion) -> None:
        """Forecast a campaign, unless that fails or there is nothing to forecast: then it is taken again later."""
        try:
            made = await forecast_and_store(
                lambda: self._database.for_organization(campaign.organization_id),
                campaign_id=campaign.campaign_id,
                organization_id=campaign.organization_id,
                made_for=occasion,
                now=self._clock.now(),
                shipped=self._rules,
                retry_speed=self._retry_speed,
            )
        # Settings that cannot be read must not stop the forecasts of other campaigns.
        except Exception as error:
            log("forecast.failed", level="error", campaign_id=str(campaign.campaign_id), error=error)
            return
        if not isinstance(made, StoredForecast):
            log("forecast.none", campaign_id=str(campaign.campaign_id), reason=str(made))
