"""The secret keys that a function needs to check its callers, read from its source without running it."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from outdial.host.wire.config import FunctionConfig

# A legacy JWT with the role service_role counts as a secret key, and the JWT secret verifies it.
SECRET_KEYS: Final = ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS", "SUPABASE_JWT_SECRET")
# `ast.parse` holds the interpreter lock, in a thread too. Dense source such as "a;a;a" takes 700 times its own memory
# and 5 s a megabyte or more, so a hostile deployment of this size stalls the gateway for some tenths of a second, once.
LARGEST_PARSED: Final = 64 * 1024


def with_accepted_keys(config: FunctionConfig, index: Path) -> FunctionConfig:
    """Add the names of the project's secret keys to `secrets` if the function accepts secret keys.

    Supabase gives them to every function. Here, a function gets them only if its file `index` passes `auth="secret"`,
    or a list with it, to `with_supabase`. Modes that the file computes, and those in a file above LARGEST_PARSED, are
    not found: such a function lists the names. Slow for a new file: do not call it on the event loop.
    """
    try:
        status = index.stat()
        if status.st_size > LARGEST_PARSED or not _accepts_secret_keys(index, status.st_mtime_ns, status.st_size):
            return config
    except OSError:
        return config  # the worker that imports it reports the error
    return replace(config, secrets=tuple(dict.fromkeys((*config.secrets, *SECRET_KEYS))))


@lru_cache(maxsize=1024)
def _accepts_secret_keys(index: Path, mtime_ns: int, size: int) -> bool:
    """Parse a file once for each `mtime_ns` and `size`: plans are made at every notification, and every 30 seconds."""
    with index.open("rb") as file:
        source = file.read(size)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # the worker that imports it reports the error
    return any(mode.partition(":")[0] == "secret" for mode in _modes(tree))


def _modes(tree: ast.Module) -> Iterator[str]:
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) == "with_supabase":
            for keyword in call.keywords:
                named = keyword.value.id if isinstance(keyword.value, ast.Name) else ""
                if keyword.arg == "auth":
                    for node in ast.walk(assigned.get(named, keyword.value)):
                        if isinstance(node, ast.Constant) and isinstance(node.value, str):
                            yield node.value
