"""Reads what the forecast of a campaign is made from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from outdial.db.queries import campaigns
from outdial.db.queries.dialing import budgets, forecasts
from outdial.db.session import Connection
from outdial.dialer.admission import DAY, LimitFacts, campaign_hours
from outdial.dialer.budgets.limits import DEFAULT_ZONE, read_budgets
from outdial.dialer.doctor import read_rules
from outdial.dialer.forecasting.assumptions import CallAssumptions, DatedCall, PastCall, assume_calls
from outdial.dialer.forecasting.run_limits import ForecastBudget, ForecastNumber
from outdial.dialer.forecasting.simulation import SAMPLE, ContactGroup, ForecastFacts
from outdial.dialer.launch import launch_summary
from outdial.dialer.plan import HOOK_TIME
from outdial.domain.campaign import CampaignStatus
from outdial.domain.outcomes import Outcome
from outdial.domain.pacing import Pace
from outdial.domain.place import Place
from outdial.domain.policies.callback_requests import ASKED_IN, RETRY_AFTER
from outdial.domain.policies.callbacks import parse_callback_policy
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.retry import RetryPolicy, parse_retry_policy
from outdial.domain.rules import RuleBook
from outdial.settings import DialerSettings

HISTORY: Final = 1_000
"""Past calls at most, the newest."""
FEWEST_OF_AN_AGENT: Final = 50
"""With fewer calls of the same agent, those of all agents of the organization count."""
FINAL: Final = frozenset({CampaignStatus.COMPLETED, CampaignStatus.CANCELLED, CampaignStatus.CANCELLING})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastQuestion:
    """A campaign as a forecast needs it: its facts, and what it has done so far."""

    campaign_id: UUID
    organization_id: UUID
    status: CampaignStatus
    facts: ForecastFacts
    calls_made: int
    spent_cents: float


async def read_question(
    connection: Connection,
    *,
    campaign_id: UUID,
    organization_id: UUID | None,
    now: datetime,
    shipped: RuleBook,
    retry_speed: float = 1.0,
) -> ForecastQuestion | None:
    """Read all that the forecast of a campaign needs: seconds for a million contacts.

    A campaign that does not run is forecast as if it started at its scheduled start, or now. None if the caller may not
    see the campaign, or if it is of another organization than `organization_id`. `retry_speed` is that of the dialer.
    """
    campaign = await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=organization_id)
    summary = await launch_summary(
        connection, campaign_id=campaign_id, organization_id=organization_id, now=now, shipped=shipped
    )
    limits = await forecasts.forecast_limits(connection, campaign_id=campaign_id)
    if campaign is None or summary is None or limits is None:
        return None
    status = CampaignStatus(campaign.status)
    start_at = (
        now if campaign.scheduled_at is None or status is CampaignStatus.ACTIVE else max(now, campaign.scheduled_at)
    )
    rows = await forecasts.contacts_to_forecast(
        connection,
        campaign_id=campaign_id,
        now=start_at,
        bin=timedelta(seconds=1) if summary.contacts <= SAMPLE else timedelta(minutes=15),
    )
    rules = await read_rules(connection, campaign.organization_id, shipped)
    spending = await forecasts.campaign_spending(connection, campaign_id=campaign_id)
    facts = ForecastFacts(
        start_at=start_at,
        groups=[] if status in FINAL else _callable_groups(rows, Counter(summary.callable_contacts)),
        hours=campaign_hours(campaign.calling_hours, campaign.purpose, rules),
        limits=_limit_facts(campaign, limits),
        horizon=DialerSettings().claim_horizon,
        retry=_retry_policy(campaign.retry_policy, retry_speed),
        max_attempts=campaign.max_attempts,
        daily_call_cap=limits.daily_call_cap,
        calls=await _past_calls(connection, campaign.organization_id, campaign.retell_agent_id),
        day_parts=[DayPart(part) for part in campaign.day_parts],
        calls_back=parse_callback_policy(msgspec.json.decode(campaign.callback_policy)).is_on,
        callback_retry=RETRY_AFTER / retry_speed,
        numbers=await _numbers(connection, campaign, start_at),
        budget=await _budget(connection, campaign, start_at),
    )
    return ForecastQuestion(
        campaign_id=campaign_id,
        organization_id=campaign.organization_id,
        status=status,
        facts=facts,
        calls_made=spending.calls,
        spent_cents=spending.cost_cents,
    )


def _limit_facts(campaign: campaigns.CampaignSettingsRow, limits: forecasts.ForecastLimits) -> LimitFacts:
    return LimitFacts(
        concurrency_limit=limits.concurrency_limit,
        reserved_inbound=limits.reserved_inbound,
        account_live=0,
        campaign_limit=campaign.max_concurrency,
        campaign_live=0,
        batch_size=campaign.batch_size,
        sharers=limits.sharers,
        weight=limits.weight,
        total_weight=limits.total_weight,
        pace=Pace(limits.calls_per_second, limits.rate_factor, limits.next_start_at, limits.backoff_until),
        hook_time=HOOK_TIME if limits.has_hook else timedelta(),
    )


def _retry_policy(raw: str, speed: float) -> RetryPolicy:
    policy = parse_retry_policy(msgspec.json.decode(raw))
    return policy if speed == 1 else policy.faster(speed)


def _callable_groups(rows: Sequence[forecasts.ForecastGroup], callable_contacts: Counter[Place]) -> list[ContactGroup]:
    """Take the contacts away that will not be called, from all pending groups of their place alike."""
    pending: Counter[Place] = Counter()
    for row in rows:
        if not row.is_calling:
            pending[Place(row.zone_key, row.jurisdiction_key)] += row.contacts
    groups = []
    for row in rows:
        place = Place(row.zone_key, row.jurisdiction_key)
        share = 1.0 if row.is_calling else callable_contacts[place] / pending[place]
        if share:
            groups.append(
                ContactGroup(
                    place=place,
                    due_at=row.due_at,
                    attempts=row.attempts,
                    faults=row.faults,
                    contacts=row.contacts * share,
                    is_calling=row.is_calling,
                    is_callback=row.is_callback,
                    callback_tries=row.callback_tries,
                )
            )
    return groups


async def _numbers(
    connection: Connection, campaign: campaigns.CampaignSettingsRow, start_at: datetime
) -> list[ForecastNumber]:
    rows = await forecasts.numbers_to_forecast(
        connection,
        organization_id=campaign.organization_id,
        phones=[campaign.from_number, *campaign.more_numbers],
        day_ago=start_at - DAY,
    )
    return [
        ForecastNumber(
            daily_cap=row.daily_cap,
            warm_up_days=row.warm_up_days,
            warm_up_from=row.warm_up_from,
            rests_until=row.rests_until,
            calls=row.calls,
        )
        for row in rows
    ]


async def _budget(
    connection: Connection, campaign: campaigns.CampaignSettingsRow, start_at: datetime
) -> ForecastBudget | None:
    budget = (await read_budgets(connection, [campaign.id], start_at)).get(campaign.id)
    if budget is None:
        return None
    organization = await budgets.read_organization_budget(connection, organization_id=campaign.organization_id)
    return ForecastBudget(budget, DEFAULT_ZONE if organization is None else organization.time_zone)


async def _past_calls(connection: Connection, organization_id: UUID, agent_id: str) -> CallAssumptions:
    past_calls = partial(
        forecasts.past_calls, connection, organization_id=organization_id, asked_in=ASKED_IN, limit=HISTORY
    )
    rows = await past_calls(agent_id=agent_id)
    if len(rows) < FEWEST_OF_AN_AGENT:
        rows = await past_calls(agent_id=None)
    return assume_calls(
        [
            DatedCall(
                row.attempt_number,
                row.day,
                PastCall(
                    Outcome(row.outcome),
                    row.line_s,
                    row.cost_cents,
                    callback_after=None
                    if row.callback_after_s is None
                    else timedelta(seconds=max(0.0, row.callback_after_s)),
                ),
            )
            for row in rows
        ]
    )
