"""Finds the functions of a directory and imports each from its path."""

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

# Supabase's rule for slugs; `shared` is the one directory that is none.
_SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
SHARED = "shared"

StartHook = Callable[[Runtime], Awaitable[None]]
StopHook = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A function as loaded; `start` runs before the first request, `stop` after the last."""

    slug: str
    endpoint: Endpoint
    start: StartHook | None = None
    stop: StopHook | None = None


def load_functions(
    directory: Path, entrypoints: Mapping[str, Path] = MappingProxyType({})
) -> dict[str, LoadedFunction]:
    """Import `<slug>/index.py` of each subdirectory, `shared/` being importable as `shared`.

    `entrypoints` are the files of functions that lie elsewhere. Raises FunctionNotLoaded, naming the file, for the
    first that cannot be imported or exposes no endpoint `fetch`.
    """
    if not directory.is_dir():
        raise FunctionNotLoaded(directory, "there is no such directory")
    found = {index.parent.name: index for index in directory.glob("*/index.py")} | dict(entrypoints)
    _offer_shared(directory / SHARED)
    return {slug: _load(slug, found[slug]) for slug in sorted(found) if slug != SHARED and _SLUG.match(slug)}


def load_function(slug: str, index: Path, shared: Path | None) -> LoadedFunction:
    """Import one function from its file, the directory `shared` (where given) being importable as `shared`.

    Raises FunctionNotLoaded, naming the file, when it cannot be imported or exposes no endpoint `fetch`.
    """
    if shared is not None:
        _offer_shared(shared)
    return _load(slug, index)


def _load(slug: str, index: Path) -> LoadedFunction:
    try:
        module = _import(_module_name(slug, index), index)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        text = "".join(traceback.format_exception(error))
        raise FunctionNotLoaded(index, f"{type(error).__name__}: {error} (at {where})", text) from error
    fetch = getattr(module, "fetch", None)
    if not isinstance(fetch, Endpoint):
        raise FunctionNotLoaded(index, "it must expose `fetch`, an async function under @with_supabase(auth=...)")
    return LoadedFunction(slug, fetch, getattr(module, "start", None), getattr(module, "stop", None))


def _module_name(slug: str, index: Path) -> str:
    # The path is part of the name: the same slug of two directories must not meet in sys.modules.
    where = sha256(str(index.resolve()).encode()).hexdigest()[:8]
    return f"outdial_function_{slug.replace('-', '_')}_{where}"


def _import(name: str, path: Path) -> ModuleType:
    # A package, so that a function can import the files beside it: `from .store import save`.
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


def _offer_shared(directory: Path) -> None:
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
