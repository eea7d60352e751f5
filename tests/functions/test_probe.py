"""The probe finds what is wrong with a stack, and nothing wrong with a good one."""

import hashlib
import hmac
from contextlib import AbstractAsyncContextManager

import pytest

from outdial.auth import local_service_role_jwt
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_SECRET_KEY
from outdial.clock import SystemClock
from outdial.functions import Context, Endpoint, HttpError, Request, Response, Runtime, with_supabase
from outdial.functions.loading import LoadedFunction
from outdial.functions.probe import ProbeResult, probe
from outdial.functions.server import FunctionApp, serving


def sign(body: bytes) -> str:
    return hmac.new(b"secret-of-this-test", body, hashlib.sha256).hexdigest()


@with_supabase(auth="none", methods=["POST"])
async def webhook(request: Request, ctx: Context) -> Response:
    if request.headers.get("x-retell-signature") != sign(await request.body()):
        raise HttpError(401, "INVALID_SIGNATURE", "The signature does not match")
    return Response.json({"success": True})


@with_supabase(auth=["user", "secret"], methods=["POST"])
async def trigger(request: Request, ctx: Context) -> Response:
    if (await request.json())["action"] != "schedule_check":
        raise HttpError(400, "INVALID_ACTION", "No such action")
    return Response.json({"success": True})


@with_supabase(auth="none", methods=["POST"])
async def careless(request: Request, ctx: Context) -> Response:
    return Response.json({"success": True})


def stack(webhook: Endpoint, trigger: Endpoint) -> AbstractAsyncContextManager[str]:
    functions = {"retell-webhook": webhook, "campaign-trigger": trigger}
    env = {"SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET, "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY}
    runtime = Runtime.from_env(env, SystemClock())
    return serving(FunctionApp({slug: LoadedFunction(slug, endpoint) for slug, endpoint in functions.items()}, runtime))


@pytest.mark.parametrize("key", [LOCAL_SECRET_KEY, local_service_role_jwt()])
async def test_a_good_stack_passes_every_check(key: str) -> None:
    async with stack(webhook, trigger) as url:
        results = await probe(url, sign=sign, secret_key=key)

    assert [result for result in results if not result.ok] == []
    assert [result.name for result in results] == [
        "health",
        "health by HEAD",
        "preflight",
        "preflight of an unknown function",
        "unknown function",
        "good signature",
        "bad signature",
        "no signature",
        "wrong method",
        "no credentials",
        "bad token",
        "too large a body",
        "no JSON",
        "bad action",
        "missing campaign_id",
        "schedule_check",
    ]


async def test_a_stack_that_checks_nothing_fails_where_it_should() -> None:
    async with stack(careless, careless) as url:
        results = await probe(url, sign=sign, secret_key=LOCAL_SECRET_KEY)

    failed = {result.name: (result.expected, result.got) for result in results if not result.ok}
    assert failed == {
        "bad signature": (401, 200),
        "no signature": (401, 200),
        "no credentials": (401, 200),
        "bad token": (401, 200),
        "no JSON": (400, 200),
        "bad action": (400, 200),
        "missing campaign_id": (400, 200),
    }


async def test_an_unreachable_stack_fails_every_check() -> None:
    results = await probe("http://127.0.0.1:1", sign=sign, secret_key=LOCAL_SECRET_KEY)

    assert all(result.got is None and not result.ok for result in results)
    assert isinstance(results[0], ProbeResult)
    assert results[0].detail.startswith("no response: ClientConnectorError")
