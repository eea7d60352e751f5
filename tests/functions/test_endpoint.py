"""What the wrapper answers for a function, over real HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.functions import Context, HttpError, Request, Response, with_supabase

Serve = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession]]


class Greeting(msgspec.Struct):
    name: str
    times: int = 1


@with_supabase(auth="none", methods=["POST"])
async def echo(request: Request, ctx: Context) -> Response:
    return Response.json({"path": request.path, "query": request.query, "body": await request.json()})


@with_supabase(auth="none", methods=["POST"])
async def greet(request: Request, ctx: Context) -> Response:
    greeting = await request.json(Greeting)
    return Response("hello " + greeting.name, headers={"X-Times": str(greeting.times)})


@with_supabase(auth="none", methods=["POST"], max_body=100)
async def measure(request: Request, ctx: Context) -> Response:
    first, again = await request.body(), await request.body()
    assert first is again
    return Response.json({"bytes": len(first)})


@with_supabase(auth=["user", "secret"])
async def guarded(request: Request, ctx: Context) -> Response:
    return Response.json({"mode": ctx.auth_mode, "user": ctx.user and ctx.user.id, "claims": dict(ctx.claims)})


@with_supabase(auth="none")
async def refuse(request: Request, ctx: Context) -> Response:
    raise HttpError(409, "WRONG_STATE", "The campaign is paused", state="paused", id=UUID(int=1), odd=object)


@with_supabase(auth="none")
async def fail(request: Request, ctx: Context) -> Response:
    raise RuntimeError("the private reason")


@with_supabase(auth="none")
async def forget(request: Request, ctx: Context) -> Response:
    return {"no": "response"}  # type: ignore[return-value]


@with_supabase(auth="none")
async def split(request: Request, ctx: Context) -> Response:
    return Response("", headers={"location": "/\r\nset-cookie: a=b"})


@with_supabase(auth="none")
async def own_cors(request: Request, ctx: Context) -> Response:
    return Response(b"\x00", status=201, headers={"Access-Control-Allow-Origin": "https://app.example.com"})


@with_supabase(auth="none", allow_headers=["authorization", "x-order"])
async def listed(request: Request, ctx: Context) -> Response:
    return Response("")


EVERY = {
    "echo": echo,
    "greet": greet,
    "measure": measure,
    "guarded": guarded,
    "refuse": refuse,
    "fail": fail,
    "forget": forget,
    "split": split,
}


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve(own_cors=own_cors, listed=listed, **EVERY) as session:
        yield session


async def error_of(response: aiohttp.ClientResponse) -> tuple[int, str, dict[str, Any]]:
    body = await response.json()
    assert body["error"] == body["message"]
    assert response.headers["sb-error-code"] == body["code"]
    return response.status, body["code"], body


def assert_cors(response: aiohttp.ClientResponse) -> None:
    assert response.headers["access-control-allow-origin"] == "*"
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert exposed == ["sb-error-code", "sb-request-id", "retry-after", "x-relay-error"]
    assert "apikey" in response.headers["access-control-allow-headers"].split(", ")
    assert "POST" in response.headers["access-control-allow-methods"].split(", ")
    assert UUID(response.headers["sb-request-id"]).version == 7


async def test_a_preflight_succeeds_on_every_route_without_credentials(client: aiohttp.ClientSession) -> None:
    for path in [*EVERY, "echo/below", "unknown", "_internal/health"]:
        async with client.options(path, headers={"origin": "https://app.example.com"}) as response:
            assert (path, response.status, await response.read()) == (path, 204, b"")
            assert_cors(response)


async def test_a_preflight_allows_every_header_that_a_page_asks_for(client: aiohttp.ClientSession) -> None:
    asked = "x-custom, authorization,X-Another"
    for path in ("echo", "unknown"):
        async with client.options(path, headers={"access-control-request-headers": asked}) as response:
            assert response.headers["access-control-allow-headers"] == asked
            assert response.headers["vary"] == "access-control-request-headers"
    for malformed in ("", "a b", "x" * 2_001, "x-ok, \u00e9", "a,,b"):
        async with client.options("echo", headers={"access-control-request-headers": malformed}) as response:
            assert_cors(response)


async def test_a_function_may_name_the_only_headers_that_pages_may_send(client: aiohttp.ClientSession) -> None:
    async with client.options("listed", headers={"access-control-request-headers": "x-custom"}) as response:
        assert response.headers["access-control-allow-headers"] == "authorization, x-order"


async def test_every_response_has_cors_headers_and_a_request_id(client: aiohttp.ClientSession) -> None:
    seen = set()
    for path in [*EVERY, "unknown", "_internal/health"]:
        for method in ["GET", "POST", "PATCH"]:
            async with client.request(method, path, data=b"{") as response:
                assert_cors(response)
                seen.add(response.status)

    assert seen == {200, 400, 401, 404, 405, 409, 500}


async def test_a_functions_own_header_replaces_the_standing_one(client: aiohttp.ClientSession) -> None:
    async with client.get("own_cors") as response:
        assert response.status == 201
        assert response.headers.getall("access-control-allow-origin") == ["https://app.example.com"]
        assert response.content_type == "application/octet-stream"


async def test_a_function_sees_its_path_query_and_body(client: aiohttp.ClientSession) -> None:
    async with client.post("echo/a/b?x=1&y=&x=2", json={"é": [1, None]}) as response:
        assert await response.json() == {"path": "/echo/a/b", "query": {"x": "2", "y": ""}, "body": {"é": [1, None]}}
        assert response.content_type == "application/json"


async def test_a_wrong_method_gets_the_allowed_ones(client: aiohttp.ClientSession) -> None:
    async with client.get("echo") as response:
        assert (await error_of(response))[:2] == (405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000])
async def test_a_body_that_is_not_json_is_400(body: bytes, client: aiohttp.ClientSession) -> None:
    async with client.post("echo", data=body) as response:
        status, code, error = await error_of(response)

    assert (status, code) == (400, "INVALID_JSON")
    assert error["message"].startswith("Send a JSON document as the body")


async def test_a_body_of_the_wrong_shape_names_the_field(client: aiohttp.ClientSession) -> None:
    async with client.post("greet", json={"name": "Ada", "times": "two"}) as response:
        status, code, error = await error_of(response)

    assert (status, code) == (400, "INVALID_BODY")
    assert "$.times" in error["message"]


async def test_a_body_of_the_right_shape_is_converted(client: aiohttp.ClientSession) -> None:
    async with client.post("greet", json={"name": "Zoë", "times": 3}) as response:
        assert await response.text() == "hello Zoë"
        assert response.headers["x-times"] == "3"
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


async def test_a_body_within_the_bound_is_read_however_it_is_sent(client: aiohttp.ClientSession) -> None:
    for body in (b"x" * 100, chunks(10)):
        async with client.post("measure", data=body) as response:
            assert await response.json() == {"bytes": 100}


async def test_a_body_over_the_bound_is_refused_however_it_is_sent(client: aiohttp.ClientSession) -> None:
    for body in (b"x" * 101, chunks(11), b"x" * 300_000):
        async with client.post("measure", data=body) as response:
            assert (await error_of(response))[:2] == (413, "BODY_TOO_LARGE")


async def test_denied_callers_never_reach_the_function(client: aiohttp.ClientSession) -> None:
    async with client.post("guarded") as response:
        assert (await error_of(response))[:2] == (401, "MISSING_CREDENTIALS")
    async with client.post("guarded", headers={"authorization": "Bearer a.b.c"}) as response:
        assert (await error_of(response))[:2] == (401, "UNAUTHORIZED_INVALID_JWT_FORMAT")


async def test_the_function_sees_the_authenticated_caller(client: aiohttp.ClientSession) -> None:
    async with client.post("guarded", headers={"apiKey": LOCAL_SECRET_KEY}) as response:
        assert await response.json() == {"mode": "secret", "user": None, "claims": {"role": "service_role"}}


async def test_an_http_error_carries_its_fields_in_the_body(client: aiohttp.ClientSession) -> None:
    async with client.get("refuse") as response:
        status, code, body = await error_of(response)

    assert (status, code, body["message"]) == (409, "WRONG_STATE", "The campaign is paused")
    assert (body["state"], body["id"]) == ("paused", str(UUID(int=1)))


@pytest.mark.parametrize("path", ["fail", "forget", "split"])
async def test_an_exception_is_logged_in_full_and_hidden_from_the_caller(
    path: str, client: aiohttp.ClientSession, lines: Any
) -> None:
    async with client.get(path) as response:
        status, code, body = await error_of(response)
        request_id = response.headers["sb-request-id"]

    assert (status, code) == (500, "EDGE_FUNCTION_ERROR")
    assert set(body) == {"error", "code", "message", "request_id"}
    assert body["request_id"] == request_id
    assert "private" not in str(body)
    [line] = [line for line in lines.lines if line["event"] == "functions.failed"]
    assert (line["function"], line["request_id"]) == (path, request_id)
    assert "Traceback" in line["traceback"]


def test_auth_is_required() -> None:
    with pytest.raises(ValueError, match="needs an auth mode"):
        with_supabase(auth=[])(echo.handler)
    with pytest.raises(ValueError, match="is not an auth mode"):
        with_supabase(auth="everybody")(echo.handler)
