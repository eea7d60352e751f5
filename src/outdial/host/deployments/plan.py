"""What this host is to serve: of each function which code, with which limits, and in which environment."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from outdial.host.deployments.bundle_cache import BundleCache
from outdial.host.deployments.environment import worker_env
from outdial.host.deployments.secrets import SecretStore
from outdial.host.deployments.source import SourceTree, read_source_tree
from outdial.host.deployments.store import DeployedVersion, DeploymentStore
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig

_BUNDLES_KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FunctionSpec:
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
class HostEnvironment:
    """What this host gives to functions: its own settings, a DSN per database role, and its region."""

    settings: Mapping[str, str] = field(repr=False)
    database_urls: Mapping[str, str] = field(repr=False)
    region: str

    def env(self, slug: str, config: FunctionConfig, secrets: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a function, deployed secrets before settings of the host; raise BadConfig."""
        return worker_env(slug, config, {**self.settings, **secrets}, self.database_urls, self.region)


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """What is to be served, by slug, and of which functions nobody can say so, with the reason."""

    wanted: Mapping[str, FunctionSpec]
    unusable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServingPlanner:
    """Brings together what was deployed, what lies in the source tree, and the secrets."""

    store: DeploymentStore
    secrets: SecretStore
    shelf: BundleCache
    directory: Path
    surroundings: HostEnvironment

    async def everything(self) -> ServingPlan:
        """Return what is to be served now; raises SecretsUnreadable, and BadConfig for the host's own config.toml."""
        source = read_source_tree(self.directory)
        secrets, deployed = await self.secrets.values(), await self.store.active()
        wanted, unusable = dict[str, FunctionSpec](), dict[str, str]()
        for slug in source.bundles.keys() - deployed.keys():
            with _noting(unusable, slug):
                wanted[slug] = self._from_source(slug, source, secrets)
        for slug, version in deployed.items():
            if version is not None:
                with _noting(unusable, slug):
                    wanted[slug] = await self._deployed(version, source, secrets)
        return ServingPlan(wanted, unusable)

    async def version(self, version: DeployedVersion) -> FunctionSpec:
        """Return how `version` would be served if it were active; raises BadConfig and SecretsUnreadable."""
        return await self._deployed(version, read_source_tree(self.directory), await self.secrets.values())

    async def from_source(self, slug: str) -> FunctionSpec | None:
        """Return how the source tree's own function is served, None when it has none; raises as `version` does."""
        source = read_source_tree(self.directory)
        return self._from_source(slug, source, await self.secrets.values()) if slug in source.bundles else None

    def tidy(self, served: Iterable[Bundle]) -> None:
        """Remove from the disk what is not served, unless a process that this one takes over from may need it."""
        self.shelf.clear(served, self.store.clock.now() - _BUNDLES_KEPT)

    def _from_source(self, slug: str, source: SourceTree, secrets: Mapping[str, str]) -> FunctionSpec:
        config = source.config(slug)
        env = self.surroundings.env(slug, config, secrets)
        return FunctionSpec(source.bundles[slug], config.verify_jwt, config, env)

    async def _deployed(self, version: DeployedVersion, source: SourceTree, secrets: Mapping[str, str]) -> FunctionSpec:
        if version.config is None:
            config = source.config(version.slug)
        else:
            config = FunctionConfig.read(version.slug, msgspec.json.decode(version.config))
        env = self.surroundings.env(version.slug, config, secrets)
        return FunctionSpec(await self._bundle(version), version.verify_jwt, config, env)

    async def _bundle(self, version: DeployedVersion) -> Bundle:
        where = (version.slug, version.number, version.sha256, version.entrypoint_path)
        found = self.shelf.find(*where)
        return found or await self.shelf.put(*where, await self.store.files(version.slug, version.number))


@contextmanager
def _noting(unusable: dict[str, str], slug: str) -> Iterator[None]:
    try:
        yield
    except BadConfig as error:
        unusable[slug] = str(error)
