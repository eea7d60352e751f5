"""The variables that Outdial fills are in every request: without one, the agent would read the braces aloud."""

from types import SimpleNamespace
from typing import Any

import pytest

from outdial.dialer.callbacks.planning import NO_CALLBACK, callback_variables
from outdial.dialer.launching.checks import FILLED_BY_OUTDIAL
from outdial.dialer.plan import dynamic_variables
from outdial.domain.contact_fields import AGENT_VARIABLES
from tests.support.factories import NOW


def contact(**changes: Any) -> Any:
    columns = dict.fromkeys(AGENT_VARIABLES) | {
        "zone_key": "America/New_York",
        "attributes": "{}",
        "variables": "{}",
        "callback_at": None,
        "last_call_summary": None,
    }
    return SimpleNamespace(**columns | changes)


OWN = '{"is_callback": "yes", "last_call_summary": "of the CRM"}'


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("false", "")),
        ({"callback_at": NOW}, ("true", "")),
        ({"callback_at": NOW, "last_call_summary": "Later."}, ("true", "Later.")),
        ({"variables": OWN}, ("false", "of the CRM")),
        ({"variables": OWN, "callback_at": NOW, "last_call_summary": "Later."}, ("true", "Later.")),
    ],
)
def test_a_prompt_may_use_what_outdial_fills_in_each_call(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    called = contact(**changes)
    campaign: Any = SimpleNamespace(dynamic_variables="{}")
    variables = dynamic_variables(campaign, called, NOW, callback_variables(called))
    assert variables.keys() == FILLED_BY_OUTDIAL
    assert (variables["is_callback"], variables["last_call_summary"]) == expected


def test_a_test_call_has_the_same_variables() -> None:
    campaign: Any = SimpleNamespace(dynamic_variables="{}")
    assert dynamic_variables(campaign, contact(), NOW, NO_CALLBACK).keys() == FILLED_BY_OUTDIAL
