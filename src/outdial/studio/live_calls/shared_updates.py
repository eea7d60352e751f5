"""Live updates that pages share: one rendering for all members who see the same, until something changes."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Request

from outdial.clock import Clock
from outdial.studio.web.change_hub import ChangeHub
from outdial.studio.web.context import studio_state

# The times on a page are as old as its rendering.
LONGEST_REUSE: Final = timedelta(seconds=0.5)
_MAX_ENTRIES: Final = 200
_LOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class _Rendering:
    html: str
    version: int | None
    rendered_at: datetime


class SharedUpdates:
    """Renders a page once for requests that come together; one per application.

    Callers must have checked that the caller may see the page, and `key` must hold all that the rendering depends on.
    """

    def __init__(self, hub: ChangeHub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._renderings: dict[Hashable, _Rendering] = {}
        self._locks = [asyncio.Lock() for _ in range(_LOCKS)]

    async def get(self, organization_id: UUID, key: Hashable, render: Callable[[], Awaitable[str]]) -> str:
        """Return the rendering for `key`: that of a request just before, unless something has changed since."""
        # While one request renders, the others that want the same wait for it.
        async with self._locks[hash(key) % _LOCKS]:
            version, now = self._hub.version_of(organization_id), self._clock.now()
            known = self._renderings.get(key)
            if known and version is not None and known.version == version and now < known.rendered_at + LONGEST_REUSE:
                return known.html
            html = await render()
            # Read before the rendering: a change meanwhile makes the next request render again.
            self._renderings[key] = _Rendering(html, version, now)
            if len(self._renderings) > _MAX_ENTRIES:
                del self._renderings[next(iter(self._renderings))]
            return html


def shared_updates(request: Request) -> SharedUpdates:
    """Return the updates shared by all requests."""
    studio = studio_state(request)
    return studio.share(SharedUpdates, lambda: SharedUpdates(studio.hub, studio.clock))


Updates = Annotated[SharedUpdates, Depends(shared_updates)]
"""Parameter of routes whose live updates are shared."""
