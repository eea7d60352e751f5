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
_MAX_TRANSCRIPTS: Final = 1_000
_MAX_OWNERS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PageChanges:
    """What has changed since a page last read: campaigns, imports and exports (`jobs`), or possibly everything.

    `unowned` are campaigns that may belong to another organization. `transcripts` are live calls in which someone has
    spoken.
    """

    campaigns: list[UUID]
    unowned: list[UUID]
    transcripts: list[UUID]
    jobs: bool
    everything: bool


@dataclass(slots=True, eq=False)
class ChangeSubscription:
    """Changes since one page last read them. Memory stays bounded however many arrive."""

    organization_id: UUID
    user_id: UUID | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    campaigns: set[UUID] = field(default_factory=set)
    unowned: set[UUID] = field(default_factory=set)
    transcripts: set[UUID] = field(default_factory=set)
    jobs: bool = False
    everything: bool = False
    is_closed: bool = False

    def add(self, campaign_id: UUID, *, is_own: bool) -> None:
        """Record a changed campaign; `is_own` is whether it is known to be one of the page's organization."""
        if not self.everything:
            (self.campaigns if is_own else self.unowned).add(campaign_id)
        if len(self.campaigns) + len(self.unowned) > _MAX_CAMPAIGNS:
            self.add_everything()
        self.wake.set()

    def add_transcript(self, call_id: UUID) -> None:
        """Record that someone has spoken in a live call."""
        self.transcripts.add(call_id)
        if len(self.transcripts) > _MAX_TRANSCRIPTS:
            self.add_everything()
        self.wake.set()

    def add_jobs(self) -> None:
        """Record that an import or export has changed."""
        self.jobs = True
        self.wake.set()

    def add_everything(self) -> None:
        """Record that anything may have changed."""
        self.campaigns.clear()
        self.unowned.clear()
        self.transcripts.clear()
        self.everything = True
        self.wake.set()

    def take(self) -> PageChanges:
        """Return the changes and forget them."""
        taken = PageChanges(
            campaigns=sorted(self.campaigns),
            unowned=sorted(self.unowned - self.campaigns),
            transcripts=sorted(self.transcripts),
            jobs=self.jobs,
            everything=self.everything,
        )
        self.campaigns.clear()
        self.unowned.clear()
        self.transcripts.clear()
        self.jobs = self.everything = False
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
        self._owners: dict[UUID, UUID] = {}
        self._versions: dict[UUID | None, int] = {}
        # outdial_campaigns carries campaign ids only, without the organization.
        handlers = {
            "outdial_changes": self.publish,
            "outdial_campaigns": self.publish_campaign,
            "outdial_jobs": self.publish_jobs,
            "outdial_transcripts": self.publish_transcript,
        }
        self._listener = Listener(dsn, handlers, on_reconnect=self.publish_everything)
        self._is_closed = False

    @property
    def is_listening(self) -> bool:
        """Whether changes arrive from the database."""
        return self._listener.is_listening

    def version_of(self, organization_id: UUID) -> int | None:
        """Return a number that grows with each change of an organization; None while no change arrives.

        What was read under a version is current for as long as the version stays the same.
        """
        if not self.is_listening:
            return None
        return self._versions.get(organization_id, 0) + self._versions.get(None, 0)

    def _count_change(self, organization_id: UUID | None) -> None:
        """Count a change of an organization; None for one that may concern any."""
        self._versions[organization_id] = self._versions.get(organization_id, 0) + 1

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

    def streams_of(self, user_id: UUID) -> int:
        """Return how many streams a user has open, in all organizations."""
        return sum(subscription.user_id == user_id for subscription in self._subscriptions)

    @contextmanager
    def subscribe(self, organization_id: UUID, user_id: UUID | None = None) -> Iterator[ChangeSubscription]:
        """Receive the changes of an organization for the duration of the block."""
        subscription = ChangeSubscription(organization_id, user_id, is_closed=self._is_closed)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, payload: str) -> None:
        """Notify the pages of an organization. `payload` is its id, followed by a campaign id when one changed."""
        organization, _, campaign = payload.partition(" ")
        organization_id, campaign_id = UUID(organization), UUID(campaign) if campaign else None
        self._count_change(organization_id)
        if campaign_id is not None and campaign_id not in self._owners:
            self._owners[campaign_id] = organization_id
            if len(self._owners) > _MAX_OWNERS:
                del self._owners[next(iter(self._owners))]
        for subscription in self._subscriptions:
            if subscription.organization_id != organization_id:
                continue
            if campaign_id is not None:
                subscription.add(campaign_id, is_own=True)
            else:
                subscription.add_everything()

    def publish_jobs(self, payload: str) -> None:
        """Notify the pages of an organization that an import or export has changed. `payload` is its id."""
        for subscription in self._subscriptions:
            if str(subscription.organization_id) == payload:
                subscription.add_jobs()

    def publish_transcript(self, payload: str) -> None:
        """Notify the pages of an organization of words in a live call. `payload` is its id, followed by the call's."""
        organization_id, call_id = map(UUID, payload.split(" "))
        self._count_change(organization_id)
        for subscription in self._subscriptions:
            if subscription.organization_id == organization_id:
                subscription.add_transcript(call_id)

    def publish_campaign(self, payload: str) -> None:
        """Notify the pages of a changed campaign. Its organization is not in the payload, but in those of `publish`."""
        campaign_id = UUID(payload)
        owner = self._owners.get(campaign_id)
        self._count_change(owner)
        for subscription in self._subscriptions:
            if owner in (None, subscription.organization_id):
                subscription.add(campaign_id, is_own=owner is not None)

    def publish_everything(self) -> None:
        """Notify all pages that anything may have changed."""
        self._count_change(None)
        for subscription in self._subscriptions:
            subscription.add_everything()
