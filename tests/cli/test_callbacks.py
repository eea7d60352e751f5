"""Callbacks from the command line: listed in the contact's time, and moved; bad times are refused with what to do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outdial, sql
from tests.cli.test_campaign import import_two
from tests.support.postgres import Scratch


def ask_for_callback(database: Scratch, phone: str, at: datetime) -> None:
    """Let a contact wait for a callback."""
    sql(
        database,
        "update campaign_contacts set callback_at = $2, next_attempt_at = $2, callbacks = 1, rank = 0, usual_rank = 5,"
        " zone_key = 'America/New_York' where phone = $1",
        phone,
        at,
    )


def stored(database: Scratch) -> list[tuple[Any, ...]]:
    return sql(database, "select callback_at, next_attempt_at from campaign_contacts order by phone")


@pytest.mark.usefixtures("campaign")
def test_callbacks_are_listed_and_moved(acme: Outdial, database: Scratch, tmp_path: Path) -> None:
    import_two(acme, "Spring", tmp_path)
    assert "No callbacks" in acme.run("campaign", "callbacks", "Spring").stderr
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    ask_for_callback(database, "+12125550123", at)

    [listed] = acme.json("campaign", "callbacks", "Spring")
    assert (listed["phone"], listed["name"], listed["number"], listed["late_because"]) == (
        "+12125550123",
        "Ada",
        1,
        None,
    )
    assert (listed["is_repetition"], listed["asked_in_call"], listed["summary"]) == (False, None, None)
    assert datetime.fromisoformat(listed["callback_at"]) == at
    assert list(listed["local_times"]) == ["America/New_York"]
    assert "America/New_York" in acme("campaign", "callbacks", "Spring", env={"COLUMNS": "200"})

    moved = acme.json("campaign", "move-callback", "Spring", "+1 212 555 0123", "in 3 hours")
    [(callback_at, next_attempt_at), _] = stored(database)
    assert callback_at == next_attempt_at == datetime.fromisoformat(moved["callback_at"])
    assert timedelta(hours=2) < callback_at - datetime.now(UTC) <= timedelta(hours=3)
    assert "is called back at" in acme("campaign", "move-callback", "Spring", "+12125550123", "tomorrow at 3pm")

    [before, _] = stored(database)
    for time, words in (
        ("2001-01-01T10:00", "that time has passed"),
        ("in 9 weeks", "more than 60 days away"),
        ("after the holidays", "no time can be read from it"),
        ("at 3", "morning or in the afternoon"),
    ):
        error = acme.error("campaign", "move-callback", "Spring", "+12125550123", time)
        assert words in error
        assert "write a time within the next 60 days" in error
    assert "is not waiting for a callback" in acme.error(
        "campaign", "move-callback", "Spring", "+12125550124", "in 1 hour"
    )
    assert "no contact" in acme.error("campaign", "move-callback", "Spring", "+12125559999", "in 1 hour")
    assert "E.164" in acme.error("campaign", "move-callback", "Spring", "12", "in 1 hour")
    assert stored(database)[0] == before


@pytest.mark.usefixtures("campaign")
def test_a_contact_is_called_back_or_not_any_more(acme: Outdial, database: Scratch, tmp_path: Path) -> None:
    import_two(acme, "Spring", tmp_path)
    ada, other = "+12125550123", "+12125550124"
    set_ = acme.json("campaign", "call-back", "Spring", ada, "now", "--reason", "she called us")
    assert abs(datetime.fromisoformat(set_["callback_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert "is called back at" in acme("campaign", "call-back", "Spring", other, "in 3 days")

    # Without a campaign, those of all campaigns; the draft has not started.
    listed = acme.json("campaign", "callbacks", "--zone", "America/New_York")
    assert [(each["phone"], each["group"], each["obstacle_code"]) for each in listed] == [
        (ada, "attention", "draft"),
        (other, "later", "draft"),
    ]
    assert "Not started yet" in acme("campaign", "callbacks", env={"COLUMNS": "200"})
    assert "not a time zone" in acme.error("campaign", "callbacks", "--zone", "Mars")

    act_id = acme.json("campaign", "drop-callback", "Spring", ada, "--then", "done")["act"]
    acme("campaign", "undo", "Spring", act_id)
    assert sql(database, "select count(*) from campaign_contacts where callback_at is not null") == [(2,)]
    assert acme.json("campaign", "drop-callback", "Spring", ada, "--then", "done")["then"] == "done"
    assert "is not waiting for a callback" in acme.error("campaign", "drop-callback", "Spring", ada)
    acme("campaign", "drop-callback", "Spring", other, "--then", "never_call")
    assert "on the do-not-call list" in acme.error("campaign", "call-back", "Spring", other, "now")
    assert sql(database, "select status, callback_at from campaign_contacts order by phone") == [
        ("completed", None),
        ("skipped", None),
    ]
