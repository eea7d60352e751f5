"""The source tree of functions, a directory like `supabase`. A deployed function replaces the one in the tree."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import SLUG, FunctionConfig, read_function_configs
from outdial.host.wire.errors import BadConfig

# Directories next to those of functions. All functions can import from them.
SHARED = ("shared", "_shared")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The functions of a source tree, by slug, and their tables of config.toml."""

    bundles: Mapping[str, Bundle]
    configs: Mapping[str, FunctionConfig]

    def config(self, slug: str) -> FunctionConfig:
        """Return the configuration of a function, the defaults if config.toml does not mention it."""
        return self.configs.get(slug) or FunctionConfig()


def read_source_tree(directory: Path) -> SourceTree:
    """Read a directory like `supabase`: `functions/<slug>/index.py`, or the entrypoint that config.toml names.

    Raises BadConfig for an invalid config.toml.
    """
    try:
        configs = read_function_configs(tomllib.loads((directory / "config.toml").read_text()))
    except FileNotFoundError:
        configs = {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{directory / 'config.toml'}: {error}") from error
    slugs = {index.parent.name for index in directory.glob("functions/*/index.py")} - set(SHARED)
    bundles = {}
    for slug in sorted(slugs | configs.keys()):
        config = configs.get(slug) or FunctionConfig()
        entrypoint = config.entrypoint.removeprefix("./") or f"functions/{slug}/index.py"
        bundle = Bundle(slug, 0, directory, entrypoint)
        if config.enabled and SLUG.match(slug) and bundle.index.suffix == ".py" and bundle.index.is_file():
            bundles[slug] = bundle
    return SourceTree(bundles, configs)
