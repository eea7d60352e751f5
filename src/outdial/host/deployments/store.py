"""Versions of functions in the environment's database: kept, put into service, taken out of it."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from outdial.clock import Clock
from outdial.db import host_store as db
from outdial.db.host_store import ActiveFunction, VersionRow
from outdial.db.session import Database
from outdial.db.statements import Connection
from outdial.host.deployments.errors import FunctionNotFound
from outdial.host.deployments.upload import FunctionUpload, check_webhook

# Of each function so many versions are kept to go back to.
KEPT_VERSIONS = 20


@dataclass(frozen=True, slots=True)
class DeployedVersion:
    """A version of a function as it can be served; `config` is JSON, None when the host's own counts."""

    slug: str
    number: int
    entrypoint_path: str
    verify_jwt: bool
    config: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class DeploymentTransaction:
    """A transaction in which no other deployment touches the functions that it is about."""

    connection: Connection
    clock: Clock

    async def activate(self, versions: Mapping[str, int]) -> None:
        """Put one version of each function into service; version 0 hands it back to the hosts' own source trees.

        Raises NothingToServe when one is not kept any more.
        """
        chosen = {slug: number for slug, number in versions.items() if number > 0}
        await db.SUPERSEDE.run(self.connection, slugs=list(versions))
        found = await db.ACTIVATE.run(self.connection, slugs=list(chosen), versions=list(chosen.values()))
        if found < len(chosen):
            raise FunctionNotFound("Version not found")
        await self._touch(versions, deleted=False)

    async def delete(self, slug: str) -> None:
        """Take a function out of service, on every host; raise NothingToServe when it is not deployed."""
        if not await db.SUPERSEDE.run(self.connection, slugs=[slug]):
            raise FunctionNotFound("Function not found")
        await self._touch([slug], deleted=True)

    async def set_verify_jwt(self, slug: str, verify_jwt: bool) -> None:
        """Change the check of tokens of the active version; raise NothingToServe when there is none."""
        if not await db.SET_VERIFY_JWT.run(self.connection, slug=slug, verify_jwt=verify_jwt):
            raise FunctionNotFound("Function not found")
        await self._touch([slug], deleted=False)

    async def _touch(self, slugs: Collection[str], *, deleted: bool) -> None:
        await db.TOUCH_FUNCTIONS.run(self.connection, slugs=list(slugs), now=self.clock.now(), deleted=deleted)
        await db.NOTIFY_DEPLOYMENTS.run(self.connection)


@dataclass(frozen=True, slots=True)
class DeploymentStore:
    """What was deployed to an environment."""

    database: Database
    clock: Clock

    async def keep(self, upload: FunctionUpload, created_by: str) -> DeployedVersion:
        """Keep a new version, of which nothing is served yet; raise BadUpload for a webhook that wants tokens."""
        now, config = self.clock.now(), None if upload.config is None else msgspec.json.encode(upload.config).decode()
        async with self.database.transaction() as connection:
            opened = await db.OPEN_VERSION.one(connection, slug=upload.slug, name=upload.name, now=now)
            active = await db.ACTIVE_FUNCTIONS.maybe(connection, slug=upload.slug)
            # What nobody says stays as it is, for a webhook must not begin to refuse its sender.
            verify_jwt = (active is None or active.verify_jwt) if upload.verify_jwt is None else upload.verify_jwt
            check_webhook(upload.slug, verify_jwt)
            await db.ADD_VERSION.run(
                connection,
                slug=upload.slug,
                version=opened.version,
                entrypoint_path=upload.entrypoint_path,
                static_patterns=upload.static_patterns,
                verify_jwt=verify_jwt,
                config=config,
                sha256=upload.digest,
                now=now,
                created_by=created_by,
            )
            await db.ADD_FILES.run(
                connection,
                slug=upload.slug,
                version=opened.version,
                paths=list(upload.files),
                contents=list(upload.files.values()),
            )
            await db.FORGET_VERSIONS.run(connection, slug=upload.slug, keep=KEPT_VERSIONS)
        return DeployedVersion(upload.slug, opened.version, upload.entrypoint_path, verify_jwt, config, upload.digest)

    async def functions(self) -> list[ActiveFunction]:
        """Return every function that is deployed, by its name."""
        async with self.database.transaction() as connection:
            return await db.ACTIVE_FUNCTIONS.all(connection, slug=None)

    async def function(self, slug: str) -> ActiveFunction:
        """Return a deployed function; raise NothingToServe."""
        async with self.database.transaction() as connection:
            found = await db.ACTIVE_FUNCTIONS.maybe(connection, slug=slug)
        if found is None:
            raise FunctionNotFound("Function not found")
        return found

    async def active(self) -> dict[str, DeployedVersion | None]:
        """Return the version to serve of each function that was deployed; None for one that was deleted since."""
        async with self.database.transaction() as connection:
            rows = await db.DEPLOYMENTS.all(connection)
        return {row.slug: _version(row) for row in rows}

    async def versions(self, slug: str) -> list[VersionRow]:
        """Return the versions of a function that are kept, the newest first; raise NothingToServe for none."""
        async with self.database.transaction() as connection:
            rows = await db.VERSIONS.all(connection, slug=slug)
        if not rows:
            raise FunctionNotFound("Function not found")
        return rows

    async def files(self, slug: str, number: int) -> dict[str, bytes]:
        """Return the files of a version by their paths."""
        async with self.database.transaction() as connection:
            return {row.path: row.content for row in await db.FILES.all(connection, slug=slug, version=number)}

    async def refuse(self, slug: str, number: int, reason: str) -> None:
        """Note why a version was not put into service."""
        async with self.database.transaction() as connection:
            await db.REFUSE.run(connection, slug=slug, version=number, error=reason.replace("\0", ""))

    @asynccontextmanager
    async def switching(self, slugs: Collection[str]) -> AsyncIterator[DeploymentTransaction]:
        """Open a transaction that other deployments of these functions wait for; raise NothingToServe."""
        async with self.database.transaction() as connection:
            locked = {row.slug for row in await db.LOCK_FUNCTIONS.all(connection, slugs=list(slugs))}
            if missing := sorted(set(slugs) - locked):
                raise FunctionNotFound(f"Function not found: {', '.join(missing)}")
            yield DeploymentTransaction(connection, self.clock)


def _version(row: db.DeploymentRow) -> DeployedVersion | None:
    if row.version is None or row.entrypoint_path is None or row.verify_jwt is None or row.sha256 is None:
        return None
    return DeployedVersion(row.slug, row.version, row.entrypoint_path, row.verify_jwt, row.config, row.sha256)
