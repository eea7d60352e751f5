"""Cache of bundles on this machine's disk. A bundle is unpacked completely or not at all, and never changes."""

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
# Only the writing process needs a draft. Workers run as other users and read the finished bundle.
_DRAFT_MODE = 0o700
_PARENT_MODE = 0o755
_DIRECTORY_MODE = 0o555
_FILE_MODE = 0o444


class BundleCache:
    """Bundles in `<directory>/<slug>/<version>-<sha256>`, shared by every host process of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, slug: str, version: int, digest: str, entrypoint: str) -> Bundle | None:
        """Return the bundle, None if it is not cached."""
        root = self._root(slug, version, digest)
        return Bundle(slug, version, root, entrypoint) if root.is_dir() else None

    async def put(self, slug: str, version: int, digest: str, entrypoint: str, files: Mapping[str, bytes]) -> Bundle:
        """Unpack `files`, which maps paths below the bundle to contents. Raises InvalidUpload for a path outside it."""
        root = self._root(slug, version, digest)
        await asyncio.to_thread(_unpack, root, files)
        return Bundle(slug, version, root, entrypoint)

    def clear(self, keep: Iterable[Bundle], before: datetime) -> None:
        """Remove all bundles older than `before` except `keep`, and the drafts of killed processes."""
        kept = {bundle.root for bundle in keep}
        for path in self._directory.glob("*/*"):
            if path not in kept and path.stat().st_mtime < before.timestamp():
                _remove(path)

    def _root(self, slug: str, version: int, digest: str) -> Path:
        return self._directory / slug / f"{version}-{digest[:_DIGITS]}"


def _unpack(root: Path, files: Mapping[str, bytes]) -> None:
    if root.is_dir():
        return
    for directory in (root.parents[1], root.parent):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(_PARENT_MODE)
    draft = root.with_name(f".{root.name}.{os.getpid()}.{os.urandom(4).hex()}")
    draft.mkdir(_DRAFT_MODE)
    try:
        for path, content in files.items():
            target = draft / check_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        for unpacked in draft.rglob("*"):
            unpacked.chmod(_DIRECTORY_MODE if unpacked.is_dir() else _FILE_MODE)
        draft.chmod(_DIRECTORY_MODE)
        # If another process was faster, its directory is not empty and the rename fails.
        with suppress(OSError):
            draft.rename(root)
        if not root.is_dir():
            raise FileNotFoundError(f"{root}: the bundle could not be moved into place")
    finally:
        _remove(draft)


def _remove(directory: Path) -> None:
    if not directory.is_dir():
        return
    # Only root can delete files in read-only directories.
    for path in [directory, *(found for found in directory.rglob("*") if found.is_dir())]:
        path.chmod(_DRAFT_MODE)
    shutil.rmtree(directory, ignore_errors=True)
