"""Stored events are applied later, poisonous ones are quarantined, and replay changes nothing."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from outdial.inbox.applier import BATCH, TRIES
from outdial.inbox.replay import ReplayedEvents, replay
from tests.support.dialing import Stage, event_body, life_of_call, refuse_poison
from tests.support.factories import NOW, create_calling, create_campaign, create_tenant, insert

TABLES = ("calls", "campaign_contacts", "campaigns", "do_not_call", "provider_accounts")


async def waiting(stage: Stage, body: bytes, event: str, retell_call_id: str, number: int = 0) -> None:
    """Store an event as a failed flush leaves it."""
    await insert(
        stage.look,
        "webhook_events",
        source="webhook",
        credential="default",
        retell_call_id=retell_call_id,
        event=event,
        body=body,
        body_sha256=number.to_bytes(32, "big"),
        received_at=NOW,
        next_try_at=NOW,
    )


async def test_a_poisonous_event_is_quarantined_after_its_tries_and_blocks_no_other(stage: Stage) -> None:
    await refuse_poison(stage.look)
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, spoilt = await create_calling(stage.look, campaign)
    _, good = await create_calling(stage.look, campaign)
    await waiting(stage, event_body("call_ended", "p", spoilt, transcript="poison"), "call_ended", "p", 1)
    await waiting(stage, life_of_call("g", good)["call_ended"], "call_ended", "g", 2)
    applier = stage.applier()
    for number in range(TRIES):
        await applier.run_once()
        poison, fine = await stage.rows("webhook_events")
        assert fine["status"] == "applied"
        assert poison["tries"] == number + 1
        stage.clock.set(poison["next_try_at"])
    assert poison["status"] == "quarantined"
    assert "CheckViolation" in poison["error"]
    assert (await stage.row("calls", spoilt))["status"] == "placing"
    assert await applier.run_once() == 0


async def test_an_event_that_failed_waits_longer_each_time(stage: Stage) -> None:
    await refuse_poison(stage.look)
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    _, spoilt = await create_calling(stage.look, campaign)
    await waiting(stage, event_body("call_ended", "p", spoilt, transcript="poison"), "call_ended", "p")
    applier, waits = stage.applier(), []
    for _ in range(3):
        await applier.run_once()
        [row] = await stage.rows("webhook_events")
        waits.append(row["next_try_at"] - stage.clock.now())
        assert await applier.run_once() == 0
        stage.clock.set(row["next_try_at"])
    assert waits == [timedelta(seconds=seconds) for seconds in (2, 4, 8)]


async def test_more_events_than_a_batch_holds_are_applied_in_one_run(stage: Stage) -> None:
    for number in range(BATCH + 5):
        await waiting(stage, event_body("call_started", f"c{number}"), "call_started", f"c{number}", number)
    assert await stage.applier().run_once() == BATCH + 5
    assert {row["status"] for row in await stage.rows("webhook_events")} == {"unmatched"}


async def test_two_appliers_share_the_events_and_apply_each_once(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    for number in range(60):
        _, call_id = await create_calling(stage.look, campaign)
        body = life_of_call(f"c{number}", call_id, "dial_no_answer")["call_ended"]
        await waiting(stage, body, "call_ended", f"c{number}", number)
    taken = await asyncio.gather(stage.applier().run_once(), stage.applier().run_once())
    assert sum(taken) == 60
    assert {(row["status"], row["tries"]) for row in await stage.rows("webhook_events")} == {("applied", 1)}
    assert {row["attempts"] for row in await stage.rows("campaign_contacts")} == {1}


async def test_a_webhook_and_an_applier_on_the_same_calls_at_once_count_each_call_once(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    bodies = []
    for number in range(30):
        _, call_id = await create_calling(stage.look, campaign)
        life = life_of_call(f"c{number}", call_id, "dial_no_answer")
        await waiting(stage, life["call_ended"], "call_ended", f"c{number}", number)
        bodies += [life["call_analyzed"], life["call_ended"]]
    await asyncio.gather(stage.applier().run_once(), stage.send(*reversed(bodies)), stage.send(*bodies))
    stage.clock.advance(timedelta(minutes=5))
    await stage.applier().run_once()
    assert {row["status"] for row in await stage.rows("webhook_events")} == {"applied"}
    assert {(row["status"], row["attempts"]) for row in await stage.rows("campaign_contacts")} == {("pending", 1)}


async def play_a_campaign(stage: Stage) -> list[UUID]:
    """Run calls with several outcomes, plus unmatched and unreadable events."""
    campaign = await create_campaign(stage.look, await create_tenant(stage.look), retry_policy='{"jitter": 0}')
    calls = []
    for number, reason in enumerate(
        ["user_hangup", "dial_no_answer", "user_requested_dnc", "error_retell", "no_valid_payment", "odd"]
    ):
        _, call_id = await create_calling(stage.look, campaign)
        await stage.send(*life_of_call(f"c{number}", call_id, reason).values())
        calls.append(call_id)
    await stage.send(
        event_body("call_started", "call_unknown"), b"broken", event_body("transfer_started", "c0", calls[0])
    )
    return calls


async def replay_all(stage: Stage, status: str | None = None) -> int:
    """Replay the whole ledger."""
    async with stage.webhook.transaction() as connection:
        done = await replay(connection, first_id=1, last_id=10**6, now=stage.clock.now(), status=status)
    await stage.applier().run_once()
    return done.replayed


async def test_a_replay_of_everything_twice_changes_no_row(stage: Stage) -> None:
    await play_a_campaign(stage)
    before = [await stage.rows(table) for table in TABLES]
    statuses = [row["status"] for row in await stage.rows("webhook_events")]
    for _ in range(2):
        stage.clock.advance(timedelta(hours=3))
        assert await replay_all(stage) == 21
        assert [await stage.rows(table) for table in TABLES] == before
        assert [row["status"] for row in await stage.rows("webhook_events")] == statuses


async def test_a_replay_restores_changes_lost_after_the_event_was_stored(stage: Stage) -> None:
    campaign = await create_campaign(stage.look, await create_tenant(stage.look))
    entry, call_id = await create_calling(stage.look, campaign)
    await stage.send(*life_of_call("lost", None).values())
    assert await replay_all(stage, status="applied") == 0
    await stage.change("calls", call_id, retell_call_id="lost", status="placed")
    assert await replay_all(stage, status="unmatched") == 3
    assert (await stage.row("calls", call_id))["status"] == "ended"
    assert (await stage.row("campaign_contacts", entry.id))["status"] == "completed"


async def test_a_replay_affects_only_its_range(stage: Stage) -> None:
    await stage.send(*(event_body("call_started", f"c{number}") for number in range(4)))
    ids = [row["id"] for row in await stage.rows("webhook_events")]
    async with stage.webhook.transaction() as connection:
        assert await replay(connection, first_id=ids[1], last_id=ids[2], now=NOW) == ReplayedEvents(2, without_body=0)
    assert [row["status"] for row in await stage.rows("webhook_events")] == [
        "unmatched",
        "pending",
        "pending",
        "unmatched",
    ]


@pytest.mark.parametrize(
    "body", [b"broken", b'{"event":"call_ended","call":{"call_id":"c","call_analysis":{"a":1e999}}}']
)
async def test_an_unreadable_event_stays_in_quarantine_when_it_is_replayed(stage: Stage, body: bytes) -> None:
    await stage.send(body)
    [before] = await stage.rows("webhook_events")
    assert await replay_all(stage, status="quarantined") == 1
    [after] = await stage.rows("webhook_events")
    assert (after["status"], after["error"]) == ("quarantined", before["error"])
