"""Calls over the API: filters, paging, transcript, decision and webhook events."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.retell.dispositions import DISPOSITIONS
from outdial.retell.simulator.objects import CreateCall, SimulatedCall, describe
from outdial.retell.simulator.script import ScriptStep
from outdial.studio.calls.service import MAX_BODY_BYTES, safe_url
from outdial.studio.calls.transcript import TranscriptTurn, parse_transcript, with_times
from outdial.studio.view.decisions import explain_decision, explain_reason
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection))


@pytest.fixture
async def viewer(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    return await create_member(connection, campaign.tenant.organization_id, "viewer")


def address(campaign: Campaign, rest: object = "") -> str:
    return f"/api/v1/organizations/{campaign.tenant.organization_id}/calls" + (f"/{rest}" if rest else "")


async def ended(connection: asyncpg.Connection, campaign: Campaign, **columns: Any) -> UUID:
    entry = await create_campaign_contact(connection, campaign, status="completed", call_count=1)
    defaults = {"status": "ended", "outcome": "answered", "disconnection_reason": "user_hangup"}
    return await create_call(connection, entry, **{**defaults, **columns})


async def ids(client: httpx.AsyncClient, campaign: Campaign, **query: Any) -> list[str]:
    response = await client.get(address(campaign), params=query)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


async def test_calls_are_listed_newest_first_and_filtered(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    second = await create_campaign(connection, campaign.tenant)
    old = str(await ended(connection, campaign, created_at=NOW - timedelta(days=2)))
    busy = str(await ended(connection, campaign, outcome="busy", created_at=NOW - timedelta(hours=1)))
    live = str(await ended(connection, second, status="ongoing", outcome=None, disconnection_reason=None))
    phone = await connection.fetchval("select phone from calls where id = $1", UUID(busy))
    client = await client_for(viewer)

    assert await ids(client, campaign) == [live, busy, old]
    assert await ids(client, campaign, campaign_id=second.id) == [live]
    assert await ids(client, campaign, status="ended") == [busy, old]
    assert await ids(client, campaign, outcome="busy") == [busy]
    assert await ids(client, campaign, since=(NOW - timedelta(hours=1)).isoformat()) == [live, busy]
    assert await ids(client, campaign, until=(NOW - timedelta(hours=1)).isoformat()) == [old]
    assert await ids(client, campaign, phone=phone) == [busy]
    assert await ids(client, campaign, phone="+44") == []


async def test_paging_returns_calls_with_equal_times_once(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    wanted = [str(await ended(connection, campaign)) for _ in range(5)]
    client, seen, cursor = await client_for(viewer), [], None
    while True:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        answer = (await client.get(address(campaign), params={"limit": 2, **more})).json()
        seen += [item["id"] for item in answer["items"]]
        if (cursor := answer["next"]) is None:
            break

    assert seen == sorted(wanted, reverse=True)


async def test_a_reviewed_call_has_its_mark_in_lists_and_on_its_page(
    connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor, campaign: Campaign, viewer: UUID
) -> None:
    heard, unheard = [str(await ended(connection, campaign, transcript="Agent: Hello.")) for _ in range(2)]
    operator = await create_member(connection, campaign.tenant.organization_id, "operator")
    client, review = await client_for(operator), address(campaign, f"{heard}/review")

    marked = (await client.put(review, json={"note": " polite "})).json()

    assert marked["note"] == "polite"
    assert marked["reviewed_by"].endswith("@example.com")
    assert (await client.get(address(campaign, heard))).json()["review"] == marked
    assert (await ids(client, campaign, is_reviewed=True), await ids(client, campaign, is_reviewed=False)) == (
        [heard],
        [unheard],
    )
    page = (await (await browser_for(viewer)).get(f"/o/{campaign.tenant.organization_id}/calls?reviewed=no")).text
    assert unheard in page
    assert heard not in page
    for wrong in ({"note": "x" * 1001}, {"note": "\0"}, {"mark": True}):
        assert (await client.put(review, json=wrong)).status_code == 400
    # Once its transcript is not kept any more, a call keeps no note either.
    await connection.execute("update calls set transcript_removed_at = now()")
    assert (await client.get(address(campaign, heard))).json()["review"]["note"] is None
    assert (await client.put(review, json={"note": "polite"})).json()["note"] is None
    assert (await client.delete(review)).status_code == 204
    assert (await client.delete(review)).status_code == 404
    assert await ids(client, campaign, is_reviewed=True) == []
    assert await connection.fetch("select details::text from audit_log where action like '%review_call'") == [
        ("{}",),
        ("{}",),
        ("{}",),
    ]


BAD = [
    {"phone": "abc"},
    {"since": "0001-01-01T00:00:00+23:59"},
    {"until": "9999-12-31T23:59:59-23:59"},
    {"cursor": "WyIyMDI2LTAzLTEwVDE3OjAwOjAwIiwgIjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJd"},
]


@pytest.mark.parametrize("query", BAD, ids=str)
async def test_invalid_call_filters_are_rejected(
    client_for: ClientFor, campaign: Campaign, viewer: UUID, query: dict[str, str]
) -> None:
    response = await (await client_for(viewer)).get(address(campaign), params=query)

    assert response.status_code == 400, response.text
    assert response.json()["fields"]


async def test_a_call_has_transcript_outcome_and_cost(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    call_id = await ended(
        connection,
        campaign,
        transcript="Agent: Hello.\nUser: Hi,\nwho is it?\n",
        recording_url="https://example.com/a.wav",
        analysis='{"call_summary": "A talk"}',
        cost_cents="12.3456",
        duration_ms=61_000,
    )

    for event, start in (("call_analyzed", 0.25), ("call_ended", 7.0)):
        await insert(
            connection,
            "webhook_events",
            organization_id=campaign.tenant.organization_id,
            call_id=call_id,
            source="webhook",
            credential="default",
            retell_call_id="call_1",
            event=event,
            body=timed_event([("agent", "Hello.", [(start, start + 0.5), (start + 0.5, start + 1)])]),
            body_sha256=event.encode().ljust(32),
            received_at=NOW,
            next_try_at=NOW,
            status="applied",
            applied_at=NOW,
        )

    call = (await (await client_for(viewer)).get(address(campaign, call_id))).json()

    # The times are those of the analyzed call, which has the final transcript.
    assert call["turns"] == [
        {"speaker": "agent", "text": "Hello.", "start_ms": 250, "end_ms": 1250},
        {"speaker": "user", "text": "Hi,\nwho is it?", "start_ms": None, "end_ms": None},
    ]
    assert call["reason_in_words"] == ["A person answered.", "The contact is completed."]
    assert (call["cost_cents"], call["duration_ms"]) == (12.3456, 61_000)
    assert call["recording_url"] == "https://example.com/a.wav"
    assert call["analysis"] == {"call_summary": "A talk"}


async def test_events_of_a_call_are_ordered_indented_and_truncated(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    call_id = await ended(connection, campaign)
    bodies = [b'{"event":"call_ended"}', b"\xff not json", b"[" + b"1," * MAX_BODY_BYTES]
    for number, body in enumerate(bodies):
        await insert(
            connection,
            "webhook_events",
            organization_id=campaign.tenant.organization_id,
            call_id=call_id,
            source="webhook",
            credential="default",
            retell_call_id="call_1",
            event="call_ended",
            body=body,
            body_sha256=bytes([number]) * 32,
            received_at=NOW,
            next_try_at=NOW,
        )

    events = (await (await client_for(viewer)).get(address(campaign, f"{call_id}/events"))).json()

    assert [event["size"] for event in events] == [len(body) for body in bodies]
    assert [event["is_cut"] for event in events] == [False, False, True]
    assert json.loads(events[0]["body"]) == {"event": "call_ended"}
    assert "\n" in events[0]["body"]
    assert events[1]["body"] == "� not json"
    assert len(events[2]["body"]) == MAX_BODY_BYTES


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "http://example.com/a.wav",
        "https:/a.wav",
        "https://",
        "https://user:pass@example.com/",
        "https://example.com/a\nb",
        "//example.com/a.wav",
        "https://[::1",
        "",
        None,
    ],
)
async def test_unsafe_urls_become_none(url: str | None) -> None:
    assert safe_url(url) is None
    assert safe_url(url, "http://127.0.0.1:54330") is None


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("http://127.0.0.1:54330/_sim/recordings/call_1.wav", True),
        ("http://127.0.0.1:54330@example.com/a.wav", False),
        ("http://127.0.0.1:54331/a.wav", False),
        ("http://127.0.0.1:54330.example.com/a.wav", False),
        ("javascript://127.0.0.1:54330/%0aalert(1)", False),
    ],
)
async def test_recordings_of_the_simulator_are_safe_on_a_local_stack(url: str, is_safe: bool) -> None:
    assert (safe_url(url, "http://127.0.0.1:54330") is not None) is is_safe


async def test_an_unsafe_recording_url_is_not_returned(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    call_id = await ended(
        connection, campaign, recording_url="javascript:alert(1)", public_log_url="javascript:alert(2)"
    )

    response = await (await client_for(viewer)).get(address(campaign, call_id))

    assert "javascript" not in response.text
    assert response.json()["recording_url"] is None


@pytest.mark.parametrize(
    ("transcript", "turns"),
    [
        ("", []),
        ("\n \n", []),
        ("Hello", [TranscriptTurn(speaker="other", text="Hello")]),
        ("Agent: a\nAgent: b", [TranscriptTurn(speaker="agent", text="a"), TranscriptTurn(speaker="agent", text="b")]),
        ("User: Agent: is a word", [TranscriptTurn(speaker="user", text="Agent: is a word")]),
        ("Agent:\nUser: x", [TranscriptTurn(speaker="user", text="x")]),
        ("Transfer Target: hi", [TranscriptTurn(speaker="other", text="hi")]),
    ],
)
def test_a_transcript_is_split_into_turns(transcript: str, turns: list[TranscriptTurn]) -> None:
    assert parse_transcript(transcript) == turns


def timed_event(spoken: list[tuple[str, str, list[tuple[float, float]]]]) -> bytes:
    """Return the body of an event with these utterances, each with the times of its words, beside a call of a tool."""
    utterances: list[dict[str, Any]] = [
        {"role": role, "content": text, "words": [{"word": "x", "start": start, "end": end} for start, end in words]}
        for role, text, words in spoken
    ]
    tool_call = {"role": "tool_call_invocation", "name": "look_up", "words": None}
    return json.dumps({"event": "call_ended", "call": {"transcript_object": [tool_call, *utterances]}}).encode()


HELLO = TranscriptTurn(speaker="agent", text="Hello.")
HI = TranscriptTurn(speaker="user", text="Hi, it  is\nme.")


@pytest.mark.parametrize(
    ("body", "times"),
    [
        (timed_event([("agent", "Hello.", [(0, 1.5)]), ("user", "Hi, it is me.", [(2, 2.5), (2.5, 3.2)])]),
         [(0, 1500), (2000, 3200)]),
        # What was redacted in the transcript has no time, and what follows keeps its own.
        (timed_event([("agent", "Hello Ada.", [(0, 1)]), ("user", "Hi, it is me.", [(2, 3)])]),
         [(None, None), (2000, 3000)]),
        (timed_event([("user", "Hello.", [(0, 1)])]), [(None, None), (None, None)]),
        (timed_event([("agent", "Hello.", []), ("user", "Hi, it is me.", [(3, 2)])]), [(None, None), (3000, 3000)]),
        (timed_event([("agent", "Hello.", [(-1, 1e300)])]), [(None, None), (None, None)]),
        (b"\xff\x00", [(None, None), (None, None)]),
        (b'{"event": "call_ended", "call": {"transcript_object": "none"}}', [(None, None), (None, None)]),
        (b'{"event_type": "call_ended", "data": {"transcript_object": [{"role": "agent", "content": "Hello.",'
         b' "words": [{"start": 1, "end": 2}]}]}}', [(1000, 2000), (None, None)]),
    ],
)  # fmt: skip
def test_turns_get_the_times_of_their_words(body: bytes, times: list[tuple[int | None, int | None]]) -> None:
    turns = with_times([HELLO, HI], body)

    assert [(turn.start_ms, turn.end_ms) for turn in turns] == times
    assert [turn.text for turn in turns] == [HELLO.text, HI.text]


def test_the_simulator_gives_each_turn_its_place_in_the_recording() -> None:
    call = SimulatedCall(
        call_id="call_1",
        request=CreateCall(from_number="+12125550000", to_number="+12125550001"),
        created_ms=0,
        step=ScriptStep("user_hangup"),
        status="ended",
        reason="user_hangup",
        start_ms=1_000,
        end_ms=61_000,
    )
    described = describe(call)
    body = json.dumps({"event": "call_ended", "call": {"transcript_object": described.transcript_object}}).encode()
    turns = with_times(parse_transcript(described.transcript or ""), body)

    assert len(turns) > 2
    assert [(turn.start_ms, turn.end_ms) for turn in turns] == [(n * 1500, n * 1500 + 1200) for n in range(len(turns))]


@pytest.mark.parametrize("reason", DISPOSITIONS)
def test_every_disconnection_reason_is_explained_with_its_consequence(reason: str) -> None:
    meaning, follows = explain_reason(reason)

    assert meaning.endswith(".")
    assert follows.endswith(".")


def test_an_unknown_disconnection_reason_is_reported_as_unknown() -> None:
    assert explain_reason("brand_new")[1:] == explain_reason("no_concurrency_fallback")
    assert explain_reason(None) == ["Retell has not reported why the call ended."]


@pytest.mark.parametrize("decision", [{}, {"local_times": "x"}, {"zone_key": 1}, {"budget": {"day_limit_cents": 1}}])
def test_an_incomplete_decision_is_explained_partly(decision: dict[str, Any]) -> None:
    assert all(sentence.endswith(".") for sentence in explain_decision(decision))


def test_a_decision_says_which_consent_and_lists_were_checked() -> None:
    checked = {"screening_lists": {"litigator list": "2026-03-01", "US-TX list": "2026-03-02"}}
    assert explain_decision({"consent": "none", "consent_required": "none", "screening_lists": {}}) == []
    assert explain_decision({"consent": "written", "consent_required": "express", **checked}) == [
        "The contact had given written consent; the campaign requires express consent.",
        "The number was checked against the litigator list (2026-03-01), US-TX list (2026-03-02), without a match.",
    ]
    day = {"day_limit_cents": 500, "day_spent_cents": 12.5, "day_reserved_cents": 100.0}
    assert explain_decision({"budget": day | {"reserved_cents": 20}}) == [
        "The organization's budget for the day of $5.00 had $0.12 spent and $1.00 reserved.",
        "$0.20 was reserved for this call.",
    ]
    lifted = explain_decision(checked | {"lists_lifted_by_consent": ["US-TX list"]})
    assert lifted[0].endswith("; written consent lifts the US-TX list.")


async def test_calls_of_another_organization_are_not_found(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    client = await client_for(own.users["owner"])
    mine, theirs = own.tenant.organization_id, other.tenant.organization_id
    service = await client_for(None)
    their_call = (await service.get(f"/api/v1/organizations/{theirs}/calls")).json()["items"][0]["id"]
    my_call = (await service.get(f"/api/v1/organizations/{mine}/calls")).json()["items"][0]["id"]
    paths = [
        f"{theirs}/calls",
        f"{theirs}/calls/{their_call}",
        f"{theirs}/calls/{my_call}",
        f"{mine}/calls/{their_call}",
        f"{mine}/calls/{their_call}/events",
        f"{mine}/calls?campaign_id={other.fresh.id}",
    ]

    assert {path: (await client.get(f"/api/v1/organizations/{path}")).status_code for path in paths} == dict.fromkeys(
        paths, 404
    )
    assert (await client.get(f"/api/v1/organizations/{mine}/calls/{my_call}")).status_code == 200
