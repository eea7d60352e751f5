"""Retell's API over a simulated workspace: validation, filters and errors."""

import json
from datetime import timedelta
from typing import Any

import pytest

from outdial.retell.simulator.workspace import SimulatedWorkspace
from tests.retell.simulator.requests import CONFIG, LATER, PLAIN, START, asked, asking, created


@pytest.mark.parametrize(
    "fields",
    [
        {"to_number": "4155550142"},
        {"to_number": "+0155550142"},
        {"to_number": "+1415555014x"},
        {"to_number": PLAIN + "\n"},
        {"to_number": None},
        {"to_number": 14155550142},
        {"from_number": "caller"},
        {"from_number": None},
        {"retell_llm_dynamic_variables": {"age": 5}},
        {"retell_llm_dynamic_variables": ["a"]},
        {"override_agent_id": 5},
        {"idempotency_key": 5},
    ],
)
def test_a_body_that_retell_would_reject_is_refused(fields: dict[str, Any]) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    body = {"from_number": "+14155550100", "to_number": PLAIN, **fields}
    status, error = asked(workspace, "POST", "/v2/create-phone-call", body)
    assert (status, error["status"]) == (400, "error")
    assert error["message"].startswith("Invalid request format")
    assert [entry.reason for entry in workspace.ledger.read()] == ["invalid"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"to_number":"+14155550142"}'])
def test_a_body_that_is_not_a_request_is_refused(body: bytes) -> None:
    assert asked(SimulatedWorkspace(CONFIG), "POST", "/v2/create-phone-call", body)[0] == 400
    assert asked(SimulatedWorkspace(CONFIG), "POST", "/v3/list-calls", body or b"x")[0] == 400


def test_e164_may_be_ignored_for_the_target_only() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, "sip-user-5", ignore_e164_validation=True)
    assert asking(workspace, from_number="x", ignore_e164_validation=True).status == 400


@pytest.mark.parametrize("key", [None, "", "other", "key_simulator "])
def test_a_wrong_key_is_refused_everywhere(key: str | None) -> None:
    given = asking(SimulatedWorkspace(CONFIG), key=key)
    assert given.status == 401
    assert json.loads(given.body) == {"status": "error", "message": "API key is missing or invalid."}


def test_unknown_paths_and_calls_are_refused() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    assert asked(workspace, "GET", "/v2/get-call/call_none")[0] == 422
    assert asked(workspace, "POST", "/v2/stop-call/call_none")[0] == 422
    for path in ("/", "/v2/get-call/", "/v2/get-call/a/b", "/v2/create-phone-calls"):
        assert asked(workspace, "GET", path)[0] == 404
    assert asked(workspace, "GET", "/v2/create-phone-call")[0] == 405


def test_a_live_call_is_stopped_once() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    call = created(workspace, "+14155559910")
    workspace.advance(START + timedelta(minutes=1))
    path = f"/v2/stop-call/{call['call_id']}"
    assert asked(workspace, "POST", path, at=START + timedelta(minutes=2)) == (204, None)
    assert asked(workspace, "POST", path, at=START + timedelta(minutes=3))[0] == 422
    events = [webhook.event for webhook in workspace.advance(LATER)]
    assert events == ["call_ended", "call_analyzed"]
    found = asked(workspace, "GET", f"/v2/get-call/{call['call_id']}")[1]
    assert found["disconnection_reason"] == "manual_stopped"
    assert found["end_timestamp"] == (START + timedelta(minutes=2)).timestamp() * 1000


def test_a_ringing_call_can_be_stopped_too() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    call = created(workspace, "+14155559912")
    assert asked(workspace, "POST", f"/v2/stop-call/{call['call_id']}")[0] == 204
    assert [webhook.event for webhook in workspace.advance(LATER)] == ["call_ended", "call_analyzed"]


def test_the_key_can_be_probed() -> None:
    assert set(asked(SimulatedWorkspace(CONFIG), "GET", "/get-api-key-info")[1]) == {
        "org_id",
        "org_name",
        "api_key_name",
    }


@pytest.fixture
def populated() -> SimulatedWorkspace:
    workspace = SimulatedWorkspace(CONFIG)
    for line, digits in enumerate(["9901", "9911", "9903", "9910", "9911"]):
        created(
            workspace,
            f"+1415555{digits}",
            at=START + timedelta(seconds=line),
            metadata={"line": str(line), "group": "even" if line % 2 == 0 else "odd"},
            retell_llm_dynamic_variables={"first_name": f"Name {line}"},
        )
    workspace.advance(START + timedelta(hours=1))
    return workspace


def lines(workspace: SimulatedWorkspace, **criteria: Any) -> list[str]:
    status, page = asked(workspace, "POST", "/v3/list-calls", {"filter_criteria": criteria})
    assert status == 200, page
    return [item["metadata"]["line"] for item in page["items"]]


def text(op: str, value: str, **more: str) -> dict[str, Any]:
    return {"type": "string", "op": op, "value": value, **more}


def test_calls_are_found_by_each_filter(populated: SimulatedWorkspace) -> None:
    ids = list(populated.calls)
    assert lines(populated) == ["4", "3", "2", "1", "0"]
    assert lines(populated, metadata=[text("eq", "3", key="line")]) == ["3"]
    assert lines(populated, metadata=[text("eq", "none", key="line")]) == []
    assert lines(populated, metadata=[text("eq", "x", key="missing")]) == []
    assert lines(populated, metadata=[text("ne", "even", key="group"), text("ne", "1", key="line")]) == ["3"]
    assert lines(populated, dynamic_variables=[text("ew", " 2", key="first_name")]) == ["2"]
    assert lines(populated, to_number=text("sw", "+14155559911")) == ["4", "1"]
    assert lines(populated, to_number=text("co", "990")) == ["2", "0"]
    assert lines(populated, call_id=text("eq", ids[2])) == ["2"]
    assert lines(populated, call_id={"type": "enum", "op": "in", "value": ids[:2]}) == ["1", "0"]
    assert lines(populated, call_status={"type": "enum", "op": "in", "value": ["ongoing"]}) == ["3"]
    assert lines(populated, call_status={"type": "enum", "op": "in", "value": ["not_connected"]}) == ["4", "1"]
    assert lines(populated, disconnection_reason={"type": "enum", "op": "in", "value": ["voicemail_reached"]}) == ["2"]
    assert lines(populated, start_timestamp={"type": "present", "op": "np"}) == ["4", "1"]
    assert lines(populated, duration_ms={"type": "number", "op": "ge", "value": 12_000.0})[0] == "2"
    hour = [START.timestamp() * 1000, LATER.timestamp() * 1000]
    assert lines(populated, start_timestamp={"type": "range", "op": "bt", "value": hour}) == ["3", "2", "0"]


@pytest.mark.parametrize(
    "body",
    [
        {"filter_criteria": {"colour": text("eq", "red")}},
        {"filter_criteria": {"metadata": text("eq", "x", key="line")}},
        {"filter_criteria": {"to_number": "x"}},
        {"filter_criteria": {"to_number": {"type": "string", "op": "like", "value": "x"}}},
        {"filter_criteria": {"to_number": {"type": "enum", "op": "in", "value": "x"}}},
        {"filter_criteria": {"call_status": {"type": "enum", "op": "in", "value": ["registered"]}}},
        {"filter_criteria": {"start_timestamp": {"type": "range", "op": "bt", "value": [1]}}},
        {"limit": 0},
        {"limit": 1001},
        {"skip": 1, "pagination_key": "x"},
        {"sort_order": "sideways"},
        {"unknown": 1},
    ],
)
def test_an_unknown_filter_is_refused(body: dict[str, Any], populated: SimulatedWorkspace) -> None:
    assert asked(populated, "POST", "/v3/list-calls", body)[0] == 400


def test_pages_follow_each_other_without_gap_or_overlap(populated: SimulatedWorkspace) -> None:
    seen: list[str] = []
    body: dict[str, Any] = {"limit": 2, "sort_order": "ascending", "include_total": True}
    while True:
        page = asked(populated, "POST", "/v3/list-calls", body)[1]
        assert page["total"] == 5
        seen += [item["metadata"]["line"] for item in page["items"]]
        if not page["has_more"]:
            break
        body["pagination_key"] = page["pagination_key"]
    assert seen == ["0", "1", "2", "3", "4"]
    page = asked(populated, "POST", "/v3/list-calls", {"limit": 1, "skip": 4})[1]
    assert ([item["metadata"]["line"] for item in page["items"]], page["has_more"]) == (["0"], False)


def test_listed_calls_carry_no_transcript(populated: SimulatedWorkspace) -> None:
    items = asked(populated, "POST", "/v3/list-calls", {})[1]["items"]
    assert not any({"transcript", "transcript_object"} & set(item) for item in items)
    full = asked(populated, "GET", f"/v2/get-call/{items[-1]['call_id']}")[1]
    assert full["transcript"]
