"""A hook that is late, lies or cannot be read decides about no call."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from aiohttp import web

from outdial.pre_dial.client import HookClient, HookDecided, HookEndpoint, HookFailure
from outdial.pre_dial.messages import DENIED, LONGEST_REASON, CallClearance, CallToClear, ClearanceRequest
from tests.support.factories import NOW
from tests.support.hooks import SECRET, HookServer, hook_server
from tests.support.ports import reserved_port

CALLS = (CallToClear(UUID(int=1), "+14155550101"), CallToClear(UUID(int=2), "+14155550102"))
REQUEST = ClearanceRequest(
    organization_id=UUID(int=8), campaign_id=UUID(int=9), purpose="sales", calls=CALLS, sent_at=NOW
)
ONE, TWO = (call.phone for call in CALLS)


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with hook_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[HookClient]:
    client = HookClient(allow_private=True)
    yield client
    await client.close()


@pytest.fixture
async def impatient() -> AsyncIterator[HookClient]:
    client = HookClient(allow_private=True, timeout_s=0.5)
    yield client
    await client.close()


async def failure(client: HookClient, url: str) -> str:
    response = await client.ask(HookEndpoint(url, SECRET), REQUEST)
    assert isinstance(response, HookFailure), response
    assert SECRET not in response.reason
    assert not any(call.phone in response.reason for call in CALLS)
    return response.reason


async def test_the_hook_gets_one_signed_request_about_the_whole_batch(client: HookClient, hook: HookServer) -> None:
    response = await client.ask(HookEndpoint(hook.url, SECRET), REQUEST)
    assert response == HookDecided({call.call_id: CallClearance(True, "") for call in CALLS})
    assert hook.unsigned == 0
    assert hook.requests == [
        {
            "organization_id": str(UUID(int=8)),
            "campaign_id": str(UUID(int=9)),
            "purpose": "sales",
            "sent_at": NOW.isoformat().replace("+00:00", "Z"),
            "calls": [{"call_id": str(call.call_id), "phone": call.phone} for call in CALLS],
        }
    ]


async def test_each_call_is_allowed_or_denied_with_a_masked_reason(client: HookClient, hook: HookServer) -> None:
    hook.respond = lambda _: {
        "results": [
            {"phone": TWO, "allow": False, "reason": "line one\nline\x00 two \u202e" + "x" * 1000},
            {"phone": ONE, "allow": True, "reason": None, "unknown": 1},
        ]
    }
    response = await client.ask(HookEndpoint(hook.url, SECRET), REQUEST)
    assert isinstance(response, HookDecided)
    assert response.clearances[UUID(int=1)] == CallClearance(True, "")
    denied = response.clearances[UUID(int=2)]
    assert denied.reason.startswith("line one line  two  xxx")
    assert (denied.allow, denied.reason.isprintable(), len(denied.reason)) == (False, True, LONGEST_REASON)
    hook.respond = lambda _: {
        "results": [{"phone": ONE, "allow": False}, {"phone": TWO, "allow": False, "reason": " "}]
    }
    response = await client.ask(HookEndpoint(hook.url, SECRET), REQUEST)
    assert isinstance(response, HookDecided)
    assert {clearance.reason for clearance in response.clearances.values()} == {DENIED}


BOTH = [{"phone": ONE, "allow": True}, {"phone": TWO, "allow": True}]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"results": BOTH[:1]}, "no result for 1 of 2 phones"),
        ({"results": []}, "no result for 2 of 2 phones"),
        ({"results": [*BOTH, {"phone": ONE, "allow": False}]}, "two results for one phone"),
        ({"results": [*BOTH, {"phone": "+14155550199", "allow": True}]}, "phones that were not asked about"),
        ({"results": [{"phone": ONE, "allow": "true"}, BOTH[1]]}, "Expected `bool`, got `str`"),
        ({"results": [{"phone": ONE, "allow": 1}, BOTH[1]]}, "Expected `bool`, got `int`"),
        ({"results": [{"phone": ONE}, BOTH[1]]}, "missing required field `allow`"),
        ({"results": {ONE: True, TWO: True}}, "Expected `array`, got `object`"),
        ([], "Expected `object`, got `array`"),
        (web.Response(text="yes"), "not as documented"),
        (web.Response(body=b'{"results":[{"phone":"\xff","allow":true}]}'), "not as documented"),
        (web.Response(body=b"[" * 30_000), "not as documented"),
        (web.Response(status=204), "not as documented"),
        (web.Response(status=500, text=json.dumps({"results": BOTH})), "HTTP 500"),
        (web.Response(status=307, headers={"location": "/elsewhere"}), "HTTP 307"),
        (web.Response(text=" " * 70_000 + json.dumps({"results": BOTH})), "longer than 69632 bytes"),
    ],
)
async def test_nonsense_decides_about_no_call(
    client: HookClient, hook: HookServer, response: object, reason: str
) -> None:
    hook.respond = lambda _: response if isinstance(response, web.Response) else web.json_response(response)
    assert reason in await failure(client, hook.url)
    assert len(hook.requests) == 1, "neither repeated nor redirected"


async def test_a_compressed_response_is_not_read(client: HookClient, hook: HookServer) -> None:
    def respond(_: object) -> web.Response:
        response = web.json_response({"results": BOTH})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    hook.respond = respond
    assert "not as documented" in await failure(client, hook.url)


async def test_a_late_response_counts_for_nothing(impatient: HookClient, hook: HookServer) -> None:
    hook.opened.clear()
    assert await failure(impatient, hook.url) == "no response within 0.5 s"


async def test_a_body_that_trickles_is_late_too(impatient: HookClient) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.wait_for(reader.read(65536), 0.05)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    reason = await failure(impatient, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    server.close()
    assert reason in ("no response within 0.5 s", "no connection: ClientPayloadError")


async def test_an_unreachable_hook_fails(client: HookClient) -> None:
    with reserved_port() as port:
        assert await failure(client, f"http://127.0.0.1:{port}/") == "no connection: ClientConnectorError"


async def test_nothing_is_sent_while_the_caller_holds_a_transaction(hook: HookServer) -> None:
    def refuse() -> None:
        raise RuntimeError("a transaction is open")

    client = HookClient(allow_private=True, guard=refuse)
    with pytest.raises(RuntimeError, match="transaction"):
        await client.ask(HookEndpoint(hook.url, SECRET), REQUEST)
    assert not hook.requests


async def test_the_secret_is_in_no_representation() -> None:
    assert SECRET not in repr(HookEndpoint("https://hook.example.com", SECRET))
