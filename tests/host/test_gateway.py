"""Requests reach their function without the prefix, or get Supabase's errors; each one is recorded once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY
from outdial.clock import VirtualClock
from outdial.domain.ids import timestamp_of
from outdial.functions import HttpError, Response
from outdial.host.gateway.app import HostIdentity
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import (
    BootFailure,
    InvocationCompleted,
    InvocationFailure,
    InvocationOutcome,
    InvocationTimedOut,
    LimitExceeded,
    PoolOverloaded,
    WorkerCrashed,
)
from outdial.http import HttpResponse, RequestHead
from tests.support.gateway import EXECUTION_ID, GatewayHarness, answered, headers_of, make_harness, request_head

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ON_EVERY_ANSWER = {
    "access-control-allow-origin": "*",
    "x-served-by": "outdial-functions",
    "x-sb-edge-region": "eu-west-1",
    "sb-project-ref": "abcdefghijklmnopqrst",
    "sb-gateway-version": "1",
}


@pytest.fixture
async def harness() -> GatewayHarness:
    return make_harness(clock=VirtualClock(NOW), identity=HostIdentity("eu-west-1", "abcdefghijklmnopqrst"))


def says(outcome: InvocationOutcome) -> Callable[[Invocation], InvocationOutcome]:
    return lambda _: outcome


def body_of(answer: HttpResponse) -> dict[str, Any]:
    return dict(json.loads(answer.body))


async def test_a_function_sees_its_own_path_and_what_was_sent(harness: GatewayHarness) -> None:
    head = request_head("/functions/v1/hello/below/x%20y", "PUT", query="a=1&b=%20", content_type="text/plain")

    told = body_of(await harness.ask(head, b"the body"))

    assert told["path"] == "/hello/below/x%20y"
    assert (told["method"], told["query"], told["body"]) == ("PUT", "a=1&b=%20", "the body")
    assert told["headers"]["content-type"] == "text/plain"
    assert told["headers"]["x-forwarded-for"] == "192.0.2.7"


async def test_responses_name_the_host(harness: GatewayHarness) -> None:
    answer = await harness.ask(request_head())

    headers = headers_of(answer)
    assert headers.items() >= ON_EVERY_ANSWER.items()
    assert timestamp_of(UUID(headers["sb-request-id"])) == NOW
    assert headers["x-deno-execution-id"] == headers["sb-execution-id"] == EXECUTION_ID
    assert headers["content-type"] == "application/json"
    # No header appears twice, although worker and gateway both set some.
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names))


async def test_an_error_of_the_function_passes_unchanged(harness: GatewayHarness) -> None:
    error = HttpError(409, "CAMPAIGN_STATE", "The campaign is paused", status="paused")
    harness.catalogue.put("conflict", says(answered(Response.from_error(error))))

    answer = await harness.ask(request_head("/functions/v1/conflict"))

    assert answer.status == 409
    assert headers_of(answer)["sb-error-code"] == "CAMPAIGN_STATE"
    assert body_of(answer)["status"] == "paused"
    # The error is the function's own, not the host's.
    assert [(record.status, record.code) for record in harness.sink.invocations] == [(409, "")]


async def test_records_each_request_with_its_cost(harness: GatewayHarness) -> None:
    harness.catalogue.put("cold", says(answered(Response.json({"ok": True}), cold=True, cpu_us=1234)), version=7)

    answer = await harness.ask(request_head("/functions/v1/cold/x", query="token=secret"), b"12345")

    [record] = harness.sink.invocations
    assert record.at == NOW
    assert record.request_id == headers_of(answer)["sb-request-id"]
    assert (record.slug, record.version, record.execution_id) == ("cold", 7, EXECUTION_ID)
    assert (record.method, record.path, record.status, record.code) == ("POST", "/cold/x", 200, "")
    assert (record.cpu_us, record.cold, record.region) == (1234, True, "eu-west-1")
    assert (record.request_bytes, record.response_bytes) == (5, len(answer.body))
    assert 0 < record.ms < 60_000


@pytest.mark.parametrize(
    ("failure", "status", "execution_id"),
    [
        (PoolOverloaded(4, 128), 503, ""),
        (BootFailure("SyntaxError"), 503, ""),
        (WorkerCrashed("exit", EXECUTION_ID), 500, EXECUTION_ID),
        (LimitExceeded(resource="memory", limit=256, used=300, execution_id=EXECUTION_ID), 546, EXECUTION_ID),
        (InvocationTimedOut(300.0, EXECUTION_ID), 504, EXECUTION_ID),
    ],
)
async def test_a_failure_gets_an_error_response_and_a_record(
    harness: GatewayHarness, failure: InvocationFailure, status: int, execution_id: str
) -> None:
    harness.catalogue.put("bad", says(failure))

    answer = await harness.ask(request_head("/functions/v1/bad"))

    assert answer.status == status
    headers = headers_of(answer)
    assert headers.items() >= ON_EVERY_ANSWER.items()
    assert headers.get("x-deno-execution-id", "") == execution_id
    [record] = harness.sink.invocations
    assert (record.status, record.execution_id) == (status, execution_id)
    assert record.code == headers["sb-error-code"] == body_of(answer)["code"]


@pytest.mark.parametrize(
    ("head", "status", "code", "slug"),
    [
        (request_head("/functions/v1/nothing"), 404, "NOT_FOUND", ""),
        (request_head("/functions/v1/"), 404, "NOT_FOUND", ""),
        (request_head("/functions/v1/hello%2F"), 404, "NOT_FOUND", ""),
        (request_head(method="TRACE"), 405, "METHOD_NOT_ALLOWED", "hello"),
        (request_head(method="HEAD"), 405, "METHOD_NOT_ALLOWED", "hello"),
        (request_head(content_length="8388609"), 413, "BODY_TOO_LARGE", "hello"),
    ],
)
async def test_rejects_unroutable_requests_before_reading_the_body(
    harness: GatewayHarness, head: RequestHead, status: int, code: str, slug: str
) -> None:
    answer = harness.gateway.admit(head)

    assert isinstance(answer, HttpResponse)
    assert (answer.status, headers_of(answer)["sb-error-code"]) == (status, code)
    assert headers_of(answer).items() >= ON_EVERY_ANSWER.items()
    [record] = harness.sink.invocations
    assert (record.slug, record.execution_id, record.status, record.code) == (slug, "", status, code)


async def test_the_function_limits_the_body(harness: GatewayHarness) -> None:
    harness.catalogue.put("small", max_body=10)
    assert harness.gateway.admit(request_head("/functions/v1/small", content_length="10")) == 10
    assert harness.gateway.admit(request_head("/functions/v1/small", transfer_encoding="chunked")) == 10


async def test_applies_the_rate_limit_before_reading_the_body(harness: GatewayHarness) -> None:
    harness.catalogue.put("slow", rate_limit=5.0)

    admitted = [harness.gateway.admit(request_head("/functions/v1/slow")) for _ in range(8)]

    refused = [answer for answer in admitted if isinstance(answer, HttpResponse)]
    assert [answer.status for answer in refused] == [429, 429, 429]
    assert headers_of(refused[0])["retry-after"] == "1"
    assert body_of(refused[0])["limit_per_second"] == 5
    assert [record.code for record in harness.sink.invocations] == ["RATE_LIMIT_EXCEEDED"] * 3


async def test_preflights_reach_the_function_and_are_never_rejected(harness: GatewayHarness) -> None:
    pool = harness.catalogue.put("guarded", says(answered(Response(status=204))), verify_jwt=True, rate_limit=2.0)

    for _ in range(5):
        answer = await harness.ask(request_head("/functions/v1/guarded", "OPTIONS", origin="https://app.example.com"))
        assert answer.status == 204
        assert headers_of(answer)["access-control-allow-origin"] == "*"

    assert len(pool.invocations) == 2
    unknown = await harness.ask(request_head("/functions/v1/nothing", "OPTIONS"))
    assert unknown.status == 204


async def test_requires_a_token_if_the_function_does(harness: GatewayHarness) -> None:
    pool = harness.catalogue.put("guarded", verify_jwt=True)

    refused = await harness.ask(request_head("/functions/v1/guarded"))
    assert refused.status == 401
    assert body_of(refused)["code"] == "UNAUTHORIZED_NO_AUTH_HEADER"
    assert pool.invocations == []
    [record] = harness.sink.invocations
    assert (record.slug, record.execution_id, record.code) == ("guarded", "", "UNAUTHORIZED_NO_AUTH_HEADER")

    assert (await harness.ask(request_head("/functions/v1/guarded", apikey=LOCAL_PUBLISHABLE_KEY))).status == 200


async def test_a_version_deployed_during_the_check_gets_the_request(harness: GatewayHarness) -> None:
    former = harness.catalogue.put("guarded", verify_jwt=True)
    taking_over = harness.gateway.respond(request_head("/functions/v1/guarded", apikey=LOCAL_PUBLISHABLE_KEY), b"")
    check = harness.gateway._jwt_check.check

    async def swap_then_check(headers: Any) -> Any:
        harness.catalogue.put("guarded", version=4, verify_jwt=True)
        return await check(headers)

    harness.gateway._jwt_check.check = swap_then_check  # type: ignore[method-assign]
    assert (await taking_over).status == 200
    assert former.invocations == []
    assert [record.version for record in harness.sink.invocations] == [4]


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (200, [(b"a", b"b\r\n\r\nHTTP/1.1 200 OK\r\n")], "INVALID_RESPONSE_HEADERS"),
        (200, [(b"a:", b"b")], "INVALID_RESPONSE_HEADERS"),
        (101, [], "INVALID_RESPONSE_STATUS_CODE"),
        (99999, [], "INVALID_RESPONSE_STATUS_CODE"),
    ],
)
async def test_does_not_send_a_response_that_violates_http(
    harness: GatewayHarness, status: int, headers: list[tuple[bytes, bytes]], code: str
) -> None:
    harness.catalogue.put(
        "odd",
        says(
            InvocationCompleted(
                status=status, headers=headers, body=b"secret", cpu_us=1, execution_id=EXECUTION_ID, cold=False
            )
        ),
    )

    answer = await harness.ask(request_head("/functions/v1/odd"))

    assert (answer.status, body_of(answer)["code"]) == (500, code)
    assert b"secret" not in answer.body


async def test_an_exception_in_the_pool_becomes_a_500(harness: GatewayHarness) -> None:
    def surprise(_: Invocation) -> InvocationOutcome:
        raise RuntimeError("of the test")

    harness.catalogue.put("surprise", surprise)
    answer = await harness.ask(request_head("/functions/v1/surprise"))

    assert (answer.status, headers_of(answer)["sb-error-code"]) == (500, "INTERNAL_ERROR")
    assert b"of the test" not in answer.body
    assert [record.status for record in harness.sink.invocations] == [500]


async def test_rejects_plain_http_behind_a_proxy() -> None:
    harness = make_harness(behind_proxy=True)

    refused = await harness.ask(request_head(x_forwarded_proto="http"))
    assert (refused.status, body_of(refused)["code"]) == (403, "HTTPS_REQUIRED")
    sent_on = await harness.ask(
        request_head(method="GET", x_forwarded_proto="http", x_forwarded_host="api.example.com")
    )
    assert (sent_on.status, sent_on.headers) == (308, [(b"location", b"https://api.example.com/functions/v1/hello")])
    assert (await harness.ask(request_head(x_forwarded_proto="https"))).status == 200
    assert [record.status for record in harness.sink.invocations] == [403, 308, 200]


async def test_rejects_access_tokens_over_plain_http_but_not_probes() -> None:
    harness = make_harness(behind_proxy=True, management=Api())

    assert (await harness.ask(request_head("/v1/projects", x_forwarded_proto="http"))).status == 403
    assert (await harness.ask(request_head("/metrics", "GET", x_forwarded_proto="http"))).status == 308
    assert (
        await harness.ask(request_head("/functions/v1/_internal/health", "GET", x_forwarded_proto="http"))
    ).status == 200
    assert harness.sink.invocations == []


class Api:
    """A management API with one valid token."""

    def admit(self, head: RequestHead) -> int | HttpResponse:
        return 5

    async def handle(self, head: RequestHead, body: bytes) -> HttpResponse:
        return HttpResponse(201, [], head.path.encode() + body)

    async def may_read_metrics(self, token: str) -> bool:
        return token == "sbp_good"


async def test_a_function_that_cannot_be_served_gets_a_boot_error_and_health_names_it() -> None:
    harness = make_harness(down=["broken"])

    answer = await harness.ask(request_head("/functions/v1/broken/below"))
    assert (answer.status, body_of(answer)["code"]) == (503, "BOOT_ERROR")
    assert (await harness.ask(request_head("/functions/v1/broken", "OPTIONS"))).status == 204
    assert (await harness.ask(request_head("/functions/v1/nothing"))).status == 404
    health = await harness.ask(request_head("/functions/v1/_internal/health", "GET"))
    assert (health.status, body_of(health)) == (200, {"message": "degraded", "functions_down": ["broken"]})
    harness.operations.jwks_problem = lambda: "http://127.0.0.1:1: it does not respond in time"
    health = await harness.ask(request_head("/functions/v1/_internal/health", "GET"))
    assert body_of(health)["jwks"] == "http://127.0.0.1:1: it does not respond in time"
    assert body_of(health)["functions_down"] == ["broken"]


async def test_preflights_of_the_host_allow_every_header_that_a_page_asks_for(harness: GatewayHarness) -> None:
    harness.catalogue.put("bad", says(BootFailure("SyntaxError")))
    harness.catalogue.put("full", rate_limit=1.0)
    asked = {"access-control-request-headers": "x-custom, apikey"}
    await harness.ask(request_head("/functions/v1/full", "OPTIONS", **asked))  # the only one within its rate
    answers = [
        await harness.ask(request_head(f"/functions/v1/{path}", "OPTIONS", **asked))
        for path in ("bad", "nothing", "full", "_internal/health")
    ]

    assert [headers_of(answer)["access-control-allow-headers"] for answer in answers] == ["x-custom, apikey"] * 4


async def test_a_preflight_passes_although_the_function_does_not_start(harness: GatewayHarness) -> None:
    harness.catalogue.put("bad", says(BootFailure("SyntaxError")))

    answer = await harness.ask(request_head("/functions/v1/bad", "OPTIONS", origin="https://app.example.com"))

    assert answer.status == 204
    assert headers_of(answer).items() >= {**ON_EVERY_ANSWER, "access-control-allow-origin": "*"}.items()
    [record] = harness.sink.invocations
    assert (record.status, record.code) == (204, "BOOT_ERROR")


async def test_health_is_public(harness: GatewayHarness) -> None:
    for method in ("GET", "HEAD"):
        answer = await harness.ask(request_head("/functions/v1/_internal/health", method))
        assert (answer.status, answer.body) == (200, b'{"message":"ok"}')
    assert harness.sink.invocations == []


@pytest.mark.parametrize("path", ["/metrics", "/functions/v1/_internal/metric"])
async def test_metrics_require_this_machine_or_an_access_token(path: str) -> None:
    harness = make_harness(management=Api())

    async def status(client: str, token: str = "") -> int:
        return (await harness.ask(request_head(path, "GET", client=client, authorization=f"Bearer {token}"))).status

    assert await status("127.0.0.1") == await status("::1") == 200
    assert await status("192.0.2.7") == await status("192.0.2.7", "sbp_bad") == 401
    assert await status("192.0.2.7", "sbp_good") == 200
    # Web pages in a browser on this machine must not read them.
    answer = await harness.ask(request_head(path, "GET", client="127.0.0.1"))
    assert b"access-control" not in answer.headers


async def test_behind_a_proxy_no_request_counts_as_local() -> None:
    harness = make_harness(behind_proxy=True)
    assert (await harness.ask(request_head("/metrics", "GET", client="127.0.0.1"))).status == 401


async def test_serves_the_management_api_under_v1() -> None:
    harness = make_harness(management=Api())

    assert harness.gateway.admit(request_head("/v1/projects")) == 5
    assert (await harness.ask(request_head("/v1/projects"), b"!")).body == b"/v1/projects!"


async def test_without_a_management_api_v1_is_not_found(harness: GatewayHarness) -> None:
    for path in ("/v1/projects", "/", "/functions/v2/hello", "/functions/v1/_internal/other", "/rest/v1/x"):
        answer = await harness.ask(request_head(path, "GET"))
        assert (answer.status, headers_of(answer)["access-control-allow-origin"]) == (404, "*")
