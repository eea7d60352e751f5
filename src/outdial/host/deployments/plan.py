"""Decide what this host should serve: the code, limits and environment of each function."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from outdial.host.deployments.accepted_keys import with_accepted_keys
from outdial.host.deployments.bundle_cache import BundleCache
from outdial.host.deployments.environment import ALWAYS_PASSED, worker_env
from outdial.host.deployments.policy import NAMES_SETTING, DeploymentPolicy
from outdial.host.deployments.secrets import SecretStore
from outdial.host.deployments.source import SourceTree, read_source_tree
from outdial.host.deployments.store import DeployedVersion, DeploymentStore
from outdial.host.deployments.upload import LIMITS, FunctionUpload
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import CERTIFICATES, FunctionConfig
from outdial.host.wire.errors import BadConfig

_KEEP_BUNDLES = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """How to serve a function. If the spec of a function in service is equal, nothing has to change."""

    bundle: Bundle
    verify_jwt: bool
    config: FunctionConfig
    env: Mapping[str, str] = field(repr=False)

    @property
    def slug(self) -> str:
        return self.bundle.slug

    @property
    def version(self) -> int:
        """Number of the deployed version; 0 for a function of the source tree."""
        return self.bundle.version


@dataclass(frozen=True, slots=True)
class HostEnvironment:
    """What this host adds to the environment of functions: its settings, a DSN per database role, its region.

    `policy` decides what deployments get of it.
    """

    settings: Mapping[str, str] = field(repr=False)
    database_urls: Mapping[str, str] = field(repr=False)
    region: str
    policy: DeploymentPolicy = field(default_factory=DeploymentPolicy)

    def env(self, slug: str, config: FunctionConfig, secrets: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a function. Raises BadConfig.

        Deployed secrets override settings of the host, except for CERTIFICATES: workers may read these files.
        """
        settings = {**self.settings, **_without_certificates(secrets)}
        return worker_env(slug, config, settings, self.database_urls, region=self.region)

    def deployed_env(
        self, slug: str, config: FunctionConfig, secrets: Mapping[str, str], own: FunctionConfig
    ) -> dict[str, str]:
        """Return the environment of a function with a configuration that a client deployed, and that may be hostile.

        It gets the deployed secrets that it names, and of the host's settings those that the policy or the source
        tree's function `own` of the same name allows. Raises BadConfig for any other setting of the host.
        """
        self.policy.check_login(slug, config.database_role, own)
        available = {**self.policy.settings_for(own, self.settings), **_without_certificates(secrets)}
        always = {name: self.settings[name] for name in ALWAYS_PASSED if name in self.settings}
        given = {**always, **available}
        env = worker_env(slug, config, given, self.database_urls, region=self.region)
        if refused := [name for name in config.secrets if name in self.settings and name not in given]:
            raise BadConfig(
                f"functions.{slug}.secrets: {', '.join(refused)}: a deployment may not name this setting of the host. "
                f"Set it with outdial secrets set, or list it in {NAMES_SETTING} on the host"
            )
        return env


def _without_certificates(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the deployed secrets without CERTIFICATES, which only the host sets: workers may read these files."""
    return {name: value for name, value in secrets.items() if name not in CERTIFICATES}


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """The functions to serve, by slug, why others have no valid spec, and warnings about config.toml."""

    specs: Mapping[str, FunctionSpec]
    unusable: Mapping[str, str]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlanner:
    """Combine deployments, the source tree of `layers`, and secrets into specs."""

    store: DeploymentStore
    secrets: SecretStore
    bundles: BundleCache
    layers: Sequence[Path]
    environment: HostEnvironment

    async def plan(self) -> ServingPlan:
        """Return what to serve now. Raises SecretsUnreadable, and BadConfig for an invalid config.toml of the host."""
        source = read_source_tree(*self.layers)
        secrets = await self.secrets.values()
        deployed = await self.store.active()
        specs: dict[str, FunctionSpec] = {}
        unusable: dict[str, str] = {}
        for slug in source.bundles.keys() - deployed.keys():
            with _collecting_errors(unusable, slug):
                specs[slug] = await self._from_source(slug, source, secrets)
        for slug, version in deployed.items():
            if version is not None:
                with _collecting_errors(unusable, slug):
                    specs[slug] = await self._deployed(version, source, secrets)
        return ServingPlan(specs, unusable, source.warnings)

    async def version(self, version: DeployedVersion) -> FunctionSpec:
        """Return the spec of a version as if it were active. Raises BadConfig and SecretsUnreadable."""
        return await self._deployed(version, read_source_tree(*self.layers), await self.secrets.values())

    async def from_source(self, slug: str) -> FunctionSpec | None:
        """Return the spec of a function of the source tree, None if there is none. Raises as `version` does."""
        source = read_source_tree(*self.layers)
        if slug not in source.bundles:
            return None
        return await self._from_source(slug, source, await self.secrets.values())

    async def dropped_settings(self, upload: FunctionUpload) -> str | None:
        """Return a warning if a version would drop limits or secrets of the live one, None if it keeps them.

        A client that does not upload config.toml drops all of them; those that it changes are not dropped.
        """
        own = read_source_tree(*self.layers).tables.get(upload.slug, {})
        live = (await self.store.active()).get(upload.slug)
        old = own if live is None or live.config is None else msgspec.json.decode(live.config)
        new = own if upload.config is None else upload.config
        default, before = FunctionConfig(), FunctionConfig.from_table(upload.slug, old)
        dropped = [
            f"{key} = {msgspec.json.encode(old[key]).decode()}"
            for key in old
            if key in LIMITS and key not in new and getattr(before, key) != getattr(default, key)
        ]
        if not dropped:
            return None
        version = "the source tree of the host" if live is None else f"version {live.number}"
        return (
            f"functions.{upload.slug}: this version drops settings of {version}: {', '.join(dropped)}. To keep them, "
            "deploy with outdial functions deploy, or add ./config.toml to static_files"
        )

    def clear_cache(self, served: Iterable[Bundle]) -> None:
        """Remove bundles that are not in service. Recent ones stay: the process that this one replaces may use them."""
        self.bundles.clear(served, self.store.clock.now() - _KEEP_BUNDLES)

    async def _from_source(self, slug: str, source: SourceTree, secrets: Mapping[str, str]) -> FunctionSpec:
        config = await asyncio.to_thread(source.config, slug)
        return FunctionSpec(
            bundle=source.bundles[slug],
            verify_jwt=config.verify_jwt,
            config=config,
            env=self.environment.env(slug, config, secrets),
        )

    async def _deployed(self, version: DeployedVersion, source: SourceTree, secrets: Mapping[str, str]) -> FunctionSpec:
        bundle = self.bundles.find(version.slug, version.number, version.sha256, version.entrypoint_path)
        bundle = bundle or await self.bundles.put(
            slug=version.slug,
            version=version.number,
            digest=version.sha256,
            entrypoint=version.entrypoint_path,
            files=await self.store.files(version.slug, version.number),
        )
        own = source.configs.get(version.slug) or FunctionConfig()
        if version.config is None:
            config = await asyncio.to_thread(with_accepted_keys, own, bundle.index)
            env = self.environment.env(version.slug, config, secrets)
        else:
            asked = FunctionConfig.from_table(version.slug, msgspec.json.decode(version.config))
            config = await asyncio.to_thread(with_accepted_keys, self.environment.policy.clamp(asked), bundle.index)
            env = self.environment.deployed_env(version.slug, config, secrets, own)
        return FunctionSpec(
            bundle=bundle,
            verify_jwt=version.verify_jwt,
            config=config,
            env=env,
        )


@contextmanager
def _collecting_errors(unusable: dict[str, str], slug: str) -> Iterator[None]:
    try:
        yield
    except BadConfig as error:
        unusable[slug] = str(error)
