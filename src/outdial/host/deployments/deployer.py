"""Activate versions of functions. A version is started and probed on this host before any host serves it."""

from collections.abc import Mapping

from outdial.host.deployments.errors import FunctionNotFound, NoEarlierVersion, VersionsRefused
from outdial.host.deployments.plan import FunctionSpec, ServingPlanner
from outdial.host.deployments.pull import DeploymentSync
from outdial.host.deployments.secrets import SecretsUnreadable
from outdial.host.deployments.store import DeployedVersion, DeploymentStore
from outdial.host.deployments.upload import FunctionUpload, check_webhook
from outdial.host.wire.errors import BadConfig, BootFailed
from outdial.log import log


class Deployer:
    """Deploy, roll back and delete functions.

    One operation runs at a time on this host, and one per function in the whole environment.
    """

    def __init__(self, store: DeploymentStore, planner: ServingPlanner, sync: DeploymentSync) -> None:
        self._store = store
        self._planner = planner
        self._sync = sync

    async def warnings(self, upload: FunctionUpload) -> list[str]:
        """Return what a deployment of `upload` leaves out: unknown keys, and settings that the live version has."""
        dropped = await self._planner.dropped_settings(upload)
        return [*upload.warnings, *([dropped] if dropped else [])]

    async def deploy(self, upload: FunctionUpload, created_by: str) -> DeployedVersion:
        """Store a version and activate it. Raises DeploymentError."""
        async with self._sync.lock:
            version = await self._store.add(upload, created_by)
            await self._activate({upload.slug: version.number})
        return version

    async def activate(self, versions: Mapping[str, int]) -> None:
        """Activate stored versions, all or none. Raises DeploymentError.

        Version 0 is the function of the hosts' own source trees.
        """
        async with self._sync.lock:
            await self._activate(versions)

    async def roll_back(self, slug: str, to: int | None) -> int:
        """Activate an earlier version (default: the previous one) and return its number. Raises DeploymentError."""
        async with self._sync.lock:
            if to is None:
                rows = await self._store.versions(slug)
                active = next((row.version for row in rows if row.status == "active"), None)
                served = [row.version for row in rows if row.status == "superseded"]
                earlier = [version for version in served if active is None or version < active]
                if not earlier:
                    missing = f"a version before {active}" if active else "any version"
                    raise NoEarlierVersion(f"{slug} never served {missing}; version 0 is the source tree of each host")
                to = max(earlier)
            await self._activate({slug: to})
        return to

    async def delete(self, slug: str) -> None:
        """Take the function out of service on every host until its next deployment. Raises FunctionNotFound."""
        async with self._store.switching([slug]) as switch:
            await switch.delete(slug)
        await self._sync_now()

    async def set_verify_jwt(self, slug: str, verify_jwt: bool) -> None:
        """Set whether the gateway checks the tokens of the function's callers. Raises DeploymentError."""
        check_webhook(slug, verify_jwt)
        async with self._store.switching([slug]) as switch:
            await switch.set_verify_jwt(slug, verify_jwt)
        await self._sync_now()

    async def _activate(self, versions: Mapping[str, int]) -> None:
        specs: dict[str, FunctionSpec] = {}
        try:
            for slug, number in versions.items():
                specs[slug] = await self._spec(slug, number)
            async with self._store.switching(versions) as switch:
                await switch.activate(versions)
                # Last: after this step only the commit itself can fail.
                await self._sync.swap(self._sync.new_among(specs))
        except (BadConfig, BootFailed, SecretsUnreadable) as error:
            reason = str(error)
            for spec in specs.values():
                # Show the author paths of the project instead of paths of this host.
                reason = reason.replace(f"{spec.bundle.root}/", "")
            for slug, number in versions.items():
                await self._store.refuse(slug, number, reason)
            raise VersionsRefused(versions, reason) from error

    async def _spec(self, slug: str, number: int) -> FunctionSpec:
        if number == 0:
            spec = await self._planner.from_source(slug)
            if spec is None:
                raise FunctionNotFound(f"the hosts' own source tree has no function {slug}")
            return spec
        row = next((row for row in await self._store.versions(slug) if row.version == number), None)
        if row is None:
            raise FunctionNotFound(f"{slug} has no version {number}")
        check_webhook(slug, row.verify_jwt)
        version = DeployedVersion(
            slug=slug,
            number=number,
            entrypoint_path=row.entrypoint_path,
            verify_jwt=row.verify_jwt,
            config=row.config,
            sha256=row.sha256,
        )
        return await self._planner.version(version)

    async def _sync_now(self) -> None:
        """Apply the change on this host before responding. The database notifies the other hosts."""
        try:
            await self._sync.run_once()
        except Exception as error:  # the change is committed: a later run applies it
            log("deployments.sync_failed", level="error", error=error, reason=str(error))
