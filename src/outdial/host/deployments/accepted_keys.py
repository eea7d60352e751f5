"""The secret keys that a function needs to check its callers, read from its source without running it."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from outdial.host.wire.config import FunctionConfig

# A legacy JWT with the role service_role counts as a secret key, and the JWT secret verifies it.
SECRET_KEYS: Final = ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS", "SUPABASE_JWT_SECRET")


def with_accepted_keys(config: FunctionConfig, index: Path) -> FunctionConfig:
    """Add the names of the project's secret keys to `secrets` if the function accepts secret keys.

    Supabase gives them to every function. Here, only a function gets them whose file `index` says `auth="secret"`, or a
    list with it, in `with_supabase`. Modes that the file computes cannot be seen: such a function lists the names.
    """
    if not any(mode.partition(":")[0] == "secret" for mode in _modes(index)):
        return config
    return replace(config, secrets=tuple(dict.fromkeys((*config.secrets, *SECRET_KEYS))))


def _modes(index: Path) -> Iterator[str]:
    try:
        tree = ast.parse(index.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # the worker that imports it reports the error
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "with_supabase":
            for keyword in call.keywords:
                named = keyword.value.id if isinstance(keyword.value, ast.Name) else ""
                if keyword.arg == "auth":
                    for node in ast.walk(assigned.get(named, keyword.value)):
                        if isinstance(node, ast.Constant) and isinstance(node.value, str):
                            yield node.value
