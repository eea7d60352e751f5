"""How the client reads each response, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from outdial.dialer.numbers.agents import read_agents
from outdial.dialer.numbers.importing import read_numbers
from outdial.provider import (
    AccountConcurrency,
    CallDeleted,
    CallEnded,
    CallMissing,
    CallPlaced,
    CallRefused,
    CallUncertain,
    ProviderUnavailable,
    RefusalKind,
)
from outdial.retell.client import (
    AgentPage,
    CallRetrieved,
    CallsListed,
    ContactMissing,
    ContactRetrieved,
    ContactsListed,
    RetellClient,
    create_call_body,
)
from outdial.retell.provider import RetellProvider
from outdial.retell.transport import HttpTransport
from tests.support.ports import reserved_port

KEY = "key_secret_5309"


class Peer:
    """A server that sends the same response to every request, and records the requests."""

    def __init__(self, response: bytes | None, *, hangs: bool = False, cuts: bool = False) -> None:
        self.requests: list[bytes] = []
        self.response = response
        self._hangs = hangs
        self._cuts = cuts
        self.left = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append(head + body)
                if self._hangs:
                    await reader.read()
                if self.response is None or self._hangs:
                    break
                writer.write(self.response)
                await writer.drain()
                if self._cuts:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.left.set()


def http(status: int, body: bytes = b"", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


@asynccontextmanager
async def client_of(peer: Peer, timeout: float = 30.0) -> AsyncIterator[RetellClient]:
    server = await asyncio.start_server(peer.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = RetellClient.connect(KEY, f"http://127.0.0.1:{port}/", timeout=timedelta(seconds=timeout))
    try:
        yield client
    finally:
        await client.close()
        server.close()
        await server.wait_closed()
        if peer.requests:
            await peer.left.wait()


async def placing(response: bytes) -> CallPlaced | CallRefused | CallUncertain:
    async with client_of(Peer(response)) as client:
        return await client.create_phone_call(b"{}")


async def test_a_created_call_is_placed() -> None:
    peer = Peer(http(201, b'{"call_id":"call_1","call_status":"registered","new":{}}'))
    async with client_of(peer) as client:
        assert await client.create_phone_call(b'{"a":1}') == CallPlaced("call_1", "registered")
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/create-phone-call HTTP/1.1\r\n")
    assert f"authorization: bearer {KEY}".encode() in head.lower()
    assert b"content-type: application/json" in head.lower()
    assert body == b'{"a":1}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusalKind.contact),
        (401, RefusalKind.account),
        (402, RefusalKind.account),
        (403, RefusalKind.account),
        (404, RefusalKind.configuration),
        (418, RefusalKind.configuration),
        (422, RefusalKind.configuration),
        (429, RefusalKind.capacity),
    ],
)
async def test_a_refusal_has_a_kind(status: int, kind: RefusalKind) -> None:
    refused = await placing(http(status, b'{"status":"error","message":"No."}'))
    assert refused == CallRefused(kind, status, "No.")


@pytest.mark.parametrize("status", [302, 408, 409, 500, 502, 503, 529])
async def test_an_inconclusive_response_is_uncertain(status: int) -> None:
    response = await placing(http(status, b"oops", "location: /elsewhere\r\n"))
    assert response == CallUncertain(f"HTTP {status}: oops")


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b'{"call_id":7}', b'"call_1"', b'{"call_id":""}'])
async def test_a_201_without_a_call_is_uncertain(body: bytes) -> None:
    assert await placing(http(201, body)) == CallUncertain("HTTP 201 without a call in it")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("retry-after: 7", 7.0),
        ("retry-after-ms: 1500", 1.5),
        ("retry-after: 999999", 3600.0),
        ("retry-after: nan", None),
        ("retry-after: -1", None),
        ("retry-after: Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
async def test_retry_after_of_a_refusal_is_read(header: str, seconds: float | None) -> None:
    refused = await placing(http(429, b"", header + "\r\n"))
    assert refused == CallRefused(RefusalKind.capacity, 429, "no message", seconds)


async def test_a_dropped_connection_is_uncertain_and_not_retried() -> None:
    peer = Peer(None)
    async with client_of(peer) as client:
        assert isinstance(await client.create_phone_call(b"{}"), CallUncertain)
    assert len(peer.requests) == 1


async def test_a_dropped_keep_alive_connection_is_not_retried() -> None:
    peer = Peer(http(201, b'{"call_id":"call_1"}'))
    async with client_of(peer) as client:
        await client.create_phone_call(b"{}")
        peer.response = None
        assert isinstance(await client.create_phone_call(b"{}"), CallUncertain)
    assert len(peer.requests) == 2


class ClosingPeer(Peer):
    """A server that can end its side of the newest connection."""

    def __init__(self, response: bytes) -> None:
        super().__init__(response)
        self.writer = asyncio.Queue[asyncio.StreamWriter]()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer.put_nowait(writer)
        await super().handle(reader, writer)

    async def close_connection(self) -> None:
        """Return when the client has closed its side, too."""
        (await self.writer.get()).write_eof()
        await self.left.wait()
        self.left.clear()


@pytest.mark.parametrize("closes", [1, 2])
async def test_a_connection_that_closes_before_the_request_leaves_is_replaced_once(closes: int) -> None:
    peer = ClosingPeer(http(201, b'{"call_id":"call_1"}'))
    ready = 0

    async def leave() -> None:
        nonlocal ready
        ready += 1
        if ready <= closes:
            await peer.close_connection()

    async with client_of(peer) as client:
        response = await client.create_phone_call(b"{}", before_sending=leave)
    assert ready == 2
    if closes == 1:
        assert response == CallPlaced("call_1")
        assert len(peer.requests) == 1
    else:
        assert isinstance(response, CallRefused)
        assert response.kind is RefusalKind.unreachable
        assert peer.requests == []


async def test_a_truncated_response_is_uncertain() -> None:
    async with client_of(Peer(b"HTTP/1.1 201 X\r\ncontent-length: 100\r\n\r\n{", cuts=True)) as client:
        assert await client.create_phone_call(b"{}") == CallUncertain("connection lost: ClientPayloadError")


async def test_a_timeout_is_uncertain() -> None:
    peer = Peer(None, hangs=True)
    async with client_of(peer, timeout=0.5) as client:
        assert await client.create_phone_call(b"{}") == CallUncertain("no response within 0.5 s")
    assert len(peer.requests) == 1


async def test_a_refused_connection_creates_nothing() -> None:
    with reserved_port() as port:
        client = RetellClient.connect(KEY, f"http://127.0.0.1:{port}")
        refused = await client.create_phone_call(b"{}")
        assert isinstance(refused, CallRefused)
        assert (refused.kind, refused.status) == (RefusalKind.unreachable, None)
        assert isinstance(await client.get_call("call_1"), ProviderUnavailable)
        await client.close()


async def test_an_unknown_host_creates_nothing() -> None:
    client = RetellClient.connect(KEY, "http://no-such-host.invalid")
    refused = await client.create_phone_call(b"{}")
    assert isinstance(refused, CallRefused)
    assert refused.kind is RefusalKind.unreachable
    await client.close()


async def test_the_guard_stops_a_request_before_it_is_sent() -> None:
    def guard() -> None:
        raise RuntimeError("a transaction is open")

    transport = HttpTransport(KEY, base_url="http://127.0.0.1:1", guard=guard)
    with pytest.raises(RuntimeError, match="transaction"):
        await transport.send("GET", "/", None, 1.0)
    await transport.close()


async def test_the_key_never_appears_in_errors_or_reprs() -> None:
    refused = await placing(http(401, json.dumps({"message": f"Bad key {KEY}!"}).encode()))
    assert refused == CallRefused(RefusalKind.account, 401, "Bad key [key]!")
    client = RetellClient.connect(KEY)
    assert KEY not in repr(client) + repr(vars(client))
    await client.close()


async def test_a_message_is_one_short_printable_line() -> None:
    refused = await placing(http(400, json.dumps({"message": "a\nb\x00" + "c" * 9000}).encode()))
    assert isinstance(refused, CallRefused)
    assert refused.message == "a b " + "c" * 496


async def test_a_call_is_found_missing_or_unavailable() -> None:
    body = b'{"call_id":"call/1","call_status":"ongoing"}'
    async with client_of(peer := Peer(http(200, body))) as client:
        found = await client.get_call("call/1")
    assert isinstance(found, CallRetrieved)
    assert (found.call.call_status, found.raw) == ("ongoing", body)
    assert peer.requests[0].startswith(b"GET /v2/get-call/call%2F1 ")
    for status in (404, 422):
        async with client_of(Peer(http(status))) as client:
            assert await client.get_call("call_1") == CallMissing()
    async with client_of(Peer(http(500, b"", "retry-after: 2\r\n"))) as client:
        assert await client.get_call("call_1") == ProviderUnavailable("HTTP 500: no message", 500, 2.0)
    for strange in (b"<html>", b'{"call_id":"another"}', b"[]"):
        async with client_of(Peer(http(200, strange))) as client:
            assert isinstance(await client.get_call("call_1"), ProviderUnavailable)


async def listed(body: bytes) -> CallsListed | ProviderUnavailable:
    async with client_of(Peer(http(200, body))) as client:
        return await client.list_calls(metadata_key="call_id", metadata_value="x")


async def test_calls_are_listed_by_their_metadata() -> None:
    peer = Peer(http(200, b'{"items":[{"call_id":"c1","metadata":{"call_id":"x"}}],"has_more":false}'))
    async with client_of(peer) as client:
        found = await client.list_calls(metadata_key="call_id", metadata_value="x", limit=2)
    assert isinstance(found, CallsListed)
    assert [call.call_id for call in found.calls] == ["c1"]
    assert json.loads(peer.requests[0].partition(b"\r\n\r\n")[2]) == {
        "filter_criteria": {"metadata": [{"type": "string", "op": "eq", "key": "call_id", "value": "x"}]},
        "sort_order": "descending",
        "limit": 2,
    }
    assert await listed(b'{"items":[],"has_more":false}') == CallsListed((), has_more=False)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"<html>",
        b'{"items":null}',
        b'{"items":[{"call_id":"c1","metadata":{"call_id":"another"}}]}',
        b'{"items":[{"call_id":"c1"}]}',
        b'{"items":["c1"]}',
        b'{"items":[{"metadata":{"call_id":"x"}}]}',
    ],
)
async def test_a_list_with_other_calls_does_not_prove_absence(body: bytes) -> None:
    assert isinstance(await listed(body), ProviderUnavailable)


async def test_concurrency_is_read_or_unavailable() -> None:
    body = b'{"current_concurrency":3,"concurrency_limit":20,"reserved_inbound_concurrency":2}'
    async with client_of(Peer(http(200, body))) as client:
        assert await client.get_concurrency() == AccountConcurrency(
            current=3, limit=20, reserved_inbound=2, burst_limit=0
        )
    async with client_of(Peer(http(200, b'{"concurrency_limit":20}'))) as client:
        assert isinstance(await client.get_concurrency(), ProviderUnavailable)


async def test_a_call_is_stopped_or_missing() -> None:
    async with client_of(peer := Peer(http(204))) as client:
        assert await client.stop_call("call_1") == CallEnded()
    assert peer.requests[0].startswith(b"POST /v2/stop-call/call_1 ")
    async with client_of(Peer(http(422))) as client:
        assert await client.stop_call("call_1") == CallMissing()
    async with client_of(Peer(http(401))) as client:
        assert isinstance(await client.stop_call("call_1"), ProviderUnavailable)


async def test_a_call_is_deleted_or_missing() -> None:
    async with client_of(peer := Peer(http(204))) as client:
        assert await client.delete_call("call_1/../x") == CallDeleted()
    assert peer.requests[0].startswith(b"DELETE /v2/delete-call/call_1%2F..%2Fx ")
    for status in (404, 422):
        async with client_of(Peer(http(status))) as client:
            assert await client.delete_call("call_1") == CallMissing()


@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 500])
async def test_only_retells_own_response_confirms_that_a_call_is_deleted(status: int) -> None:
    async with client_of(Peer(http(status, b"<html>"))) as client:
        assert await client.delete_call("call_1") == ProviderUnavailable(f"HTTP {status}: <html>", status)


@pytest.mark.parametrize(("key", "base_url"), [("", "https://x.invalid"), ("k", "ftp://x.invalid"), ("k", "x.invalid")])
async def test_unusable_arguments_raise(key: str, base_url: str) -> None:
    with pytest.raises(ValueError):
        RetellClient.connect(key, base_url)


CALL_ID, CAMPAIGN_ID = UUID(int=1), UUID(int=2)


def body_with(**variables: str) -> bytes:
    return create_call_body(
        call_id=CALL_ID,
        campaign_id=CAMPAIGN_ID,
        to_number="+14155550101",
        from_number="+14155550100",
        agent_id="agent_1",
        dynamic_variables=variables,
        metadata={"call_id": "not this one", "attempt": "1"},
    )


def test_the_body_carries_the_call_id_as_key_and_as_metadata() -> None:
    assert json.loads(body_with(first_name="Ann")) == {
        "from_number": "+14155550100",
        "to_number": "+14155550101",
        "override_agent_id": "agent_1",
        "idempotency_key": str(CALL_ID),
        "honor_internal_dnc": True,
        "metadata": {"call_id": str(CALL_ID), "campaign_id": str(CAMPAIGN_ID), "attempt": "1"},
        "retell_llm_dynamic_variables": {"first_name": "Ann"},
    }


def test_the_same_call_gives_the_same_bytes() -> None:
    assert body_with(a="1", b="2") == body_with(b="2", a="1")


def test_a_value_that_is_not_text_raises() -> None:
    with pytest.raises(TypeError, match="'age' must be a string, not int"):
        body_with(age=5)  # type: ignore[arg-type]


CONTACT = (
    b'{"contact_id":"contact_1","phone_number":"+14155550101","do_not_call":%s,"org_id":"o","created_timestamp":1}'
)
OPTED_OUT, CALLABLE = CONTACT % b"true", CONTACT % b"false"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The contact of to_number is marked do_not_call.", RefusalKind.do_not_call),
        ("Contact is on the Do Not Call list", RefusalKind.do_not_call),
        ("Call rejected: DNC", RefusalKind.do_not_call),
        ("Invalid request format, please check API reference.", RefusalKind.contact),
        ("to_number +14155550dnc is not valid", RefusalKind.contact),
    ],
)
async def test_a_refusal_of_retells_own_list_is_told_from_that_of_a_bad_number(message: str, kind: RefusalKind) -> None:
    body = json.dumps({"status": "error", "message": message}).encode()
    assert await placing(http(400, body)) == CallRefused(kind, 400, message)
    refused = await placing(http(422, body))
    assert isinstance(refused, CallRefused)
    assert refused.kind is RefusalKind.configuration


async def test_a_contact_is_read_by_its_phone_and_changed() -> None:
    async with client_of(peer := Peer(http(200, CALLABLE))) as client:
        found = await client.get_contact_by_phone("+14155550101")
        assert isinstance(found, ContactRetrieved)
        assert (found.contact.contact_id, found.contact.do_not_call) == ("contact_1", False)
        assert isinstance(await client.update_contact(found.contact, do_not_call=True), ContactRetrieved)
        assert isinstance(await client.create_contact("+14155550101", do_not_call=True), ContactRetrieved)
    assert peer.requests[0].startswith(b"GET /get-contact-by-phone/%2B14155550101 ")
    assert peer.requests[1].startswith(b"PATCH /update-contact/contact_1 ")
    assert json.loads(peer.requests[1].partition(b"\r\n\r\n")[2]) == {"do_not_call": True}
    assert peer.requests[2].startswith(b"POST /create-contact ")
    assert json.loads(peer.requests[2].partition(b"\r\n\r\n")[2]) == {
        "phone_number": "+14155550101",
        "do_not_call": True,
    }
    for status in (404, 422):
        async with client_of(Peer(http(status))) as client:
            assert await client.get_contact_by_phone("+14155550101") == ContactMissing()


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", CALLABLE.replace(b"0101", b"0102")])
async def test_another_contact_is_not_the_requested_one(body: bytes) -> None:
    async with client_of(Peer(http(200, body))) as client:
        assert isinstance(await client.get_contact_by_phone("+14155550101"), ProviderUnavailable)
        assert isinstance(await client.create_contact("+14155550101", do_not_call=True), ProviderUnavailable)


async def test_a_page_of_opted_out_contacts() -> None:
    body = b'{"items":[%s],"has_more":true,"pagination_key":"next"}' % OPTED_OUT
    async with client_of(peer := Peer(http(200, body))) as client:
        page = await client.list_contacts(do_not_call=True, pagination_key="this", limit=7)
    assert isinstance(page, ContactsListed)
    assert ([contact.phone_number for contact in page.contacts], page.next_key) == (["+14155550101"], "next")
    assert json.loads(peer.requests[0].partition(b"\r\n\r\n")[2]) == {
        "filter_criteria": {"do_not_call": {"type": "boolean", "op": "eq", "value": True}},
        "sort_order": "asc",
        "limit": 7,
        "pagination_key": "this",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"items":[%s]}' % CALLABLE,  # the filter was ignored: such a list would block everyone
        b'{"items":[{"contact_id":"c","phone_number":"+14155550101"}]}',
        b'{"items":[%s],"has_more":true}' % OPTED_OUT,
    ],
)
async def test_a_list_that_is_not_one_of_opted_out_contacts_is_not_used(body: bytes) -> None:
    async with client_of(Peer(http(200, body))) as client:
        assert isinstance(await client.list_contacts(do_not_call=True), ProviderUnavailable)


AGENT = b'{"agent_id":"agent_1","agent_name":"Sales","channel":"voice","is_suspended":false,"tags":{}}'
NUMBER = b'{"phone_number":"+14155550100","nickname":"Ours"}'


async def test_a_page_of_agents_asks_for_voice_agents() -> None:
    body = b'{"items":[%s],"has_more":true,"pagination_key":"next"}' % AGENT
    async with client_of(peer := Peer(http(200, body))) as client:
        page = await client.list_agents(pagination_key="this", limit=7)
    assert isinstance(page, AgentPage)
    assert ([(agent.agent_id, agent.agent_name) for agent in page.agents], page.next_key) == (
        [("agent_1", "Sales")],
        "next",
    )
    head, _, sent = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/list-agents?limit=7&sort_order=ascending&pagination_key=this ")
    wanted = {"type": "string", "op": "eq", "value": "voice"}
    assert json.loads(sent) == {"filter_criteria": {"channel": wanted}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[%s]",
        b'{"items":null}',
        b'{"items":{"0":%s}}',
        b'{"items":["%%s"]}',
        b'{"items":[{}]}',
        b'{"items":[%s],"has_more":"yes"}',
        b'{"items":[%s],"has_more":true}',
        b'{"items":[%s],"has_more":true,"pagination_key":7}',
        b'{"items":[%s],"has_more":true,"pagination_key":""}',
        b'{"items":[{"agent_id":7,"phone_number":7}]}',
        b'{"items":[{"agent_id":"","phone_number":""}]}',
        b'{"items":[{"agent_id":"a","agent_name":["x"],"phone_number":"+14155550100","nickname":["x"]}]}',
        b'{"items":[\xff]}',
        b'{"items":' + b"[" * 10_000,
    ],
)
async def test_a_page_that_is_no_list_of_agents_or_numbers_is_not_used(body: bytes) -> None:
    async with client_of(Peer(http(200, body.replace(b"%s", AGENT)))) as client:
        assert isinstance(await client.list_agents(), ProviderUnavailable)
    async with client_of(Peer(http(200, body.replace(b"%s", NUMBER)))) as client:
        assert isinstance(await client.list_phone_numbers(), ProviderUnavailable)


async def test_a_chat_agent_is_no_agent_for_calls() -> None:
    body = b'{"items":[%s]}' % AGENT.replace(b"voice", b"chat")
    async with client_of(Peer(http(200, body))) as client:
        assert isinstance(await client.list_agents(), ProviderUnavailable)


async def test_a_list_that_repeats_a_page_ends_with_an_error() -> None:
    for item, read in ((AGENT, read_agents), (NUMBER, read_numbers)):
        body = b'{"items":[%s],"has_more":true,"pagination_key":"same"}' % item
        async with client_of(peer := Peer(http(200, body))) as client:
            found = await read(RetellProvider({"default": client}), "default")
        assert isinstance(found, ProviderUnavailable)
        assert "repeats a page" in found.reason
        assert len(peer.requests) == 2
