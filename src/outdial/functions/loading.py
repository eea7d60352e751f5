"""Finds functions in a directory and imports them by path."""

import importlib.util
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType, ModuleType

from outdial.functions.endpoint import Endpoint
from outdial.functions.errors import FunctionNotLoaded
from outdial.functions.runtime import Runtime

# Supabase's rule for slugs. The directory `shared` is reserved.
_SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
SHARED = "shared"

StartHook = Callable[[Runtime], Awaitable[None]]
StopHook = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """An imported function with its hooks: `start` runs before the first request, `stop` after the last."""

    slug: str
    endpoint: Endpoint
    start: StartHook | None = None
    stop: StopHook | None = None


def load_functions(
    directory: Path, entrypoints: Mapping[str, Path] = MappingProxyType({})
) -> dict[str, LoadedFunction]:
    """Import `<slug>/index.py` of each subdirectory and make `shared/` importable as `shared`.

    `entrypoints` maps slugs to files outside `directory`. Raises FunctionNotLoaded for the first file that cannot be
    imported or exposes no endpoint `fetch`.
    """
    if not directory.is_dir():
        raise FunctionNotLoaded(directory, "there is no such directory")
    found = {index.parent.name: index for index in directory.glob("*/index.py")} | dict(entrypoints)
    _make_shared_importable(directory / SHARED)
    return {slug: _load(slug, found[slug]) for slug in sorted(found) if slug != SHARED and _SLUG.match(slug)}


def load_function(slug: str, index: Path, shared: Path | None) -> LoadedFunction:
    """Import one function from the file `index`; make the directory `shared`, if given, importable as `shared`.

    Raises FunctionNotLoaded when the file cannot be imported or exposes no endpoint `fetch`.
    """
    if shared is not None:
        _make_shared_importable(shared)
    return _load(slug, index)


def _load(slug: str, index: Path) -> LoadedFunction:
    try:
        # The path is part of the name, because functions of two directories may have the same slug.
        location = sha256(str(index.resolve()).encode()).hexdigest()[:8]
        module = _import(f"outdial_function_{slug.replace('-', '_')}_{location}", index)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        text = "".join(traceback.format_exception(error))
        raise FunctionNotLoaded(index, f"{type(error).__name__}: {error} (at {where})", text) from error
    fetch = getattr(module, "fetch", None)
    if not isinstance(fetch, Endpoint):
        raise FunctionNotLoaded(index, "it must expose `fetch`, an async function under @with_supabase(auth=...)")
    return LoadedFunction(slug, fetch, getattr(module, "start", None), getattr(module, "stop", None))


def _import(name: str, path: Path) -> ModuleType:
    # Import it as a package, so that it can import files beside it: `from .store import save`.
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _make_shared_importable(directory: Path) -> None:
    for name in [name for name in sys.modules if name == SHARED or name.startswith(f"{SHARED}.")]:
        del sys.modules[name]
    if not directory.is_dir():
        return
    if (directory / "__init__.py").is_file():
        _import(SHARED, directory / "__init__.py")
        return
    spec = ModuleSpec(SHARED, None, is_package=True)
    spec.submodule_search_locations = [str(directory)]
    sys.modules[SHARED] = importlib.util.module_from_spec(spec)
