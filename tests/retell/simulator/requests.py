"""Helpers that send single requests to a simulated workspace."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.endpoints.exchange import SimulatedRequest, SimulatedResponse
from outdial.retell.simulator.endpoints.routing import handle
from outdial.retell.simulator.workspace import DueWebhook, SimulatedWorkspace

START = datetime(2026, 5, 4, 15, 0, tzinfo=UTC)
LATER = START + timedelta(hours=3)
CONFIG = SimulatorConfig(seed=0, calls_per_second=None, concurrency_limit=1000)
PLAIN = "+14155550142"


def asking(
    workspace: SimulatedWorkspace,
    to: str = PLAIN,
    *,
    at: datetime = START,
    key: str | None = "key_simulator",
    **fields: Any,
) -> SimulatedResponse:
    """Send create-phone-call and return the response."""
    body = {"from_number": "+14155550100", "to_number": to, **fields}
    authorization = None if key is None else f"Bearer {key}"
    request = SimulatedRequest("POST", "/v2/create-phone-call", msgspec.json.encode(body), authorization, at, at)
    return handle(workspace, request)


def created(workspace: SimulatedWorkspace, to: str = PLAIN, *, at: datetime = START, **fields: Any) -> dict[str, Any]:
    """Create a call and return it."""
    given = asking(workspace, to, at=at, **fields)
    assert given.status == 201, given
    call: dict[str, Any] = json.loads(given.body)
    return call


def asked(
    workspace: SimulatedWorkspace, method: str, path: str, body: Any = None, *, at: datetime = START
) -> tuple[int, Any]:
    """Send any request and return the status and the decoded body."""
    raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    path, _, query = path.partition("?")
    given = handle(workspace, SimulatedRequest(method, path, raw, "Bearer key_simulator", at, at, query))
    return given.status, json.loads(given.body or b"null")


def events(webhooks: list[DueWebhook]) -> list[str]:
    """Return the names of the events in order."""
    return [webhook.event for webhook in webhooks]


def call_in(webhook: DueWebhook) -> dict[str, Any]:
    """Return the call that a webhook carries."""
    payload = json.loads(webhook.body)
    assert payload["event"] == webhook.event
    call: dict[str, Any] = payload["call"]
    return call


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, at most until the timeout of the test."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.005)
