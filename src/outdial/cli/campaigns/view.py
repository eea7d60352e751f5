"""How a campaign is shown: settings, progress, and why it is not dialing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from outdial.campaigns.create import JSON_COLUMNS
from outdial.campaigns.progress import Progress, progress
from outdial.cli.output import cell
from outdial.db.queries import campaigns
from outdial.db.rows import required
from outdial.db.session import Database
from outdial.dialer.admission import WaitReason
from outdial.dialer.budgets.limits import read_budgets
from outdial.dialer.doctor import examine
from outdial.domain.campaign import CampaignStatus
from outdial.domain.policies.budget import ClaimBudget, amount
from outdial.domain.policies.durations import duration_text
from outdial.domain.rules import RuleBook

_STYLES = {"completed": "green", "failed": "red", "review": "yellow", "skipped": "dim", "cancelled": "dim"}


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign at one moment; `waiting` says why it is not dialing, and `reason` is the code for it."""

    campaign: campaigns.CampaignSettingsRow
    progress: Progress
    waiting: str | None
    reason: str | None = None
    budget: ClaimBudget | None = None

    def settings(self) -> dict[str, Any]:
        """Return the columns of the campaign, with JSON columns decoded."""
        settings = asdict(self.campaign)
        after = settings["reentry_after"]
        settings["reentry_after"] = None if after is None else duration_text(after)
        return settings | {name: msgspec.json.decode(settings[name]) for name in JSON_COLUMNS}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-serializable values."""
        return {
            **self.settings(),
            "waiting": self.waiting,
            "progress": self.progress.as_dict(),
            "budgets": [] if self.budget is None else _budgets(self.budget),
        }

    def line(self) -> str:
        """Return the progress in one line."""
        counts = self.progress
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(counts.outcomes.items()))
        live = "1 call" if counts.live == 1 else f"{counts.live} calls"
        return f"{self.campaign.status}: {counts.finished}/{counts.total} contacts done, {live} live" + (
            f" ({outcomes})" if outcomes else ""
        )

    def line_with_reason(self) -> str:
        """Return the progress and the budgets in one line and, before a campaign's end, why it is not dialing."""
        ended = self.campaign.status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)
        line = "; ".join([self.line(), *self.budget_texts()])
        return line if ended or self.waiting is None else f"{line}; not dialing: {self.waiting}"

    def budget_texts(self) -> list[str]:
        """Return each budget with what of it is spent, reserved and left."""
        if self.budget is None:
            return []
        return [
            f"{use.scope} budget {amount(use.limit_cents)}: {amount(use.spent_cents)} spent,"
            f" {amount(use.reserved_cents)} reserved, {amount(use.left_cents)} left"
            for use in self.budget.uses
        ]

    def panel(self) -> RenderableType:
        """Return the progress as a terminal panel."""
        counts = self.progress
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(self.campaign.name, style="bold"),
            Text(self.campaign.status, style="cyan"),
            ProgressBar(total=max(counts.total, 1), completed=counts.finished, width=40),
            Text(f"{counts.finished}/{counts.total} contacts"),
            Text(f"{counts.live} live", style="magenta"),
        )
        state = Text(f"not dialing: {self.waiting}" if self.waiting else "dialing", style="dim")
        budgets = [Text(text) for text in self.budget_texts()]
        return Group(head, _counts("contacts", counts.contacts), _counts("outcomes", counts.outcomes), *budgets, state)


async def read_campaign(database: Database, campaign_id: UUID, now: datetime, rules: RuleBook) -> CampaignView:
    """Read a campaign, and why it is not dialing at `now`. `rules` are the shipped ones."""
    async with database.as_service() as connection:
        campaign = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
        counts = await progress(connection, campaign_id)
        budgets = await read_budgets(connection, [campaign_id], now)
        diagnosis = (await examine(connection, [campaign_id], now, rules, budgets)).get(campaign_id)
    budget = budgets.get(campaign_id)
    if diagnosis is None:
        return CampaignView(campaign, counts, None, budget=budget)
    text = diagnosis.sentence(lambda moment: str(cell(moment)))
    hint = f": outdial campaign start {campaign_id}" if diagnosis.reason is WaitReason.DRAFT else ""
    waiting = f"{text[:1].lower()}{text[1:]}{hint}"
    return CampaignView(campaign, counts, waiting, diagnosis.reason, budget)


def _budgets(budget: ClaimBudget) -> list[dict[str, object]]:
    return [
        use.amounts() | {"level": use.level(budget.estimate_cents), "resets_at": use.resets_at} for use in budget.uses
    ]


def _counts(title: str, counts: Mapping[str, int]) -> Text:
    text = Text(f"{title:<9}", style="bold")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        text.append(f" {count} {name}", style=_STYLES.get(name, "default"))
    return text
