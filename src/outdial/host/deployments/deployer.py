"""Puts versions into service: each is started and probed on this host before any host may serve it."""

from collections.abc import Iterable, Mapping, Sequence

from outdial.db.host_store import VersionRow
from outdial.host.deployments.errors import FunctionNotFound, NoEarlierVersion, VersionsRefused
from outdial.host.deployments.plan import FunctionSpec, ServingPlanner
from outdial.host.deployments.pull import DeploymentSync
from outdial.host.deployments.secrets import SecretsUnreadable
from outdial.host.deployments.store import DeployedVersion, DeploymentStore
from outdial.host.deployments.upload import FunctionUpload, check_webhook
from outdial.host.wire.errors import BadConfig, BootFailed
from outdial.log import log


class Deployer:
    """Deploys, rolls back and deletes: one at a time on this host, and per function in the whole environment."""

    def __init__(self, store: DeploymentStore, planner: ServingPlanner, pull: DeploymentSync) -> None:
        self._store, self._planner, self._pull = store, planner, pull

    async def deploy(self, upload: FunctionUpload, created_by: str) -> DeployedVersion:
        """Keep a version and put it into service; raise DeploymentError when it is refused."""
        async with self._pull.lock:
            version = await self._store.keep(upload, created_by)
            await self._activate({upload.slug: version.number})
        return version

    async def activate(self, versions: Mapping[str, int]) -> None:
        """Put versions that are kept into service, all of them or none; raise DeploymentError.

        Version 0 is what the hosts' own source trees have.
        """
        async with self._pull.lock:
            await self._activate(versions)

    async def roll_back(self, slug: str, to: int | None) -> int:
        """Put an earlier version into service again, by default the one before; return its number.

        Raises DeploymentError.
        """
        async with self._pull.lock:
            number = _previous(slug, await self._store.versions(slug)) if to is None else to
            await self._activate({slug: number})
        return number

    async def delete(self, slug: str) -> None:
        """Let no host serve the function any more until it is deployed again; raise NothingToServe."""
        async with self._store.switching([slug]) as switch:
            await switch.delete(slug)
        await self._pull_now()

    async def set_verify_jwt(self, slug: str, verify_jwt: bool) -> None:
        """Change whether the gateway checks the tokens of a function's callers; raise DeploymentError."""
        check_webhook(slug, verify_jwt)
        async with self._store.switching([slug]) as switch:
            await switch.set_verify_jwt(slug, verify_jwt)
        await self._pull_now()

    async def _activate(self, versions: Mapping[str, int]) -> None:
        wanted: dict[str, FunctionSpec] = {}
        try:
            for slug, number in versions.items():
                wanted[slug] = await self._wanted(slug, number)
            async with self._store.switching(versions) as switch:
                await switch.activate(versions)
                # Last, so that hardly anything can keep the database from saying what is served here.
                await self._pull.swap(self._pull.new_among(wanted))
        except (BadConfig, BootFailed, SecretsUnreadable) as error:
            reason = _without_roots(str(error), wanted.values())
            for slug, number in versions.items():
                await self._store.refuse(slug, number, reason)
            raise VersionsRefused(versions, reason) from error

    async def _wanted(self, slug: str, number: int) -> FunctionSpec:
        """Return how a version is to be served here."""
        if number == 0:
            wanted = await self._planner.from_source(slug)
            if wanted is None:
                raise FunctionNotFound(f"the hosts' own source tree has no function {slug}")
            return wanted
        row = next((row for row in await self._store.versions(slug) if row.version == number), None)
        if row is None:
            raise FunctionNotFound(f"{slug} has no version {number}")
        check_webhook(slug, row.verify_jwt)
        version = DeployedVersion(slug, number, row.entrypoint_path, row.verify_jwt, row.config, row.sha256)
        return await self._planner.version(version)

    async def _pull_now(self) -> None:
        """Serve it here before the client is answered; other hosts hear of it from the database."""
        try:
            await self._pull.run_once()
        except Exception as error:  # it is in the database: a later pull serves it
            log("deployments.pull_failed", level="error", error=error, reason=str(error))


def _without_roots(text: str, wanted: Iterable[FunctionSpec]) -> str:
    """Return a traceback with the paths that the author of the functions knows."""
    for one in wanted:
        text = text.replace(f"{one.bundle.root}/", "")
    return text


def _previous(slug: str, rows: Sequence[VersionRow]) -> int:
    active = next((row.version for row in rows if row.status == "active"), None)
    earlier = [row.version for row in rows if row.status == "superseded" and (active is None or row.version < active)]
    if not earlier:
        served = f"a version before {active}" if active else "any version"
        raise NoEarlierVersion(f"{slug} never served {served}; version 0 is what the hosts' own source trees have")
    return max(earlier)
