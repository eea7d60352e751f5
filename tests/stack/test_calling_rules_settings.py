"""Dialers ignore calling rules, or judge them at another time, for calls to a simulator on this machine only."""

from datetime import timedelta

import pytest

from outdial.settings import SettingError, ignores_calling_rules, rules_ahead

SIMULATOR = {"RETELL_BASE_URL": "http://127.0.0.1:54330"}


def test_a_simulator_on_this_machine_allows_both() -> None:
    assert ignores_calling_rules({**SIMULATOR, "OUTDIAL_CALLING_RULES": "ignore"})
    assert rules_ahead({**SIMULATOR, "OUTDIAL_CALLING_RULES_AHEAD": "-90.5"}) == timedelta(seconds=-90.5)
    assert rules_ahead(SIMULATOR) == timedelta()


@pytest.mark.parametrize("elsewhere", [{}, {"RETELL_BASE_URL": "https://api.retellai.com"}])
def test_real_calls_refuse_both_by_name(elsewhere: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="OUTDIAL_CALLING_RULES=ignore is for simulated calls only"):
        ignores_calling_rules({**elsewhere, "OUTDIAL_CALLING_RULES": "ignore"})
    with pytest.raises(SettingError, match="OUTDIAL_CALLING_RULES_AHEAD is for simulated calls only"):
        rules_ahead({**elsewhere, "OUTDIAL_CALLING_RULES_AHEAD": "60"})
    assert rules_ahead({**elsewhere, "OUTDIAL_CALLING_RULES_AHEAD": "0"}) == timedelta()


@pytest.mark.parametrize("raw", ["tomorrow", "nan", "inf", "1e12"])
def test_an_unreadable_time_is_refused(raw: str) -> None:
    with pytest.raises(SettingError, match="OUTDIAL_CALLING_RULES_AHEAD must be"):
        rules_ahead({**SIMULATOR, "OUTDIAL_CALLING_RULES_AHEAD": raw})


def test_ignored_rules_have_no_time() -> None:
    with pytest.raises(SettingError, match="unset OUTDIAL_CALLING_RULES"):
        rules_ahead({**SIMULATOR, "OUTDIAL_CALLING_RULES": "ignore", "OUTDIAL_CALLING_RULES_AHEAD": "60"})
