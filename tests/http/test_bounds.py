"""What is too large is refused, in a way that the client gets to know."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from outdial.http import HttpResponse, RequestHead, ServerLimits
from outdial.http.protocol import ConnectionPhase
from tests.support.wire import App, get, post, served

SMALL = ServerLimits(header_bytes=1000, header_lines=20, discard=5000, linger_s=0.3, sweep_s=0.05)
EXPECTING = "expect: 100-continue"


@pytest.mark.parametrize(
    "sent",
    [
        get("x: " + "a" * 1100),
        get(*[f"x-{n}: {'a' * 90}" for n in range(12)]),
        get(path="/" + "a" * 1100),
        get("x: " + "a" * 1100).replace(b"\r\n\r\n", b""),
        get(*[f"x-{n}: 1" for n in range(21)]),
    ],
    ids=["a long one", "many", "a long target", "unfinished", "too many lines"],
)
async def test_headers_over_the_limit_are_431(sent: bytes) -> None:
    async with served(limits=SMALL) as here:
        wire = await here.connect()
        reply = await wire.ask(sent)
        assert (reply.status, reply.headers["connection"]) == (431, "close")
        assert b'"code":' in reply.body
    assert here.app.asked == []


async def test_a_long_body_does_not_count_as_headers() -> None:
    async with served(App(admitted=5000), limits=SMALL) as here:
        assert (await (await here.connect()).ask(post(b"x" * 5000))).status == 200


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_just_over_the_limit_is_413_and_keeps_the_connection(is_chunked: bool) -> None:
    body = b"x" * 101
    sent = post(body)
    if is_chunked:
        sent = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n65\r\n%b\r\n0\r\n\r\n" % body
    async with served(App(admitted=100), limits=SMALL) as here:
        wire = await here.connect()
        reply = await wire.ask(sent)
        assert reply.status == 413
        assert b"at most 100 bytes" in reply.body
        assert "connection" not in reply.headers
        assert (await wire.ask(get())).status == 200
    assert len(here.app.asked) == 1


async def test_a_body_far_over_the_limit_is_413_at_once_and_the_client_can_read_it() -> None:
    async with served(App(admitted=100), limits=SMALL) as here:
        wire = await here.connect()
        wire.send(post(length=50_000_000))
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        for _ in range(20):
            wire.send(b"x" * 100_000)
            await asyncio.sleep(0)
        assert await wire.rest() == b""


async def test_chunks_without_an_end_are_413() -> None:
    async with served(App(admitted=100), limits=SMALL) as here:
        wire = await here.connect()
        wire.send(b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        reply = asyncio.create_task(wire.reply())
        while not reply.done():
            wire.send(b"3e8\r\n%b\r\n" % (b"x" * 1000))
            await asyncio.sleep(0)
        assert (reply.result().status, reply.result().headers["connection"]) == (413, "close")


async def test_a_body_that_is_mostly_frame_is_refused() -> None:
    async with served(App(admitted=100_000), limits=SMALL) as here:
        wire = await here.connect()
        wire.send(b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        reply = asyncio.create_task(wire.reply())
        while not reply.done():
            wire.send(b"1;%b\r\nx\r\n" % (b"y" * 1000))
            await asyncio.sleep(0)
        assert reply.result().status == 400


async def test_a_rejected_request_gets_its_response_before_its_body() -> None:
    async with served(App(admitted=HttpResponse(429, [(b"retry-after", b"1")], b"later")), limits=SMALL) as here:
        wire = await here.connect()
        assert (await wire.ask(post(b"x" * 1000))).status == 429
        reply = await wire.ask(get())
        assert (reply.status, reply.headers["retry-after"], reply.body) == (429, "1", b"later")
        assert (await wire.ask(post(length=1_000_000))).headers["connection"] == "close"
    assert here.app.asked == []


async def test_expect_continue_gets_100() -> None:
    async with served() as here:
        wire = await here.connect()
        wire.send(post(b"", EXPECTING, length=5))
        assert await wire.read_line() == b"HTTP/1.1 100 Continue\r\n"
        assert await wire.read_line() == b"\r\n"
        assert (await wire.ask(b"hello")).body == b"POST /  hello"
        assert (await wire.ask(post(b"", EXPECTING))).body == b"POST /  ", "there is nothing to wait for"


async def test_expect_continue_with_too_large_a_body_gets_413() -> None:
    async with served(App(admitted=4), limits=SMALL) as here:
        wire = await here.connect()
        reply = await wire.ask(post(b"", EXPECTING, length=5))
        assert (reply.status, reply.headers["connection"]) == (413, "close")


async def test_a_pipelined_expect_continue_gets_100_after_the_first_response() -> None:
    async with served() as here:
        wire = await here.connect()
        wire.send(get() + post(b"", EXPECTING, length=5))
        assert (await wire.reply()).body == b"GET /  "
        assert await wire.read_line() == b"HTTP/1.1 100 Continue\r\n"
        assert await wire.read_line() == b"\r\n"
        assert (await wire.ask(b"hello")).body == b"POST /  hello"


# Room for two bodies that are almost complete, and not for a third.
CROWDED = replace(SMALL, held_bytes=2_500)


async def until(is_so: Callable[[], bool]) -> None:
    """Turn the event loop until something is so."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_over_the_bound_on_bytes_the_costliest_request_ends() -> None:
    async with served(App(admitted=5000), limits=CROWDED) as here:
        first, second, third = [await here.connect() for _ in range(3)]
        first.send(post(b"x" * 1500, length=1600))
        await until(lambda: here.server.held_bytes == 1500)
        second.send(post(b"x" * 900, length=1000))
        await until(lambda: here.server.held_bytes == 2400)
        third.send(post(b"x" * 600))
        assert (await third.reply()).status == 200
        evicted = await first.reply()
        assert (evicted.status, evicted.headers["connection"]) == (503, "close")
        assert b"too many large requests" in evicted.body
        assert (await second.ask(b"x" * 100)).status == 200
    assert here.server.held_bytes == 0


async def test_over_the_bound_a_request_through_tls_ends_once(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    may_respond = asyncio.Event()

    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        await may_respond.wait()
        return HttpResponse(200, [], b"%d" % len(body))

    async with served(App(respond, admitted=5000), limits=CROWDED, tls=contexts[0]) as here:
        busy, first, second = [await here.connect(ssl=contexts[1], server_hostname="localhost") for _ in range(3)]
        busy.send(post(b"x" * 2300))
        await until(lambda: bool(here.server.tasks))
        first.send(post(b"x" * 100, length=1000))
        await until(lambda: here.server.held_bytes == 2400)
        second.send(post(b"x" * 300))  # to end `first` does not free enough
        assert await first.rest() == await second.rest() == b""
        may_respond.set()
        assert (await busy.reply()).body == b"2300"
    assert here.server.held_bytes == 0


async def test_the_rest_of_a_refused_request_does_not_count() -> None:
    async with served(App(admitted=500_000), limits=replace(SMALL, held_bytes=50_000)) as here:
        honest, greedy = await here.connect(), await here.connect()
        honest.send(post(b"x" * 20_000, length=21_000))
        await until(lambda: here.server.held_bytes == 20_000)
        [before] = [one for one in here.server.connections if one.bytes_received]
        greedy.send(b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        await until(lambda: sum(bool(one.bytes_received) for one in here.server.connections) == 2)
        [last] = [one for one in here.server.connections if one.bytes_received and one is not before]
        last.since -= 100  # the costliest from here on
        last.data_received(b"3e8\r\n%b\r\n" % (b"y" * 1000) * 60)  # in one read
        assert here.server.held_bytes == 20_000
        assert (await greedy.reply()).status == 503
        assert (await honest.ask(b"x" * 1000)).status == 200
    assert here.server.held_bytes == 0


async def test_after_a_rejection_the_connection_is_idle() -> None:
    async with served(App(admitted=HttpResponse(429)), limits=SMALL) as here:
        wire = await here.connect()
        assert (await wire.ask(post(b"x"))).status == 429
        assert [one.phase for one in here.server.connections] == [ConnectionPhase.IDLE]


async def test_bytes_are_counted_until_they_are_served() -> None:
    served_now = asyncio.Event()

    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        await served_now.wait()
        return HttpResponse(200, [], b"%d" % len(body))

    async with served(App(respond, admitted=5000), limits=CROWDED) as here:
        busy, late = await here.connect(), await here.connect()
        busy.send(post(b"x" * 2000))
        await until(lambda: bool(here.server.tasks))
        assert here.server.held_bytes == 2000
        late.send(post(b"x" * 600))
        refused = await late.reply()
        assert (refused.status, refused.headers["connection"]) == (503, "close")
        busy.send(post(b"x" * 100))  # pipelined
        await until(lambda: here.server.held_bytes > 2000)
        served_now.set()
        assert [(await busy.reply()).body for _ in range(2)] == [b"2000", b"100"]
    assert here.server.held_bytes == 0


async def test_requests_sent_ahead_of_a_response_end_first() -> None:
    served_now = asyncio.Event()

    async def respond(head: RequestHead, body: bytes) -> HttpResponse:
        if head.path == "/slow":
            await served_now.wait()
        return HttpResponse(200, [], b"%d" % len(body))

    async with served(App(respond, admitted=5000), limits=CROWDED) as here:
        busy, late = await here.connect(), await here.connect()
        busy.send(post(b"x" * 100, path="/slow"))
        await until(lambda: bool(here.server.tasks))
        busy.send(post(b"x" * 2000))
        await until(lambda: here.server.held_bytes > 2000)
        assert (await late.ask(post(b"x" * 1000))).body == b"1000"
        served_now.set()
        assert (await busy.reply()).body == b"100"
        refused = await busy.reply()
        assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert here.server.held_bytes == 0


async def test_headers_that_are_still_arriving_are_counted() -> None:
    async with served(limits=replace(CROWDED, header_bytes=2000)) as here:
        first, second = await here.connect(), await here.connect()
        first.send(get("x: " + "a" * 1500)[:-4])
        await until(lambda: here.server.held_bytes > 1500)
        second.send(get("x: " + "a" * 1000)[:-4])
        assert (await first.reply()).status == 503
        assert (await second.ask(b"\r\n\r\n")).status == 200
    assert here.server.held_bytes == 0


@pytest.mark.parametrize("how", ["hangs up", "is torn off", "is too slow", "sends too much", "sends no HTTP"])
async def test_bytes_of_a_request_that_ends_early_are_released(how: str) -> None:
    limits = replace(SMALL, body_s=0.2) if how == "is too slow" else SMALL
    async with served(App(admitted=1000), limits=limits) as here:
        wire = await here.connect()
        wire.send(b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n1f4\r\n%b\r\n" % (b"x" * 500))
        await until(lambda: here.server.held_bytes == 500)
        if how == "is torn off":
            wire.tear_off()
        elif how == "sends too much":
            wire.send(b"1f5\r\n%b\r\n" % (b"x" * 501))
        elif how == "sends no HTTP":
            wire.send(b"zzz\r\n")
        elif how == "hangs up":
            await wire.close()
        await until(lambda: here.server.held_bytes == 0)
