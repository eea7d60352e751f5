"""Brings what this host serves in line with what the environment's database says."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from outdial.background import Repeating
from outdial.db.host_store import CHANNEL
from outdial.db.listen import Listener
from outdial.host.deployments.catalogue import FunctionCatalogue
from outdial.host.deployments.plan import FunctionSpec, ServingPlanner
from outdial.host.wire.errors import BootFailed
from outdial.log import log

# A notification may be lost, and a function that did not start here may start later.
SAFETY_INTERVAL = timedelta(seconds=30)


class DeploymentSync:
    """A duty: looks up what is to be served, and changes what is not so.

    Whoever changes the catalogue otherwise holds `lock`, until the database says the same.
    """

    def __init__(self, planner: ServingPlanner, catalogue: FunctionCatalogue) -> None:
        self._planner, self._catalogue = planner, catalogue
        self.lock = asyncio.Lock()

    async def start(self) -> None:
        """Serve what is to be served, whether it starts or not: a function that does not says so when it is called."""
        async with self.lock:
            await self.swap(await self._changes(), proved=True)
            self._planner.tidy([one.wanted.bundle for one in self._catalogue])

    async def run_once(self) -> int:
        """Change what is not as it is to be; return how many functions were changed.

        One that does not start here goes on as it was, and is tried again the next time.
        """
        async with self.lock:
            changes = await self._changes()
            try:
                await self.swap(changes)
            except BootFailed:
                # They may have been deployed together, but another host has proved them: here, the good ones go on.
                return sum([await self._swap_one(slug, wanted) for slug, wanted in changes.items()])
            return len(changes)

    async def swap(self, changes: Mapping[str, FunctionSpec | None], *, proved: bool = False) -> None:
        """Serve all of `changes` from one moment to the next, or none of them; for the holder of the lock.

        Raises BootFailed when one does not start.
        """
        if not changes:
            return
        await self._catalogue.swap(changes, proved=proved)
        for slug, wanted in changes.items():
            log("deployments.serving", function=slug, version=None if wanted is None else wanted.version)

    def new_among(self, wanted: Mapping[str, FunctionSpec]) -> dict[str, FunctionSpec]:
        """Return those of `wanted` that are not served as they are."""
        served = {one.slug: one.wanted for one in self._catalogue}
        return {slug: one for slug, one in wanted.items() if served.get(slug) != one}

    async def _changes(self) -> dict[str, FunctionSpec | None]:
        planned = await self._planner.everything()
        for slug, reason in planned.unusable.items():
            log("deployments.unusable", level="error", function=slug, reason=reason)
        gone = {one.slug for one in self._catalogue} - planned.wanted.keys() - planned.unusable.keys()
        return {**self.new_among(planned.wanted), **dict.fromkeys(gone)}

    async def _swap_one(self, slug: str, wanted: FunctionSpec | None) -> int:
        try:
            await self.swap({slug: wanted})
        except BootFailed as error:
            version = None if wanted is None else wanted.version
            log("deployments.not_started", level="error", function=slug, version=version, reason=str(error))
            return 0
        return 1


class DeploymentListener:
    """Pulls whenever the database tells of a change, after each lost connection, and every so often."""

    def __init__(self, pull: DeploymentSync, dsn: str, *, safety_interval: timedelta = SAFETY_INTERVAL) -> None:
        self._repeating = Repeating("deployments", pull, safety_interval)
        self._listener = Listener(dsn, {CHANNEL: lambda _: self.wake()}, on_reconnect=self.wake)

    def wake(self) -> None:
        """Pull soon."""
        self._repeating.wake()

    async def start(self) -> None:
        """Watch from now on."""
        await self._listener.start()
        self._repeating.start()

    async def stop(self) -> None:
        """Watch no more."""
        await self._listener.stop()
        await self._repeating.stop()
