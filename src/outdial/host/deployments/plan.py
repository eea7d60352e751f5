"""What this host is to serve: of each function which code, with which limits, and in which environment."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from outdial.host.deployments.bundle_cache import Shelf
from outdial.host.deployments.environment import worker_env
from outdial.host.deployments.secrets import Secrets
from outdial.host.deployments.source import Source, read_source
from outdial.host.deployments.store import Store, Version
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig

_BUNDLES_KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A function as it is to be served; two that are equal need no exchange."""

    bundle: Bundle
    verify_jwt: bool
    config: FunctionConfig
    env: Mapping[str, str] = field(repr=False)

    @property
    def slug(self) -> str:
        """Its name."""
        return self.bundle.slug

    @property
    def version(self) -> int:
        """Its version, 0 when it comes from the source tree."""
        return self.bundle.version


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this host gives to functions: its own settings, a DSN per database role, and its region."""

    settings: Mapping[str, str] = field(repr=False)
    database_urls: Mapping[str, str] = field(repr=False)
    region: str

    def env(self, slug: str, config: FunctionConfig, secrets: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a function, deployed secrets before settings of the host; raise BadConfig."""
        return worker_env(slug, config, {**self.settings, **secrets}, self.database_urls, self.region)


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be served, by slug, and of which functions nobody can say so, with the reason."""

    wanted: Mapping[str, Wanted]
    unusable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Planner:
    """Brings together what was deployed, what lies in the source tree, and the secrets."""

    store: Store
    secrets: Secrets
    shelf: Shelf
    directory: Path
    surroundings: Surroundings

    async def everything(self) -> Planned:
        """Return what is to be served now; raises SecretsUnreadable, and BadConfig for the host's own config.toml."""
        source = read_source(self.directory)
        secrets, deployed = await self.secrets.values(), await self.store.active()
        wanted, unusable = dict[str, Wanted](), dict[str, str]()
        for slug in source.bundles.keys() - deployed.keys():
            with _noting(unusable, slug):
                wanted[slug] = self._from_source(slug, source, secrets)
        for slug, version in deployed.items():
            if version is not None:
                with _noting(unusable, slug):
                    wanted[slug] = await self._deployed(version, source, secrets)
        return Planned(wanted, unusable)

    async def version(self, version: Version) -> Wanted:
        """Return how `version` would be served if it were active; raises BadConfig and SecretsUnreadable."""
        return await self._deployed(version, read_source(self.directory), await self.secrets.values())

    async def from_source(self, slug: str) -> Wanted | None:
        """Return how the source tree's own function is served, None when it has none; raises as `version` does."""
        source = read_source(self.directory)
        return self._from_source(slug, source, await self.secrets.values()) if slug in source.bundles else None

    def tidy(self, served: Iterable[Bundle]) -> None:
        """Remove from the disk what is not served, unless a process that this one takes over from may need it."""
        self.shelf.clear(served, self.store.clock.now() - _BUNDLES_KEPT)

    def _from_source(self, slug: str, source: Source, secrets: Mapping[str, str]) -> Wanted:
        config = source.config(slug)
        return Wanted(source.bundles[slug], config.verify_jwt, config, self.surroundings.env(slug, config, secrets))

    async def _deployed(self, version: Version, source: Source, secrets: Mapping[str, str]) -> Wanted:
        if version.config is None:
            config = source.config(version.slug)
        else:
            config = FunctionConfig.read(version.slug, msgspec.json.decode(version.config))
        env = self.surroundings.env(version.slug, config, secrets)
        return Wanted(await self._bundle(version), version.verify_jwt, config, env)

    async def _bundle(self, version: Version) -> Bundle:
        where = (version.slug, version.number, version.sha256, version.entrypoint_path)
        found = self.shelf.find(*where)
        return found or await self.shelf.put(*where, await self.store.files(version.slug, version.number))


@contextmanager
def _noting(unusable: dict[str, str], slug: str) -> Iterator[None]:
    try:
        yield
    except BadConfig as error:
        unusable[slug] = str(error)
