"""Forecasts of campaigns: making, listing, and comparing them with what happened."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from outdial.db.session import Connection
from outdial.dialer.forecasting.forecast import ForecastGap
from outdial.dialer.forecasting.record import (
    ForecastOccasion,
    StoredForecast,
    accuracy_sentence,
    forecast_accuracy,
    forecast_and_store,
    stored_forecasts,
)
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceConflict, ResourceNotFound


class TimeRange(BaseModel):
    """Times that 10, 50 and 90 of 100 campaigns should not exceed."""

    p10: datetime
    p50: datetime
    p90: datetime


class AmountRange(BaseModel):
    """Amounts that 10, 50 and 90 of 100 campaigns should not exceed."""

    p10: float
    p50: float
    p90: float


class CampaignForecastRecord(BaseModel):
    """A forecast of a campaign, and what happened since it was made, once the campaign has completed."""

    id: UUID
    made_at: datetime
    made_for: ForecastOccasion
    contacts: int
    past_calls: Annotated[
        int, Field(description="Calls of the organization it is based on; below 100, defaults fill up")
    ]
    finish_at: Annotated[TimeRange | None, Field(description="Null where contacts would wait for a budget")]
    cost_cents: Annotated[AmountRange, Field(description="Of the remaining calls")]
    calls: Annotated[AmountRange, Field(description="Remaining calls")]
    spent_cents: Annotated[float, Field(description="Cost of the calls before")]
    finished_at: datetime | None
    actual_cost_cents: float | None
    actual_calls: int | None
    budget_sentence: Annotated[str | None, Field(description="Set if a budget is used up in some of the 40 runs")]
    late_by_s: Annotated[float | None, Field(description="End of the campaign minus p50, negative if sooner")]
    costlier_by_cents: Annotated[float | None, Field(description="Actual cost minus p50")]
    is_within: Annotated[bool | None, Field(description="Whether end and cost lie within p10 and p90")]
    not_compared: Annotated[
        str | None, Field(description="Why it is not compared with what happened; null unless that has failed")
    ]
    is_outdated: Annotated[bool, Field(description="Whether the campaign's settings were changed after it was made")]

    def age(self, now: datetime) -> str:
        """Return how old the forecast is, in words that change at most once a minute."""
        minutes = (now - self.made_at) // timedelta(minutes=1)
        if minutes < 1:
            return "less than a minute ago"
        number, unit = (minutes, "minute") if minutes < 120 else (minutes // 60, "hour")
        return f"{number} {unit}{'' if number == 1 else 's'} ago"


async def list_forecasts(
    connection: Connection, context: OrganizationContext, campaign_id: UUID
) -> list[CampaignForecastRecord]:
    """Return the newest forecasts of a campaign, newest first."""
    found = await stored_forecasts(connection, campaign_id=campaign_id, organization_id=context.organization_id)
    return [_record(each) for each in found]


class PastForecasts(BaseModel):
    """How many of the newest campaigns ended, and cost, between p10 and p90 of the forecast from their start."""

    campaigns: int
    ends_within: int
    costs_within: int
    sentence: str | None


async def past_forecasts(connection: Connection, context: OrganizationContext) -> PastForecasts:
    """Return how good the organization's forecasts have been."""
    found = await forecast_accuracy(connection, context.organization_id)
    return PastForecasts(
        campaigns=found.forecasts,
        ends_within=found.ends_within,
        costs_within=found.costs_within,
        sentence=accuracy_sentence(found),
    )


async def newest_forecast(
    connection: Connection, context: OrganizationContext, campaign_id: UUID
) -> CampaignForecastRecord | None:
    """Return the newest forecast of a campaign.

    After the campaign, it is the one before the last renewal, which had little left to forecast.
    """
    found = await stored_forecasts(
        connection, campaign_id=campaign_id, organization_id=context.organization_id, limit=2
    )
    if len(found) > 1 and found[0].finished_at is not None and found[0].made_for is ForecastOccasion.RENEWAL:
        return _record(found[1])
    return _record(found[0]) if found else None


async def make_forecast(context: OrganizationContext, campaign_id: UUID) -> CampaignForecastRecord:
    """Forecast a campaign from now on and store the forecast; it opens its own transactions.

    Raises ResourceNotFound, and ResourceConflict with the reason if there is nothing to forecast.
    """
    studio = context.studio
    made = await forecast_and_store(
        context.transaction,
        campaign_id=campaign_id,
        organization_id=context.organization_id,
        made_for=ForecastOccasion.REQUEST,
        now=studio.clock.now(),
        shipped=studio.rules,
        retry_speed=studio.settings.retry_speed,
    )
    match made:
        case None:
            raise ResourceNotFound("Campaign not found")
        case ForecastGap() as gap:
            raise ResourceConflict(gap.sentence())
        case StoredForecast():
            return _record(made)


def _record(stored: StoredForecast) -> CampaignForecastRecord:
    forecast = stored.forecast
    finish, cost, calls = forecast.finish_at, forecast.cost_cents, forecast.calls
    return CampaignForecastRecord(
        id=stored.id,
        made_at=forecast.made_at,
        made_for=stored.made_for,
        contacts=forecast.contacts,
        past_calls=forecast.past_calls,
        finish_at=None if finish is None else TimeRange(p10=finish.p10, p50=finish.p50, p90=finish.p90),
        cost_cents=AmountRange(p10=cost.p10, p50=cost.p50, p90=cost.p90),
        calls=AmountRange(p10=calls.p10, p50=calls.p50, p90=calls.p90),
        spent_cents=stored.spent_cents,
        finished_at=stored.finished_at,
        actual_cost_cents=stored.actual_cost_cents,
        actual_calls=stored.actual_calls,
        budget_sentence=forecast.budget_sentence,
        late_by_s=None if stored.late_by is None else stored.late_by / timedelta(seconds=1),
        costlier_by_cents=stored.costlier_by_cents,
        is_within=stored.is_within,
        not_compared=stored.not_compared,
        is_outdated=stored.is_outdated,
    )
