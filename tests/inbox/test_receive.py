"""An accepted event is on disk; an event without a valid signature is not."""

import asyncio
import hashlib
import json
import random
import string
from datetime import timedelta
from typing import Any

import pytest

from outdial.inbox.errors import EventNotStored
from outdial.inbox.live_transcripts import TranscriptReceived
from outdial.inbox.receive import RejectedEvent, StoredEvent, WebhookReceiver
from outdial.retell import signature
from outdial.retell.events import LONGEST_NAME
from tests.support import postgres
from tests.support.dialing import KEY, Stage, epoch_ms, event_body, life_of_call, refuse_poison
from tests.support.factories import NOW, create_calling, create_campaign, create_tenant

POISON = event_body("call_ended", "call_p", end_timestamp=1, transcript="poison")


def signed(stage: Stage, body: bytes, key: str = KEY, *, age: timedelta = timedelta()) -> str:
    """Return the header of `body`, signed `age` ago."""
    return signature.sign(body, key, epoch_ms(stage.clock.now() - age))


async def receive_together(
    receiver: WebhookReceiver, stage: Stage, *bodies: bytes
) -> list[StoredEvent | TranscriptReceived | RejectedEvent]:
    """Receive the bodies at the same time, in one flush."""
    return await asyncio.gather(*(receiver.receive(body, signed(stage, body)) for body in bodies))


async def test_an_event_signed_with_any_of_the_live_keys_is_stored_with_its_raw_bytes(stage: Stage) -> None:
    stage.keys["default"] = ["new_key", "old_key"]
    bodies = [event_body("call_started", f"call_{key}") + b"  " for key in stage.keys["default"]]
    for body, key in zip(bodies, stage.keys["default"], strict=True):
        assert await stage.send(body, key=key) == [StoredEvent("call_started", "unmatched")]
    rows = await stage.rows("webhook_events")
    assert [bytes(row["body"]) for row in rows] == bodies
    assert [row["body_sha256"] for row in rows] == [hashlib.sha256(body).digest() for body in bodies]
    assert {(row["credential"], row["source"], row["received_at"]) for row in rows} == {("default", "webhook", NOW)}


@pytest.mark.parametrize("header", [None, "", KEY, "v=1,d=2", f"v=,d={'0' * 64}"])
async def test_without_a_signature_nothing_is_stored(stage: Stage, header: str | None) -> None:
    assert await stage.receiver().receive(event_body("call_started", "call_1"), header) == RejectedEvent()
    assert await stage.rows("webhook_events") == []


@pytest.mark.parametrize("age", [timedelta(minutes=5, seconds=1), -timedelta(minutes=5, seconds=1)])
async def test_a_stale_signature_stores_nothing(stage: Stage, age: timedelta) -> None:
    body = event_body("call_started", "call_1")
    assert await stage.receiver().receive(body, signed(stage, body, age=age)) == RejectedEvent()
    assert await stage.rows("webhook_events") == []


async def test_a_signature_of_another_key_or_another_body_stores_nothing(stage: Stage) -> None:
    body, receiver = event_body("call_started", "call_1"), stage.receiver()
    assert await receiver.receive(body, signed(stage, body, "another_key")) == RejectedEvent()
    assert await receiver.receive(body + b" ", signed(stage, body)) == RejectedEvent()
    assert await stage.rows("webhook_events") == []


async def test_an_event_signed_with_another_accounts_key_never_touches_the_call(stage: Stage) -> None:
    stage.keys = {"default": [KEY], "b": ["key_b"]}
    tenant = await create_tenant(stage.look)
    await create_tenant(stage.look, credential="b")
    entry, call_id = await create_calling(stage.look, await create_campaign(stage.look, tenant))
    await stage.change("calls", call_id, status="placed", retell_call_id="call_1")
    before = await stage.row("calls", call_id), await stage.row("campaign_contacts", entry.id)
    results = await stage.send(*life_of_call("call_1", call_id).values(), key="key_b")
    results += await stage.send(*life_of_call("call_2", call_id).values(), key="key_b")
    assert {result.status for result in results if isinstance(result, StoredEvent)} == {"unmatched"}
    assert (await stage.row("calls", call_id), await stage.row("campaign_contacts", entry.id)) == before
    events = await stage.rows("webhook_events")
    assert [(row["credential"], row["organization_id"], row["call_id"]) for row in events] == [("b", None, None)] * 6
    assert "another account" in events[0]["error"]


async def test_the_same_body_under_two_accounts_is_two_deliveries(stage: Stage) -> None:
    stage.keys = {"default": [KEY], "b": ["key_b"]}
    body = event_body("call_started", "call_1")
    await stage.send(body, key="key_b")
    await stage.send(body)
    assert [(row["credential"], row["repeats"]) for row in await stage.rows("webhook_events")] == [
        ("b", 0),
        ("default", 0),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"event": 7}',
        b'"\xff\xfe"',
        b'{"event_type": "call_started", "data": {}}',
        b'{"event":"call_ended","call":{"call_id":"call_1","call_analysis":{"score":1e999}}}',
    ],
    ids=["empty", "text", "list", "no event", "number", "no utf-8", "plain form", "number out of range"],
)
async def test_an_unreadable_signed_body_is_quarantined_with_the_reason(stage: Stage, body: bytes) -> None:
    [result] = await stage.send(body)
    assert isinstance(result, StoredEvent)
    assert result.status == "quarantined"
    [row] = await stage.rows("webhook_events")
    assert (bytes(row["body"]), row["status"], bool(row["error"])) == (body, "quarantined", True)


@pytest.mark.parametrize("field", ["event", "call_id"])
async def test_a_name_that_fits_no_index_is_quarantined_and_stops_no_other_event(stage: Stage, field: str) -> None:
    fits, too_long = random_text(LONGEST_NAME), random_text(LONGEST_NAME + 1)
    events: list[dict[str, Any]] = [{"event": "call_ended", "call": {"call_id": "call_1"}} for _ in range(2)]
    for event, name in zip(events, (fits, too_long), strict=True):
        (event if field == "event" else event["call"])[field] = name
    bodies = [json.dumps(event).encode() for event in events]
    bodies.append(json.dumps({"event": random_text(100_000), "call": {"call_id": random_text(100_000)}}).encode())
    results = await stage.send(*bodies, b'{"event": "call_started", "call": {"call_id": "call_2"}}')

    assert [result.status for result in results if isinstance(result, StoredEvent)] == [
        "unmatched", "quarantined", "quarantined", "unmatched",
    ]  # fmt: skip
    rows = {bytes(row["body"]): row for row in await stage.rows("webhook_events")}
    what = {"event": "name of the event"}.get(field, field)
    assert rows[bodies[1]]["error"] == f"the {what} has {LONGEST_NAME + 1} bytes, more than {LONGEST_NAME}"
    assert rows.keys() >= set(bodies)


def random_text(length: int) -> str:
    """Return text that does not compress."""
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))


async def test_the_plain_key_is_accepted_only_if_allowed(stage: Stage) -> None:
    body = b'{"event_type": "call_started", "data": {"call_id": "test-123"}}'
    assert await stage.receiver().receive(body, KEY) == RejectedEvent()
    assert await stage.receiver(accept_plain=True).receive(body, "wrong") == RejectedEvent()
    assert await stage.rows("webhook_events") == []
    assert await stage.receiver(accept_plain=True).receive(body, KEY) == StoredEvent("call_started", "unmatched")
    [row] = await stage.rows("webhook_events")
    assert (row["event"], row["retell_call_id"]) == ("call_started", "test-123")


async def test_a_webhook_with_the_plain_key_updates_its_call(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, call_id = await create_calling(stage.look, campaign)
    body = b'{"event_type":"call_started","data":{"call_id":"c","metadata":{"call_id":"%s"}}}' % str(call_id).encode()
    assert await stage.receiver(accept_plain=True).receive(body, KEY) == StoredEvent("call_started", "applied")
    assert (await stage.row("calls", call_id))["status"] == "ongoing"


async def test_a_duplicate_is_counted_as_a_repeat_and_changes_nothing_else(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, call_id = await create_calling(stage.look, campaign)
    bodies = list(life_of_call("call_1", call_id).values())
    await stage.send(*bodies)
    tables = ("calls", "campaign_contacts", "campaigns", "webhook_events")
    before = [await stage.rows(table) for table in tables]
    stage.clock.advance(timedelta(minutes=1))
    assert {result.status for result in await stage.send(*bodies, bodies[2]) if isinstance(result, StoredEvent)} == {
        "applied"
    }
    *others, events = [await stage.rows(table) for table in tables]
    assert [row["repeats"] for row in events] == [1, 1, 2]
    assert others == before[:3]
    assert [row | {"repeats": 0} for row in events] == before[3]


async def test_the_same_event_several_times_in_one_flush_is_one_row_with_its_repeats(stage: Stage) -> None:
    body, receiver = event_body("call_started", "call_1"), stage.receiver()
    await receive_together(receiver, stage, event_body("transfer_started", "call_0"), body, body, body)
    assert [(row["event"], row["repeats"]) for row in await stage.rows("webhook_events")] == [
        ("transfer_started", 0),
        ("call_started", 2),
    ]


@pytest.mark.parametrize(
    "event",
    ["transfer_started", "transfer_bridged", "transfer_cancelled", "transfer_ended", "new_one"],
)
async def test_events_that_change_no_call_are_kept_with_their_call(stage: Stage, event: str) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, call_id = await create_calling(stage.look, campaign)
    before = await stage.row("calls", call_id)
    assert await stage.send(event_body(event, "call_1", call_id)) == [StoredEvent(event, "applied")]
    assert await stage.row("calls", call_id) == before
    [row] = await stage.rows("webhook_events")
    assert (row["call_id"], row["organization_id"]) == (call_id, campaign.tenant.organization_id)


async def test_an_event_before_the_response_of_create_call_finds_its_call_by_metadata(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, call_id = await create_calling(stage.look, campaign)
    await stage.send(life_of_call("call_1", call_id)["call_started"])
    call = await stage.row("calls", call_id)
    assert (call["status"], call["retell_call_id"], call["started_at"]) == ("ongoing", "call_1", NOW)


async def test_another_call_at_retell_with_the_same_metadata_is_kept_unmatched(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, call_id = await create_calling(stage.look, campaign)
    first, second = (life_of_call(name, call_id)["call_started"] for name in ("call_1", "call_2"))
    results = await receive_together(stage.receiver(), stage, first, second)
    assert results == [StoredEvent("call_started", "applied"), StoredEvent("call_started", "unmatched")]
    assert (await stage.row("calls", call_id))["retell_call_id"] == "call_1"


async def test_a_failed_flush_stores_each_event_alone_and_the_applier_applies_the_good_ones(stage: Stage) -> None:
    await refuse_poison(stage.look)
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, call_id = await create_calling(stage.look, campaign)
    await stage.change("calls", call_id, retell_call_id="call_p")
    _, good_id = await create_calling(stage.look, campaign)
    good = life_of_call("call_good", good_id)["call_ended"]
    results = await receive_together(stage.receiver(), stage, good, POISON, b"broken")
    assert [result.status for result in results if isinstance(result, StoredEvent)] == [
        "pending",
        "pending",
        "quarantined",
    ]
    assert (await stage.row("calls", good_id))["status"] == "placing"
    await stage.applier().run_once()
    assert (await stage.row("calls", good_id))["status"] == "ended"
    by_id = {row["retell_call_id"]: row for row in await stage.rows("webhook_events")}
    assert (by_id["call_good"]["status"], by_id["call_good"]["applied_at"]) == ("applied", NOW)
    assert (by_id["call_p"]["status"], by_id["call_p"]["tries"]) == ("pending", 1)
    assert "CheckViolation" in by_id["call_p"]["error"]


async def test_without_a_database_an_event_is_not_stored_and_is_stored_when_sent_again(
    stage: Stage,
) -> None:
    body, receiver = event_body("call_started", "call_1"), stage.receiver()
    name = stage.scratch.name
    await postgres._administer(stage.scratch.server, f"alter database {name} allow_connections false")
    # The pool keeps the connection with which it checked its rights.
    await stage.look.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and usename = 'outdial_webhook'"
    )
    with pytest.raises(EventNotStored):
        await receiver.receive(body, signed(stage, body))
    await postgres._administer(stage.scratch.server, f"alter database {name} allow_connections true")
    assert await receiver.receive(body, signed(stage, body)) == StoredEvent("call_started", "unmatched")
    assert len(await stage.rows("webhook_events")) == 1


async def test_a_connection_lost_between_two_flushes_loses_no_event(stage: Stage) -> None:
    receiver, bodies = stage.receiver(), [event_body("call_started", f"call_{n}") for n in range(5)]
    await receive_together(receiver, stage, *bodies[:2])
    await stage.look.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and usename = 'outdial_webhook'"
    )
    results = await asyncio.gather(
        *(receiver.receive(body, signed(stage, body)) for body in bodies[2:]), return_exceptions=True
    )
    answered = 2 + sum(isinstance(result, StoredEvent) for result in results)
    assert len(await stage.rows("webhook_events")) >= answered
    assert [result for result in results if not isinstance(result, StoredEvent | EventNotStored)] == []


async def test_stop_returns_when_every_accepted_event_is_on_disk(stage: Stage) -> None:
    receiver = stage.receiver()
    bodies = [event_body("call_started", f"call_{n}") for n in range(3)]
    tasks = [asyncio.create_task(receiver.receive(body, signed(stage, body))) for body in bodies]
    await asyncio.sleep(0)
    await receiver.stop()
    assert len(await stage.rows("webhook_events")) == 3
    await asyncio.gather(*tasks)


async def test_two_processes_that_receive_the_same_unmatched_events_at_once_lose_none(stage: Stage) -> None:
    bodies = [event_body("call_started", f"call_{n}") for n in range(40)]
    for number in range(5):
        one, other = stage.receiver(), stage.receiver()
        batch = [body.replace(b"call_id", b"call_id", 1) + b" " * number for body in bodies]
        results = await asyncio.gather(
            receive_together(one, stage, *batch), receive_together(other, stage, *reversed(batch))
        )
        assert all(isinstance(result, StoredEvent) for group in results for result in group)
    rows = await stage.rows("webhook_events")
    assert len(rows) == 40 * 5
    assert sum(row["repeats"] for row in rows) == 40 * 5
    assert {row["status"] for row in rows} == {"unmatched"}
