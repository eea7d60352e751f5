"""Caller numbers, agents and test calls from the command line."""

from tests.cli.conftest import Outdial, sql
from tests.support.postgres import Scratch


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
    assert "no longer rests" in acme("numbers", "wake", "+14155550100")
    assert "does not rest" in acme.error("numbers", "wake", "+14155550100")
    assert "has no daily cap" in acme("numbers", "limit", "+14155550100")
    assert "Requested the numbers of 1 workspace" in acme("numbers", "import")


def test_an_unknown_agent_is_refused_once_the_agents_were_read(acme: Outdial, database: Scratch) -> None:
    assert "No agents yet" in acme.run("agents", "list").stderr
    assert "Requested the agents of 1 workspace" in acme("agents", "sync")
    sql(database, "update number_imports set agents_listed = 1")
    sql(
        database,
        "insert into agents (provider_account_id, organization_id, agent_id, name, seen_at)"
        " select provider_account_id, organization_id, 'agent_sales', 'Sales', now() from number_imports",
    )
    assert [row["name"] for row in acme.json("agents", "list")] == ["Sales"]
    create = ("campaign", "create", "--name=Spring", "--from=+14155550100")
    refused = acme.error(*create, "--agent=agent_typo")
    assert "the Retell workspace has no voice agent agent_typo" in refused
    assert acme.json("campaign", "list") == []
    acme(*create, "--agent=agent_sales")
    assert "has no voice agent agent_typo" in acme.error("campaign", "edit", "Spring", "--agent=agent_typo")


def test_a_test_call_is_requested_and_listed(acme: Outdial) -> None:
    acme("campaign", "create", "--name=Spring", "--from=+14155550100", "--agent=agent_1")
    assert "No test calls yet" in acme.run("campaign", "test-calls", "Spring").stderr
    assert "has no contact in row 3" in acme.error("campaign", "test-call", "Spring", "--to=+14155550142", "--row=3")
    acme("contacts", "dnc", "add", "+14155550199")
    assert "is on the do-not-call list" in acme.error("campaign", "test-call", "Spring", "--to=+14155550199")
    assert "Requested test call" in acme("campaign", "test-call", "Spring", "--to=+14155550142", "--own-phone")
    [row] = acme.json("campaign", "test-calls", "Spring")
    assert (row["phone"], row["status"], row["is_own_phone"]) == ("+14155550142", "requested", True)
    assert "requested" in acme("campaign", "test-calls", "Spring")
