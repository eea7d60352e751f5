"""supabase-js invokes our functions and raises each of its errors."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY
from tests.peers.conftest import FAILURES

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("invoke.mjs")

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(not (ROOT / "node_modules/@supabase/supabase-js").is_dir(), reason="npm ci has not been run"),
]


async def invoke(url: str, *calls: dict[str, Any], key: str = LOCAL_PUBLISHABLE_KEY) -> list[dict[str, Any]]:
    """Return the client's result of each call, in order."""
    process = await asyncio.create_subprocess_exec(
        "node", SCRIPT, url, key, json.dumps(calls), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return [dict(result) for result in json.loads(out)]


async def test_a_response_is_parsed_by_its_content_type(url: str) -> None:
    body = {"name": "Ada"}
    sent, text = await invoke(url, {"slug": "hello/below", "options": {"body": body}}, {"slug": "text"})

    assert json.loads(sent["data"]["body"]) == body
    assert (sent["data"]["method"], sent["data"]["path"]) == ("POST", "/hello/below")
    assert sent["data"]["headers"]["apikey"] == LOCAL_PUBLISHABLE_KEY
    assert text["data"] == "as text"


async def test_other_methods_and_headers_are_passed_on(url: str) -> None:
    [result] = await invoke(
        url, {"slug": "hello", "options": {"method": "PATCH", "headers": {"x-own": "1"}, "body": 1}}
    )
    assert (result["data"]["method"], result["data"]["headers"]["x-own"]) == ("PATCH", "1")


async def test_each_failure_is_an_http_error_with_its_body(url: str) -> None:
    result = await invoke(url, *({"slug": slug} for slug in FAILURES))

    for found, (_, status, code) in zip(result, FAILURES.values(), strict=True):
        assert (found["error"], found["status"]) == ("FunctionsHttpError", status)
        assert json.loads(found["body"])["code"] == found["headers"]["sb-error-code"] == code


async def test_refusals_of_the_function_and_the_gateway_are_http_errors(url: str) -> None:
    refused = {"slug": "guarded", "options": {"headers": {"Authorization": "Bearer not.a.token"}}}
    own, unknown, rejected, passed, _, limited = await invoke(
        url, {"slug": "conflict"}, {"slug": "nothing"}, refused, {"slug": "guarded"}, *[{"slug": "limited"}] * 2
    )

    assert [found["error"] for found in (own, unknown, rejected, limited)] == ["FunctionsHttpError"] * 4
    assert [found["status"] for found in (own, unknown, rejected, limited)] == [409, 404, 401, 429]
    assert json.loads(own["body"])["status"] == "paused"
    assert json.loads(unknown["body"])["message"] == "Requested function was not found"
    assert json.loads(rejected["body"])["code"] == "UNAUTHORIZED_INVALID_JWT_FORMAT"
    assert int(limited["headers"]["retry-after"]) >= 1
    assert "data" in passed


async def test_an_unreachable_region_is_a_relay_error(url: str) -> None:
    here, away = await invoke(
        url,
        {"slug": "hello", "options": {"region": "eu-west-1"}},
        {"slug": "hello", "options": {"region": "us-east-1"}},
    )

    assert here["data"]["query"] == "forceFunctionRegion=eu-west-1"
    assert (away["error"], away["status"]) == ("FunctionsRelayError", 502)
    assert json.loads(away["body"])["code"] == "REGION_UNREACHABLE"


async def test_an_unreachable_host_is_a_fetch_error() -> None:
    [result] = await invoke("http://127.0.0.1:1", {"slug": "hello"})
    assert result["error"] == "FunctionsFetchError"
