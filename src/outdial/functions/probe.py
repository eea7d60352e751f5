"""Asks a running stack the questions whose answers tell that both functions are there and guard themselves."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
import msgspec

from outdial.functions.paths import HEALTH, PREFIX
from outdial.functions.request import MIB

WEBHOOK = "retell-webhook"
TRIGGER = "campaign-trigger"
_ABSENT = "outdial-probe-no-such-function"
_METRICS = "/metrics"
# One byte more than campaign-trigger takes.
_TOO_MUCH = MIB + 1
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
    path: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    code: str | None = None
    # Numbers are for operators, and not for pages in a browser.
    for_browsers: bool = True


_JSON = {"content-type": "application/json"}


async def probe(
    base_url: str, *, sign: Callable[[bytes], str], secret_key: str, local: bool = False
) -> list[ProbeResult]:
    """Ask the stack at `base_url` (without /functions/v1) and return what it answered, in order.

    `sign` returns the x-retell-signature of a body; `secret_key` is a secret or service-role key; a `local` host is
    also asked for its metrics, which others do not tell. The stack keeps one event, of the call `outdial_probe`, and
    starts the campaigns whose time has come, as it would by itself.
    """
    questions = _host_questions(local) + _webhook_questions(sign) + _trigger_questions(secret_key)
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        return [await _ask(session, base_url.rstrip("/"), question) for question in questions]


def _host_questions(local: bool) -> list[_Question]:
    origin = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    questions = [
        _Question("health", 200, HEALTH, "GET"),
        _Question("health, asked by HEAD", 200, HEALTH, "HEAD"),
        _Question("preflight", 204, PREFIX + TRIGGER, "OPTIONS", origin),
        _Question("preflight of an unknown function", 204, PREFIX + _ABSENT, "OPTIONS", origin),
        _Question("unknown function", 404, PREFIX + _ABSENT, body=b"{}", code="NOT_FOUND"),
    ]
    if local:
        questions.append(_Question("metrics", 200, _METRICS, "GET", for_browsers=False))
    return questions


def _webhook_questions(sign: Callable[[bytes], str]) -> list[_Question]:
    good = sign(PROBE_EVENT)
    bad = good[:-1] + ("0" if good[-1:] != "0" else "1")

    def ask(name: str, expected: int, method: str = "POST", *, code: str | None = None, **headers: str) -> _Question:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = PROBE_EVENT if method == "POST" else None
        return _Question(name, expected, PREFIX + WEBHOOK, method, {**_JSON, **named}, body, code)

    return [
        ask("good signature", 200, x_retell_signature=good),
        ask("bad signature", 401, x_retell_signature=bad),
        ask("no signature", 401),
        ask("wrong method", 405, "PUT", x_retell_signature=good, code="METHOD_NOT_ALLOWED"),
    ]


def _trigger_questions(secret_key: str) -> list[_Question]:
    key = {"apikey": secret_key}
    if not secret_key.startswith("sb_"):
        key["authorization"] = f"Bearer {secret_key}"

    def ask(
        name: str, expected: int, body: bytes, headers: Mapping[str, str] = key, *, code: str | None = None
    ) -> _Question:
        return _Question(name, expected, PREFIX + TRIGGER, headers={**_JSON, **headers}, body=body, code=code)

    # A good key beside a bad token must not help.
    bad_token = {"apikey": secret_key, "authorization": "Bearer not.a.token"}
    return [
        ask("no credentials", 401, b"{}", {}),
        ask("bad token", 401, b"{}", bad_token, code="UNAUTHORIZED_INVALID_JWT_FORMAT"),
        ask("too large a body", 413, b" " * _TOO_MUCH, code="BODY_TOO_LARGE"),
        ask("no JSON", 400, b"{", code="INVALID_JSON"),
        ask("bad action", 400, b'{"action":"no_such_action"}'),
        ask("missing campaign_id", 400, b'{"action":"start_campaign"}'),
        ask("schedule_check", 200, b'{"action":"schedule_check"}'),
    ]


async def _ask(session: aiohttp.ClientSession, base_url: str, question: _Question) -> ProbeResult:
    url = base_url + question.path
    body = None if question.body is None else BytesIO(question.body)
    began = asyncio.get_running_loop().time()
    try:
        async with session.request(
            question.method, url, headers=question.headers, data=body, allow_redirects=False
        ) as response:
            answer = await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"no answer: {type(error).__name__}: {error}".rstrip(": ")
        return ProbeResult(question.name, question.expected, None, False, _ms_since(began), detail)
    took = _ms_since(began)
    detail = _oddity(question, response, answer)
    return ProbeResult(question.name, question.expected, response.status, not detail, took, detail)


def _ms_since(began: float) -> float:
    return (asyncio.get_running_loop().time() - began) * 1000


def _oddity(question: _Question, response: aiohttp.ClientResponse, body: bytes) -> str:
    headers = response.headers
    if response.status != question.expected:
        return body[:200].decode("utf-8", "replace") or "an empty body"
    if (headers.get("access-control-allow-origin") == "*") is not question.for_browsers:
        if question.for_browsers:
            return "the answer carries no CORS headers: a browser would hide it"
        return "the answer carries CORS headers: any page in a browser may read it"
    if question.code is not None and headers.get("sb-error-code") != question.code:
        return f"sb-error-code is {headers.get('sb-error-code')}, not {question.code}"
    if question.code is not None and not _tells(body, question.code):
        return f"the body does not tell error, code and message: {body[:200].decode('utf-8', 'replace')}"
    return ""


def _tells(body: bytes, code: str) -> bool:
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return False
    return told.get("code") == code and bool(told.get("error")) and bool(told.get("message"))
