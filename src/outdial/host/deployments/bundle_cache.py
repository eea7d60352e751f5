"""Bundles on this machine's disk: unpacked whole or not at all, never changed, and shared by every process here."""

import asyncio
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from outdial.host.deployments.upload import check_path
from outdial.host.wire.bundle import Bundle

_DIGITS = 16
# A draft is its maker's; a worker, which runs as another user, reads the finished bundle.
_DRAFT, _PASSAGE, _DIRECTORY, _FILE = 0o700, 0o755, 0o555, 0o444


class BundleCache:
    """A directory of bundles, `<slug>/<version>-<sha256>`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, slug: str, version: int, digest: str, entrypoint: str) -> Bundle | None:
        """Return the bundle when it is here."""
        root = self._place(slug, version, digest)
        return Bundle(slug, version, root, entrypoint) if root.is_dir() else None

    async def put(self, slug: str, version: int, digest: str, entrypoint: str, files: Mapping[str, bytes]) -> Bundle:
        """Unpack `files`, by their paths below the bundle; raises BadUpload for a path that leads out of it."""
        root = self._place(slug, version, digest)
        await asyncio.to_thread(_unpack, root, files)
        return Bundle(slug, version, root, entrypoint)

    def clear(self, keep: Iterable[Bundle], before: datetime) -> None:
        """Remove what was put here before a moment, a killed process's drafts included, but for `keep`."""
        kept = {bundle.root for bundle in keep}
        for path in self._directory.glob("*/*"):
            if path not in kept and path.stat().st_mtime < before.timestamp():
                _remove(path)

    def _place(self, slug: str, version: int, digest: str) -> Path:
        return self._directory / slug / f"{version}-{digest[:_DIGITS]}"


def _unpack(root: Path, files: Mapping[str, bytes]) -> None:
    if root.is_dir():
        return
    for directory in (root.parents[1], root.parent):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(_PASSAGE)
    draft = root.with_name(f".{root.name}.{os.getpid()}.{os.urandom(4).hex()}")
    draft.mkdir(_DRAFT)
    try:
        for path, content in files.items():
            target = draft / check_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _close(draft)
        # Where another process was first, its directory is not empty, and the rename fails.
        with suppress(OSError):
            draft.rename(root)
        if not root.is_dir():
            raise FileNotFoundError(f"{root}: the bundle could not be put in place")
    finally:
        _remove(draft)


def _close(directory: Path) -> None:
    for path in directory.rglob("*"):
        path.chmod(_DIRECTORY if path.is_dir() else _FILE)
    directory.chmod(_DIRECTORY)


def _remove(directory: Path) -> None:
    if not directory.is_dir():
        return
    # What is read-only can be emptied by root only.
    for path in [directory, *(found for found in directory.rglob("*") if found.is_dir())]:
        path.chmod(_DRAFT)
    shutil.rmtree(directory, ignore_errors=True)
