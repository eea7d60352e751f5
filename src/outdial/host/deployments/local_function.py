"""A function of the local source tree, ready to upload: its own files and the shared ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from outdial.host.deployments.multipart import FormPart
from outdial.host.deployments.source import SHARED, read_source_tree
from outdial.host.wire.errors import HostError

_ROOT = PurePosixPath("supabase")


class NoSuchFunction(HostError):
    """The source tree has no function with this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFunction:
    """One function to upload. Paths are relative to the project; `table` is its `[functions.<slug>]` of config.toml."""

    slug: str
    entrypoint_path: str
    verify_jwt: bool
    table: Mapping[str, Any]
    files: Mapping[str, bytes] = field(repr=False)

    def parts(self) -> list[FormPart]:
        """Return the form that Supabase's CLI sends, with our additional field `config` in the metadata."""
        metadata = {
            "entrypoint_path": self.entrypoint_path,
            "name": self.slug,
            "verify_jwt": self.verify_jwt,
            "config": self.table,
        }
        files = [FormPart(name="file", content=content, filename=path) for path, content in self.files.items()]
        return [*files, FormPart(name="metadata", content=msgspec.json.encode(metadata))]


def local_functions(layers: Sequence[Path], slugs: Sequence[str]) -> list[LocalFunction]:
    """Read functions of directories like `supabase`, laid over each other as for `read_source_tree`.

    An empty `slugs` means all functions of the last layer that exists: those of the project, or Outdial's own outside
    of one. Raises NoSuchFunction, and BadConfig for an invalid config.toml.
    """
    source = read_source_tree(*layers)
    for slug in slugs:
        if slug not in source.bundles:
            known = ", ".join(source.bundles) or "none"
            raise NoSuchFunction(
                f"there is no function {slug!r} in {layers[-1] / 'functions'}; known functions: {known}"
            )
    top = next(layer for layer in reversed(layers) if layer.is_dir())
    found = []
    for slug in dict.fromkeys(slugs or [slug for slug, bundle in source.bundles.items() if bundle.root == top]):
        bundle = source.bundles[slug]
        shared = [bundle.index.parent.parent / name for name in SHARED]
        files: dict[str, bytes] = {}
        for folder in [bundle.index.parent, *shared]:
            for path in sorted(folder.rglob("*")):
                steps = path.relative_to(folder).parts
                # Not compiled files, and no hidden ones such as .env.
                if path.is_file() and not any(step == "__pycache__" or step.startswith(".") for step in steps):
                    files[str(_ROOT / path.relative_to(bundle.root).as_posix())] = path.read_bytes()
        entrypoint = str(_ROOT / bundle.entrypoint)
        found.append(
            LocalFunction(
                slug=slug,
                entrypoint_path=entrypoint,
                verify_jwt=source.configs[slug].verify_jwt,
                table=source.tables.get(slug, {}),
                files=files,
            )
        )
    return found
