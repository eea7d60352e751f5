"""The inbox from the command line: listing, showing and replaying events."""

import asyncio
import hashlib

import asyncpg
import pytest

from tests.cli.conftest import Outdial
from tests.support.factories import NOW, insert

BODY = b'{"event":"call_started","call":{"call_id":"call_1"}}'


@pytest.fixture
async def events(connection: asyncpg.Connection) -> list[int]:
    for number in (1, 2):
        body = BODY.replace(b"call_1", b"call_%d" % number)
        await insert(
            connection,
            "webhook_events",
            source="webhook",
            credential="default",
            retell_call_id=f"call_{number}",
            event="call_started",
            body=body,
            body_sha256=hashlib.sha256(body).digest(),
            status="unmatched",
            received_at=NOW,
            next_try_at=NOW,
        )
    return [row["id"] for row in await connection.fetch("select id from webhook_events order by id")]


def test_events_are_listed_newest_first_and_filtered(outdial: Outdial, events: list[int]) -> None:
    assert [row["id"] for row in outdial.json("inbox", "list")] == events[::-1]
    assert [row["id"] for row in outdial.json("inbox", "list", f"--before={events[1]}")] == events[:1]
    assert outdial.json("inbox", "list", "--status=applied") == []
    assert outdial.json("inbox", "list", "--event=call_ended") == []
    assert "call_2" in outdial("inbox", "list")


def test_an_event_is_shown_with_its_body(outdial: Outdial, events: list[int]) -> None:
    assert outdial.json("inbox", "show", str(events[0]))["body"] == BODY.decode()
    assert BODY.decode() in outdial("inbox", "show", str(events[0]))
    assert "unknown event" in outdial.error("inbox", "show", "999")


@pytest.mark.parametrize(("given", "count"), [("{0}", 1), ("{0}-{1}", 2), ("{0}-", 2), ("{1}-", 1)])
def test_events_are_replayed_by_range(outdial: Outdial, events: list[int], given: str, count: int) -> None:
    assert f"Replayed {count} event" in outdial("inbox", "replay", given.format(*events))


async def test_replayed_events_are_applied_at_once(
    connection: asyncpg.Connection, outdial: Outdial, events: list[int]
) -> None:
    await asyncio.to_thread(outdial, "inbox", "replay", f"{events[0]}-")

    rows = await connection.fetch("select status, tries from webhook_events")
    assert {(row["status"], row["tries"]) for row in rows} == {("unmatched", 1)}


@pytest.mark.parametrize("given", ["x", "1-x", "9-3", "-3"])
def test_an_invalid_range_is_reported(outdial: Outdial, given: str) -> None:
    assert "range" in outdial.error("inbox", "replay", "--", given) or given == "9-3"
