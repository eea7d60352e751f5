"""The figures and charts on the page of a campaign: contacts reached, success, cost, and when calls are answered."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.campaigns.results import LAST_ATTEMPT, CampaignResults
from outdial.studio.campaigns.service import Campaign, CampaignProgress
from outdial.studio.forecasts.service import CampaignForecastRecord
from outdial.studio.view.badges import BAD_OUTCOMES, MACHINES, badge_for_outcome
from outdial.studio.view.charts import Chart, CountedBar, RatedCalls, grouped_bars, heat_map
from outdial.studio.view.decisions import REACHED
from outdial.studio.view.format import hour_text

_GROUPS: Final = ("Reached", "Machine", "Not reached", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFigures:
    """The four figures of the page. Without calls there are none.

    `finishes_at` is a forecast, and only of a campaign that runs; `is_finish_unknown` says that the forecast has none,
    as a budget is used up first, `is_outdated` that the settings were changed after it; `took_ms` is known once it has
    ended.
    """

    reached: int
    total: int
    judged: int
    successful: int
    conversations: int
    cost_cents: float
    finishes_at: datetime | None
    is_finish_unknown: bool
    is_outdated: bool
    took_ms: float | None

    @property
    def cost_per_conversation_cents(self) -> float | None:
        return self.cost_cents / self.conversations if self.conversations else None


def campaign_figures(
    campaign: Campaign,
    progress: CampaignProgress,
    results: CampaignResults,
    forecast: CampaignForecastRecord | None,
    now: datetime,
) -> CampaignFigures | None:
    """Return the figures of a campaign; None before its first call."""
    if not progress.ended_calls and not progress.live_calls:
        return None
    is_running = campaign.status is CampaignStatus.ACTIVE
    is_outdated = is_running and forecast is not None and forecast.is_outdated
    finish = None if forecast is None or forecast.finish_at is None or is_outdated else forecast.finish_at.p50
    return CampaignFigures(
        reached=results.reached,
        total=progress.total,
        judged=results.judged,
        successful=results.successful,
        conversations=progress.reached,
        cost_cents=progress.cost_cents,
        # A forecast that has passed says nothing about the end.
        finishes_at=finish if is_running and finish is not None and finish > now else None,
        is_outdated=is_outdated,
        is_finish_unknown=is_running and forecast is not None and forecast.finish_at is None,
        took_ms=_time_taken_ms(campaign),
    )


def outcome_chart(results: CampaignResults, total: int, contacts_url: str) -> Chart | None:
    """Render the contacts by last outcome, of `total`; each bar leads to its contacts. None without one."""
    groups: dict[str, list[CountedBar]] = {group: [] for group in _GROUPS}
    ordered = sorted(results.last_outcomes.items(), key=lambda item: (-item[1], item[0]))
    for outcome, contacts in ordered:
        badge = badge_for_outcome(outcome)
        group = _group_of(outcome)
        # The list filters by outcomes alone; a contact whose call was released has none of them.
        href = f"{contacts_url}?outcome={outcome}" if outcome in set(Outcome) else None
        tone = "good" if group == "Reached" else badge.tone
        groups[group].append(CountedBar(name=badge.label, tone=tone, value=contacts, href=href))
    if not ordered:
        return None
    return grouped_bars("Contacts by last outcome", list(groups.items()), first_head="Outcome", whole=total)


def rate_chart(results: CampaignResults) -> Chart | None:
    """Render the answer rate by hour and attempt; None before the first finished call."""
    cells = [
        RatedCalls(
            row=hour_text(row.hour),
            column=f"{row.attempt}+" if row.attempt == LAST_ATTEMPT else str(row.attempt),
            calls=row.calls,
            answered=row.reached,
        )
        for row in results.rates
    ]
    return heat_map("Answer rate by hour and attempt", cells, corner="Hour", axis="attempt") if cells else None


def _group_of(outcome: str) -> str:
    if outcome in REACHED:
        return "Reached"
    if outcome in MACHINES:
        return "Machine"
    return "Failed" if outcome in BAD_OUTCOMES else "Not reached"


def _time_taken_ms(campaign: Campaign) -> float | None:
    if campaign.status not in CAMPAIGN.final or campaign.started_at is None or campaign.finished_at is None:
        return None
    return (campaign.finished_at - campaign.started_at).total_seconds() * 1000
