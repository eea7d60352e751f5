"""A pre-dial hook on this machine: it verifies each request and responds as the test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiohttp import web

from outdial.pre_dial.signature import HEADER, verify
from tests.support.factories import NOW, Tenant

SECRET = "whsec_of_the_hook_0123456789"
Respond = Callable[[Mapping[str, Any]], Any]


def allow_all(request: Mapping[str, Any]) -> Any:
    """Allow every call."""
    return {"results": [{"phone": call["phone"], "allow": True} for call in request["calls"]]}


def deny_all(request: Mapping[str, Any], reason: str = "on our own list") -> Any:
    """Deny every call."""
    return {"results": [{"phone": call["phone"], "allow": False, "reason": reason} for call in request["calls"]]}


@dataclass
class HookServer:
    """A running hook. `requests` are the bodies that it got, `phones` those that it allowed, by call id.

    `respond` makes the JSON of a response, or a whole `web.Response`; while `opened` is not set, no response is sent.
    """

    url: str = ""
    respond: Respond = allow_all
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)
    unsigned: int = 0
    arrivals: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Verify and record one request, and respond to it."""
        raw = await request.read()
        body = json.loads(raw)
        sent_at = int(request.headers[HEADER].partition(",")[0].removeprefix("t="))
        if not verify(raw, request.headers[HEADER], SECRET, sent_at):
            self.unsigned += 1
        self.requests.append(body)
        self.arrivals.put_nowait(None)
        await self.opened.wait()
        response = self.respond(body)
        if isinstance(response, web.StreamResponse):
            return response
        allowed = {one["phone"] for one in response.get("results", ()) if one.get("allow") is True}
        self.allowed |= {call["call_id"] for call in body["calls"] if call["phone"] in allowed}
        return web.json_response(response)


@asynccontextmanager
async def hook_server() -> AsyncIterator[HookServer]:
    """Run a hook that allows every call."""
    server = HookServer()
    server.opened.set()
    application = web.Application()
    application.router.add_post("/hook", server.handle)
    application.router.add_post("/elsewhere", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield server
    finally:
        server.opened.set()
        await runner.cleanup()


async def use_hook(connection: asyncpg.Connection, tenant: Tenant, url: str, secret: str = SECRET) -> None:
    """Set the hook of an organization."""
    await connection.execute(
        "insert into pre_dial_hooks (organization_id, url, secret, updated_at) values ($1, $2, $3, $4)",
        tenant.organization_id,
        url,
        secret,
        NOW,
    )
