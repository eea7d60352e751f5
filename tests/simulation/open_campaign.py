"""What a program does meanwhile: it adds the same contacts to an open campaign again and again, and then closes it."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from outdial.campaigns import lifecycle
from outdial.campaigns.entries.adding import ItemStatus, add_contacts
from outdial.campaigns.errors import CampaignClosed
from outdial.campaigns.lifecycle import Actor
from outdial.db.session import Database
from outdial.promises.promise import Promise
from tests.simulation.history import History
from tests.support.factories import Tenant, create_campaign

# Numbers of New York, which no other campaign calls.
PHONES = [f"+1646555{number:04}" for number in range(9000, 9004)]
REENTRY_AFTER = timedelta(minutes=20)
ADDED_EVERY = timedelta(minutes=25)


@dataclass(slots=True, kw_only=True)
class OpenCampaign:
    """An open campaign, and the witness of what was added to it: each contact is called after that, or skipped."""

    id: UUID
    organization_id: UUID
    api: Database
    history: History
    chance: random.Random
    next_at: datetime
    additions_left: int = 8
    is_closed: bool = False
    added: list[tuple[str, datetime]] = field(default_factory=list)

    async def act(self, now: datetime, *, healed: bool) -> None:
        """Add contacts now and then, and close the campaign after the last ones. It completes only then."""
        if self.is_closed:
            return
        status = await self.history.observer.fetchval("select status from campaigns where id = $1", self.id)
        if status == "completed":
            self.history.note(Promise.OPEN_CAMPAIGNS, "an open campaign completed before it was closed")
        if healed or not self.additions_left or status in ("cancelling", "cancelled"):
            self.is_closed = True
            async with self.api.as_service() as connection:
                await lifecycle.close(connection, self.id, Actor(), now)
        elif now >= self.next_at:
            await self._add(now)

    async def _add(self, now: datetime) -> None:
        self.additions_left, self.next_at = self.additions_left - 1, now + ADDED_EVERY
        phones = self.chance.sample(PHONES, k=2)
        items = [{"phone": phone, "priority": self.chance.randint(1, 9)} for phone in phones]
        try:
            async with self.api.as_service() as connection:
                results = await add_contacts(
                    connection,
                    organization_id=self.organization_id,
                    campaign_id=self.id,
                    items=items,
                    region=None,
                    erasure_keys=None,
                    actor=Actor(),
                    now=now,
                )
        except CampaignClosed:
            return
        self.added += [
            (phone, now) for phone, result in zip(phones, results, strict=True) if result.status is ItemStatus.ADDED
        ]

    async def at_the_end(self) -> None:
        """Check that no contact was lost: the requests are those that the witness saw leave."""
        rows = await self.history.observer.fetch(
            "select phone, status from campaign_contacts where campaign_id = $1", self.id
        )
        status = {row["phone"]: row["status"] for row in rows}
        for phone, at in self.added:
            requests = self.history.requested.get((str(self.id), phone), ())
            if not any(sent_at >= at for sent_at in requests) and status.get(phone) not in ("skipped", "cancelled"):
                self.history.note(
                    Promise.OPEN_CAMPAIGNS, f"{phone}, added {at:%d %H:%M}, was not called and is {status.get(phone)}"
                )


async def open_campaign(
    tenant: Tenant, api: Database, history: History, chance: random.Random, now: datetime, **columns: object
) -> OpenCampaign:
    """Create an active campaign without contacts that stays open."""
    campaign = await create_campaign(
        history.observer, tenant, name="Open", keep_open=True, reentry_after=REENTRY_AFTER, **columns
    )
    return OpenCampaign(
        id=campaign.id,
        organization_id=tenant.organization_id,
        api=api,
        history=history,
        chance=chance,
        next_at=now,
    )
