"""Fans out database notifications: one listening connection per process, one subscription per open page."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from outdial.db.listen import Listener

# Above this many campaigns between two reads, the page just refreshes everything.
_MAX_CAMPAIGNS: Final = 200


@dataclass(slots=True, eq=False)
class ChangeSubscription:
    """Changes since one page last read them. Memory stays bounded however many arrive."""

    organization_id: UUID
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    campaigns: set[UUID] = field(default_factory=set)
    everything: bool = False
    is_closed: bool = False

    def add(self, campaign_id: UUID) -> None:
        """Record a changed campaign."""
        self.campaigns.add(campaign_id)
        if len(self.campaigns) > _MAX_CAMPAIGNS:
            self.add_everything()
        self.wake.set()

    def add_everything(self) -> None:
        """Record that anything may have changed."""
        self.campaigns.clear()
        self.everything = True
        self.wake.set()

    def take(self) -> tuple[list[UUID], bool]:
        """Return the changed campaigns and whether anything may have changed, and reset both."""
        taken = sorted(self.campaigns), self.everything
        self.campaigns.clear()
        self.everything = False
        self.wake.clear()
        return taken

    def close(self) -> None:
        """End the page's stream."""
        self.is_closed = True
        self.wake.set()


class ChangeHub:
    """Listens for changed campaigns and jobs, and notifies the open pages of their organization."""

    def __init__(self, dsn: str) -> None:
        self._subscriptions: set[ChangeSubscription] = set()
        # outdial_campaigns carries campaign ids only, without the organization.
        handlers = {
            "outdial_changes": self.publish,
            "outdial_campaigns": self._publish_campaign,
            "outdial_jobs": self.publish,
        }
        self._listener = Listener(dsn, handlers, on_reconnect=self._publish_everything)
        self._is_closed = False

    async def start(self) -> None:
        """Start listening."""
        await self._listener.start()

    async def stop(self) -> None:
        """End every stream and stop listening."""
        self.end_streams()
        await self._listener.stop()

    def end_streams(self) -> None:
        """End every stream, including those that start from now on, so that the server can shut down."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.close()

    @contextmanager
    def subscribe(self, organization_id: UUID) -> Iterator[ChangeSubscription]:
        """Receive the changes of an organization for the duration of the block."""
        subscription = ChangeSubscription(organization_id, is_closed=self._is_closed)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, payload: str) -> None:
        """Notify the pages of an organization. `payload` is its id, followed by a campaign id when one changed."""
        organization, _, campaign = payload.partition(" ")
        for subscription in self._subscriptions:
            if str(subscription.organization_id) != organization:
                continue
            if campaign:
                subscription.add(UUID(campaign))
            else:
                subscription.add_everything()

    def _publish_campaign(self, payload: str) -> None:
        for subscription in self._subscriptions:
            subscription.add(UUID(payload))

    def _publish_everything(self) -> None:
        for subscription in self._subscriptions:
            subscription.add_everything()
