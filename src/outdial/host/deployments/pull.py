"""Keep what this host serves in sync with the environment's database."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from outdial.background import RepeatingTask
from outdial.db.listen import DEPLOYMENTS_CHANNEL, Listener
from outdial.host.deployments.catalogue import FunctionCatalogue
from outdial.host.deployments.plan import FunctionSpec, ServingPlanner
from outdial.host.wire.errors import BootFailed
from outdial.log import log

# Notifications can get lost, and a function that failed to start on this host may start later.
POLL_INTERVAL = timedelta(seconds=30)


class DeploymentSync:
    """Background task that applies deployments: compares the plan with the catalogue and swaps what differs.

    Hold `lock` to change the catalogue in any other way, until the change is committed to the database.
    """

    def __init__(self, planner: ServingPlanner, catalogue: FunctionCatalogue) -> None:
        self._planner = planner
        self._catalogue = catalogue
        self.lock = asyncio.Lock()
        self._warned: set[str] = set()

    async def start(self) -> None:
        """Serve every planned function without probing it first. A broken one fails when it is called."""
        async with self.lock:
            await self.swap(await self._changes(), proved=True)
            self._planner.clear_cache([served.spec.bundle for served in self._catalogue])

    async def run_once(self) -> int:
        """Apply all changes and return the number of functions changed.

        If a function does not start here, its old version stays in service until a later run succeeds.
        """
        async with self.lock:
            changes = await self._changes()
            try:
                await self.swap(changes)
            except BootFailed:
                # They may belong to one deployment, but another host has proved that. Here, swap those that do start.
                return sum(await asyncio.gather(*(self._swap_one(slug, spec) for slug, spec in changes.items())))
            return len(changes)

    async def swap(self, changes: Mapping[str, FunctionSpec | None], *, proved: bool = False) -> None:
        """Apply all of `changes` in one step, or none. Requires the lock. Raises BootFailed."""
        if not changes:
            return
        await self._catalogue.swap(changes, proved=proved)
        for slug, spec in changes.items():
            log("deployments.serving", function=slug, version=None if spec is None else spec.version)

    def new_among(self, specs: Mapping[str, FunctionSpec]) -> dict[str, FunctionSpec]:
        """Return the specs that differ from what is in service."""
        current = {served.slug: served.spec for served in self._catalogue}
        return {slug: spec for slug, spec in specs.items() if current.get(slug) != spec}

    async def _changes(self) -> dict[str, FunctionSpec | None]:
        plan = await self._planner.plan()
        for warning in plan.warnings:
            if warning not in self._warned:
                log("config.warning", level="warning", reason=warning)
        self._warned = set(plan.warnings)
        for slug, reason in plan.unusable.items():
            log("deployments.unusable", level="error", function=slug, reason=reason)
        # A function that failed to start before stays listed while this run tries it again.
        wanted = plan.specs.keys() | plan.unusable.keys()
        unserved = {**self._catalogue.unserved, **plan.unusable}
        self._catalogue.unserved = {slug: reason for slug, reason in unserved.items() if slug in wanted}
        removed = {served.slug for served in self._catalogue} - plan.specs.keys() - plan.unusable.keys()
        return {**self.new_among(plan.specs), **dict.fromkeys(removed)}

    async def _swap_one(self, slug: str, spec: FunctionSpec | None) -> int:
        try:
            await self.swap({slug: spec})
        except BootFailed as error:
            version = None if spec is None else spec.version
            self._catalogue.unserved[slug] = str(error)
            log("deployments.not_started", level="error", function=slug, version=version, reason=str(error))
            return 0
        return 1


class DeploymentListener:
    """Runs the sync on every notification of the database, after a lost connection, and every 30 seconds."""

    def __init__(self, sync: DeploymentSync, dsn: str, *, interval: timedelta = POLL_INTERVAL) -> None:
        self._repeating = RepeatingTask("deployments", sync, interval)
        self._listener = Listener(dsn, {DEPLOYMENTS_CHANNEL: lambda _: self.wake()}, on_reconnect=self.wake)

    def wake(self) -> None:
        self._repeating.wake()

    async def start(self) -> None:
        await self._listener.start()
        self._repeating.start()

    async def stop(self) -> None:
        await self._listener.stop()
        await self._repeating.stop()
