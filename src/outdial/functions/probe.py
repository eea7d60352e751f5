"""Sends requests to a running stack and checks that both functions respond and reject bad input."""

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

# The same bytes each time, so that the ledger keeps a single row however often a stack is probed.
PROBE_EVENT = b'{"event":"call_started","call":{"call_id":"outdial_probe","call_type":"phone_call"}}'


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One check: the expected and the received status (None: no response), the duration, and the problem if any."""

    name: str
    expected: int
    got: int | None
    ok: bool
    ms: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _ProbeRequest:
    name: str
    expected: int
    path: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    code: str | None = None
    # Metrics must not be readable from a page in a browser.
    expects_cors: bool = True


_JSON = {"content-type": "application/json"}


async def probe(
    base_url: str, *, sign: Callable[[bytes], str], secret_key: str, local: bool = False
) -> list[ProbeResult]:
    """Check the stack at `base_url` (without /functions/v1) and return the results in order.

    `sign` returns the x-retell-signature of a body. `secret_key` is a secret or service-role key. A `local` host must
    also serve its metrics. The probe leaves one event, for the call `outdial_probe`, in the ledger, and starts
    campaigns that are due, as the stack would on its own schedule.
    """
    requests = _host_requests(local) + _webhook_requests(sign) + _trigger_requests(secret_key)
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        return [await _check(session, base_url.rstrip("/"), request) for request in requests]


def _host_requests(local: bool) -> list[_ProbeRequest]:
    origin = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    requests = [
        _ProbeRequest("health", 200, HEALTH, "GET"),
        _ProbeRequest("health by HEAD", 200, HEALTH, "HEAD"),
        _ProbeRequest(name="preflight", expected=204, path=PREFIX + TRIGGER, method="OPTIONS", headers=origin),
        _ProbeRequest(
            name="preflight of an unknown function",
            expected=204,
            path=PREFIX + _ABSENT,
            method="OPTIONS",
            headers=origin,
        ),
        _ProbeRequest("unknown function", 404, PREFIX + _ABSENT, body=b"{}", code="NOT_FOUND"),
    ]
    if local:
        requests.append(_ProbeRequest("metrics", 200, _METRICS, "GET", expects_cors=False))
    return requests


def _webhook_requests(sign: Callable[[bytes], str]) -> list[_ProbeRequest]:
    good = sign(PROBE_EVENT)
    bad = good[:-1] + ("0" if good[-1:] != "0" else "1")

    def request(
        name: str, expected: int, method: str = "POST", *, code: str | None = None, **headers: str
    ) -> _ProbeRequest:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = PROBE_EVENT if method == "POST" else None
        return _ProbeRequest(
            name=name,
            expected=expected,
            path=PREFIX + WEBHOOK,
            method=method,
            headers={**_JSON, **named},
            body=body,
            code=code,
        )

    return [
        request("good signature", 200, x_retell_signature=good),
        request("bad signature", 401, x_retell_signature=bad),
        request("no signature", 401),
        request("wrong method", 405, "PUT", x_retell_signature=good, code="METHOD_NOT_ALLOWED"),
    ]


def _trigger_requests(secret_key: str) -> list[_ProbeRequest]:
    key = {"apikey": secret_key}
    if not secret_key.startswith("sb_"):
        key["authorization"] = f"Bearer {secret_key}"

    def request(
        name: str, expected: int, body: bytes, headers: Mapping[str, str] = key, *, code: str | None = None
    ) -> _ProbeRequest:
        return _ProbeRequest(name, expected, PREFIX + TRIGGER, headers={**_JSON, **headers}, body=body, code=code)

    # A valid key must not rescue a bad token.
    bad_token = {"apikey": secret_key, "authorization": "Bearer not.a.token"}
    return [
        request("no credentials", 401, b"{}", {}),
        request("bad token", 401, b"{}", bad_token, code="UNAUTHORIZED_INVALID_JWT_FORMAT"),
        request("too large a body", 413, b" " * _TOO_MUCH, code="BODY_TOO_LARGE"),
        request("no JSON", 400, b"{", code="INVALID_JSON"),
        request("bad action", 400, b'{"action":"no_such_action"}'),
        request("missing campaign_id", 400, b'{"action":"start_campaign"}'),
        request("schedule_check", 200, b'{"action":"schedule_check"}'),
    ]


async def _check(session: aiohttp.ClientSession, base_url: str, request: _ProbeRequest) -> ProbeResult:
    url = base_url + request.path
    body = None if request.body is None else BytesIO(request.body)
    began = asyncio.get_running_loop().time()
    try:
        async with session.request(
            request.method, url, headers=request.headers, data=body, allow_redirects=False
        ) as response:
            content = await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"no response: {type(error).__name__}: {error}".rstrip(": ")
        return ProbeResult(
            name=request.name, expected=request.expected, got=None, ok=False, ms=_ms_since(began), detail=detail
        )
    took = _ms_since(began)
    detail = _find_problem(request, response, content)
    return ProbeResult(
        name=request.name, expected=request.expected, got=response.status, ok=not detail, ms=took, detail=detail
    )


def _ms_since(began: float) -> float:
    return (asyncio.get_running_loop().time() - began) * 1000


def _find_problem(request: _ProbeRequest, response: aiohttp.ClientResponse, body: bytes) -> str:
    headers = response.headers
    if response.status != request.expected:
        return body[:200].decode("utf-8", "replace") or "an empty body"
    if (headers.get("access-control-allow-origin") == "*") is not request.expects_cors:
        if request.expects_cors:
            return "the response has no CORS headers: a browser would hide it"
        return "the response has CORS headers: any page in a browser may read it"
    if request.code is None:
        return ""
    if headers.get("sb-error-code") != request.code:
        return f"sb-error-code is {headers.get('sb-error-code')}, not {request.code}"
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        fields = {}
    if fields.get("code") != request.code or not fields.get("error") or not fields.get("message"):
        return f"the body lacks error, code or message: {body[:200].decode('utf-8', 'replace')}"
    return ""
