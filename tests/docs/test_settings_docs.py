"""The docs list every setting that the code reads, and the states and outcomes as the code defines them."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from outdial.domain.call import CALL
from outdial.domain.campaign import CAMPAIGN
from outdial.domain.contact import CONTACT
from outdial.domain.jobs import BULK_JOB, EXPORT, IMPORT
from outdial.domain.machine import Machine
from outdial.domain.permission.screening import SCREENING_LIST
from outdial.domain.policies.test_calls import TEST_CALL
from outdial.retell.dispositions import DISPOSITIONS
from outdial.settings import DialerSettings

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text()
STATES = (ROOT / "docs" / "states.md").read_text()


@pytest.mark.parametrize("name", [f"OUTDIAL_{field.name.upper()}" for field in fields(DialerSettings)])
def test_every_setting_of_the_dialer_is_documented(name: str) -> None:
    assert f"`{name}`" in OPERATING


def test_every_environment_name_in_the_code_is_documented() -> None:
    named: set[str] = set()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "supabase").rglob("*.py")]:
        named |= set(re.findall(r'"((?:OUTDIAL|RETELL|SUPABASE)_[A-Z_]+[A-Z])"', path.read_text()))
    named |= {f"OUTDIAL_{kind}_DB_URL" for kind in ("API", "WEBHOOK", "DIALER", "JOBS")}
    documented = OPERATING + (ROOT / "docs" / "EDGE_FUNCTIONS.md").read_text()

    assert {name for name in named if name not in documented} == set()


@pytest.mark.parametrize(
    "machine",
    [CAMPAIGN, CONTACT, CALL, TEST_CALL, IMPORT, EXPORT, BULK_JOB, SCREENING_LIST],
    ids=lambda machine: machine.name,
)
def test_the_state_charts_match_the_code(machine: Machine[Any]) -> None:
    assert machine.chart() in STATES


@pytest.mark.parametrize("reason", DISPOSITIONS)
def test_every_disconnection_reason_is_documented_with_its_meaning(reason: str) -> None:
    outcome = DISPOSITIONS[reason]

    assert f"| `{reason}` | {outcome} | {outcome.retry_class} |" in STATES
