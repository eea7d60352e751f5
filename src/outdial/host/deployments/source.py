"""The source tree of functions: directories like `supabase`, laid over each other.

A deployed function replaces the one in the tree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outdial.host.deployments.accepted_keys import with_accepted_keys
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import SLUG, FunctionConfig, read_function_configs, unknown_keys
from outdial.host.wire.errors import BadConfig
from outdial.project import ConfigUnreadable, read_config

# Directories next to those of functions. All functions can import from them.
SHARED = ("shared", "_shared")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The functions of a source tree, by slug: their code, settings, and tables of config.toml.

    `configs` has every function of `bundles`. `config` adds the names of secret keys, for which it reads the code.
    """

    bundles: Mapping[str, Bundle]
    configs: Mapping[str, FunctionConfig]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Warnings about unknown keys in config.toml."""
        return [warning for slug, table in self.tables.items() for warning in unknown_keys(slug, table)]

    def config(self, slug: str) -> FunctionConfig:
        """Return the configuration of a function, the defaults if config.toml does not mention it.

        A function of the tree that accepts secret keys gets them, as if it listed them.
        """
        config = self.configs.get(slug) or FunctionConfig()
        return with_accepted_keys(config, self.bundles[slug].index) if slug in self.bundles else config


def read_source_tree(*layers: Path) -> SourceTree:
    """Read directories like `supabase`, each laid over the ones before it. A missing directory is an empty one.

    The code of a function is `functions/<slug>/index.py` of the last layer that has it, or the entrypoint that
    config.toml of that layer names. Settings are laid over each other key by key, so that a project can change a limit
    of one of Outdial's functions or disable it. A function whose entrypoint is named and missing is not served, not
    even from an earlier layer. Raises BadConfig for an invalid config.toml.
    """
    bundles: dict[str, Bundle] = {}
    tables: dict[str, dict[str, Any]] = {}
    for layer in layers:
        try:
            found = read_config(layer).get("functions", {})
        except ConfigUnreadable as error:
            raise BadConfig(str(error)) from error
        read_function_configs({"functions": found})  # before tables are merged, so that an error names the layer's own
        names = {index.parent.name for index in layer.glob("functions/*/index.py")} - set(SHARED)
        slugs = {name for name in names if SLUG.match(name)}
        for slug in slugs | found.keys():
            table = found.get(slug, {})
            named = str(table.get("entrypoint", "")).removeprefix("./")
            bundle = Bundle(slug, 0, layer, named or f"functions/{slug}/index.py")
            if bundle.index.suffix == ".py" and bundle.index.is_file():
                bundles[slug] = bundle
            elif named.endswith(".py") and named != f"functions/{slug}/index.py":
                bundles.pop(slug, None)
            tables[slug] = {**tables.get(slug, {}), **table}
    configs = read_function_configs({"functions": tables})
    served = {slug: bundles[slug] for slug in sorted(bundles) if configs[slug].enabled}
    return SourceTree(served, configs, tables)
