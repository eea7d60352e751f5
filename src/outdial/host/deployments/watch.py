"""Hot reload: restart functions when their files change."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from outdial.host.wire.errors import BootFailed
from outdial.log import log

SCAN_INTERVAL = timedelta(seconds=0.5)
# How long restarts wait for a changed list of functions.
_LISTING_S = 2.0

# Directories under functions/ that all functions import from. The empty name is functions/ itself.
_SHARED = {"shared", "_shared", ""}
_IGNORED = {"__pycache__", "node_modules"}

# Modification time, size and inode: the first two change with a write, the inode when another file takes the place.
_Mark = tuple[int, int, int]
_Files = Mapping[str, _Mark]
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """What changed: the `functions` whose files differ. A change of a shared file counts for all of them.

    `listing` is true if config.toml changed, or if files were added or removed: the list of functions may differ.
    """

    functions: frozenset[str] = _NOTHING
    listing: bool = False


class SourceScanner:
    """Scans config.toml and the files under functions/ of a directory like `supabase`. Follows links.

    Ignores hidden files except .env, backup files of editors, and compiled files.
    """

    def __init__(self, directory: Path) -> None:
        self._config = directory / "config.toml"
        self._functions = directory / "functions"
        self._known = self._scan()
        self._last = self._known

    def changes(self) -> SourceChanges:
        """Return what changed since the last call that reported a change.

        While files still change between two calls, it reports nothing: an editor may be writing several files.
        """
        now = self._scan()
        is_settled = now == self._last
        self._last = now
        if not is_settled or now == self._known:
            return SourceChanges()
        (config, before), (new_config, after) = self._known, now
        self._known = now
        changed = {_top(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        if changed & _SHARED:
            changed |= {_top(path) for path in after}
        return SourceChanges(
            functions=frozenset(changed - _SHARED),
            listing=config != new_config or before.keys() != after.keys(),
        )

    def _scan(self) -> tuple[_Mark | None, _Files]:
        return _mark(self._config), dict(_files(self._functions, (), _NO_PARENTS))


class ReloadableFunctions(Protocol):
    """The functions in service (FunctionCatalogue)."""

    async def reload(self, slug: str) -> bool:
        """Restart a function; return False if it is not one of the source tree. Raise BootFailed if it fails."""
        ...


class HotReload:
    """Background task that restarts functions whose files changed.

    Restarts run at the same time, so that a function that hangs at import does not delay the others. `stop` cancels
    those that run.
    """

    def __init__(
        self, sources: SourceScanner, catalogue: ReloadableFunctions, read_listing: Callable[[], Awaitable[object]]
    ) -> None:
        self._sources = sources
        self._catalogue = catalogue
        self._read_listing = read_listing
        self._reading: asyncio.Task[None] | None = None
        self._restarts: dict[str, asyncio.Task[None]] = {}

    async def run_once(self) -> int:
        """Start to restart the changed functions and return their number. Call it every SCAN_INTERVAL.

        Calls `read_listing` first: config.toml and the source of a function decide which secrets it gets. If code does
        not start, the old code stays in service and the log says why.
        """
        changes = await asyncio.to_thread(self._sources.changes)
        if changes.listing or changes.functions:
            self._reading = asyncio.create_task(self._read(self._reading))
            # A new function may hang at import.
            await asyncio.wait([self._reading], timeout=_LISTING_S)
        self._restarts = {slug: task for slug, task in self._restarts.items() if not task.done()}
        for slug in sorted(changes.functions):
            if slug in self._restarts:  # of files that have changed since
                self._restarts[slug].cancel()
            self._restarts[slug] = asyncio.create_task(self._restart(slug), name=f"reload {slug}")
        return len(changes.functions)

    async def wait(self) -> None:
        """Wait for all running restarts, and for the list of functions."""
        await asyncio.gather(*self._running(), return_exceptions=True)

    async def stop(self) -> None:
        """Cancel all running restarts, and the reading of the list of functions."""
        for task in self._running():
            task.cancel()
        await self.wait()

    def _running(self) -> list[asyncio.Task[None]]:
        return [*self._restarts.values(), *([self._reading] if self._reading is not None else [])]

    async def _read(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await self._read_listing()
        except Exception as error:
            log("functions.listing_not_read", level="error", reason=str(error))

    async def _restart(self, slug: str) -> None:
        try:
            if await self._catalogue.reload(slug):
                log("functions.reloaded", function=slug)
        except BootFailed as error:
            log("functions.not_reloaded", level="error", function=slug, reason=str(error))


_Parents = frozenset[tuple[int, int]]
_NO_PARENTS: _Parents = frozenset()


def _files(directory: Path, parts: tuple[str, ...], parents: _Parents) -> Iterator[tuple[str, _Mark]]:
    try:
        status = directory.stat()
        here = (status.st_dev, status.st_ino)
        if here in parents:  # a link back to a parent
            return
        with os.scandir(directory) as entries:
            watched = [
                entry
                for entry in entries
                if entry.name not in _IGNORED
                and not entry.name.endswith(("~", ".pyc"))
                and (entry.name == ".env" or not entry.name.startswith("."))
            ]
    except OSError:
        return
    for entry in watched:
        path = (*parts, entry.name)
        if entry.is_dir():
            yield from _files(Path(entry.path), path, parents | {here})
        elif mark := _mark(entry):
            yield "/".join(path), mark


def _mark(file: "Path | os.DirEntry[str]") -> _Mark | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _top(path: str) -> str:
    """Return the name of the directory under functions/ that a file is in."""
    top, inside, _ = path.partition("/")
    return top if inside else ""
