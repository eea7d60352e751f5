"""Agents, phone numbers, and calls that are not plain phone calls: the official SDK lists, changes and reads them."""

import io
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import retell
from retell import AsyncRetell
from retell.types import AgentResponse, BatchCallResponse, PhoneNumberResponse, WebCallResponse

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.server import running
from outdial.retell.simulator.workspace import SimulatedWorkspace
from tests.retell.simulator.requests import CONFIG, LATER, PLAIN, START, asked, call_in, created, events, until

FAST = SimulatorConfig(calls_per_second=None, speed=1000.0)
ENGINE: Any = {"type": "retell-llm", "llm_id": "llm_1"}
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155559901"}
HOURS: Any = {"windows": [{"start": 9 * 60, "end": 17 * 60}], "timezone": "America/New_York", "day": ["Monday"]}


@pytest.fixture
async def served() -> AsyncIterator[tuple[AsyncRetell, Simulator]]:
    """The SDK and the simulator that it talks to."""
    async with running(FAST) as (url, simulator), AsyncRetell(api_key="key_simulator", base_url=url, timeout=30) as sdk:
        yield sdk, simulator


def strictly(model: Any) -> Any:
    """Check that the response fits the SDK's model of it, and has nothing else."""
    again = type(model).model_validate(model.model_dump(exclude_unset=True), strict=True)
    assert not again.model_extra
    return again


async def test_agents_are_created_changed_published_listed_and_deleted(served: tuple[AsyncRetell, Simulator]) -> None:
    sdk, _ = served
    agent = await sdk.agent.create(response_engine=ENGINE, voice_id="11labs-Adrian", agent_name="Sales")
    assert isinstance(agent, AgentResponse)
    assert (agent.agent_name, agent.version, agent.is_published) == ("Sales", 0, False)
    assert (await sdk.agent.update(agent.agent_id, agent_name="Support")).agent_name == "Support"
    published = await sdk.agent.publish(agent.agent_id, version=0, version_title="First")
    assert published is None or published.is_published
    with pytest.raises(retell.BadRequestError, match="create a new version"):
        await sdk.agent.update(agent.agent_id, agent_name="Other")
    draft = await sdk.agent.create_version(agent.agent_id, base_version=0)
    assert (draft.version, draft.base_version, draft.is_published) == (1, 0, False)
    await sdk.agent.update(agent.agent_id, agent_name="Other")
    assert (await sdk.agent.retrieve(agent.agent_id)).agent_name == "Other"
    first = await sdk.agent.retrieve(agent.agent_id, version=0)
    assert (first.agent_name, first.is_published) == ("Support", True)
    versions = await sdk.agent.list_versions(agent.agent_id, sort_order="ascending")
    assert [(item.version, item.is_published, item.version_title) for item in versions.items] == [
        (0, True, "First"),
        (1, False, "First"),
    ]

    found = await sdk.agent.list(filter_criteria={"query": "oth"})
    strictly(found)
    assert [(item.agent_id, item.agent_name) for item in found.items] == [(agent.agent_id, "Other")]
    assert [item.agent_id for item in (await sdk.agent.list()).items] == [agent.agent_id, "agent_simulator"]
    await sdk.agent.delete(agent.agent_id)
    with pytest.raises(retell.UnprocessableEntityError):
        await sdk.agent.retrieve(agent.agent_id)


async def test_phone_numbers_are_bought_imported_changed_listed_and_deleted(
    served: tuple[AsyncRetell, Simulator],
) -> None:
    sdk, _ = served
    bought = await sdk.phone_number.create(area_code=212, nickname="New York")
    assert isinstance(strictly(bought), PhoneNumberResponse)
    assert (bought.phone_number_type, bought.area_code) == ("retell-twilio", 212)
    assert bought.phone_number_pretty == "+1(212)555-0100"
    own = await sdk.phone_number.import_(
        phone_number="+442071838750",
        termination_uri="sip.example.com",
        sip_trunk_auth_username="ada",
        sip_trunk_auth_password="secret",
    )
    strictly(own)
    assert own.sip_outbound_trunk_config is not None
    assert own.sip_outbound_trunk_config.auth_username == "ada"
    assert "secret" not in own.model_dump_json()
    with pytest.raises(retell.BadRequestError, match="already exists"):
        await sdk.phone_number.import_(phone_number="+442071838750", termination_uri="sip.example.com")

    agents: Any = [{"agent_id": "agent_1", "weight": 1}]
    changed = await sdk.phone_number.update("+442071838750", outbound_agents=agents, nickname="London")
    assert (changed.nickname, changed.outbound_agents and changed.outbound_agents[0].agent_id) == ("London", "agent_1")
    bad: Any = [{"agent_id": "agent_1", "weight": 0.4}]
    with pytest.raises(retell.BadRequestError, match="add up to 1"):
        await sdk.phone_number.update("+442071838750", outbound_agents=bad)
    assert (await sdk.phone_number.retrieve("+442071838750")).nickname == "London"
    page = await sdk.phone_number.list(limit=1, sort_order="ascending")
    following = await sdk.phone_number.list(limit=1, sort_order="ascending", pagination_key=str(page.pagination_key))
    assert [item.phone_number for item in (*page.items, *following.items)] == [bought.phone_number, "+442071838750"]
    assert (page.has_more, following.has_more) == (True, False)

    call = await sdk.call.create_phone_call(from_number="+442071838750", to_number="+14155559901")
    assert call.agent_id == "agent_1", "the caller number's agent, without an override"
    await sdk.phone_number.delete("+442071838750")
    with pytest.raises(retell.UnprocessableEntityError):
        await sdk.phone_number.retrieve("+442071838750")


async def test_a_call_is_changed_and_deleted(served: tuple[AsyncRetell, Simulator]) -> None:
    sdk, _ = served
    call = await sdk.call.create_phone_call(**NUMBERS, metadata={"call_id": "c"})
    changed = await sdk.call.update(
        call.call_id,
        metadata={"call_id": "c", "note": 1},
        data_storage_setting="everything_except_pii",
        custom_attributes={"unknown": 1},
    )
    assert (changed.metadata, changed.data_storage_setting) == ({"call_id": "c", "note": 1}, "everything_except_pii")
    with pytest.raises(retell.BadRequestError, match="stricter"):
        await sdk.call.update(call.call_id, data_storage_setting="everything", metadata={})
    with pytest.raises(retell.BadRequestError, match="50 kB"):
        await sdk.call.update(call.call_id, metadata={"a": "x" * 50_000})
    assert (await sdk.call.retrieve(call.call_id)).metadata == {"call_id": "c", "note": 1}
    await sdk.call.delete(call.call_id)
    with pytest.raises(retell.UnprocessableEntityError):
        await sdk.call.retrieve(call.call_id)


async def test_a_web_call_has_a_token_and_no_numbers(served: tuple[AsyncRetell, Simulator]) -> None:
    sdk, simulator = served
    call = await sdk.call.create_web_call(agent_id="agent_simulator", metadata={"page": "home"})
    strictly(call)
    assert (call.transport, bool(call.access_token)) == ("gateway", True)
    registered = await sdk.call.retrieve(call.call_id)
    assert isinstance(strictly(registered), WebCallResponse)
    assert (registered.call_type, registered.call_status, registered.metadata) == (
        "web_call",
        "registered",
        {"page": "home"},
    )
    older = await sdk.post("/v2/create-web-call", body={"agent_id": "a"}, cast_to=WebCallResponse)
    assert (older.call_type, older.agent_id, bool(older.access_token)) == ("web_call", "a", True)
    await until(lambda: simulator.workspace.calls[call.call_id].analyzed)
    ended = await sdk.call.retrieve(call.call_id)
    assert (ended.call_status, ended.disconnection_reason) == ("error", "error_user_not_joined")
    assert "from_number" not in ended.model_dump(exclude_unset=True)
    listed = await sdk.call.list(filter_criteria={"call_type": {"type": "enum", "op": "in", "value": ["web_call"]}})
    assert {item.call_id for item in listed.items} == {call.call_id, older.call_id}


@pytest.mark.parametrize(
    ("number", "reason"), [(PLAIN, "registered_call_timeout"), ("+14155559901", "user_hangup"), (None, None)]
)
async def test_a_registered_call_times_out_unless_its_number_has_a_course(
    served: tuple[AsyncRetell, Simulator], number: str | None, reason: str | None
) -> None:
    sdk, simulator = served
    numbers: dict[str, Any] = {} if number is None else {"from_number": "+14155550100", "to_number": number}
    call = await sdk.call.register_phone_call(agent_id="agent_simulator", direction="inbound", **numbers)
    assert (call.call_type, call.direction, call.call_status) == ("phone_call", "inbound", "registered")
    await until(lambda: simulator.workspace.calls[call.call_id].analyzed)
    ended = await sdk.call.retrieve(call.call_id)
    assert ended.disconnection_reason == (reason or "registered_call_timeout")


async def test_a_batch_calls_its_tasks_and_the_list_finds_them(served: tuple[AsyncRetell, Simulator]) -> None:
    sdk, simulator = served
    tasks: Any = [{"to_number": f"+1415555{n:04}", "metadata": {"n": n}} for n in range(5)]
    batch = await sdk.batch_call.create_batch_call(from_number="+14155550100", tasks=tasks, name="Spring")
    assert isinstance(strictly(batch), BatchCallResponse)
    assert (batch.name, batch.total_task_count, batch.from_number) == ("Spring", 5, "+14155550100")
    await until(lambda: len(simulator.workspace.calls) == 5)
    wanted: Any = {"batch_call_id": {"type": "string", "op": "eq", "value": batch.batch_call_id}}
    listed = await sdk.call.list(filter_criteria=wanted, sort_order="ascending")
    assert [item.metadata for item in listed.items] == [{"n": n} for n in range(5)]
    bad: Any = [{"to_number": "5"}]
    with pytest.raises(retell.BadRequestError):
        await sdk.batch_call.create_batch_call(from_number="+14155550100", tasks=bad)


def batch(workspace: SimulatedWorkspace, **fields: Any) -> dict[str, Any]:
    """Create a batch of three calls and return it."""
    tasks = [{"to_number": f"+141555{n}9910"} for n in range(3)]
    status, body = asked(
        workspace, "POST", "/create-batch-call", {"from_number": "+14155550100", "tasks": tasks, **fields}
    )
    assert status == 201, body
    answer: dict[str, Any] = body
    return answer


def test_a_batch_keeps_the_rate_and_leaves_reserved_slots_free() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, calls_per_second=2.0, concurrency_limit=4))
    batch(workspace, reserved_concurrency=2)
    for _ in range(3):
        workspace.advance(START + timedelta(milliseconds=900))
    assert [call.created_ms - int(START.timestamp() * 1000) for call in workspace.calls.values()] == [0, 500]
    workspace.advance(START + timedelta(minutes=1))
    assert workspace.live == 2, "stays on the line for hours"
    assert workspace.stop_call(START + timedelta(minutes=1), next(iter(workspace.calls)))
    workspace.advance(START + timedelta(minutes=2))
    assert len(workspace.calls) == 3


def test_a_batch_waits_for_its_time_and_its_hours() -> None:
    # START is Monday, 11:00 in New York.
    workspace = SimulatedWorkspace(CONFIG)
    later = START + timedelta(hours=1)
    planned = batch(workspace, trigger_timestamp=later.timestamp() * 1000, call_time_window=HOURS)
    assert planned["scheduled_timestamp"] == later.timestamp() * 1000
    assert planned["call_time_window"]["timezone"] == "America/New_York"
    batch(workspace, call_time_window={**HOURS, "windows": [{"start": 13 * 60, "end": 14 * 60}]})
    batch(workspace, call_time_window={**HOURS, "day": ["Tuesday"]})
    workspace.advance(later - timedelta(seconds=1))
    assert workspace.calls == {}
    workspace.advance(later)
    assert len(workspace.calls) == 3
    workspace.advance(START + timedelta(hours=2))
    assert len(workspace.calls) == 6
    workspace.advance(START + timedelta(days=1))
    assert len(workspace.calls) == 9


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/create-batch-call", {"from_number": "+14155550100", "tasks": []}),
        ("/create-batch-call", {"from_number": "x", "tasks": [{"to_number": PLAIN}]}),
        ("/create-batch-call", {"from_number": "+14155550100", "tasks": [5]}),
        (
            "/create-batch-call",
            {"from_number": "+14155550100", "tasks": [{"to_number": PLAIN, "idempotency_key": "k"}]},
        ),
        (
            "/create-batch-call",
            {"from_number": "+14155550100", "tasks": [{"to_number": PLAIN}], "call_time_window": {"windows": []}},
        ),
        (
            "/create-batch-call",
            {
                "from_number": "+14155550100",
                "tasks": [{"to_number": PLAIN}],
                "call_time_window": {**HOURS, "timezone": "Mars/Olympus"},
            },
        ),
        ("/v3/create-web-call", {}),
        ("/v2/register-phone-call", {"direction": "up", "agent_id": "a"}),
        ("/create-agent", {"voice_id": "v"}),
        ("/create-agent", {"voice_id": "v", "response_engine": {}}),
        ("/create-phone-number", {"area_code": 5}),
        ("/create-phone-number", {"phone_number": "5"}),
        ("/import-phone-number", {"phone_number": "+14155550100"}),
        ("/import-phone-number", {"termination_uri": "sip.example.com"}),
    ],
)
def test_bodies_that_retell_would_reject_are_refused(path: str, body: dict[str, Any]) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    before = workspace.state()
    status, error = asked(workspace, "POST", path, body)
    assert (status, error["status"]) == (400, "error")
    assert {**workspace.state(), "requests": {}} == {**before, "requests": {}}
    assert [entry.reason for entry in workspace.ledger.read()] == ["invalid"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/get-agent/agent_none"),
        ("GET", "/get-agent/agent_simulator?version=7"),
        ("PATCH", "/update-agent/agent_none"),
        ("DELETE", "/delete-agent/agent_none"),
        ("GET", "/list-agent-versions/agent_none"),
        ("GET", "/get-phone-number/+15550000000"),
        ("PATCH", "/update-phone-number/+15550000000"),
        ("DELETE", "/delete-phone-number/+15550000000"),
        ("PATCH", "/v2/update-call/call_none"),
        ("PATCH", "/v2/update-live-call/call_none"),
        ("DELETE", "/v2/delete-call/call_none"),
        ("PUT", "/rerun-call-analysis/call_none"),
    ],
)
def test_an_unknown_asset_is_422(method: str, path: str) -> None:
    status, error = asked(SimulatedWorkspace(CONFIG), method, path, {} if method == "PATCH" else None)
    assert (status, error["message"]) == (422, "Cannot find requested asset under given api key.")


def test_a_live_call_takes_new_variables_only_while_it_is_connected() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    call = created(workspace, "+14155559910", retell_llm_dynamic_variables={"name": "Ann", "age": "5"})
    path = f"/v2/update-live-call/{call['call_id']}"
    body = {"fields_to_override": {"override_dynamic_variables": {"name": "Bob"}, "metadata": {"a": 1}}}
    assert asked(workspace, "PATCH", path, body)[0] == 422
    workspace.advance(START + timedelta(minutes=1))
    assert asked(workspace, "PATCH", path, body) == (200, {"success": True})
    found = asked(workspace, "GET", f"/v2/get-call/{call['call_id']}")[1]
    assert (found["retell_llm_dynamic_variables"], found["metadata"]) == ({"name": "Bob", "age": "5"}, {"a": 1})


def test_the_analysis_of_a_finished_call_comes_again_on_request() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    call = created(workspace, "+14155559911")
    path = f"/rerun-call-analysis/{call['call_id']}"
    assert asked(workspace, "PUT", path)[0] == 422
    workspace.advance(LATER)
    assert asked(workspace, "PUT", path, at=LATER)[0] == 200
    assert events(workspace.advance(LATER + timedelta(minutes=1))) == ["call_analyzed"]


def test_an_agent_has_its_own_webhook_and_its_own_events() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    fields = {
        "response_engine": ENGINE,
        "voice_id": "v",
        "agent_name": "Own",
        "webhook_url": "https://hooks.example.com/own",
        "webhook_events": ["call_ended"],
    }
    agent = asked(workspace, "POST", "/create-agent", fields)[1]
    created(workspace, "+14155559901", override_agent_id=agent["agent_id"])
    [webhook] = workspace.advance(LATER)
    assert (webhook.event, webhook.url) == ("call_ended", "https://hooks.example.com/own")
    assert call_in(webhook)["agent_name"] == "Own"


def test_what_a_call_names_exists_from_then_on() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, override_agent_id="agent_mine")
    assert asked(workspace, "GET", "/get-agent/agent_mine")[0] == 200
    assert [number["phone_number"] for number in asked(workspace, "GET", "/list-phone-numbers")[1]] == ["+14155550100"]
    assert len(asked(workspace, "GET", "/list-agents")[1]) == 2


async def test_the_recording_of_an_answered_call_is_a_wav_file(served: tuple[AsyncRetell, Simulator]) -> None:
    sdk, simulator = served
    answered = await sdk.call.create_phone_call(**NUMBERS)
    missed = await sdk.call.create_phone_call(**{**NUMBERS, "to_number": "+14155559911"})
    await until(lambda: all(call.analyzed for call in simulator.workspace.calls.values()))
    call = await sdk.call.retrieve(answered.call_id)
    assert call.recording_url is not None
    async with aiohttp.ClientSession() as session:
        async with session.get(call.recording_url) as response:
            assert (response.status, response.content_type) == (200, "audio/wav")
            content = await response.read()
        async with session.get(str(call.public_log_url)) as response:
            assert "ended: user_hangup" in await response.text()
        async with session.get(call.recording_url.replace(answered.call_id, missed.call_id)) as response:
            assert response.status == 404
    with wave.open(io.BytesIO(content)) as recording:
        assert (recording.getnchannels(), recording.getsampwidth(), recording.getframerate()) == (1, 2, 8000)
        length_s = recording.getnframes() / recording.getframerate()
        frames = recording.readframes(recording.getnframes())
    assert call.duration_ms is not None
    assert abs(length_s - min(12, call.duration_ms / 1000)) < 0.001
    assert len(set(frames)) > 100, "not silence"
    assert (await sdk.call.retrieve(missed.call_id)).recording_url is None
