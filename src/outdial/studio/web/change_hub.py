"""One ear per process for what changes in the database, and one mouth per page that is open."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from outdial.db.listen import Listener

# More than this between two looks is told as "everything".
_MOST_NAMED: Final = 200


@dataclass(slots=True, eq=False)
class ChangeSubscription:
    """What has changed for one page since it has looked last; however much it is, it takes no more room."""

    organization_id: UUID
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    campaigns: set[UUID] = field(default_factory=set)
    everything: bool = False
    is_over: bool = False

    def add(self, campaign_id: UUID) -> None:
        """Note that a campaign has changed."""
        self.campaigns.add(campaign_id)
        if len(self.campaigns) > _MOST_NAMED:
            self.add_everything()
        self.wake.set()

    def add_everything(self) -> None:
        """Note that anything may have changed."""
        self.campaigns.clear()
        self.everything = True
        self.wake.set()

    def take(self) -> tuple[list[UUID], bool]:
        """Return the campaigns that have changed, and whether anything may have; both are forgotten."""
        taken = sorted(self.campaigns), self.everything
        self.campaigns.clear()
        self.everything = False
        self.wake.clear()
        return taken

    def end(self) -> None:
        """Let the page's stream end."""
        self.is_over = True
        self.wake.set()


class ChangeHub:
    """Hears on one connection which campaigns and jobs change, and tells the pages of their organization."""

    def __init__(self, dsn: str) -> None:
        self._subscriptions: set[ChangeSubscription] = set()
        # The second channel names campaigns whose contacts have changed, without their organization.
        handlers = {"outdial_changes": self.hear, "outdial_campaigns": self._hear_campaign, "outdial_jobs": self.hear}
        self._listener = Listener(dsn, handlers, on_reconnect=self._hear_everything)
        self._is_over = False

    async def start(self) -> None:
        """Listen from now on."""
        await self._listener.start()

    async def stop(self) -> None:
        """End every stream, and listen no more."""
        self.end_streams()
        await self._listener.stop()

    def end_streams(self) -> None:
        """End every stream, and each that begins from now on: a server that stops waits for none of them."""
        self._is_over = True
        for subscription in self._subscriptions:
            subscription.end()

    @contextmanager
    def subscribe(self, organization_id: UUID) -> Iterator[ChangeSubscription]:
        """Hear of changes in an organization for the length of the block."""
        subscription = ChangeSubscription(organization_id, is_over=self._is_over)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def hear(self, payload: str) -> None:
        """Tell the pages of an organization: the payload is its id, and that of a campaign where it is about one."""
        organization, _, campaign = payload.partition(" ")
        for subscription in self._subscriptions:
            if str(subscription.organization_id) != organization:
                continue
            if campaign:
                subscription.add(UUID(campaign))
            else:
                subscription.add_everything()

    def _hear_campaign(self, payload: str) -> None:
        for subscription in self._subscriptions:
            subscription.add(UUID(payload))

    def _hear_everything(self) -> None:
        for subscription in self._subscriptions:
            subscription.add_everything()
