"""The callback section of the campaign form, converted from and to the domain's callback policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData

from outdial.domain.policies.callbacks import DEFAULT_CALLBACK_POLICY, parse_callback_policy
from outdial.studio.web.forms import text

ON, OFF = "on", "off"
CHOICES: Final[Mapping[str, str]] = {
    ON: "Call the contact back at that time",
    OFF: "Do not call back: if Retell reports a request, the contact goes to review",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackForm:
    """The form values of the policy."""

    choice: str = ON
    time_field: str = DEFAULT_CALLBACK_POLICY.time_field
    request_field: str = DEFAULT_CALLBACK_POLICY.request_field

    def policy(self) -> dict[str, Any]:
        """Return the values in the domain's JSON form; defaults are left out, and invalid names are kept."""
        given = {"time_field": self.time_field, "request_field": self.request_field}
        fields = {key: name for key, name in given.items() if name != getattr(DEFAULT_CALLBACK_POLICY, key)}
        return fields if self.choice == ON else fields | {"enabled": False}


def callbacks_from_policy(stored: Mapping[str, object]) -> CallbackForm:
    """Return the form values of a stored policy; raise InvalidCallbackPolicy."""
    policy = parse_callback_policy(stored)
    return CallbackForm(
        choice=ON if policy.is_on else OFF, time_field=policy.time_field, request_field=policy.request_field
    )


def callbacks_from_request(form: FormData) -> CallbackForm:
    """Return the submitted form values."""
    return CallbackForm(
        choice=text(form, "callbacks", ON),
        time_field=text(form, "callback_time_field") or DEFAULT_CALLBACK_POLICY.time_field,
        request_field=text(form, "callback_request_field") or DEFAULT_CALLBACK_POLICY.request_field,
    )
