"""The callback policy of a campaign: how a contact's wish to be called back is recognized."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outdial.domain.errors import InvalidCallbackPolicy

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]{0,99}")


@dataclass(frozen=True, slots=True)
class CallbackPolicy:
    """Whether contacts are called back when they ask for it, and the analysis fields that show it.

    `time_field` and `request_field` are fields of the agent's custom analysis: the time asked for, and whether a
    callback was asked for at all.
    """

    is_on: bool = True
    time_field: str = "callback_at"
    request_field: str = "callback_requested"


DEFAULT_CALLBACK_POLICY: Final = CallbackPolicy()


def parse_callback_policy(raw: Mapping[str, object]) -> CallbackPolicy:
    """Return the policy in `campaigns.callback_policy`; raise InvalidCallbackPolicy naming the key.

    The form is `{"enabled": true, "time_field": "callback_at", "request_field": "callback_requested"}`. Omitted keys
    have their default.
    """
    unknown = raw.keys() - {"enabled", "time_field", "request_field"}
    if unknown:
        raise InvalidCallbackPolicy(f"unknown key {min(unknown)!r}; use enabled, time_field, request_field")
    enabled = raw.get("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidCallbackPolicy(f"enabled: {enabled!r} is neither true nor false")
    return CallbackPolicy(
        is_on=enabled,
        time_field=_field(raw, "time_field", DEFAULT_CALLBACK_POLICY.time_field),
        request_field=_field(raw, "request_field", DEFAULT_CALLBACK_POLICY.request_field),
    )


def _field(raw: Mapping[str, object], key: str, default: str) -> str:
    name = raw.get(key, default)
    if not isinstance(name, str) or not _FIELD.fullmatch(name):
        raise InvalidCallbackPolicy(f"{key}: {name!r} is not the name of an analysis field, such as {default}")
    return name
