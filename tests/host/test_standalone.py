"""A standalone function, as in a container, obeys its config.toml."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from outdial.clock import SystemClock
from outdial.functions import Context, Request, Response, Runtime, with_supabase
from outdial.functions.endpoint import Endpoint
from outdial.functions.loading import LoadedFunction
from outdial.functions.server import serving
from outdial.host.gateway.standalone import StandaloneApp
from outdial.host.wire.config import FunctionConfig

PATH = "/functions/v1/hello"
KEY = "sb_publishable_of_this_project"


@with_supabase(auth="none")
async def hello(request: Request, ctx: Context) -> Response:
    return Response(f"{len(await request.body())} bytes")


@asynccontextmanager
async def served(config: FunctionConfig, endpoint: Endpoint = hello) -> AsyncIterator[aiohttp.ClientSession]:
    runtime = Runtime.from_env({"SUPABASE_ANON_KEY": KEY}, SystemClock())
    async with (
        serving(StandaloneApp(LoadedFunction("hello", endpoint), config, runtime)) as url,
        aiohttp.ClientSession(url) as client,
    ):
        yield client


async def test_serves_its_slug_and_its_health() -> None:
    async with served(FunctionConfig(verify_jwt=False)) as client:
        async with client.post(PATH, data=b"12345") as response:
            assert (response.status, await response.text()) == (200, "5 bytes")
        async with client.get("/functions/v1/_internal/health") as response:
            assert (response.status, await response.json()) == (200, {"message": "ok"})


async def test_verify_jwt_requires_a_key_or_a_token() -> None:
    async with served(FunctionConfig()) as client:
        async with client.post(PATH) as response:
            assert response.status == 401
            assert response.headers["sb-error-code"] == "UNAUTHORIZED_NO_AUTH_HEADER"
            assert "sb-request-id" in response.headers
        async with client.post(PATH, headers={"apikey": "sb_publishable_of_another"}) as response:
            assert response.status == 401
        async with client.post(PATH, headers={"apikey": KEY}) as response:
            assert response.status == 200


async def test_preflights_and_health_checks_skip_key_and_rate_limit() -> None:
    async with served(FunctionConfig(rate_limit=0.001)) as client:
        for _ in range(3):
            async with client.options(PATH) as response:
                assert response.status == 204
            async with client.get("/functions/v1/_internal/health") as response:
                assert response.status == 200


async def test_exceeding_the_rate_limit_gets_429() -> None:
    async with served(FunctionConfig(verify_jwt=False, rate_limit=0.001, burst=2)) as client:
        statuses = []
        for _ in range(3):
            async with client.post(PATH) as response:
                statuses.append(response.status)
        assert statuses == [200, 200, 429]
        assert response.headers["sb-error-code"] == "RATE_LIMIT_EXCEEDED"


async def test_a_body_over_the_limit_gets_413() -> None:
    async with (
        served(FunctionConfig(verify_jwt=False, max_body=10)) as client,
        client.post(PATH, data=b"x" * 11) as response,
    ):
        assert response.status == 413


async def test_a_timeout_gets_504_and_cancels_the_function() -> None:
    cancelled = asyncio.Event()

    @with_supabase(auth="none")
    async def hangs(request: Request, ctx: Context) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response("never")

    async with (
        served(FunctionConfig(verify_jwt=False, wall_clock_s=0.05), hangs) as client,
        client.post(PATH) as response,
    ):
        assert response.status == 504
        assert (await response.json())["code"] == "IDLE_TIMEOUT"
        assert cancelled.is_set()


async def test_a_timeout_inside_the_function_is_its_own_error() -> None:
    @with_supabase(auth="none")
    async def impatient(request: Request, ctx: Context) -> Response:
        raise TimeoutError("of a peer")

    async with served(FunctionConfig(verify_jwt=False), impatient) as client, client.post(PATH) as response:
        assert (response.status, response.headers["sb-error-code"]) == (500, "EDGE_FUNCTION_ERROR")
