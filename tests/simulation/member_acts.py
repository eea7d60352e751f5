"""What members do to contacts of a simulated run: they skip some, call finished ones again, and undo both."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from outdial.campaigns.entries.changing import EntryChanged, EntryResult, retry_entry, skip_entry
from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.undoing.undo import ActUndone, undo_act
from outdial.db.session import Connection, Database

LATEST_ACTS = 3
"""An undo takes one of these back, as long as the contact is as it was left."""
RATE = 0.04
"""Acts per step. In most runs, members leave the contacts to the dialers."""


@dataclass(slots=True, kw_only=True)
class MemberActs:
    """Acts on contacts of any campaign, with dice of their own; none with the rate 0."""

    api: Database
    chance: random.Random
    rate: float
    done: Counter[str] = field(default_factory=Counter)
    acts: list[tuple[UUID, UUID]] = field(default_factory=list)

    async def step(self, now: datetime, *, healed: bool) -> None:
        """Act on a contact now and then, half of the time on one that waits for a callback."""
        if healed or self.chance.random() >= self.rate:
            return
        async with self.api.as_service() as connection:
            if self.acts and self.chance.random() < 0.3:
                await self._undo(connection, now)
            else:
                await self._act(connection, now)

    async def _act(self, connection: Connection, now: datetime) -> None:
        rows = await connection.fetch(
            "select id, campaign_id, organization_id, status, callback_at is not null as waits"
            " from campaign_contacts where status in ('pending', 'completed', 'failed', 'skipped') order by id"
        )
        if not rows:
            return
        waiting = [row for row in rows if row["waits"]]
        rows = waiting if waiting and self.chance.random() < 0.5 else rows
        row = self.chance.choice(rows)
        result: EntryResult
        if row["status"] == "pending":
            result = await skip_entry(
                connection,
                campaign_id=row["campaign_id"],
                campaign_contact_id=row["id"],
                by="a member",
                reason=None,
                actor=Actor(),
                now=now,
            )
        else:
            result = await retry_entry(
                connection,
                campaign_id=row["campaign_id"],
                campaign_contact_id=row["id"],
                not_before=None,
                reason=None,
                actor=Actor(),
                now=now,
            )
        if isinstance(result, EntryChanged) and result.act_id is not None:
            self.done["skipped" if row["status"] == "pending" else "called again"] += 1
            self.acts = [*self.acts, (row["organization_id"], result.act_id)][-LATEST_ACTS:]

    async def _undo(self, connection: Connection, now: datetime) -> None:
        organization_id, act_id = self.acts.pop(self.chance.randrange(len(self.acts)))
        result = await undo_act(
            connection, organization_id=organization_id, act_id=act_id, by="a member", actor=Actor(), now=now
        )
        self.done["undone"] += isinstance(result, ActUndone)
