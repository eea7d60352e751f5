"""Caller numbers from the command line."""

import pytest

from tests.cli.conftest import Outdial


def test_numbers_are_added_limited_rested_and_woken(acme: Outdial) -> None:
    assert "No caller numbers yet" in acme("numbers", "list")
    acme("numbers", "add", "+14155550100", "--nickname=Sales")
    assert "already been added" in acme.error("numbers", "add", "+14155550100")
    assert "may make 100 calls in 24 hours, after a warm-up of 4 days" in acme(
        "numbers", "limit", "+14155550100", "--daily-cap=100", "--warm-up-days=4"
    )
    assert "is not one of the caller numbers" in acme.error("numbers", "limit", "+14155550199", "--daily-cap=5")
    assert "20" in acme("numbers", "list")
    assert "rests until" in acme("numbers", "rest", "+14155550100")
    [row] = acme.json("numbers", "list")
    assert (row["phone"], row["daily_cap"], row["rest_reason"]) == ("+14155550100", 100, "by_member")
    assert "may call again" in acme("numbers", "wake", "+14155550100")
    assert "does not rest" in acme.error("numbers", "wake", "+14155550100")
    assert "has no daily cap" in acme("numbers", "limit", "+14155550100")
    assert "Requested the numbers of 1 workspace" in acme("numbers", "import")


@pytest.mark.parametrize("number", ["+14155550100", "+14155550101"])
def test_a_number_that_is_not_the_workspaces_is_refused_once_its_numbers_are_imported(
    acme: Outdial, number: str
) -> None:
    create = ("campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+14155550100")
    acme("numbers", "add", "+14155550100")
    assert acme.json(*create, "--more-number=+14155550101")["id"]
    acme.sql(
        "insert into number_imports (provider_account_id, organization_id, requested_at, finished_at, listed)"
        " select id, organization_id, now(), now(), 1 from provider_accounts"
    )
    if number == "+14155550100":
        assert acme.json(*create)["id"]
    else:
        refused = acme.error(*create, f"--more-number={number}")
        assert "+14155550101 is not a number of this Retell workspace; import its numbers again" in refused
