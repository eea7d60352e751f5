"""Filters of list-calls, version 3, for the fields that simulated calls have."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from outdial.retell.simulator.objects import CallObject, CreateCall

PLAIN: Final = frozenset(
    {
        "call_id",
        "call_status",
        "call_type",
        "direction",
        "disconnection_reason",
        "duration_ms",
        "end_timestamp",
        "from_number",
        "start_timestamp",
        "to_number",
    }
)
KEYED: Final[Mapping[str, str]] = {
    "metadata": "metadata",
    "dynamic_variables": "retell_llm_dynamic_variables",
}
STATUSES: Final = frozenset({"not_connected", "ongoing", "ended", "error"})  # `registered` is not filterable

_OPERATIONS: Final[Mapping[str, Mapping[str, Callable[[Any, Any], bool]]]] = {
    "string": {
        "eq": operator.eq,
        "ne": operator.ne,
        "sw": lambda have, want: str(have).startswith(want),
        "ew": lambda have, want: str(have).endswith(want),
        "co": lambda have, want: want in str(have),
    },
    "number": {name: getattr(operator, name) for name in ("eq", "ne", "gt", "ge", "lt", "le")},
    "boolean": {"eq": operator.eq},
    "enum": {"in": lambda have, want: have in want},
    "range": {"bt": lambda have, want: want[0] <= have <= want[1]},
    "present": {"pr": lambda have, _: have is not None, "np": lambda have, _: have is None},
}

CallPredicate = Callable[[CallObject | CreateCall], bool]


class BadFilter(ValueError):
    """A filter that the simulator does not support. Ignoring it would return wrong calls."""


def compile_criteria(criteria: Mapping[str, Any]) -> CallPredicate:
    """Return a predicate that combines all filters. Raises BadFilter."""
    predicates = list(_predicates(criteria))
    return lambda call: all(predicate(call) for predicate in predicates)


def _predicates(criteria: Mapping[str, Any]) -> Iterable[CallPredicate]:
    for name, value in criteria.items():
        if name in PLAIN:
            if name == "call_status" and not STATUSES.issuperset(_mapping(value).get("value", ())):
                raise BadFilter(f"call_status must be among {sorted(STATUSES)}")
            yield _plain(name, _comparison(value))
        elif name in KEYED and isinstance(value, list):
            for item in value:
                yield _keyed(KEYED[name], str(_mapping(item).get("key")), _comparison(item))
        else:
            raise BadFilter(f"unknown filter {name!r}")


def _plain(name: str, compare: Callable[[Any], bool]) -> CallPredicate:
    return lambda call: compare(getattr(call, name))


def _keyed(name: str, key: str, compare: Callable[[Any], bool]) -> CallPredicate:
    def predicate(call: CallObject | CreateCall) -> bool:
        values = getattr(call, name)
        return compare(values.get(key) if isinstance(values, dict) else None)

    return predicate


def _comparison(value: Any) -> Callable[[Any], bool]:
    wanted = _mapping(value)
    kind, op, want = wanted.get("type"), wanted.get("op"), wanted.get("value")
    operation = _OPERATIONS.get(str(kind), {}).get(str(op))
    if operation is None or not _fits(str(kind), want):
        raise BadFilter(f"unknown comparison: type {kind!r}, op {op!r}")
    return lambda have: _compare(operation, op in ("ne", "np"), have, want)


def _compare(operation: Callable[[Any, Any], bool], absent: bool, have: Any, want: Any) -> bool:
    if have is None:
        return absent
    try:
        return operation(have, want)
    except TypeError:
        return False


def _fits(kind: str, want: Any) -> bool:
    match kind:
        case "string":
            return isinstance(want, str)
        case "number":
            return isinstance(want, int | float)
        case "boolean":
            return isinstance(want, bool)
        case "enum":
            return isinstance(want, list)
        case "range":
            return isinstance(want, list) and len(want) == 2
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadFilter("a filter must be an object")
    return value
