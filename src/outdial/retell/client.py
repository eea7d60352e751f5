"""The few questions that Outdial asks Retell's API, each answered with a closed type."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import UUID

import msgspec

from outdial.retell.errors import NotSent, TransportFailed
from outdial.retell.responses import (
    Ambiguous,
    CallFound,
    CallMissing,
    CallsListed,
    Concurrency,
    Placed,
    RefusalKind,
    Refused,
    Stopped,
    Unavailable,
)
from outdial.retell.transport import BASE_URL, HttpTransport, Transport
from outdial.retell.wire import CallPayload, Malformed, Reply, parse_call

MAX_MESSAGE: Final = 500

_REFUSALS: Final = {
    400: RefusalKind.contact,
    401: RefusalKind.account,
    402: RefusalKind.account,
    403: RefusalKind.account,
    429: RefusalKind.capacity,
}
_AMBIGUOUS: Final = frozenset({408, 409})
_MISSING: Final = frozenset({404, 422})


class _Listing(msgspec.Struct):
    items: list[msgspec.Raw]
    has_more: bool = False


class _Concurrency(msgspec.Struct):
    current_concurrency: int
    concurrency_limit: int
    reserved_inbound_concurrency: int | None = None
    concurrency_burst_limit: int | None = None


class RetellClient:
    """Asks one question at a time and repeats none: what to do about an answer is the caller's matter."""

    def __init__(self, transport: Transport, *, timeout: timedelta = timedelta(seconds=20)) -> None:
        self._transport = transport
        self._timeout_s = timeout.total_seconds()

    @classmethod
    def connect(
        cls,
        api_key: str,
        base_url: str = BASE_URL,
        *,
        timeout: timedelta = timedelta(seconds=20),
        connections: int = 100,
        guard: Callable[[], None] | None = None,
    ) -> Self:
        """Return a client over HTTP; to be called inside a running event loop (see HttpTransport)."""
        transport = HttpTransport(api_key, base_url=base_url, connections=connections, guard=guard)
        return cls(transport, timeout=timeout)

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def create_phone_call(self, body: bytes) -> Placed | Refused | Ambiguous:
        """POST /v2/create-phone-call with the body that `create_call_body` made, exactly once."""
        try:
            reply = await self._send("POST", "/v2/create-phone-call", body)
        except NotSent as error:
            return Refused(RefusalKind.unreachable, None, error.reason)
        except TransportFailed as error:
            return Ambiguous(error.reason)
        return _placing(reply)

    async def get_call(self, retell_call_id: str) -> CallFound | CallMissing | Unavailable:
        """GET /v2/get-call/{id}."""
        reply = await self._ask("GET", f"/v2/get-call/{quote(retell_call_id, safe='')}")
        if isinstance(reply, Unavailable):
            return CallMissing() if reply.status in _MISSING else reply
        call = parse_call(reply.body)
        if isinstance(call, Malformed) or call.call_id != retell_call_id:
            return Unavailable("the answer is not the call that was asked for", reply.status)
        return CallFound(call, reply.body)

    async def list_calls(self, *, metadata_key: str, metadata_value: str, limit: int = 50) -> CallsListed | Unavailable:
        """POST /v3/list-calls for the calls that carry this metadata; `limit` is 1 to 1000.

        An answer with calls that do not carry it is no answer: the absence of a call must be certain.
        """
        wanted = {"type": "string", "op": "eq", "key": metadata_key, "value": metadata_value}
        body = {"filter_criteria": {"metadata": [wanted]}, "sort_order": "descending", "limit": limit}
        reply = await self._ask("POST", "/v3/list-calls", msgspec.json.encode(body))
        if isinstance(reply, Unavailable):
            return reply
        try:
            listing = msgspec.json.decode(reply.body, type=_Listing)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Unavailable("the answer is not a list of calls", reply.status)
        calls = tuple(_carrying(listing, metadata_key, metadata_value))
        if len(calls) != len(listing.items):
            return Unavailable("the list holds calls that were not asked for", reply.status)
        return CallsListed(calls, listing.has_more)

    async def get_concurrency(self) -> Concurrency | Unavailable:
        """GET /get-concurrency."""
        reply = await self._ask("GET", "/get-concurrency")
        if isinstance(reply, Unavailable):
            return reply
        try:
            read = msgspec.json.decode(reply.body, type=_Concurrency)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Unavailable("the answer does not tell the concurrency", reply.status)
        return Concurrency(
            current=read.current_concurrency,
            limit=read.concurrency_limit,
            reserved_inbound=read.reserved_inbound_concurrency or 0,
            burst_limit=read.concurrency_burst_limit or 0,
        )

    async def stop_call(self, retell_call_id: str) -> Stopped | CallMissing | Unavailable:
        """POST /v2/stop-call/{id}: ends a live call, which then reads `manual_stopped`."""
        reply = await self._ask("POST", f"/v2/stop-call/{quote(retell_call_id, safe='')}")
        if isinstance(reply, Unavailable):
            return CallMissing() if reply.status in _MISSING else reply
        return Stopped()

    async def _send(self, method: str, path: str, body: bytes | None) -> Reply:
        return await self._transport.send(method, path, body, self._timeout_s)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Reply | Unavailable:
        try:
            reply = await self._send(method, path, body)
        except (NotSent, TransportFailed) as error:
            return Unavailable(error.reason)
        if 200 <= reply.status < 300:
            return reply
        return Unavailable(_described(reply), reply.status, reply.retry_after_s)


def create_call_body(
    *,
    call_id: UUID,
    campaign_id: UUID,
    to_number: str,
    from_number: str,
    agent_id: str | None,
    dynamic_variables: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the body of create-phone-call; the same arguments always give the same bytes.

    `call_id` becomes the `idempotency_key` (good for one hour at Retell) and `metadata.call_id`. Retell takes
    text values only, so another type raises TypeError. Without `agent_id` the number's own agent answers for it.
    """
    marks = {**(metadata or {}), "call_id": str(call_id), "campaign_id": str(campaign_id)}
    for name, value in (*marks.items(), *dynamic_variables.items()):
        if not isinstance(value, str):
            raise TypeError(f"{name!r} must be text, not {type(value).__name__}")
    body: dict[str, Any] = {
        "from_number": from_number,
        "to_number": to_number,
        "metadata": marks,
        "retell_llm_dynamic_variables": dict(dynamic_variables),
        "idempotency_key": str(call_id),
    }
    if agent_id is not None:
        body["override_agent_id"] = agent_id
    return msgspec.json.encode(body, order="sorted")


def _placing(reply: Reply) -> Placed | Refused | Ambiguous:
    if 200 <= reply.status < 300:
        call = parse_call(reply.body)
        if isinstance(call, Malformed) or call.call_id is None:
            return Ambiguous(f"HTTP {reply.status} without a call in it")
        return Placed(call.call_id, call.call_status)
    if not 400 <= reply.status < 500 or reply.status in _AMBIGUOUS:
        return Ambiguous(_described(reply))
    kind = _REFUSALS.get(reply.status, RefusalKind.configuration)
    return Refused(kind, reply.status, _message(reply), reply.retry_after_s)


def _carrying(listing: _Listing, key: str, value: str) -> list[CallPayload]:
    calls = [parse_call(bytes(item)) for item in listing.items]
    return [
        call
        for call in calls
        if isinstance(call, CallPayload) and call.call_id and (call.metadata or {}).get(key) == value
    ]


def _described(reply: Reply) -> str:
    return f"HTTP {reply.status}: {_message(reply)}"[:MAX_MESSAGE]


def _message(reply: Reply) -> str:
    """Return the `message` of an error body, or the body itself, as one printable line of bounded length."""
    try:
        answer = msgspec.json.decode(reply.body)
        text = answer["message"] if isinstance(answer, dict) else None
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
        text = None
    if not isinstance(text, str):
        text = reply.body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    printable = "".join(letter if letter.isprintable() else " " for letter in text[:MAX_MESSAGE])
    return printable.strip() or "no message"


__all__ = [
    "Ambiguous",
    "CallFound",
    "CallMissing",
    "CallsListed",
    "Concurrency",
    "HttpTransport",
    "Placed",
    "RefusalKind",
    "Refused",
    "Reply",
    "RetellClient",
    "Stopped",
    "Transport",
    "Unavailable",
    "create_call_body",
]
