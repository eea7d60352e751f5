"""Caller numbers from the command line."""

from tests.cli.conftest import Outdial


def test_numbers_are_added_limited_rested_and_woken(acme: Outdial) -> None:
    assert "No caller numbers yet" in acme.run("numbers", "list").stderr
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
