"""A client for the part of Retell's API that Outdial uses."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, Self, TypeVar, assert_never
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from outdial.domain.policies.voicemail import HangUpOnVoicemail, LeaveMessage, VoicemailOrder
from outdial.provider import (
    AccountConcurrency,
    BeforeSending,
    CallDeleted,
    CallEnded,
    CallMissing,
    CallPlaced,
    CallRefused,
    CallUncertain,
    ProviderUnavailable,
    RefusalKind,
    RequestKeys,
)
from outdial.retell.errors import NotSent, TransportFailed
from outdial.retell.transport import BASE_URL, HttpTransport, Transport
from outdial.retell.wire import (
    AgentPayload,
    CallPayload,
    ContactPayload,
    MalformedPayload,
    PhoneNumberPayload,
    RetellResponse,
    parse_call,
)

MAX_MESSAGE: Final = 500

_REFUSALS: Final = {
    400: RefusalKind.contact,
    401: RefusalKind.account,
    402: RefusalKind.account,
    403: RefusalKind.account,
    429: RefusalKind.capacity,
}
_DO_NOT_CALL: Final = re.compile(r"do[ _-]?not[ _-]?call|\bdnc\b", re.IGNORECASE)
_AMBIGUOUS: Final = frozenset({408, 409})
_MISSING: Final = frozenset({404, 422})
Item = TypeVar("Item")


class _Listing(msgspec.Struct):
    items: list[msgspec.Raw]
    has_more: bool = False


class _Page(msgspec.Struct, Generic[Item]):
    items: list[Item]
    has_more: bool = False
    pagination_key: str | None = None

    @property
    def next_key(self) -> str | None:
        return self.pagination_key if self.has_more else None


class _Concurrency(msgspec.Struct):
    current_concurrency: int
    concurrency_limit: int
    reserved_inbound_concurrency: int | None = None
    concurrency_burst_limit: int | None = None


@dataclass(frozen=True, slots=True)
class CallRetrieved:
    """The call as Retell has it now, and the JSON object it was read from."""

    call: CallPayload
    raw: bytes


@dataclass(frozen=True, slots=True)
class CallsListed:
    """Matching calls, newest first, without transcripts. `has_more` is true when the limit cut the list."""

    calls: tuple[CallPayload, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class ContactRetrieved:
    """A contact of the workspace."""

    contact: ContactPayload


@dataclass(frozen=True, slots=True)
class ContactMissing:
    """The workspace has no such contact."""


@dataclass(frozen=True, slots=True)
class ContactsListed:
    """A page of contacts, and the key of the next page; None after the last one."""

    contacts: tuple[ContactPayload, ...]
    next_key: str | None


@dataclass(frozen=True, slots=True)
class PhoneNumbersListed:
    """A page of phone numbers, and the key of the next page; None after the last one."""

    numbers: tuple[PhoneNumberPayload, ...]
    next_key: str | None


@dataclass(frozen=True, slots=True)
class AgentPage:
    """A page of voice agents, and the key of the next page; None after the last one."""

    agents: tuple[AgentPayload, ...]
    next_key: str | None


class RetellClient:
    """Sends one request per method call, without retries. Failed requests are return values, not exceptions."""

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
        """Return a client over HTTP. Call it inside a running event loop."""
        transport = HttpTransport(api_key, base_url=base_url, connections=connections, guard=guard)
        return cls(transport, timeout=timeout)

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def create_phone_call(
        self, body: bytes, *, before_sending: BeforeSending | None = None
    ) -> CallPlaced | CallRefused | CallUncertain:
        """POST /v2/create-phone-call once, with a body made by `create_call_body`.

        Whatever `before_sending` raises is raised here, and nothing is sent.
        """
        path = "/v2/create-phone-call"
        try:
            response = await self._transport.send("POST", path, body, self._timeout_s, before_sending)
        except NotSent as error:
            return CallRefused(RefusalKind.unreachable, None, error.reason)
        except TransportFailed as error:
            return CallUncertain(error.reason)
        if 200 <= response.status < 300:
            call = parse_call(response.body)
            if isinstance(call, MalformedPayload) or call.call_id is None:
                return CallUncertain(f"HTTP {response.status} without a call in it")
            return CallPlaced(call.call_id, call.call_status)
        if not 400 <= response.status < 500 or response.status in _AMBIGUOUS:
            return CallUncertain(_describe(response))
        kind, message = _REFUSALS.get(response.status, RefusalKind.configuration), _message(response)
        if response.status == 400 and _DO_NOT_CALL.search(message):
            kind = RefusalKind.do_not_call
        return CallRefused(kind, response.status, message, response.retry_after_s)

    async def get_call(self, retell_call_id: str) -> CallRetrieved | CallMissing | ProviderUnavailable:
        """GET /v2/get-call/{id}."""
        response = await self._request("GET", f"/v2/get-call/{quote(retell_call_id, safe='')}")
        if isinstance(response, ProviderUnavailable):
            return CallMissing() if response.status in _MISSING else response
        call = parse_call(response.body)
        if isinstance(call, MalformedPayload) or call.call_id != retell_call_id:
            return ProviderUnavailable("the response is not the requested call", response.status)
        return CallRetrieved(call, response.body)

    async def list_calls(
        self, *, metadata_key: str, metadata_value: str, limit: int = 50
    ) -> CallsListed | ProviderUnavailable:
        """POST /v3/list-calls for the calls that carry this metadata; `limit` is 1 to 1000.

        A list that contains other calls counts as unavailable: an empty result must prove that there is no such call.
        """
        wanted = {"type": "string", "op": "eq", "key": metadata_key, "value": metadata_value}
        body = {"filter_criteria": {"metadata": [wanted]}, "sort_order": "descending", "limit": limit}
        response = await self._request("POST", "/v3/list-calls", msgspec.json.encode(body))
        if isinstance(response, ProviderUnavailable):
            return response
        try:
            listing = msgspec.json.decode(response.body, type=_Listing)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ProviderUnavailable("the response is not a list of calls", response.status)
        calls = tuple(
            call
            for call in (parse_call(bytes(item)) for item in listing.items)
            if isinstance(call, CallPayload)
            and call.call_id
            and (call.metadata or {}).get(metadata_key) == metadata_value
        )
        if len(calls) != len(listing.items):
            return ProviderUnavailable("the list contains calls with other metadata", response.status)
        return CallsListed(calls, listing.has_more)

    async def get_concurrency(self) -> AccountConcurrency | ProviderUnavailable:
        """GET /get-concurrency."""
        response = await self._request("GET", "/get-concurrency")
        if isinstance(response, ProviderUnavailable):
            return response
        try:
            read = msgspec.json.decode(response.body, type=_Concurrency)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ProviderUnavailable("the response contains no concurrency", response.status)
        return AccountConcurrency(
            current=read.current_concurrency,
            limit=read.concurrency_limit,
            reserved_inbound=read.reserved_inbound_concurrency or 0,
            burst_limit=read.concurrency_burst_limit or 0,
        )

    async def stop_call(self, retell_call_id: str) -> CallEnded | CallMissing | ProviderUnavailable:
        """POST /v2/stop-call/{id}: end a live call. Its disconnection reason becomes `manual_stopped`."""
        response = await self._request("POST", f"/v2/stop-call/{quote(retell_call_id, safe='')}")
        if isinstance(response, ProviderUnavailable):
            return CallMissing() if response.status in _MISSING else response
        return CallEnded()

    async def delete_call(self, retell_call_id: str) -> CallDeleted | CallMissing | ProviderUnavailable:
        """DELETE /v2/delete-call/{id}: delete a call with all its data. Retell responds 422 for an unknown call."""
        response = await self._request("DELETE", f"/v2/delete-call/{quote(retell_call_id, safe='')}")
        if isinstance(response, ProviderUnavailable):
            return CallMissing() if response.status in _MISSING else response
        if response.status != 204:
            # Such as the page of a proxy: only Retell's own response confirms that the data is gone.
            return ProviderUnavailable(_describe(response), response.status)
        return CallDeleted()

    async def get_contact_by_phone(self, phone: str) -> ContactRetrieved | ContactMissing | ProviderUnavailable:
        """GET /get-contact-by-phone/{number}. A workspace has at most one contact for a number."""
        response = await self._request("GET", f"/get-contact-by-phone/{quote(phone, safe='')}")
        if isinstance(response, ProviderUnavailable):
            return ContactMissing() if response.status in _MISSING else response
        return _contact_in(response, phone)

    async def create_contact(self, phone: str, *, do_not_call: bool) -> ContactRetrieved | ProviderUnavailable:
        """POST /create-contact. Retell refuses a second contact for a number."""
        body = msgspec.json.encode({"phone_number": phone, "do_not_call": do_not_call})
        response = await self._request("POST", "/create-contact", body)
        return response if isinstance(response, ProviderUnavailable) else _contact_in(response, phone)

    async def update_contact(
        self, contact: ContactPayload, *, do_not_call: bool
    ) -> ContactRetrieved | ContactMissing | ProviderUnavailable:
        """PATCH /update-contact/{id}: set the do-not-call flag and nothing else."""
        body = msgspec.json.encode({"do_not_call": do_not_call})
        response = await self._request("PATCH", f"/update-contact/{quote(contact.contact_id, safe='')}", body)
        if isinstance(response, ProviderUnavailable):
            return ContactMissing() if response.status in _MISSING else response
        return _contact_in(response, contact.phone_number)

    async def list_contacts(
        self, *, do_not_call: bool, pagination_key: str | None = None, limit: int = 100
    ) -> ContactsListed | ProviderUnavailable:
        """POST /list-contacts for a page of the contacts with this do-not-call flag, the oldest first."""
        wanted = {"type": "boolean", "op": "eq", "value": do_not_call}
        body: dict[str, Any] = {"filter_criteria": {"do_not_call": wanted}, "sort_order": "asc", "limit": limit}
        if pagination_key is not None:
            body["pagination_key"] = pagination_key
        response = await self._request("POST", "/list-contacts", msgspec.json.encode(body))
        if isinstance(response, ProviderUnavailable):
            return response
        page = _page_in(response, _Page[ContactPayload], "contacts")
        if isinstance(page, ProviderUnavailable):
            return page
        if any(contact.do_not_call is not do_not_call for contact in page.items):
            return ProviderUnavailable("the list contains contacts with another do_not_call flag", response.status)
        return ContactsListed(tuple(page.items), page.next_key)

    async def list_phone_numbers(
        self, *, pagination_key: str | None = None, limit: int = 100
    ) -> PhoneNumbersListed | ProviderUnavailable:
        """GET /v2/list-phone-numbers for a page of the workspace's numbers, the oldest first."""
        query = {"limit": limit, "sort_order": "ascending"}
        key = {} if pagination_key is None else {"pagination_key": pagination_key}
        response = await self._request("GET", f"/v2/list-phone-numbers?{urlencode(query | key)}")
        if isinstance(response, ProviderUnavailable):
            return response
        page = _page_in(response, _Page[PhoneNumberPayload], "phone numbers")
        if isinstance(page, ProviderUnavailable):
            return page
        return PhoneNumbersListed(tuple(page.items), page.next_key)

    async def list_agents(
        self, *, pagination_key: str | None = None, limit: int = 100
    ) -> AgentPage | ProviderUnavailable:
        """POST /v2/list-agents for a page of the workspace's voice agents, the oldest first."""
        query = {"limit": limit, "sort_order": "ascending"}
        key = {} if pagination_key is None else {"pagination_key": pagination_key}
        wanted = {"channel": {"type": "string", "op": "eq", "value": "voice"}}
        body = msgspec.json.encode({"filter_criteria": wanted})
        response = await self._request("POST", f"/v2/list-agents?{urlencode(query | key)}", body)
        if isinstance(response, ProviderUnavailable):
            return response
        page = _page_in(response, _Page[AgentPayload], "agents")
        if isinstance(page, ProviderUnavailable):
            return page
        if any(agent.channel not in (None, "voice") for agent in page.items):
            return ProviderUnavailable("the list contains agents of another channel", response.status)
        return AgentPage(tuple(page.items), page.next_key)

    async def read(self, path: str) -> bytes | ProviderUnavailable:
        """GET a resource of the workspace and return its body."""
        response = await self._request("GET", path)
        return response if isinstance(response, ProviderUnavailable) else response.body

    async def post(
        self, path: str, body: bytes | None = None, *, timeout: timedelta
    ) -> RetellResponse | ProviderUnavailable:
        """POST once; a response that is no success is ProviderUnavailable with its status."""
        return await self._request("POST", path, body, timeout)

    async def _request(
        self, method: str, path: str, body: bytes | None = None, timeout: timedelta | None = None
    ) -> RetellResponse | ProviderUnavailable:
        timeout_s = self._timeout_s if timeout is None else timeout.total_seconds()
        try:
            response = await self._transport.send(method, path, body, timeout_s)
        except (NotSent, TransportFailed) as error:
            return ProviderUnavailable(error.reason)
        if 200 <= response.status < 300:
            return response
        return ProviderUnavailable(_describe(response), response.status, response.retry_after_s)


def _contact_in(response: RetellResponse, phone: str) -> ContactRetrieved | ProviderUnavailable:
    try:
        contact = msgspec.json.decode(response.body, type=ContactPayload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ProviderUnavailable("the response is not a contact", response.status)
    if contact.phone_number != phone:
        return ProviderUnavailable("the response is not the requested contact", response.status)
    return ContactRetrieved(contact)


def _page_in(response: RetellResponse, kind: type[_Page[Item]], what: str) -> _Page[Item] | ProviderUnavailable:
    try:
        page = msgspec.json.decode(response.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ProviderUnavailable(f"the response is not a list of {what}", response.status)
    if page.has_more and not page.pagination_key:
        return ProviderUnavailable(f"the list has more {what}, but no key for them", response.status)
    return page


def id_label(*, is_test: bool) -> str:
    """Return the key of the metadata that has our id of a call."""
    return "test_call_id" if is_test else "call_id"


def create_call_body(
    *,
    call_id: UUID,
    campaign_id: UUID,
    to_number: str,
    from_number: str,
    agent_id: str | None,
    dynamic_variables: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
    on_voicemail: VoicemailOrder | None = None,
    is_test: bool = False,
) -> bytes:
    """Return the body of create-phone-call. The same arguments always give the same bytes.

    `call_id` becomes the `idempotency_key` (which Retell honors for one hour) and `metadata.call_id`, or
    `metadata.test_call_id` of a test call. Retell accepts only text values: other types raise TypeError. Without
    `agent_id`, Retell uses the agent of the caller number.
    """
    labels = {**(metadata or {}), id_label(is_test=is_test): str(call_id), "campaign_id": str(campaign_id)}
    for name, value in (*labels.items(), *dynamic_variables.items()):
        if not isinstance(value, str):
            raise TypeError(f"{name!r} must be a string, not {type(value).__name__}")
    body: dict[str, Any] = {
        "from_number": from_number,
        "to_number": to_number,
        "metadata": labels,
        "retell_llm_dynamic_variables": dict(dynamic_variables),
        "idempotency_key": str(call_id),
        # Retell refuses the call when its own contact for the number is marked do-not-call.
        "honor_internal_dnc": True,
    }
    if agent_id is not None:
        body["override_agent_id"] = agent_id
    match on_voicemail:
        case None:
            pass
        case HangUpOnVoicemail():
            body["agent_override"] = _voicemail_option({"type": "hangup"})
        case LeaveMessage(text):
            body["agent_override"] = _voicemail_option({"type": "static_text", "text": text})
        case never:
            assert_never(never)
    return msgspec.json.encode(body, order="sorted")


def _voicemail_option(action: Mapping[str, str]) -> dict[str, Any]:
    return {"agent": {"voicemail_option": {"action": action}}}


_REQUEST_KEYS: Final = msgspec.json.Decoder(RequestKeys)


def read_call_body(body: bytes) -> RequestKeys | None:
    """Return the idempotency key and the number in a body of `create_call_body`, or None when it has none."""
    try:
        return _REQUEST_KEYS.decode(body)
    except msgspec.MsgspecError:
        return None


def _describe(response: RetellResponse) -> str:
    return f"HTTP {response.status}: {_message(response)}"[:MAX_MESSAGE]


def _message(response: RetellResponse) -> str:
    """Return the `message` of an error body, or else the body: one printable line, at most MAX_MESSAGE characters."""
    try:
        error = msgspec.json.decode(response.body)
        text = error["message"] if isinstance(error, dict) else None
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
        text = None
    if not isinstance(text, str):
        text = response.body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    printable = "".join(character if character.isprintable() else " " for character in text[:MAX_MESSAGE])
    return printable.strip() or "no message"
