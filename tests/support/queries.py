"""The generated functions of `outdial.db.queries`, with the SQL and the parameters behind each."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import outdial.db.queries

QueryFunction = Callable[..., Any]


def all_queries() -> list[QueryFunction]:
    """Return every generated function, module by module."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(outdial.db.queries.__path__, "outdial.db.queries.")
        if not module.ispkg
    ]
    return [
        function
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function) and not name.startswith("_") and function.__module__ == module.__name__
    ]


def sql_of(query: QueryFunction) -> str:
    """Return the SQL of a generated function, with its parameters as $1 and so on."""
    return str(getattr(inspect.getmodule(query), f"_{query.__name__.upper()}"))


def parameters_of(query: QueryFunction) -> list[str]:
    """Return the parameters of a generated function in the order of $1 and so on."""
    return [name for name in inspect.signature(query).parameters if name != "connection"]


def has_custom_plan(query: QueryFunction) -> bool:
    """Return whether Postgres plans the query for the values of each call."""
    return "CUSTOM_PLAN" in inspect.getsource(query)
