"""Of a live call, the newest transcript is kept until the call ends. None is an event of the ledger."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.domain.limits import LONGEST_LIVE_TRANSCRIPT
from outdial.inbox.live_transcripts import TranscriptReceived
from outdial.inbox.receive import RejectedEvent
from outdial.retell import signature
from tests.support.dialing import KEY, Stage, epoch_ms, event_body, life_of_call
from tests.support.factories import NOW, Campaign, create_calling, create_campaign, create_tenant, create_test_call
from tests.support.postgres import Scratch

HELLO = "Agent: Hello, this is Maria. Do you have a minute?\n"
YES = f"{HELLO}User: Yes.\n"


@pytest.fixture
async def campaign(stage: Stage) -> Campaign:
    return await create_campaign(stage.look, await create_tenant(stage.look))


@pytest.fixture
async def call_id(stage: Stage, campaign: Campaign) -> UUID:
    """A call that talks, `call_1` at Retell."""
    return await create_talking(stage, campaign, "call_1")


async def create_talking(stage: Stage, campaign: Campaign, retell_call_id: str) -> UUID:
    _, call_id = await create_calling(stage.look, campaign, status="ongoing", retell_call_id=retell_call_id)
    return call_id


def said(transcript: str, retell_call_id: str = "call_1", call_id: UUID | None = None) -> bytes:
    return event_body("transcript_updated", retell_call_id, call_id, transcript=transcript)


async def kept(stage: Stage) -> dict[UUID, str]:
    return dict(await stage.look.fetch("select call_id, transcript from live_transcripts"))


async def test_the_newest_transcript_of_a_live_call_is_kept_and_none_is_an_event(stage: Stage, call_id: UUID) -> None:
    before = await stage.row("calls", call_id)

    assert await stage.send(said(HELLO)) == [TranscriptReceived("transcript_updated")]
    stage.clock.advance(timedelta(seconds=5))
    await stage.send(said(YES, call_id=call_id))

    row = await stage.look.fetchrow("select * from live_transcripts")
    assert row is not None
    assert (row["call_id"], row["transcript"], row["updated_at"]) == (
        call_id, YES.strip(), NOW + timedelta(seconds=5),
    )  # fmt: skip
    assert row["organization_id"] == before["organization_id"]
    assert await stage.rows("webhook_events") == []
    assert await stage.row("calls", call_id) == before, "neither its status nor the time of its next check changes"


async def test_a_test_call_shows_what_is_said_until_its_end_brings_the_whole(stage: Stage, campaign: Campaign) -> None:
    test_call_id = await create_test_call(stage.look, campaign, retell_call_id="call_test")
    unnamed = await create_test_call(stage.look, campaign, phone="+14155550143")
    other = await create_tenant(stage.look, credential="other")
    foreign = await create_test_call(
        stage.look, await create_campaign(stage.look, other), retell_call_id="call_foreign"
    )

    def of_test(transcript: str) -> bytes:
        call = {"call_id": "call_new", "transcript": transcript, "metadata": {"test_call_id": str(unnamed)}}
        return json.dumps({"event": "transcript_updated", "call": call}).encode()

    await stage.send(said(YES, "call_test"), said(HELLO, "call_test"), of_test(HELLO), said(YES, "call_foreign"))
    found = {row["id"]: row["transcript"] for row in await stage.rows("test_calls")}
    assert found == {test_call_id: YES.strip(), unnamed: HELLO.strip(), foreign: None}
    interrupted = "Agent: Hello.\nUser: Yes.\nAgent: Fine.\n"
    await stage.send(said(interrupted, "call_test"))
    assert (await stage.row("test_calls", test_call_id))["transcript"] == interrupted.strip()
    assert await stage.rows("webhook_events") == []

    await stage.change("test_calls", unnamed, erased_at=NOW, transcript=None)
    await stage.change("test_calls", test_call_id, status="ended", next_check_at=None)
    await stage.send(of_test(YES), said(YES + interrupted, "call_test"))
    found = {row["id"]: row["transcript"] for row in await stage.rows("test_calls")}
    assert (found[test_call_id], found[unnamed]) == (interrupted.strip(), None)


async def test_a_delivery_that_comes_late_or_again_replaces_nothing(stage: Stage, call_id: UUID) -> None:
    await stage.send(said(YES))
    stage.clock.advance(timedelta(seconds=5))
    await stage.send(said(HELLO), said(YES), said(""))
    assert await stage.look.fetch("select transcript, updated_at from live_transcripts") == [(YES.strip(), NOW)]

    # The agent was interrupted: its turn is shorter than announced, and one more follows.
    interrupted = "Agent: Hello.\nUser: Yes.\nAgent: Fine.\n"
    await stage.send(said(interrupted))
    assert await kept(stage) == {call_id: interrupted.strip()}


@pytest.mark.parametrize(
    "list_of",
    [
        lambda items: {"call": {"transcript_object": items}},
        lambda items: {"call": {"transcript_with_tool_calls": items}},
        lambda items: {"call": {}, "transcript_with_tool_calls": items},
    ],
)
async def test_the_words_are_read_from_each_list_that_retell_may_send(
    stage: Stage, call_id: UUID, list_of: Any
) -> None:
    items = [
        {"role": "agent", "content": "Hello.", "words": [{"word": "Hello.", "start": 0.1, "end": 0.4}]},
        {"role": "tool_call_invocation", "name": "end_call", "arguments": "{}", "content": "secret"},
        {"role": "user", "content": "Yes\x00."},
        {"role": ["no role"], "content": "x"},
        {"role": "user", "content": 7},
        "no item",
    ]
    body = list_of(items)
    body["call"]["call_id"] = "call_1"
    await stage.send(json.dumps({"event": "transcript_updated", **body}).encode())
    assert await kept(stage) == {call_id: "Agent: Hello.\nUser: Yes\N{REPLACEMENT CHARACTER}."}


async def test_a_bad_signature_keeps_nothing(stage: Stage, call_id: UUID) -> None:
    assert await stage.send(said(HELLO), key="another_key") == [RejectedEvent()]
    assert await stage.receiver().receive(said(HELLO), None) == RejectedEvent()
    assert await kept(stage) == {}


async def test_calls_that_are_unknown_or_of_another_account_have_no_transcript(
    stage: Stage, campaign: Campaign, call_id: UUID
) -> None:
    stage.keys = {"default": [KEY], "b": ["key_b"]}
    await create_tenant(stage.look, credential="b")
    other_id = await create_talking(stage, campaign, "call_2")

    await stage.send(said(HELLO), said(HELLO, "call_3", call_id), key="key_b")
    # Of no call, of one whose metadata names another, and of one that has another id at Retell.
    await stage.send(said(HELLO, "call_4"), said(HELLO, "call_1", other_id), said(HELLO, "call_5", call_id))

    assert await kept(stage) == {}
    assert await stage.rows("webhook_events") == []


async def test_a_call_is_found_by_its_metadata_before_its_id_at_retell_is_known(
    stage: Stage, campaign: Campaign
) -> None:
    _, call_id = await create_calling(stage.look, campaign)
    # Two calls at Retell claim to be it: neither is an error.
    await asyncio.gather(*deliveries(stage, said(HELLO, "call_1", call_id), said(YES, "call_2", call_id)))
    assert list(await kept(stage)) == [call_id]


async def test_when_a_call_ends_its_live_transcript_goes_and_none_comes_back(stage: Stage, campaign: Campaign) -> None:
    ended_id, other_id = [await create_talking(stage, campaign, f"call_{number}") for number in (1, 2)]
    await stage.send(said(HELLO, "call_1"), said(HELLO, "call_2"))

    await stage.send(life_of_call("call_1", ended_id)["call_ended"], said(YES, "call_1"))

    assert await kept(stage) == {other_id: HELLO.strip()}
    assert (await stage.row("calls", ended_id))["transcript"] == "Agent: Hello.\n"
    # The dialer ends calls too, and retention removes transcripts.
    await stage.look.execute("update calls set transcript_removed_at = $2 where id = $1", other_id, NOW)
    await stage.send(said(YES, "call_2"))
    assert await kept(stage) == {}


async def test_a_transcript_that_meets_the_end_of_its_call_does_not_outlive_it(
    stage: Stage, call_id: UUID, database: Scratch
) -> None:
    ending = await asyncpg.connect(database.dsn)
    try:
        async with ending.transaction():
            await ending.execute("update calls set status = 'ended', ended_at = $2 where id = $1", call_id, NOW)
            # The end has not been committed: the transcript waits for no one, and is dropped.
            assert await stage.send(said(HELLO)) == [TranscriptReceived("transcript_updated")]
    finally:
        await ending.close()
    assert await kept(stage) == {}


async def test_of_a_long_call_the_last_turns_are_kept(stage: Stage, call_id: UUID) -> None:
    turns = [f"User: This is sentence number {number}.\n" for number in range(5_000)]
    await stage.send(said("".join(turns)))
    await stage.send(said("".join([*turns, "Agent: Goodbye.\n"])))

    text = (await kept(stage))[call_id]
    assert LONGEST_LIVE_TRANSCRIPT - 100 < len(text) <= LONGEST_LIVE_TRANSCRIPT
    # It says who speaks in the words that it begins with.
    assert text.startswith("User: …")
    assert text.splitlines()[1].startswith("User: This is sentence number ")
    assert text.endswith("\nAgent: Goodbye.")
    # One line of any length is cut, too.
    await stage.send(said("".join([*turns, "Agent: Goodbye.\n", "User: " + "x" * 90_000])))
    assert (await kept(stage))[call_id] == "User: …" + "x" * (LONGEST_LIVE_TRANSCRIPT - 7)
    # The beginning of a turn is not taken for words.
    await stage.send(
        said(
            "".join(
                [*turns, "Agent: Goodbye.\n", "User: x\n", "Transfer Target: " + "y" * (LONGEST_LIVE_TRANSCRIPT - 10)]
            )
        )
    )
    assert (await kept(stage))[call_id] == "Transfer Target: …" + "y" * (LONGEST_LIVE_TRANSCRIPT - 18)


async def test_a_burst_is_written_together_and_tells_pages_once_a_write(
    stage: Stage, campaign: Campaign, call_id: UUID, database: Scratch
) -> None:
    other_id = await create_talking(stage, campaign, "call_2")
    heard = list[str]()
    listening = await asyncpg.connect(database.dsn)
    try:
        await listening.add_listener("outdial_transcripts", lambda _c, _p, _ch, payload: heard.append(str(payload)))
        words = [HELLO + "User: " + "yes " * number for number in range(200)]
        await asyncio.gather(
            *deliveries(stage, *(said(text) for text in reversed(words)), *(said(text, "call_2") for text in words))
        )
        await listening.execute("select")
    finally:
        await listening.close()

    assert await kept(stage) == dict.fromkeys((call_id, other_id), words[-1].strip())
    organization_id = campaign.tenant.organization_id
    assert set(heard) == {f"{organization_id} {call_id}", f"{organization_id} {other_id}"}
    # The first is written alone, and those that arrive meanwhile in batches of at most 256.
    assert len(heard) <= 5


async def test_a_database_that_is_away_loses_a_transcript_and_no_event(stage: Stage, call_id: UUID) -> None:
    await stage.look.execute("revoke insert on live_transcripts from outdial_webhook")
    results = await stage.send(said(HELLO), life_of_call("call_1", call_id)["call_started"])
    assert results[0] == TranscriptReceived("transcript_updated")
    assert [row["status"] for row in await stage.rows("webhook_events")] == ["applied"]


def deliveries(stage: Stage, *bodies: bytes) -> list[Any]:
    receiver, now_ms = stage.receiver(), epoch_ms(stage.clock.now())
    return [receiver.receive(body, signature.sign(body, KEY, now_ms)) for body in bodies]
