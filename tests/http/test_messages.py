"""Requests arrive whole, and responses leave as valid HTTP/1.1."""

import asyncio
from email.utils import parsedate_to_datetime

import pytest

from outdial.http import HeaderPairs, HttpResponse, RequestHead
from tests.support.wire import App, Wire, get, post, served


def responding(status: int, headers: HeaderPairs = (), body: bytes = b"") -> App:
    async def respond(head: RequestHead, _: bytes) -> HttpResponse:
        return HttpResponse(status, headers, body)

    return App(respond)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


async def test_a_request_reaches_the_application_as_it_was_sent() -> None:
    async with served() as here:
        wire = await here.connect()
        reply = await wire.ask(post(b"hello", "X-Odd: a b ", "X-Odd: \xe9", path="/a%20b/c?d=e?f#g"))
        [(head, body)] = here.app.asked

    assert (reply.status, reply.body) == (200, b"POST /a%20b/c d=e?f hello")
    assert (head.method, head.path, head.query, body) == ("POST", "/a%20b/c", "d=e?f", b"hello")
    assert head.headers[2:] == [(b"x-odd", b"a b "), (b"x-odd", "\xe9".encode())]
    assert (head.client, head.secure) == ("127.0.0.1", False)


async def test_a_response_has_length_and_date_and_its_own_headers() -> None:
    async with served(responding(201, [(b"x-a", b"1"), (b"x-b", b"2")], b"made")) as here:
        reply = await (await here.connect()).ask(get())

    assert (reply.status, reply.body) == (201, b"made")
    assert parsedate_to_datetime(reply.headers.pop("date")).utcoffset() is not None
    assert reply.headers == {"x-a": "1", "x-b": "2", "content-length": "4"}


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_without_content_has_no_length(status: int) -> None:
    async with served(responding(status, [], b"dropped")) as here:
        wire = await here.connect()
        assert "content-length" not in (await wire.ask(get())).headers
        assert (await wire.ask(get())).status == status


async def test_the_response_to_head_has_the_length_of_the_omitted_body() -> None:
    async with served(responding(200, [], b"0123456789")) as here:
        wire = await here.connect()
        wire.send(get(method="HEAD"))
        assert (await wire.reply(to_head=True)).headers["content-length"] == "10"
        assert (await wire.ask(get())).body == b"0123456789"


async def test_an_unnamed_status_is_sent() -> None:
    async with served(responding(546)) as here:
        assert (await (await here.connect()).ask(get())).status == 546


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_bodies_of_any_size_go_both_ways(size: int) -> None:
    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        return HttpResponse(200, [], body)

    async with served(App(respond, admitted=4_000_000)) as here:
        wire = await here.connect()
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert (await wire.ask(post(body))).body == body
        assert (await wire.ask(chunked(*[body[n : n + 9999] for n in range(0, size, 9999)]))).body == body


async def test_a_fragmented_request_is_parsed() -> None:
    async with served() as here:
        wire = await here.connect()
        for request in (post(b"hello", path="/cut?q"), chunked(b"hello", b" again")):
            for byte in request:
                wire.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await wire.reply()).body.startswith(b"POST /")
    assert [body for _, body in here.app.asked] == [b"hello", b"hello again"]


async def test_trailers_are_ignored() -> None:
    async with served() as here:
        wire = await here.connect()
        await wire.ask(chunked(b"hello", end=b"0\r\nx-admin: yes\r\n\r\n"))
        await wire.ask(get())
    assert not any(name == b"x-admin" for head, _ in here.app.asked for name, _ in head.headers)


async def test_a_target_in_absolute_form_is_read_as_its_path() -> None:
    async with served() as here:
        wire = await here.connect()
        assert (await wire.ask(get(path="http://test/a?b"))).body == b"GET /a b "
        assert (await wire.ask(get(path="http://test"))).body == b"GET /  "
        assert (await wire.ask(get(path="*", method="OPTIONS"))).body == b"OPTIONS *  "


async def test_upgrade_requests_are_ignored_with_and_without_a_body() -> None:
    wish = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
    async with served() as here:
        wire = await here.connect()
        assert (await wire.ask(post(b"hello", *wish))).body == b"POST /  hello"
        assert (await wire.ask(get(*wish))).body == b"GET /  "
        assert (await wire.ask(post(b"again", *wish) + get(path="/next"))).body == b"POST /  again"
        assert (await wire.reply()).body == b"GET /next  "
    assert [name for head, _ in here.app.asked for name, _ in head.headers].count(b"upgrade") == 0


async def ask_for_a_tunnel(wire: Wire) -> int:
    wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n" + get())
    status = (await wire.reply()).status
    assert await wire.rest() == b""
    return status


async def test_connect_is_rejected() -> None:
    async with served() as here:
        assert await ask_for_a_tunnel(await here.connect()) == 400
    assert here.app.asked == []


async def test_an_exception_of_the_application_is_a_500_and_reaches_the_event_loop() -> None:
    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        raise RuntimeError("the private reason")

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with served(App(respond)) as here:
        wire = await here.connect()
        reply = await wire.ask(get())
        assert (await wire.ask(get())).status == 500, "the connection goes on"

    assert reply.status == 500
    assert b"private" not in reply.body
    assert len(told) == 2


async def test_an_exception_while_admitting_is_a_500() -> None:
    class Broken(App):
        def admit(self, head: RequestHead) -> int | HttpResponse:
            raise RuntimeError("the private reason")

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with served(Broken()) as here:
        reply = await (await here.connect()).ask(post(b"hello"))
    assert (reply.status, here.app.asked) == (500, [])
