"""Asks a running stack the questions whose answers tell that both functions are there and guard themselves."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

WEBHOOK = "retell-webhook"
TRIGGER = "campaign-trigger"
_ABSENT = "outdial-probe-no-such-function"
_TIMEOUT = aiohttp.ClientTimeout(total=15)

# The same bytes each time: the ledger keeps one row of them, however often a stack is probed.
PROBE_EVENT = b'{"event":"call_started","call":{"call_id":"outdial_probe","call_type":"phone_call"}}'


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One question: the status expected and got (None: no answer), the time it took, and what was odd about it."""

    name: str
    expected: int
    got: int | None
    ok: bool
    ms: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    expected: int
    slug: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    code: str | None = None


async def probe(base_url: str, *, sign: Callable[[bytes], str], secret_key: str) -> list[ProbeResult]:
    """Ask the stack at `base_url` (without /functions/v1) and return what it answered, in order.

    `sign` returns the x-retell-signature of a body; `secret_key` is a secret or service-role key. The stack keeps one
    event, of the call `outdial_probe`, and starts the campaigns whose time has come, as it would by itself.
    """
    questions = _webhook_questions(sign) + _trigger_questions(secret_key)
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        return [await _ask(session, base_url.rstrip("/"), question) for question in questions]


def _webhook_questions(sign: Callable[[bytes], str]) -> list[_Question]:
    origin = {"origin": "https://app.example.com", "access-control-request-method": "POST"}

    def signed(signature: str) -> dict[str, str]:
        return {"content-type": "application/json", "x-retell-signature": signature}

    good = sign(PROBE_EVENT)
    bad = good[:-1] + ("0" if good[-1:] != "0" else "1")
    return [
        _Question("preflight", 204, TRIGGER, "OPTIONS", origin),
        _Question("good signature", 200, WEBHOOK, headers=signed(good), body=PROBE_EVENT),
        _Question("bad signature", 401, WEBHOOK, headers=signed(bad), body=PROBE_EVENT),
        _Question("no signature", 401, WEBHOOK, headers={"content-type": "application/json"}, body=PROBE_EVENT),
        _Question("unknown function", 404, _ABSENT, body=b"{}", code="NOT_FOUND"),
    ]


def _trigger_questions(secret_key: str) -> list[_Question]:
    headers = {"content-type": "application/json", "apikey": secret_key}
    if not secret_key.startswith("sb_"):
        headers["authorization"] = f"Bearer {secret_key}"

    def ask(name: str, expected: int, body: dict[str, Any]) -> _Question:
        return _Question(name, expected, TRIGGER, headers=headers, body=msgspec.json.encode(body))

    return [
        _Question("no credentials", 401, TRIGGER, headers={"content-type": "application/json"}, body=b"{}"),
        ask("bad action", 400, {"action": "no_such_action"}),
        ask("missing campaign_id", 400, {"action": "start_campaign"}),
        ask("schedule_check", 200, {"action": "schedule_check"}),
    ]


async def _ask(session: aiohttp.ClientSession, base_url: str, question: _Question) -> ProbeResult:
    url = f"{base_url}/functions/v1/{question.slug}"
    began = asyncio.get_running_loop().time()
    try:
        async with session.request(
            question.method, url, headers=question.headers, data=question.body, allow_redirects=False
        ) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"no answer: {type(error).__name__}: {error}".rstrip(": ")
        return ProbeResult(question.name, question.expected, None, False, _ms_since(began), detail)
    took = _ms_since(began)
    detail = _oddity(question, response, body)
    return ProbeResult(question.name, question.expected, response.status, not detail, took, detail)


def _ms_since(began: float) -> float:
    return (asyncio.get_running_loop().time() - began) * 1000


def _oddity(question: _Question, response: aiohttp.ClientResponse, body: bytes) -> str:
    if response.status != question.expected:
        return body[:200].decode("utf-8", "replace") or "an empty body"
    if response.headers.get("access-control-allow-origin") != "*":
        return "the answer carries no CORS headers: a browser would hide it"
    if question.code is not None and response.headers.get("sb-error-code") != question.code:
        return f"sb-error-code is {response.headers.get('sb-error-code')}, not {question.code}"
    return ""
