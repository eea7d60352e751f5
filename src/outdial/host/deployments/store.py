"""Versions of functions in the environment's database."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from outdial.clock import Clock
from outdial.db.queries.host import deployments
from outdial.db.queries.host.deployments import ActiveFunction, VersionRow
from outdial.db.session import Connection, Database
from outdial.host.deployments.errors import FunctionNotFound
from outdial.host.deployments.upload import FunctionUpload, check_webhook

# Per function. Older versions are deleted.
KEPT_VERSIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedVersion:
    """A stored version of a function. `config` is JSON; None means the host's own config.toml applies."""

    slug: str
    number: int
    entrypoint_path: str
    verify_jwt: bool
    config: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class DeploymentTransaction:
    """A transaction that locks its functions against other deployments."""

    connection: Connection
    clock: Clock

    async def activate(self, versions: Mapping[str, int]) -> None:
        """Activate one version per function; version 0 returns a function to the hosts' own source trees.

        Raises FunctionNotFound if a version is no longer stored.
        """
        chosen = {slug: number for slug, number in versions.items() if number > 0}
        await deployments.supersede_versions(self.connection, slugs=list(versions))
        found = await deployments.activate_versions(self.connection, slugs=list(chosen), versions=list(chosen.values()))
        if found < len(chosen):
            raise FunctionNotFound("Version not found")
        await self._notify(versions, deleted=False)

    async def delete(self, slug: str) -> None:
        """Take a function out of service on every host. Raises FunctionNotFound if it is not deployed."""
        if not await deployments.supersede_versions(self.connection, slugs=[slug]):
            raise FunctionNotFound("Function not found")
        await self._notify([slug], deleted=True)

    async def set_verify_jwt(self, slug: str, verify_jwt: bool) -> None:
        """Set `verify_jwt` of the active version. Raises FunctionNotFound if there is none."""
        if not await deployments.set_verify_jwt(self.connection, slug=slug, verify_jwt=verify_jwt):
            raise FunctionNotFound("Function not found")
        await self._notify([slug], deleted=False)

    async def _notify(self, slugs: Collection[str], *, deleted: bool) -> None:
        await deployments.touch_functions(self.connection, slugs=list(slugs), now=self.clock.now(), deleted=deleted)
        await deployments.notify_deployments(self.connection)


@dataclass(frozen=True, slots=True)
class DeploymentStore:
    """The deployments of an environment."""

    database: Database
    clock: Clock

    async def add(self, upload: FunctionUpload, created_by: str) -> DeployedVersion:
        """Store a new version without activating it. Raises InvalidUpload for a webhook with `verify_jwt`."""
        now = self.clock.now()
        config = None if upload.config is None else msgspec.json.encode(upload.config).decode()
        async with self.database.transaction() as connection:
            version = await deployments.open_version(connection, slug=upload.slug, name=upload.name, now=now)
            active = await deployments.active_functions(connection, slug=upload.slug)
            # An upload without the setting keeps the current one: a webhook must not start to reject its sender.
            verify_jwt = all(row.verify_jwt for row in active) if upload.verify_jwt is None else upload.verify_jwt
            check_webhook(upload.slug, verify_jwt)
            await deployments.add_version(
                connection,
                slug=upload.slug,
                version=version,
                entrypoint_path=upload.entrypoint_path,
                static_patterns=upload.static_patterns,
                verify_jwt=verify_jwt,
                config=config,
                sha256=upload.digest,
                now=now,
                created_by=created_by,
            )
            await deployments.add_files(
                connection,
                slug=upload.slug,
                version=version,
                paths=list(upload.files),
                contents=list(upload.files.values()),
            )
            await deployments.delete_old_versions(connection, slug=upload.slug, keep=KEPT_VERSIONS)
        return DeployedVersion(
            slug=upload.slug,
            number=version,
            entrypoint_path=upload.entrypoint_path,
            verify_jwt=verify_jwt,
            config=config,
            sha256=upload.digest,
        )

    async def functions(self) -> list[ActiveFunction]:
        """Return all deployed functions, sorted by slug."""
        async with self.database.transaction() as connection:
            return await deployments.active_functions(connection, slug=None)

    async def function(self, slug: str) -> ActiveFunction:
        """Return a deployed function. Raises FunctionNotFound."""
        async with self.database.transaction() as connection:
            found = await deployments.active_functions(connection, slug=slug)
        if not found:
            raise FunctionNotFound("Function not found")
        return found[0]

    async def active(self) -> dict[str, DeployedVersion | None]:
        """Return the active version of every function ever deployed; None for a deleted one."""
        async with self.database.transaction() as connection:
            rows = await deployments.list_deployments(connection)
        active: dict[str, DeployedVersion | None] = {row.slug: None for row in rows}
        for row in rows:
            if row.version is None or row.entrypoint_path is None or row.verify_jwt is None or row.sha256 is None:
                continue
            active[row.slug] = DeployedVersion(
                slug=row.slug,
                number=row.version,
                entrypoint_path=row.entrypoint_path,
                verify_jwt=row.verify_jwt,
                config=row.config,
                sha256=row.sha256,
            )
        return active

    async def versions(self, slug: str) -> list[VersionRow]:
        """Return the stored versions of a function, newest first. Raises FunctionNotFound if there are none."""
        async with self.database.transaction() as connection:
            rows = await deployments.list_versions(connection, slug=slug)
        if not rows:
            raise FunctionNotFound("Function not found")
        return rows

    async def files(self, slug: str, number: int) -> dict[str, bytes]:
        """Return the files of a version by path."""
        async with self.database.transaction() as connection:
            return {
                row.path: row.content for row in await deployments.version_files(connection, slug=slug, version=number)
            }

    async def refuse(self, slug: str, number: int, reason: str) -> None:
        """Record why a version was not activated."""
        async with self.database.transaction() as connection:
            await deployments.reject_version(connection, slug=slug, version=number, error=reason.replace("\0", ""))

    @asynccontextmanager
    async def switching(self, slugs: Collection[str]) -> AsyncIterator[DeploymentTransaction]:
        """Open a transaction that locks these functions. Raises FunctionNotFound."""
        async with self.database.transaction() as connection:
            locked = set(await deployments.lock_functions(connection, slugs=list(slugs)))
            if missing := sorted(set(slugs) - locked):
                raise FunctionNotFound(f"Function not found: {', '.join(missing)}")
            yield DeploymentTransaction(connection, self.clock)
