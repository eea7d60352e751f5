"""Retries are as fast as simulated calls, and never faster for real ones."""

import pytest

from outdial.settings import SettingError, retry_speed

SIMULATOR = {"RETELL_BASE_URL": "http://127.0.0.1:54330"}


def test_retries_are_as_fast_as_the_simulator_of_this_machine() -> None:
    assert retry_speed({**SIMULATOR, "OUTDIAL_RETRY_SPEED": "60"}) == 60
    assert retry_speed({}) == 1


@pytest.mark.parametrize("elsewhere", [{}, {"RETELL_BASE_URL": "https://api.retellai.com"}])
def test_real_calls_are_not_repeated_sooner_than_the_policy_says(elsewhere: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="simulated calls only"):
        retry_speed({**elsewhere, "OUTDIAL_RETRY_SPEED": "60"})
    assert retry_speed({**elsewhere, "OUTDIAL_RETRY_SPEED": "1"}) == 1


@pytest.mark.parametrize("raw", ["fast", "0", "-1", "nan", "inf"])
def test_a_speed_is_a_number_above_0(raw: str) -> None:
    with pytest.raises(SettingError, match="OUTDIAL_RETRY_SPEED must be a number above 0"):
        retry_speed({**SIMULATOR, "OUTDIAL_RETRY_SPEED": raw})
