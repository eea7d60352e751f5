"""Hot reload: notices which functions' files have changed, and starts their code anew."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from outdial.host.wire.errors import BootFailed, HostError
from outdial.log import log

EVERY = timedelta(seconds=0.5)

# Directories under functions/ that all may read; the empty one stands for functions/ itself.
_FOR_ALL = {"shared", "_shared", ""}
_PASSED_OVER = {"__pycache__", "node_modules"}

# Time and size tell of a write, the file's number of another file that was put in its place.
_Mark = tuple[int, int, int]
_Files = Mapping[str, _Mark]
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """What is not as it was: the `functions` whose files are others, which are all when a shared file is another.

    `listing` tells that config.toml is another, or that there are files more or less: there may be other functions.
    """

    functions: frozenset[str] = _NOTHING
    listing: bool = False


class SourceScanner:
    """The files of a directory like `supabase`: config.toml, and those under functions/, links followed.

    Left out are hidden files but for .env, what editors keep for themselves, and compiled files.
    """

    def __init__(self, directory: Path) -> None:
        self._config, self._functions = directory / "config.toml", directory / "functions"
        self._known = self._seen = self._scan()

    def changes(self) -> SourceChanges:
        """Return what has changed since the last call that told of anything.

        While files change from one call to the next nothing is told, so that who writes several is done.
        """
        now = self._scan()
        settled, self._seen = now == self._seen, now
        if not settled or now == self._known:
            return SourceChanges()
        (config, before), (new_config, after) = self._known, now
        self._known = now
        return SourceChanges(_difference(before, after), config != new_config or before.keys() != after.keys())

    def _scan(self) -> tuple[_Mark | None, _Files]:
        return _mark(self._config), dict(_files(self._functions, (), _NO_PARENTS))


class ReloadableFunctions(Protocol):
    """What serves the functions."""

    async def renew(self, slugs: Collection[str]) -> Mapping[str, BootFailed | None]:
        """Start functions' code anew; return which that were, and why a function goes on as it was."""
        ...


class HotReload:
    """A duty: looks for changes, and brings what is served in line with them."""

    def __init__(
        self, sources: SourceScanner, catalogue: ReloadableFunctions, read_listing: Callable[[], Awaitable[object]]
    ) -> None:
        self._sources, self._catalogue, self._read_listing = sources, catalogue, read_listing

    async def run_once(self) -> int:
        """Start anew what has changed; return how many functions that were. To be called after EVERY.

        `read_listing` is awaited first when config.toml or the list of functions may have changed. Code that does not
        start leaves the code before it in service, and the log says why.
        """
        changes = await asyncio.to_thread(self._sources.changes)
        if changes.listing:
            try:
                await self._read_listing()
            except HostError as error:
                log("functions.listing_not_read", level="error", reason=str(error))
        if not changes.functions:
            return 0
        results = await self._catalogue.renew(sorted(changes.functions))
        for slug, failure in results.items():
            if failure is None:
                log("functions.reloaded", function=slug)
            else:
                log("functions.not_reloaded", level="error", function=slug, reason=str(failure))
        return sum(failure is None for failure in results.values())


_Parents = frozenset[tuple[int, int]]
_NO_PARENTS: _Parents = frozenset()


def _files(directory: Path, parts: tuple[str, ...], parents: _Parents) -> Iterator[tuple[str, _Mark]]:
    try:
        status = directory.stat()
        here = (status.st_dev, status.st_ino)
        if here in parents:  # a link back to where we came from
            return
        with os.scandir(directory) as entries:
            counted = [entry for entry in entries if _counts(entry.name)]
    except OSError:
        return
    for entry in counted:
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


def _counts(name: str) -> bool:
    if name in _PASSED_OVER or name.endswith(("~", ".pyc")):
        return False
    return not name.startswith(".") or name == ".env"


def _difference(before: _Files, after: _Files) -> frozenset[str]:
    changed = {_top(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    if changed & _FOR_ALL:
        changed |= {_top(path) for path in after}
    return frozenset(changed - _FOR_ALL)


def _top(path: str) -> str:
    """Return the directory under functions/ that a file is in."""
    top, inside, _ = path.partition("/")
    return top if inside else ""
