"""What is shown of a campaign: its settings, how far it is, and why it is not dialing."""

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

from outdial.campaigns.progress import Progress, progress
from outdial.db import campaigns as db
from outdial.db.session import Database
from outdial.dialer.admission import WaitReason
from outdial.dialer.doctor import Diagnosis, examine

_JSON_COLUMNS = ("calling_hours", "retry_policy", "dynamic_variables")
_STYLES = {"completed": "green", "failed": "red", "review": "yellow", "skipped": "dim", "cancelled": "dim"}


@dataclass(frozen=True, slots=True)
class View:
    """A campaign at a moment."""

    campaign: db.CampaignDetail
    progress: Progress
    waiting: str | None

    def settings(self) -> dict[str, Any]:
        """Return the campaign's own columns; what holds JSON as objects."""
        settings = asdict(self.campaign)
        return settings | {name: msgspec.json.decode(settings[name]) for name in _JSON_COLUMNS}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {**self.settings(), "waiting": self.waiting, "progress": self.progress.as_dict()}

    def line(self) -> str:
        """Return how far the campaign is, in one line."""
        told = self.progress
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(told.outcomes.items()))
        return f"{self.campaign.status}: {told.finished}/{told.total} contacts done, {told.live} calls live" + (
            f" ({outcomes})" if outcomes else ""
        )

    def panel(self) -> RenderableType:
        """Return a live picture of the campaign for a terminal."""
        told = self.progress
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(self.campaign.name, style="bold"),
            Text(self.campaign.status, style="cyan"),
            ProgressBar(total=max(told.total, 1), completed=told.finished, width=40),
            Text(f"{told.finished}/{told.total} contacts"),
            Text(f"{told.live} live", style="magenta"),
        )
        return Group(head, _counts("contacts", told.contacts), _counts("outcomes", told.outcomes), self._why())

    def _why(self) -> Text:
        return Text(f"not dialing: {self.waiting}" if self.waiting else "dialing", style="dim")


async def look(database: Database, campaign_id: UUID, now: datetime) -> View:
    """Read a campaign as it stands at `now`."""
    async with database.as_service() as connection:
        campaign = await db.SHOW_CAMPAIGN.one(connection, campaign_id=campaign_id)
        counts = await progress(connection, campaign_id)
        diagnosis = (await examine(connection, [campaign_id], now)).get(campaign_id)
    return View(campaign, counts, None if diagnosis is None else _in_words(diagnosis, campaign_id))


def _in_words(diagnosis: Diagnosis, campaign_id: UUID) -> str:
    text = diagnosis.sentence(_local)
    hint = f": outdial campaign start {campaign_id}" if diagnosis.reason is WaitReason.DRAFT else ""
    return f"{text[:1].lower()}{text[1:]}{hint}"


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _counts(title: str, counts: Mapping[str, int]) -> Text:
    text = Text(f"{title:<9}", style="bold")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        text.append(f" {count} {name}", style=_STYLES.get(name, "default"))
    return text
