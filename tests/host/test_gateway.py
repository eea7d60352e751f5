"""Each request reaches its function with the prefix gone, or is refused as on Supabase; each ends in one record."""

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
from tests.support.gateway import EXECUTION_ID, Stand, answered, asking, headers_of, make_stand

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ON_EVERY_ANSWER = {
    "access-control-allow-origin": "*",
    "x-served-by": "outdial-functions",
    "x-sb-edge-region": "eu-west-1",
    "sb-project-ref": "abcdefghijklmnopqrst",
    "sb-gateway-version": "1",
}


@pytest.fixture
async def stand() -> Stand:
    return make_stand(clock=VirtualClock(NOW), identity=HostIdentity("eu-west-1", "abcdefghijklmnopqrst"))


def says(outcome: InvocationOutcome) -> Callable[[Invocation], InvocationOutcome]:
    return lambda _: outcome


def body_of(answer: HttpResponse) -> dict[str, Any]:
    return dict(json.loads(answer.body))


async def test_a_function_sees_its_own_path_and_what_was_sent(stand: Stand) -> None:
    head = asking("/functions/v1/hello/below/x%20y", "PUT", query="a=1&b=%20", content_type="text/plain")

    told = body_of(await stand.ask(head, b"the body"))

    assert told["path"] == "/hello/below/x%20y"
    assert (told["method"], told["query"], told["body"]) == ("PUT", "a=1&b=%20", "the body")
    assert told["headers"]["content-type"] == "text/plain"
    assert told["headers"]["x-forwarded-for"] == "192.0.2.7"


async def test_responses_name_the_host(stand: Stand) -> None:
    answer = await stand.ask(asking())

    headers = headers_of(answer)
    assert headers.items() >= ON_EVERY_ANSWER.items()
    assert timestamp_of(UUID(headers["sb-request-id"])) == NOW
    assert headers["x-deno-execution-id"] == headers["sb-execution-id"] == EXECUTION_ID
    assert headers["content-type"] == "application/json"
    # Nothing is there twice, though worker and gateway both write it.
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names))


async def test_an_error_of_the_function_passes_unchanged(stand: Stand) -> None:
    error = HttpError(409, "CAMPAIGN_STATE", "The campaign is paused", status="paused")
    stand.shelf.put("conflict", says(answered(Response.from_error(error))))

    answer = await stand.ask(asking("/functions/v1/conflict"))

    assert answer.status == 409
    assert headers_of(answer)["sb-error-code"] == "CAMPAIGN_STATE"
    assert body_of(answer)["status"] == "paused"
    # It is the function's own: the host refused nothing.
    assert [(record.status, record.code) for record in stand.sink.invocations] == [(409, "")]


async def test_records_each_request_with_its_cost(stand: Stand) -> None:
    stand.shelf.put("cold", says(answered(Response.json({"ok": True}), cold=True, cpu_us=1234)), version=7)

    answer = await stand.ask(asking("/functions/v1/cold/x", query="token=secret"), b"12345")

    [record] = stand.sink.invocations
    assert record.at == NOW
    assert record.request_id == headers_of(answer)["sb-request-id"]
    assert (record.slug, record.version, record.execution_id) == ("cold", 7, EXECUTION_ID)
    assert (record.method, record.path, record.status, record.code) == ("POST", "/cold/x", 200, "")
    assert (record.cpu_us, record.cold, record.region) == (1234, True, "eu-west-1")
    assert (record.request_bytes, record.response_bytes) == (5, len(answer.body))
    assert 0 < record.ms < 1000


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
    stand: Stand, failure: InvocationFailure, status: int, execution_id: str
) -> None:
    stand.shelf.put("bad", says(failure))

    answer = await stand.ask(asking("/functions/v1/bad"))

    assert answer.status == status
    headers = headers_of(answer)
    assert headers.items() >= ON_EVERY_ANSWER.items()
    assert headers.get("x-deno-execution-id", "") == execution_id
    [record] = stand.sink.invocations
    assert (record.status, record.execution_id) == (status, execution_id)
    assert record.code == headers["sb-error-code"] == body_of(answer)["code"]


@pytest.mark.parametrize(
    ("head", "status", "code", "slug"),
    [
        (asking("/functions/v1/nothing"), 404, "NOT_FOUND", ""),
        (asking("/functions/v1/"), 404, "NOT_FOUND", ""),
        (asking("/functions/v1/hello%2F"), 404, "NOT_FOUND", ""),
        (asking(method="TRACE"), 405, "METHOD_NOT_ALLOWED", "hello"),
        (asking(method="HEAD"), 405, "METHOD_NOT_ALLOWED", "hello"),
        (asking(content_length="8388609"), 413, "BODY_TOO_LARGE", "hello"),
    ],
)
async def test_rejects_unroutable_requests_before_reading_the_body(
    stand: Stand, head: RequestHead, status: int, code: str, slug: str
) -> None:
    answer = stand.gateway.admit(head)

    assert isinstance(answer, HttpResponse)
    assert (answer.status, headers_of(answer)["sb-error-code"]) == (status, code)
    assert headers_of(answer).items() >= ON_EVERY_ANSWER.items()
    [record] = stand.sink.invocations
    assert (record.slug, record.execution_id, record.status, record.code) == (slug, "", status, code)


async def test_the_function_limits_the_body(stand: Stand) -> None:
    stand.shelf.put("small", max_body=10)
    assert stand.gateway.admit(asking("/functions/v1/small", content_length="10")) == 10
    assert stand.gateway.admit(asking("/functions/v1/small", transfer_encoding="chunked")) == 10


async def test_applies_the_rate_limit_before_reading_the_body(stand: Stand) -> None:
    stand.shelf.put("slow", rate_limit=5.0)

    admitted = [stand.gateway.admit(asking("/functions/v1/slow")) for _ in range(8)]

    refused = [answer for answer in admitted if isinstance(answer, HttpResponse)]
    assert [answer.status for answer in refused] == [429, 429, 429]
    assert headers_of(refused[0])["retry-after"] == "1"
    assert body_of(refused[0])["limit_per_second"] == 5
    assert [record.code for record in stand.sink.invocations] == ["RATE_LIMIT_EXCEEDED"] * 3


async def test_preflights_reach_the_function_and_are_never_rejected(stand: Stand) -> None:
    pool = stand.shelf.put("guarded", says(answered(Response(status=204))), verify_jwt=True, rate_limit=2.0)

    for _ in range(5):
        answer = await stand.ask(asking("/functions/v1/guarded", "OPTIONS", origin="https://app.example.com"))
        assert answer.status == 204
        assert headers_of(answer)["access-control-allow-origin"] == "*"

    assert len(pool.invocations) == 2
    unknown = await stand.ask(asking("/functions/v1/nothing", "OPTIONS"))
    assert unknown.status == 204


async def test_requires_a_token_if_the_function_does(stand: Stand) -> None:
    pool = stand.shelf.put("guarded", verify_jwt=True)

    refused = await stand.ask(asking("/functions/v1/guarded"))
    assert refused.status == 401
    assert body_of(refused)["code"] == "UNAUTHORIZED_NO_AUTH_HEADER"
    assert pool.invocations == []
    [record] = stand.sink.invocations
    assert (record.slug, record.execution_id, record.code) == ("guarded", "", "UNAUTHORIZED_NO_AUTH_HEADER")

    assert (await stand.ask(asking("/functions/v1/guarded", apikey=LOCAL_PUBLISHABLE_KEY))).status == 200


async def test_a_version_deployed_during_the_check_gets_the_request(stand: Stand) -> None:
    former = stand.shelf.put("guarded", verify_jwt=True)
    taking_over = stand.gateway.respond(asking("/functions/v1/guarded", apikey=LOCAL_PUBLISHABLE_KEY), b"")
    check = stand.gateway._jwt_check.check

    async def swap_then_check(headers: Any) -> Any:
        stand.shelf.put("guarded", version=4, verify_jwt=True)
        return await check(headers)

    stand.gateway._jwt_check.check = swap_then_check  # type: ignore[method-assign]
    assert (await taking_over).status == 200
    assert former.invocations == []
    assert [record.version for record in stand.sink.invocations] == [4]


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
    stand: Stand, status: int, headers: list[tuple[bytes, bytes]], code: str
) -> None:
    stand.shelf.put(
        "odd",
        says(
            InvocationCompleted(
                status=status, headers=headers, body=b"secret", cpu_us=1, execution_id=EXECUTION_ID, cold=False
            )
        ),
    )

    answer = await stand.ask(asking("/functions/v1/odd"))

    assert (answer.status, body_of(answer)["code"]) == (500, code)
    assert b"secret" not in answer.body


async def test_an_exception_in_the_pool_becomes_a_500(stand: Stand) -> None:
    def surprise(_: Invocation) -> InvocationOutcome:
        raise RuntimeError("of the test")

    stand.shelf.put("surprise", surprise)
    answer = await stand.ask(asking("/functions/v1/surprise"))

    assert (answer.status, headers_of(answer)["sb-error-code"]) == (500, "INTERNAL_ERROR")
    assert b"of the test" not in answer.body
    assert [record.status for record in stand.sink.invocations] == [500]


async def test_rejects_plain_http_behind_a_proxy() -> None:
    stand = make_stand(behind_proxy=True)

    refused = await stand.ask(asking(x_forwarded_proto="http"))
    assert (refused.status, body_of(refused)["code"]) == (403, "HTTPS_REQUIRED")
    sent_on = await stand.ask(asking(method="GET", x_forwarded_proto="http", x_forwarded_host="api.example.com"))
    assert (sent_on.status, sent_on.headers) == (308, [(b"location", b"https://api.example.com/functions/v1/hello")])
    assert (await stand.ask(asking(x_forwarded_proto="https"))).status == 200
    assert [record.status for record in stand.sink.invocations] == [403, 308, 200]


async def test_rejects_access_tokens_over_plain_http_but_not_probes() -> None:
    stand = make_stand(behind_proxy=True, management=Api())

    assert (await stand.ask(asking("/v1/projects", x_forwarded_proto="http"))).status == 403
    assert (await stand.ask(asking("/metrics", "GET", x_forwarded_proto="http"))).status == 308
    assert (await stand.ask(asking("/functions/v1/_internal/health", "GET", x_forwarded_proto="http"))).status == 200
    assert stand.sink.invocations == []


class Api:
    """A management API that knows one token."""

    def admit(self, head: RequestHead) -> int | HttpResponse:
        return 5

    async def handle(self, head: RequestHead, body: bytes) -> HttpResponse:
        return HttpResponse(201, [], head.path.encode() + body)

    async def is_valid_token(self, token: str) -> bool:
        return token == "sbp_good"


async def test_health_is_public(stand: Stand) -> None:
    for method in ("GET", "HEAD"):
        answer = await stand.ask(asking("/functions/v1/_internal/health", method))
        assert (answer.status, answer.body) == (200, b'{"message":"ok"}')
    assert stand.sink.invocations == []


@pytest.mark.parametrize("path", ["/metrics", "/functions/v1/_internal/metric"])
async def test_metrics_require_this_machine_or_an_access_token(path: str) -> None:
    stand = make_stand(management=Api())

    async def status(client: str, token: str = "") -> int:
        return (await stand.ask(asking(path, "GET", client=client, authorization=f"Bearer {token}"))).status

    assert await status("127.0.0.1") == await status("::1") == 200
    assert await status("192.0.2.7") == await status("192.0.2.7", "sbp_bad") == 401
    assert await status("192.0.2.7", "sbp_good") == 200
    # A page in a browser on this machine may not read them.
    answer = await stand.ask(asking(path, "GET", client="127.0.0.1"))
    assert b"access-control" not in answer.headers


async def test_behind_a_proxy_no_request_counts_as_local() -> None:
    stand = make_stand(behind_proxy=True)
    assert (await stand.ask(asking("/metrics", "GET", client="127.0.0.1"))).status == 401


async def test_serves_the_management_api_under_v1() -> None:
    stand = make_stand(management=Api())

    assert stand.gateway.admit(asking("/v1/projects")) == 5
    assert (await stand.ask(asking("/v1/projects"), b"!")).body == b"/v1/projects!"


async def test_without_a_management_api_v1_is_not_found(stand: Stand) -> None:
    for path in ("/v1/projects", "/", "/functions/v2/hello", "/functions/v1/_internal/other", "/rest/v1/x"):
        answer = await stand.ask(asking(path, "GET"))
        assert (answer.status, headers_of(answer)["access-control-allow-origin"]) == (404, "*")
