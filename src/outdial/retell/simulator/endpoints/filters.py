"""Filters of list-calls, version 3, for the fields that simulated calls have."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final

from outdial.retell.simulator.objects import CallObject, CreateCall

PLAIN: Final = frozenset(
    {
        "batch_call_id",
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
# Filters on what a call was created with, which need no description of the call.
ON_REQUEST: Final = frozenset({*KEYED, "batch_call_id"})
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

_TYPES: Final[Mapping[str, type | UnionType]] = {
    "string": str,
    "number": int | float,
    "boolean": bool,
    "enum": list,
    "range": list,
    "present": object,
}

CallPredicate = Callable[[CallObject | CreateCall], bool]


class BadFilter(ValueError):
    """A filter that the simulator does not support. Ignoring it would return wrong calls."""


def compile_criteria(criteria: Mapping[str, Any]) -> CallPredicate:
    """Return a predicate that combines all filters. Raises BadFilter."""
    compiled: list[CallCriterion] = []
    for name, value in criteria.items():
        if name in PLAIN:
            if name == "call_status" and not STATUSES.issuperset(_mapping(value).get("value", ())):
                raise BadFilter(f"call_status must be among {sorted(STATUSES)}")
            compiled.append(_criterion(value, name, key=None))
        elif name in KEYED and isinstance(value, list):
            compiled += [_criterion(item, KEYED[name], key=str(_mapping(item).get("key"))) for item in value]
        else:
            raise BadFilter(f"unknown filter {name!r}")
    return lambda call: all(criterion.matches(call) for criterion in compiled)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCriterion:
    """One comparison of a field of a call, or of the entry `key` of that field. `absent` is the result for none."""

    field: str
    key: str | None
    compare: Callable[[Any, Any], bool]
    want: Any
    absent: bool

    def matches(self, call: CallObject | CreateCall) -> bool:
        """Return whether the call meets the criterion. A value of another type does not."""
        have = getattr(call, self.field)
        if self.key is not None:
            have = have.get(self.key) if isinstance(have, dict) else None
        if have is None:
            return self.absent
        try:
            return self.compare(have, self.want)
        except TypeError:
            return False


def _criterion(value: Any, field: str, *, key: str | None) -> CallCriterion:
    wanted = _mapping(value)
    kind, op, want = wanted.get("type"), wanted.get("op"), wanted.get("value")
    compare = _OPERATIONS.get(str(kind), {}).get(str(op))
    if compare is None or not isinstance(want, _TYPES[str(kind)]) or (kind == "range" and len(wanted["value"]) != 2):
        raise BadFilter(f"unknown comparison: type {kind!r}, op {op!r}")
    return CallCriterion(field=field, key=key, compare=compare, want=want, absent=op in ("ne", "np"))


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadFilter("a filter must be an object")
    return value
